"""Several processes for the same Profiles: one of them leads, or each has a shard."""

import functools
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.builders import registered
from tests.support.cluster import kubeflow, observe, service_account, waiting
from tests.support.cluster.manager_process import Launcher, ManagerProcess
from tests.support.controlplane import ControlPlane
from tests.support.network.tcp_proxy import TCPProxy

pytestmark = pytest.mark.xdist_group("elections")

LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{service_account.NAMESPACE}/leases"
LEASE = f"{LEASES}/profiles-controller-quotas"
SLACK_SECONDS = 8.0  # for a busy machine: the order of magnitude matters
RETRY_SECONDS = 1
HANDOVER_SECONDS = 2.0  # for the last renewal and the requests on a busy machine


@pytest.fixture
def proxy(control_plane: ControlPlane) -> Iterator[TCPProxy]:
    with TCPProxy(control_plane) as made:
        yield made


def candidate(
    launcher: Launcher,
    name: str,
    *,
    duration: int,
    kubeconfig: Path | None = None,
    deadline: float = 2.0,
) -> ManagerProcess:
    """Starts a process with a Lease duration of so many seconds."""
    return launcher.start(
        "quotas", "--leader-elect", "--leader-elect-namespace", service_account.NAMESPACE,
        "--leader-elect-identity", name, "--lease-duration", f"{duration}",
        "--renew-deadline", f"{deadline}", "--retry-period", f"{RETRY_SECONDS}",
        kubeconfig=kubeconfig,
    )  # fmt: skip


def holder(plane: ControlPlane) -> str:
    lease = observe.find(plane, LEASE)
    return str(lease["spec"].get("holderIdentity", "")) if lease else ""


def moment(plane: ControlPlane, field: str) -> datetime:
    """A time in the Lease: `acquireTime` or `renewTime`."""
    return datetime.fromisoformat(plane.request("GET", LEASE)["spec"][field])


def leads(manager: ManagerProcess) -> bool:
    return manager.total("leader_election_master_status", name="profiles-controller-quotas") == 1


def wait_leading(manager: ManagerProcess, seconds: float = 30.0) -> float:
    """Returns how many seconds it took."""
    began = time.monotonic()
    waiting.until(lambda: leads(manager), "it leads", seconds=seconds)
    return time.monotonic() - began


def works(plane: ControlPlane, name: str) -> None:
    """Waits until a process creates the quota of a new tenant."""
    kubeflow.create_tenants(plane, [name])
    waiting.until(lambda: observe.quota_hard(plane, name), "the quota is created")


def is_ready(plane: ControlPlane, profile: str) -> bool:
    return observe.condition_status(plane, profile, "QuotasReady") == "True"


@pytest.fixture(autouse=True)
def _no_lease(request: pytest.FixtureRequest) -> None:
    """Each test begins without a Lease of the previous one."""
    if "control_plane" in request.fixturenames:
        plane = request.getfixturevalue("control_plane")
        if observe.find(plane, LEASE):
            observe.delete(plane, LEASE)


def test_one_of_two_processes_leads_and_the_other_is_ready(
    control_plane: ControlPlane, launcher: Launcher
) -> None:
    first = candidate(launcher, "first", duration=15).wait_ready()
    wait_leading(first)
    second = candidate(launcher, "second", duration=15).wait_ready()

    works(control_plane, "led")

    assert holder(control_plane) == "first"
    assert not leads(second)
    assert "[+]leading ok: standing by for the lease" in second.get("/readyz?verbose")[1]
    assert second.total("controller_runtime_reconcile_total") == 0
    assert second.total("workqueue_adds_total") == second.total("workqueue_depth") == 0
    assert second.requests(method="POST") == 0
    assert [second.stop(), first.stop()] == [0, 0]


def test_a_leader_that_is_stopped_releases_its_lease(
    control_plane: ControlPlane, launcher: Launcher
) -> None:
    first = candidate(launcher, "ending", duration=60).wait_ready()
    wait_leading(first)
    second = candidate(launcher, "waiting", duration=60).wait_ready()

    code = first.stop()
    seconds = wait_leading(second, seconds=30)

    works(control_plane, "handed-over")
    assert code == 0
    assert seconds < SLACK_SECONDS
    assert holder(control_plane) == "waiting"
    assert second.stop() == 0
    assert holder(control_plane) == ""


def test_a_killed_leader_is_replaced_within_the_lease_duration(
    control_plane: ControlPlane, launcher: Launcher
) -> None:
    """Measured by the Lease: from the last renewal to the next acquisition.

    The successor counts from when it saw the last renewal, and checks once per retry period.
    """
    duration = 4
    first = candidate(launcher, "killed", duration=duration).wait_ready()
    wait_leading(first)
    second = candidate(launcher, "successor", duration=duration).wait_ready()
    waiting.until(lambda: second.lines(message="waiting for the lease"), "it stands by")

    first.kill()
    renewed, last = moment(control_plane, "renewTime"), holder(control_plane)
    wait_leading(second, seconds=60)
    seconds = (moment(control_plane, "acquireTime") - renewed).total_seconds()

    works(control_plane, "after-kill")
    assert last == "killed"
    assert duration <= seconds <= duration + RETRY_SECONDS + HANDOVER_SECONDS
    assert holder(control_plane) == "successor"
    assert second.stop() == 0


def test_a_disconnected_leader_ends_before_another_leads(
    control_plane: ControlPlane, launcher: Launcher, proxy: TCPProxy, tmp_path: Path
) -> None:
    kubeconfig = proxy.kubeconfig(launcher.identity("quotas", "quotas"), tmp_path)
    first = candidate(launcher, "cut-off", duration=12, kubeconfig=kubeconfig).wait_ready()
    wait_leading(first)
    second = candidate(launcher, "next", duration=12).wait_ready()

    proxy.disconnect()
    code = first.wait()

    assert code == 1
    assert not leads(second)
    assert holder(control_plane) == "cut-off"
    assert first.lines(message="lost the lease")
    assert "Traceback" not in first.text()
    assert wait_leading(second, seconds=60) > 0
    assert second.stop() == 0


def test_a_leader_survives_a_restart_of_the_api_server(
    fresh_launcher: Callable[..., Launcher],
) -> None:
    launcher = fresh_launcher()
    plane = launcher.plane
    first = candidate(launcher, "steady", duration=60, deadline=50).wait_ready()
    wait_leading(first)
    second = candidate(launcher, "standby", duration=60, deadline=50).wait_ready()

    plane.kill_apiserver()
    plane.start_apiserver()
    waiting.until(
        lambda: kubeflow.is_served(plane, f"{kubeflow.PROFILES}?limit=1"), "it serves again"
    )

    works(plane, "after-restart")
    assert holder(plane) == "steady"
    assert (leads(first), leads(second)) == (True, False)
    waiting.until(first.is_ready, "the leader is ready again")
    waiting.until(second.is_ready, "the other is ready again")
    assert [second.stop(), first.stop()] == [0, 0]


def test_one_of_two_processes_leads_all_of_several_controllers(
    control_plane: ControlPlane, launcher: Launcher
) -> None:
    flags = ("--leader-elect", "--leader-elect-namespace", service_account.NAMESPACE)
    both = [launcher.start("all", *flags) for _ in range(2)]
    for manager in both:
        manager.wait_ready()

    def leases(manager: ManagerProcess) -> float:
        return manager.total("leader_election_master_status")

    every = len(registered.RUN_BY_ALL)
    waiting.until(lambda: sum(leases(manager) for manager in both) == every, "every Lease is held")

    kubeflow.create_tenants(control_plane, ["led-together"])
    observe.wait_ready(control_plane, "led-together")
    assert sorted(leases(manager) for manager in both) == [0, every]
    assert [manager.stop() for manager in both] == [0, 0]


def test_each_profile_belongs_to_exactly_one_of_two_shards(
    control_plane: ControlPlane, launcher: Launcher
) -> None:
    names = {f"sharded-{number:02}" for number in range(30)}
    kubeflow.create_tenants(control_plane, sorted(names))

    shards = [launcher.start("quotas", "--shard", f"{index}/2").wait_ready() for index in (0, 1)]

    for name in names:
        waiting.until(
            functools.partial(is_ready, control_plane, name),
            f"{name} is in sync",
        )
    first, second = (
        {
            labels["profile"]
            for labels, _ in shard.series("profiles_controller_profile_condition")
            if labels["profile"] in names
        }
        for shard in shards
    )
    assert first | second == names
    assert not first & second
    assert min(len(first), len(second)) >= 5
    assert [shard.stop() for shard in shards] == [0, 0]
