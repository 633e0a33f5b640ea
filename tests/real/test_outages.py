"""Failures of the process, the API server and the connection: nothing is lost or duplicated."""

import functools
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.cluster import kubeflow, observe, service_account, waiting
from tests.support.cluster.audit import Audit
from tests.support.cluster.manager_process import Launcher, ManagerProcess
from tests.support.controlplane import ControlPlane, Json, StatusError
from tests.support.network.tcp_proxy import TCPProxy

pytestmark = [pytest.mark.xdist_group("outages"), pytest.mark.timeout(240)]

TENANTS = [f"tenant-{number:03}" for number in range(500)]
OURS = "app.kubernetes.io/managed-by=profiles-controller"
RESOURCES = ("resourcequotas", "limitranges")
CONTROLLERS = "quotas,limitranges"
CONVERGED_SECONDS = 120.0


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane with 500 tenants, for these tests only: they damage it."""
    workdir = tmp_path_factory.mktemp("outages")
    with ControlPlane.start(workdir, controller_manager=True, audit=True) as started:
        kubeflow.install(started)
        kubeflow.create_tenants(started, TENANTS)
        yield started


@pytest.fixture
def launcher(plane: ControlPlane, tmp_path: Path) -> Iterator[Launcher]:
    with Launcher(plane, tmp_path, allow_denied=True) as created:
        yield created


@pytest.fixture
def proxy(plane: ControlPlane) -> Iterator[TCPProxy]:
    with TCPProxy(plane) as created:
        yield created


def listed(plane: ControlPlane, resource: str) -> list[Json]:
    """Lists the objects with the label of profiles-controller."""
    path = f"/api/v1/{resource}?labelSelector={OURS}"
    items: list[Json] = plane.request("GET", path)["items"]
    return items


def profiles(plane: ControlPlane) -> dict[str, Json]:
    items = plane.request("GET", kubeflow.PROFILES)["items"]
    return {item["metadata"]["name"]: item for item in items}


def assert_converged(plane: ControlPlane) -> None:
    """Each Profile owns one object of each kind, and has two true conditions."""
    found = profiles(plane)
    for resource in RESOURCES:
        owners = [
            (item["metadata"]["namespace"], item["metadata"]["ownerReferences"][0]["uid"])
            for item in listed(plane, resource)
        ]
        assert len(owners) == len(found), resource
        assert dict(owners) == {name: body["metadata"]["uid"] for name, body in found.items()}
    for name, body in found.items():
        listed_there = body.get("status", {}).get("conditions", [])
        statuses = {one["type"]: one["status"] for one in listed_there}
        assert len(statuses) == len(listed_there), name
        assert {statuses.get(condition) for condition in observe.CONDITIONS} == {"True"}, name


def wait_converged(plane: ControlPlane) -> None:
    def converged() -> bool:
        try:
            assert_converged(plane)
        except StatusError as error:
            # A restarted API server creates the storage of its CRDs more than once.
            assert error.status != 429, error  # noqa: PT017 - it means "not yet" here
            raise
        return True

    waiting.until(converged, "all profiles are in sync", seconds=CONVERGED_SECONDS, pause=0.5)


def start(launcher: Launcher, *arguments: str, kubeconfig: Path | None = None) -> ManagerProcess:
    """Starts two controllers in one process: these failures concern the base."""
    return launcher.start("all", "--only", CONTROLLERS, *arguments, kubeconfig=kubeconfig)


def settled(launcher: Launcher) -> ManagerProcess:
    """Starts a process and waits until all tenants are in sync."""
    manager = start(launcher).wait_ready()
    wait_converged(launcher.plane)
    return manager


def repeat_until_answered(request: Callable[[], object]) -> None:
    """Repeats a request until an API server responds; a 404 counts as success."""

    def answered() -> bool:
        try:
            request()
        except StatusError as error:
            return error.status == 404
        except OSError:
            return False
        return True

    waiting.until(answered, "the API server responds", seconds=60)


def compact(plane: ControlPlane) -> None:
    """Compacts etcd, so that no watch can continue from its resourceVersion."""
    version = plane.request("GET", "/api/v1/namespaces?limit=1")["metadata"]["resourceVersion"]
    call = urllib.request.Request(  # noqa: S310 - http:
        f"{plane.etcd_url}/v3/kv/compaction",
        data=json.dumps({"revision": version, "physical": True}).encode(),
    )
    with urllib.request.urlopen(call, timeout=30) as response:  # noqa: S310 - http://
        assert response.status == 200


def restart(plane: ControlPlane) -> None:
    """Restarts the API server and waits until it serves Profiles."""
    plane.kill_apiserver()
    plane.start_apiserver()
    waiting.until(
        lambda: kubeflow.is_served(plane, f"{kubeflow.PROFILES}?limit=1"), "it serves again"
    )


def uid(item: Json) -> str:
    return str(item["metadata"]["uid"])


def change_everything(plane: ControlPlane, number: int) -> None:
    """Makes every change that a process could miss; `number` differs for each test."""
    deleted, recreated = deleted_of(number), recreated_of(number)
    observe.set_quota_labels(plane, recreated, pods="3")
    for name in (deleted, recreated):
        kubeflow.delete_profile(plane, name)
    observe.delete(plane, observe.quota_path(TENANTS[10]))
    observe.patch(plane, observe.limits_path(TENANTS[11]), {"metadata": {"labels": None}})
    observe.patch(plane, observe.quota_path(TENANTS[12]), {"spec": {"hard": {"pods": "1"}}})
    observe.set_quota_labels(plane, TENANTS[13], pods=str(number))
    for name in (deleted, recreated):
        waiting.until(
            functools.partial(observe.is_deleted, plane, f"/api/v1/namespaces/{name}"),
            f"the namespace {name} is deleted with its Profile",
            seconds=observe.GONE_SECONDS,
        )
    kubeflow.create_tenants(plane, [recreated, new_of(number)])


def assert_repaired(plane: ControlPlane, number: int) -> None:
    """Checks the changes after all profiles are in sync again."""
    found = profiles(plane)
    assert deleted_of(number) not in found
    assert new_of(number) in found
    assert observe.quota_hard(plane, recreated_of(number))["pods"] == "100", (
        "the Profile was recreated"
    )
    assert observe.quota_hard(plane, TENANTS[12])["pods"] == "100"
    assert observe.quota_hard(plane, TENANTS[13])["pods"] == str(number)


def deleted_of(number: int) -> str:
    return TENANTS[20 + number]


def recreated_of(number: int) -> str:
    return TENANTS[40 + number]


def new_of(number: int) -> str:
    return f"new-{number}"


def test_a_process_killed_during_the_cold_start_of_500_profiles_continues(
    plane: ControlPlane, launcher: Launcher
) -> None:
    throttled = start(launcher, "--qps", "300")
    waiting.until(
        lambda: observe.count_objects(plane, "resourcequotas") >= 100,
        "some quotas are created",
        pause=0.01,
    )
    throttled.kill()
    created = {resource: {uid(item) for item in listed(plane, resource)} for resource in RESOURCES}

    start(launcher).wait_ready()

    wait_converged(plane)
    for resource in RESOURCES:
        assert 0 < len(created[resource]) < 500
        assert created[resource] <= {uid(item) for item in listed(plane, resource)}


def test_changes_during_downtime_are_repaired_after_the_restart(
    plane: ControlPlane, launcher: Launcher
) -> None:
    assert settled(launcher).stop() == 0
    change_everything(plane, 1)

    start(launcher).wait_ready()

    wait_converged(plane)
    assert_repaired(plane, 1)


def test_changes_during_a_lost_connection_are_repaired_after_it(
    plane: ControlPlane, launcher: Launcher, proxy: TCPProxy, tmp_path: Path
) -> None:
    kubeconfig = proxy.kubeconfig(launcher.identity("all"), tmp_path)
    manager = start(launcher, kubeconfig=kubeconfig).wait_ready()
    wait_converged(plane)

    proxy.disconnect()
    change_everything(plane, 2)
    proxy.restore()

    wait_converged(plane)
    assert_repaired(plane, 2)
    assert not manager.series("profiles_controller_profile_condition", profile=deleted_of(2))


def test_an_expired_watch_lists_again(
    plane: ControlPlane, launcher: Launcher, proxy: TCPProxy, tmp_path: Path
) -> None:
    kubeconfig = proxy.kubeconfig(launcher.identity("all"), tmp_path)
    manager = start(launcher, kubeconfig=kubeconfig).wait_ready()
    wait_converged(plane)
    proxy.disconnect()
    change_everything(plane, 3)
    compact(plane)
    restart(plane)  # its watch cache starts empty
    audit = Audit(plane, service_account.user("all"))

    proxy.restore()

    wait_converged(plane)
    assert_repaired(plane, 3)
    waiting.until(
        lambda: not manager.series("profiles_controller_profile_condition", profile=deleted_of(3)),
        "the series of the deleted profile are gone",
    )
    counts = audit.counts()
    for resource in ("profiles", "namespaces", *RESOURCES):
        assert counts["watch", resource] >= 2, "the first watch has expired"
        assert audit.lists()[resource] >= 1
    assert "Traceback" not in manager.text()


def test_nothing_is_lost_when_the_api_server_is_killed_under_load(
    plane: ControlPlane, launcher: Launcher
) -> None:
    manager = settled(launcher)
    before = {uid(item) for item in listed(plane, "resourcequotas")}
    names = sorted(profiles(plane))
    deleted: list[str] = []

    def delete_all() -> None:
        for name in names:
            repeat_until_answered(
                functools.partial(observe.delete, plane, observe.quota_path(name))
            )
            deleted.append(name)

    load = threading.Thread(target=delete_all)
    load.start()
    for share in (100, 250):
        waiting.until(functools.partial(has, deleted, share), "load", pause=0.01)
        restart(plane)
    load.join()

    waiting.until(
        lambda: not before & {uid(item) for item in listed(plane, "resourcequotas")},
        "every quota is recreated",
        seconds=CONVERGED_SECONDS,
    )
    wait_converged(plane)
    waiting.until(manager.is_ready, "the process is ready again")
    assert "Traceback" not in manager.text()


def has(items: Sequence[str], count: int) -> bool:
    return len(items) >= count
