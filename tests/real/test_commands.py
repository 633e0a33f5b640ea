"""Commands that end by themselves, on a real API server."""

import json

import pytest

from tests.support.cli.run import cells
from tests.support.cluster import kubeflow, manager_process, observe, service_account, waiting
from tests.support.cluster.audit import Audit
from tests.support.cluster.manager_process import Launcher
from tests.support.controlplane import ControlPlane

pytestmark = pytest.mark.xdist_group("namespaces")


@pytest.fixture(scope="module")
def kubeconfig(launcher: Launcher) -> str:
    return str(launcher.identity("commands"))


@pytest.fixture
def audit(control_plane: ControlPlane, kubeconfig: str) -> Audit:
    assert kubeconfig
    return Audit(control_plane, service_account.user("commands"))


def results(output: str) -> dict[tuple[str, str], str]:
    return {
        (one["profile"], one["controller"]): one["result"] for one in json.loads(output)["results"]
    }


def test_once_reconciles_every_profile_and_exits_0(
    control_plane: ControlPlane, kubeconfig: str
) -> None:
    kubeflow.create_tenants(control_plane, ["once"])

    once = ("all", "--once", "--kubeconfig", kubeconfig, "--output", "json")
    first = manager_process.run(*once, PIPELINES_PROVIDER="none", BLOB_CSI_INSTANCES="[]")
    again = manager_process.run("quotas", "--once", "--kubeconfig", kubeconfig)

    assert first.returncode == again.returncode == 0, first.stderr
    assert results(first.stdout)["once", "quotas"] == "changed"
    assert results(first.stdout)["once", "limitranges"] == "changed"
    assert ["once", "quotas", "unchanged"] in [row[:3] for row in cells(again.stdout)]
    assert observe.is_ready(control_plane, "once")


def test_once_exits_3_when_a_profile_failed(control_plane: ControlPlane, kubeconfig: str) -> None:
    control_plane.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "once-foreign"}}
    )
    kubeflow.create_profile(control_plane, "once-foreign")
    kubeflow.create_tenants(control_plane, ["once-fine"])

    done = manager_process.run("all", "--once", "--kubeconfig", kubeconfig)

    kubeflow.delete_profile(control_plane, "once-foreign")
    assert done.returncode == 3, done.stderr
    (row,) = (row for row in cells(done.stdout) if row[:2] == ["once-foreign", "quotas"])
    assert row[2] == "refused"
    assert row[-1].startswith("namespace once-foreign is not controlled")
    assert observe.is_ready(control_plane, "once-fine")


def test_once_with_dry_run_writes_nothing_and_prints_what_it_would_change(
    control_plane: ControlPlane, kubeconfig: str, audit: Audit
) -> None:
    kubeflow.create_tenants(control_plane, ["dry"])

    done = manager_process.run("all", "--once", "--dry-run", "--kubeconfig", kubeconfig)

    assert done.returncode == 0, done.stderr
    assert ["dry", "quotas", "changed", "1 create"] in [row[:4] for row in cells(done.stdout)]
    assert audit.writes() == []
    assert audit.lists()["resourcequotas"] == 1
    assert observe.find(control_plane, observe.quota_path("dry")) is None
    assert observe.conditions(control_plane, "dry") == {}


def test_a_dry_run_without_once_writes_nothing(
    control_plane: ControlPlane, launcher: Launcher
) -> None:
    kubeflow.create_tenants(control_plane, ["drier"])
    path = launcher.identity("drier")
    audit = Audit(control_plane, service_account.user("drier"))

    manager = launcher.start("all", "--dry-run", "--resync", "0.01", kubeconfig=path).wait_ready()
    waiting.until(
        lambda: len(manager.lines(profile="drier", message="would reconcile")) >= 4,
        "the controller reconciled the profile more than once",
    )

    assert manager.stop() == 0
    assert audit.writes() == []
    assert observe.find(control_plane, observe.quota_path("drier")) is None


def test_the_exit_code_of_diff_states_whether_anything_would_change(
    control_plane: ControlPlane, kubeconfig: str, audit: Audit
) -> None:
    kubeflow.create_tenants(control_plane, ["different"])

    def diff(*profiles: str) -> tuple[int, str, str]:
        done = manager_process.run("diff", "quotas", *profiles, "--kubeconfig", kubeconfig)
        return done.returncode, done.stdout, done.stderr

    missing = diff("different")
    written = audit.writes()
    manager_process.run("quotas", "--once", "--kubeconfig", kubeconfig)
    same = diff("different")
    observe.patch(control_plane, observe.quota_path("different"), {"spec": {"hard": {"pods": "1"}}})
    edited = diff("different")
    unknown = diff("no-such-profile")

    assert missing[0] == 1
    created = ["different", "quotas", "create", "ResourceQuota different/quotas"]
    assert created in [row[:4] for row in cells(missing[1])]
    assert written == []
    assert (same[0], same[1]) == (0, "nothing would change\n")
    assert edited[0] == 1
    updated = ["different", "quotas", "update", "ResourceQuota different/quotas"]
    assert updated in [row[:4] for row in cells(edited[1])]
    assert unknown[0] == 2
    assert "Profile 'no-such-profile' not found" in unknown[2]


def test_an_invalid_kubeconfig_is_named_without_a_traceback() -> None:
    for arguments in (("quotas",), ("diff", "quotas"), ("all", "--once")):
        done = manager_process.run(*arguments, "--kubeconfig", "/nowhere/kubeconfig")

        assert done.returncode == 2
        assert "/nowhere/kubeconfig" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_command_without_a_permission_names_the_permission(
    control_plane: ControlPlane,
) -> None:
    powerless = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "suite-powerless"},
        "rules": [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]}],
    }
    path = str(service_account.bind(control_plane, "powerless", powerless))

    once = manager_process.run("quotas", "--once", "--kubeconfig", path)
    diff = manager_process.run("diff", "quotas", "--kubeconfig", path)

    assert (once.returncode, diff.returncode) == (1, 2)
    for done in (once, diff):
        assert 'cannot list resource "profiles"' in done.stderr.replace("\\", "")
        assert "Traceback" not in done.stderr
