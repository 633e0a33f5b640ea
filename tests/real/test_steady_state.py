"""The steady state sends no request other than watches; the API server's audit log counts them."""

import pytest

from controllers.runtime.objects.kinds import KINDS
from tests.support.builders import registered
from tests.support.cluster import kubeflow, observe, service_account, waiting
from tests.support.cluster.audit import Audit
from tests.support.cluster.manager_process import Launcher, ManagerProcess
from tests.support.controlplane import ControlPlane

pytestmark = pytest.mark.xdist_group("quiet")

RESYNC_MINUTES = "0.03"
TENANTS = [f"quiet-{number:02}" for number in range(20)]
OWNED = sorted(
    {own.kind for controller in registered.RUN_BY_ALL for own in controller.default_owned()}
)
EVENTS = "/api/v1/namespaces/default/events"


def lists(plane: ControlPlane) -> list[str]:
    """Paths of Profiles, Namespaces, and every owned kind that the API server serves."""
    paths = [KINDS[kind].path() for kind in OWNED]
    served = [path for path in paths if kubeflow.is_served(plane, f"{path}?limit=1")]
    return [kubeflow.PROFILES, "/api/v1/namespaces", *served]


def versions(plane: ControlPlane, prefix: str, *besides: str) -> dict[str, str]:
    """The resourceVersions of the objects whose name contains the prefix, by path and name."""
    named = {
        f"{path} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}": item
        for path in (*lists(plane), *besides)
        for item in plane.request("GET", path)["items"]
    }
    return {
        name: item["metadata"]["resourceVersion"] for name, item in named.items() if prefix in name
    }


def wait_for_resyncs(manager: ManagerProcess, profiles: int) -> None:
    """Waits until every controller has reconciled each profile twice."""
    observe.wait_for_reconciles(manager, 2 * len(registered.RUN_BY_ALL) * profiles)


def test_the_steady_state_sends_no_request_other_than_watches(
    control_plane: ControlPlane, launcher: Launcher
) -> None:
    bad = {"quotas.statcan.gc.ca/pods": "many", "quotas.statcan.gc.ca/unknown": "1"}
    kubeflow.create_tenants(control_plane, TENANTS)
    kubeflow.create_tenants(control_plane, ["quiet-mistaken"], labels=bad)
    kubeflow.create_profile(control_plane, "quiet-waiting")
    control_plane.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "quiet-foreign"}}
    )
    kubeflow.create_profile(control_plane, "quiet-foreign")
    manager = launcher.start("all", "--resync", RESYNC_MINUTES).wait_ready()
    for name in TENANTS:
        observe.wait_ready(control_plane, name)
        observe.wait_for_all_conditions(control_plane, name)
    wait_for_resyncs(manager, len(TENANTS) + 3)
    waiting.until(
        lambda: observe.condition_status(control_plane, "quiet-waiting", "QuotasReady") == "False",
        "the profile without a namespace is not ready",
    )
    before = versions(control_plane, "quiet-", EVENTS)
    requests = manager.requests()
    audit = Audit(control_plane, service_account.user("all"))

    wait_for_resyncs(manager, len(TENANTS) + 3)

    requested = {pair: count for pair, count in audit.counts().items() if pair[0] != "watch"}
    assert requested == {}
    assert manager.requests() - requests <= audit.counts().total()
    assert len(before) >= 4 * len(TENANTS)
    assert versions(control_plane, "quiet-", EVENTS) == before
    assert manager.stop() == 0


def test_a_restart_over_objects_in_sync_writes_nothing(
    control_plane: ControlPlane, launcher: Launcher
) -> None:
    names = [f"settled-{number:02}" for number in range(10)]
    kubeflow.create_tenants(control_plane, names)
    first = launcher.start("all").wait_ready()
    for name in names:
        observe.wait_ready(control_plane, name)
        observe.wait_for_all_conditions(control_plane, name)
    first.stop()
    before = versions(control_plane, "settled-")
    audit = Audit(control_plane, service_account.user("all"))

    second = launcher.start("all", "--resync", RESYNC_MINUTES).wait_ready()
    wait_for_resyncs(second, len(names))

    # Warnings are posted again after a restart: the API server drops events after an hour.
    assert [write for write in audit.writes() if " events " not in write] == []
    assert versions(control_plane, "settled-") == before
    assert second.stop() == 0
