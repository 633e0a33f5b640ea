"""The command status with read-only permissions on a real API server."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers import registry
from controllers.runtime.rbac import reader_role
from tests.support.builders import registered
from tests.support.cluster import kubeflow, manager_process, observe, service_account, waiting
from tests.support.cluster.audit import Audit
from tests.support.cluster.manager_process import Launcher
from tests.support.controlplane import ControlPlane

pytestmark = pytest.mark.xdist_group("status")

READER = "status-reader"
WITH_DRIFT = {one.name for one in registry.controllers() if not one.external}


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane for this module: any condition on a Profile changes what is installed.

    It does not stream lists, like older versions.
    """
    with ControlPlane.start(
        tmp_path_factory.mktemp("control-plane"),
        audit=True,
        extra_apiserver_args=["--feature-gates=WatchList=false"],
    ) as plane:
        kubeflow.install(plane)
        yield plane


@pytest.fixture(scope="module")
def writer(launcher: Launcher) -> Path:
    return launcher.identity("status-writer")


@pytest.fixture(scope="module")
def reader(control_plane: ControlPlane) -> Path:
    """A kubeconfig with the permissions that `permissions status` prints."""
    role = yaml.safe_load(manager_process.run("permissions", "status").stdout)
    assert role["rules"] == reader_role(registry.controllers(), "any")["rules"]
    role["metadata"]["name"] = READER
    return service_account.bind(control_plane, READER, role)


def create_reconciled_tenants(plane: ControlPlane, writer: Path, *names: str) -> None:
    """Creates tenants and reconciles them once; no controller runs afterwards."""
    kubeflow.create_tenants(plane, names)
    reconcile_once(writer)


def reconcile_once(writer: Path) -> None:
    done = manager_process.run(
        "all",
        "--once",
        "--kubeconfig",
        str(writer),
        PIPELINES_PROVIDER="none",
        BLOB_CSI_INSTANCES="[]",
    )
    assert done.returncode in (0, 3), done.stderr


def test_lists_are_paged_on_an_api_server_without_streamed_lists(
    control_plane: ControlPlane, writer: Path
) -> None:
    audit = Audit(control_plane, service_account.user("status-writer"))
    create_reconciled_tenants(control_plane, writer, "paged")

    assert audit.counts()["list", "resourcequotas"] == 1
    assert observe.find(control_plane, observe.quota_path("paged")) is not None


def status(reader: Path, *arguments: str) -> tuple[int, dict[tuple[str, str], dict[str, Any]], str]:
    """Returns the exit code, the statuses by profile and controller, and standard error."""
    command = ("status", *arguments, "--kubeconfig", str(reader), "-o", "json")
    done = manager_process.run(*command)
    assert "Traceback" not in done.stderr
    statuses = json.loads(done.stdout)["statuses"] if done.stdout else []
    return (
        done.returncode,
        {(row["profile"], row["controller"]): row for row in statuses},
        done.stderr,
    )


def test_a_reconciled_profile_is_ready_for_every_controller(
    control_plane: ControlPlane, writer: Path, reader: Path
) -> None:
    audit = Audit(control_plane, service_account.user(READER))
    create_reconciled_tenants(control_plane, writer, "shown")

    code, rows, stderr = status(reader, "shown")

    assert (code, stderr) == (0, "")
    assert {name for _, name in rows} == {one.name for one in registered.RUN_BY_ALL}
    for (_, name), row in rows.items():
        assert row["state"] == "Ready", row
        assert row["drift"] == ([] if name in WITH_DRIFT else None), row
    assert rows["shown", "quotas"]["objects"] == {"ResourceQuota": 1}
    assert rows["shown", "network"]["objects"]["NetworkPolicy"] > 5
    assert (audit.writes(), audit.denied()) == ([], [])


def test_without_names_all_profiles_and_installed_controllers_are_shown(
    control_plane: ControlPlane, writer: Path, reader: Path
) -> None:
    create_reconciled_tenants(control_plane, writer, "one-of-all", "another-of-all")

    code, rows, _ = status(reader)

    assert code == 0
    assert {profile for profile, _ in rows} >= {"one-of-all", "another-of-all"}
    assert {name for _, name in rows} == {one.name for one in registered.RUN_BY_ALL}


def test_since_is_when_the_conditions_last_changed(
    control_plane: ControlPlane, writer: Path, reader: Path
) -> None:
    create_reconciled_tenants(control_plane, writer, "dated")
    path = f"{kubeflow.PROFILES}/dated"
    first = status(reader, "dated")[1]["dated", "quotas"]["since"]
    # Times have whole seconds: the next one must differ.
    waiting.until(
        lambda: datetime.now(UTC) > datetime.fromisoformat(first) + timedelta(seconds=2),
        "the second is over",
    )

    observe.annotate(control_plane, path, note="the spec and metadata change, no condition does")
    reconcile_once(writer)
    unchanged = status(reader, "dated")[1]["dated", "quotas"]["since"]
    observe.set_quota_labels(control_plane, "dated", pods="plenty")
    reconcile_once(writer)
    code, rows, _ = status(reader, "dated")

    assert datetime.now(UTC) - datetime.fromisoformat(first) < timedelta(minutes=5)
    assert (first, code) == (unchanged, 1)
    assert rows["dated", "quotas"]["since"] > first
    assert rows["dated", "quotas"]["state"] == "NotReady"
    assert "'plenty' is not a quantity" in rows["dated", "quotas"]["message"]
    assert rows["dated", "network"]["state"] == "Ready"


def test_drift_is_computed_with_the_settings_of_the_command(
    control_plane: ControlPlane, writer: Path, reader: Path, tmp_path: Path
) -> None:
    create_reconciled_tenants(control_plane, writer, "drifted")
    observe.patch(control_plane, observe.quota_path("drifted"), {"spec": {"hard": {"pods": "1"}}})
    observe.delete(control_plane, observe.limits_path("drifted"))
    file = tmp_path / "config.yaml"
    file.write_text("quotas: {hard: {pods: 1}}")

    code, rows, _ = status(reader, "drifted")
    other = status(reader, "drifted", "--config", str(file))[1]
    without = status(reader, "drifted", "--no-drift")[1]

    def actions(found: dict[tuple[str, str], dict[str, Any]], name: str) -> list[str]:
        return [change["action"] for change in found["drifted", name]["drift"]]

    assert code == 0  # by the conditions: no controller has reconciled since
    assert (actions(rows, "quotas"), actions(rows, "limitranges")) == (["update"], ["create"])
    assert rows["drifted", "limitranges"]["objects"] == {}
    assert (actions(other, "quotas"), actions(rows, "rbac")) == ([], [])
    assert {row["drift"] for row in without.values()} == {None}


def test_a_paused_profile_is_shown_and_exits_0(
    control_plane: ControlPlane, writer: Path, reader: Path
) -> None:
    create_reconciled_tenants(control_plane, writer, "dozing")
    observe.annotate(control_plane, f"{kubeflow.PROFILES}/dozing", paused="quotas")
    reconcile_once(writer)

    code, rows, _ = status(reader, "dozing")

    assert code == 0
    assert rows["dozing", "quotas"]["state"] == "Paused"
    assert rows["dozing", "limitranges"]["state"] == "Ready"


def test_a_profile_without_a_condition_is_not_ready(
    control_plane: ControlPlane, writer: Path, reader: Path
) -> None:
    create_reconciled_tenants(control_plane, writer, "looked-at")
    kubeflow.create_tenants(control_plane, ["overlooked"])

    code, rows, _ = status(reader, "overlooked", "--only", "quotas")

    assert (code, list(rows)) == (1, [("overlooked", "quotas")])
    assert rows["overlooked", "quotas"]["state"] == "Unknown"
    assert [one["action"] for one in rows["overlooked", "quotas"]["drift"]] == ["create"]


def test_missing_permissions_are_named(
    control_plane: ControlPlane, writer: Path, reader: Path
) -> None:
    create_reconciled_tenants(control_plane, writer, "half-seen")
    assert status(reader, "half-seen")[0] == 0
    role = reader_role(registry.controllers(), "status-half")
    role["rules"] = [one for one in role["rules"] if one["resources"] != ["resourcequotas"]]
    half = service_account.bind(control_plane, "status-half", role)
    blind = service_account.bind(
        control_plane,
        "status-blind",
        {**role, "metadata": {"name": "status-blind"}, "rules": role["rules"][1:]},
    )

    code, rows, stderr = status(half, "half-seen")
    blinded, _, why = status(blind, "half-seen")

    assert code == 0
    assert rows["half-seen", "quotas"]["state"] == "Ready"
    assert rows["half-seen", "quotas"]["objects"] is None
    assert rows["half-seen", "limitranges"]["objects"] == {"LimitRange": 1}
    for words in (
        "cannot determine objects and drift of quotas",
        'cannot list resource "resourcequotas"',
    ):
        assert words in stderr
    assert blinded == 2
    assert 'cannot list resource "profiles"' in why
    assert "profiles-controller permissions status" in why


def test_permissions_of_a_controller_suffice_for_its_own_rows(
    control_plane: ControlPlane, launcher: Launcher, writer: Path
) -> None:
    """This is what `kubectl exec` into its pod uses: its account and its settings."""
    create_reconciled_tenants(control_plane, writer, "from-within")
    own = launcher.identity("status-of-quotas", "quotas")

    code, rows, stderr = status(own, "from-within", "--only", "quotas")

    assert (code, stderr, list(rows)) == (0, "", [("from-within", "quotas")])
    assert (rows["from-within", "quotas"]["objects"], rows["from-within", "quotas"]["drift"]) == (
        {"ResourceQuota": 1},
        [],
    )


def test_permissions_of_a_variant_suffice_for_its_own_rows(
    control_plane: ControlPlane, launcher: Launcher
) -> None:
    kubeflow.create_tenants(control_plane, ["from-within-gitea"])
    settings = registered.sample_settings(registry.load("gitea"))
    own = launcher.identity("status-of-gitea", "gitea", gitea=settings)

    code, rows, stderr = status(own, "from-within-gitea", "--only", "gitea-unclassified")

    assert (code, stderr) == (1, "")
    assert rows["from-within-gitea", "gitea-unclassified"]["objects"] == {}


def test_an_unknown_profile_and_an_unreachable_server_are_reported_without_a_traceback(
    reader: Path, tmp_path: Path
) -> None:
    code, _, stderr = status(reader, "no-such-profile")
    away = yaml.safe_load(reader.read_text())
    away["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(away))
    unreachable = status(file)

    assert (code, unreachable[0]) == (2, 2)
    assert "Profile 'no-such-profile' not found" in stderr
    assert "API server unreachable" in unreachable[2]


def test_the_default_kubeconfig_of_kubectl_is_used(
    control_plane: ControlPlane, writer: Path, reader: Path, tmp_path: Path
) -> None:
    create_reconciled_tenants(control_plane, writer, "plain")
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(reader.read_text())

    done = manager_process.run("status", "plain", HOME=str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[:3] == ["PROFILE", "CONTROLLER", "STATE"]
    assert f"1 profile: {len(registered.RUN_BY_ALL)} Ready" in done.stdout


def test_watch_prints_changes(
    control_plane: ControlPlane, writer: Path, reader: Path, tmp_path: Path
) -> None:
    create_reconciled_tenants(control_plane, writer, "watched-over")
    log = tmp_path / "watch.log"
    names = ("status", "watched-over", "--watch", "--only", "quotas", "--kubeconfig", str(reader))
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", manager_process.PROGRAM, *names],
            env=manager_process.environment(), stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        waiting.until(
            lambda: "1 profile: 1 Ready\n" in log.read_text(), "the first table is printed"
        )
        path = observe.quota_path("watched-over")
        observe.patch(control_plane, path, {"spec": {"hard": {"pods": "1"}}})
        waiting.until(lambda: "1 update" in log.read_text(), "the edit is printed")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()
    assert "Traceback" not in log.read_text()
    assert log.read_text().count("PROFILE") == 2


def test_a_variant_is_shown_by_its_own_name_once_it_has_a_condition(
    control_plane: ControlPlane, writer: Path, reader: Path
) -> None:
    """This test is the last of the control plane, because afterwards gitea counts as installed."""
    create_reconciled_tenants(control_plane, writer, "with-gitea", "without-gitea")
    condition = {
        "type": "GiteaUnclassifiedReady",
        "status": "True",
        "message": "5 objects are in place",
    }
    observe.add_condition(control_plane, "with-gitea", condition)

    code, rows, _ = status(reader, "with-gitea", "without-gitea", "--only", "gitea-unclassified")
    both = status(reader, "with-gitea")[1]

    assert rows["with-gitea", "gitea-unclassified"]["state"] == "Ready"
    assert rows["with-gitea", "gitea-unclassified"]["drift"] is None
    assert rows["without-gitea", "gitea-unclassified"]["state"] == "Unknown"
    assert code == 1
    assert "gitea-protected-b" not in {name for _, name in both}
