"""What a platform engineer with read-only rights is told by `status` on a real API server."""

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
from tests.support.cluster import kubeflow, observe, service_account, suite, waiting
from tests.support.cluster.audit import Audit
from tests.support.cluster.suite import Suites
from tests.support.controlplane import ControlPlane

pytestmark = pytest.mark.xdist_group("status")

PEOPLE = "status-reader"
JUDGED = {one.name for one in registry.controllers() if not one.external}


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The module's own: what is installed follows from what anybody has left on any Profile.

    And an older one: lists come in pages alone.
    """
    with ControlPlane.start(
        tmp_path_factory.mktemp("control-plane"),
        audit=True,
        extra_apiserver_args=["--feature-gates=WatchList=false"],
    ) as plane:
        kubeflow.install(plane)
        yield plane


@pytest.fixture(scope="module")
def writer(suites: Suites) -> Path:
    return suites.identity("status-writer")


@pytest.fixture(scope="module")
def reader(control_plane: ControlPlane) -> Path:
    """Who may do what `permissions status` prints, and nothing else."""
    role = yaml.safe_load(suite.run("permissions", "status").stdout)
    assert role["rules"] == reader_role(registry.controllers(), "any")["rules"]
    role["metadata"]["name"] = PEOPLE
    return service_account.bind(control_plane, PEOPLE, role)


def in_shape(plane: ControlPlane, writer: Path, *names: str) -> None:
    """Tenants that every controller has served once; nobody serves them any more."""
    kubeflow.create_tenants(plane, names)
    serve(writer)


def serve(writer: Path) -> None:
    done = suite.run(
        "all",
        "--once",
        "--kubeconfig",
        str(writer),
        PIPELINES_PROVIDER="none",
        BLOB_CSI_INSTANCES="[]",
    )
    assert done.returncode in (0, 3), done.stderr


def test_an_api_server_without_streamed_lists_is_asked_for_pages(
    control_plane: ControlPlane, writer: Path
) -> None:
    audit = Audit(control_plane, service_account.user("status-writer"))
    in_shape(control_plane, writer, "paged")

    assert audit.counts()["list", "resourcequotas"] == 1
    assert observe.find(control_plane, observe.quota_path("paged")) is not None


def status(reader: Path, *arguments: str) -> tuple[int, dict[tuple[str, str], dict[str, Any]], str]:
    """Exit code, rows by profile and controller, and what was said beside them."""
    command = ("status", *arguments, "--kubeconfig", str(reader), "-o", "json")
    done = suite.run(*command)
    assert "Traceback" not in done.stderr
    statuses = json.loads(done.stdout)["statuses"] if done.stdout else []
    return (
        done.returncode,
        {(row["profile"], row["controller"]): row for row in statuses},
        done.stderr,
    )


def test_a_profile_in_shape_is_ready_with_every_controller(
    control_plane: ControlPlane, writer: Path, reader: Path
) -> None:
    audit = Audit(control_plane, service_account.user(PEOPLE))
    in_shape(control_plane, writer, "shown")

    code, rows, said = status(reader, "shown")

    assert (code, said) == (0, "")
    assert {name for _, name in rows} == {one.name for one in registered.TOGETHER}
    for (_, name), row in rows.items():
        assert row["state"] == "ready", row
        assert row["drift"] == ([] if name in JUDGED else None), row
    assert rows["shown", "quotas"]["objects"] == {"ResourceQuota": 1}
    assert rows["shown", "network"]["objects"]["NetworkPolicy"] > 5
    assert (audit.writes(), audit.denied()) == ([], [])


def test_without_a_name_all_profiles_are_shown_and_no_controller_that_is_not_there(
    control_plane: ControlPlane, writer: Path, reader: Path
) -> None:
    in_shape(control_plane, writer, "one-of-all", "another-of-all")

    code, rows, _ = status(reader)

    assert code == 0
    assert {profile for profile, _ in rows} >= {"one-of-all", "another-of-all"}
    assert {name for _, name in rows} == {one.name for one in registered.TOGETHER}


def test_since_is_when_the_conditions_last_changed(
    control_plane: ControlPlane, writer: Path, reader: Path
) -> None:
    in_shape(control_plane, writer, "dated")
    path = f"{kubeflow.PROFILES}/dated"
    first = status(reader, "dated")[1]["dated", "quotas"]["since"]
    # A time is told in whole seconds: the next one must not fall into the same.
    waiting.until(
        lambda: datetime.now(UTC) > datetime.fromisoformat(first) + timedelta(seconds=2),
        "the second is over",
    )

    observe.annotate(control_plane, path, note="the spec and metadata change, no condition does")
    serve(writer)
    unchanged = status(reader, "dated")[1]["dated", "quotas"]["since"]
    observe.label(control_plane, "dated", pods="plenty")
    serve(writer)
    code, rows, _ = status(reader, "dated")

    assert datetime.now(UTC) - datetime.fromisoformat(first) < timedelta(minutes=5)
    assert (first, code) == (unchanged, 1)
    assert rows["dated", "quotas"]["since"] > first
    assert rows["dated", "quotas"]["state"] == "not ready"
    assert "'plenty' is not a quantity" in rows["dated", "quotas"]["message"]
    assert rows["dated", "network"]["state"] == "ready"


def test_what_nobody_repaired_is_drift_by_the_settings_that_are_given(
    control_plane: ControlPlane, writer: Path, reader: Path, tmp_path: Path
) -> None:
    in_shape(control_plane, writer, "drifted")
    observe.patch(control_plane, observe.quota_path("drifted"), {"spec": {"hard": {"pods": "1"}}})
    observe.delete(control_plane, observe.limits_path("drifted"))
    file = tmp_path / "config.yaml"
    file.write_text("quotas: {hard: {pods: 1}}")

    code, rows, _ = status(reader, "drifted")
    other = status(reader, "drifted", "--config", str(file))[1]
    without = status(reader, "drifted", "--no-drift")[1]

    def actions(found: dict[tuple[str, str], dict[str, Any]], name: str) -> list[str]:
        return [change["action"] for change in found["drifted", name]["drift"]]

    assert code == 0  # the conditions say so: nobody has looked since
    assert (actions(rows, "quotas"), actions(rows, "limitranges")) == (["update"], ["create"])
    assert rows["drifted", "limitranges"]["objects"] == {}
    assert (actions(other, "quotas"), actions(rows, "rbac")) == ([], [])
    assert {row["drift"] for row in without.values()} == {None}


def test_a_paused_profile_is_shown_and_wakes_nobody(
    control_plane: ControlPlane, writer: Path, reader: Path
) -> None:
    in_shape(control_plane, writer, "dozing")
    observe.annotate(control_plane, f"{kubeflow.PROFILES}/dozing", paused="quotas")
    serve(writer)

    code, rows, _ = status(reader, "dozing")

    assert code == 0
    assert rows["dozing", "quotas"]["state"] == "paused"
    assert rows["dozing", "limitranges"]["state"] == "ready"


def test_a_profile_that_nobody_has_looked_at_is_not_ready(
    control_plane: ControlPlane, writer: Path, reader: Path
) -> None:
    in_shape(control_plane, writer, "looked-at")
    kubeflow.create_tenants(control_plane, ["overlooked"])

    code, rows, _ = status(reader, "overlooked", "--only", "quotas")

    assert (code, list(rows)) == (1, [("overlooked", "quotas")])
    assert rows["overlooked", "quotas"]["state"] == "unknown"
    assert [one["action"] for one in rows["overlooked", "quotas"]["drift"]] == ["create"]


def test_rights_that_are_missing_are_named(
    control_plane: ControlPlane, writer: Path, reader: Path
) -> None:
    in_shape(control_plane, writer, "half-seen")
    assert status(reader, "half-seen")[0] == 0
    role = reader_role(registry.controllers(), "status-half")
    role["rules"] = [one for one in role["rules"] if one["resources"] != ["resourcequotas"]]
    half = service_account.bind(control_plane, "status-half", role)
    blind = service_account.bind(
        control_plane,
        "status-blind",
        {**role, "metadata": {"name": "status-blind"}, "rules": role["rules"][1:]},
    )

    code, rows, said = status(half, "half-seen")
    blinded, _, why = status(blind, "half-seen")

    assert code == 0
    assert rows["half-seen", "quotas"]["state"] == "ready"
    assert rows["half-seen", "quotas"]["objects"] is None
    assert rows["half-seen", "limitranges"]["objects"] == {"LimitRange": 1}
    for words in ("objects and drift of quotas", 'cannot list resource "resourcequotas"'):
        assert words in said
    assert blinded == 2
    assert 'cannot list resource "profiles"' in why
    assert "profiles-controller permissions status" in why


def test_a_controllers_own_rights_are_enough_for_its_own_rows(
    control_plane: ControlPlane, suites: Suites, writer: Path
) -> None:
    """As `kubectl exec` into its pod has it: its account, its settings."""
    in_shape(control_plane, writer, "from-within")
    own = suites.identity("status-of-quotas", "quotas")

    code, rows, said = status(own, "from-within", "--only", "quotas")

    assert (code, said, list(rows)) == (0, "", [("from-within", "quotas")])
    assert (rows["from-within", "quotas"]["objects"], rows["from-within", "quotas"]["drift"]) == (
        {"ResourceQuota": 1},
        [],
    )


def test_an_instances_own_rights_are_enough_for_its_own_rows(
    control_plane: ControlPlane, suites: Suites
) -> None:
    kubeflow.create_tenants(control_plane, ["from-within-gitea"])
    settings = registered.settings(registry.load("gitea"))
    own = suites.identity("status-of-gitea", "gitea", gitea=settings)

    code, rows, said = status(own, "from-within-gitea", "--only", "gitea-unclassified")

    assert (code, said) == (1, "")
    assert rows["from-within-gitea", "gitea-unclassified"]["objects"] == {}


def test_a_name_that_is_none_and_a_server_that_is_away_end_in_a_sentence(
    reader: Path, tmp_path: Path
) -> None:
    code, _, said = status(reader, "nobody-of-this-name")
    away = yaml.safe_load(reader.read_text())
    away["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(away))
    unreachable = status(file)

    assert (code, unreachable[0]) == (2, 2)
    assert "there is no Profile 'nobody-of-this-name'" in said
    assert "API server unreachable" in unreachable[2]


def test_the_default_kubeconfig_of_kubectl_is_enough(
    control_plane: ControlPlane, writer: Path, reader: Path, tmp_path: Path
) -> None:
    in_shape(control_plane, writer, "plain")
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(reader.read_text())

    done = suite.run("status", "plain", HOME=str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[:3] == ["PROFILE", "CONTROLLER", "READY"]
    assert f"1 profile: {len(registered.TOGETHER)} ready" in done.stdout


def test_watching_goes_on_and_sees_what_happens(
    control_plane: ControlPlane, writer: Path, reader: Path, tmp_path: Path
) -> None:
    in_shape(control_plane, writer, "watched-over")
    log = tmp_path / "watch.log"
    names = ("status", "watched-over", "--watch", "--only", "quotas", "--kubeconfig", str(reader))
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", suite.PROGRAM, *names],
            env=suite.environment(), stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        waiting.until(lambda: "1 profile: 1 ready\n" in log.read_text(), "the first table is there")
        path = observe.quota_path("watched-over")
        observe.patch(control_plane, path, {"spec": {"hard": {"pods": "1"}}})
        waiting.until(lambda: "1 update" in log.read_text(), "the edit is shown")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()
    assert "Traceback" not in log.read_text()
    assert log.read_text().count("PROFILE") == 2


def test_a_variant_is_shown_under_its_own_name_once_it_has_spoken(
    control_plane: ControlPlane, writer: Path, reader: Path
) -> None:
    """The last one of this plane: from here on gitea counts as installed."""
    in_shape(control_plane, writer, "with-gitea", "without-gitea")
    told = {"type": "GiteaUnclassifiedReady", "status": "True", "message": "5 objects are in place"}
    observe.add_condition(control_plane, "with-gitea", told)

    code, rows, _ = status(reader, "with-gitea", "without-gitea", "--only", "gitea-unclassified")
    both = status(reader, "with-gitea")[1]

    assert rows["with-gitea", "gitea-unclassified"]["state"] == "ready"
    assert rows["with-gitea", "gitea-unclassified"]["drift"] is None
    assert rows["without-gitea", "gitea-unclassified"]["state"] == "unknown"
    assert code == 1
    assert "gitea-protected-b" not in {name for _, name in both}
