"""The suite, the API server and the wire between them fail: nothing is lost, nothing made twice."""

import functools
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.cluster import kubeflow, observe, service_account, waiting
from tests.support.cluster.audit import Audit
from tests.support.cluster.suite import Suite, Suites
from tests.support.controlplane import ControlPlane, Json, StatusError
from tests.support.network.tcp_proxy import Cable

pytestmark = [pytest.mark.xdist_group("outages"), pytest.mark.timeout(240)]

TENANTS = [f"tenant-{number:03}" for number in range(500)]
OURS = "app.kubernetes.io/managed-by=profiles-controller"
RESOURCES = ("resourcequotas", "limitranges")
CONTROLLERS = "quotas,limitranges"
CONVERGED_SECONDS = 120.0


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane for these tests alone, which they may treat badly; 500 tenants are there."""
    workdir = tmp_path_factory.mktemp("outages")
    with ControlPlane.start(workdir, controller_manager=True, audit=True) as started:
        kubeflow.install(started)
        kubeflow.create_tenants(started, TENANTS)
        yield started


@pytest.fixture
def suites(plane: ControlPlane, tmp_path: Path) -> Iterator[Suites]:
    with Suites(plane, tmp_path, forgiving=True) as made:
        yield made


@pytest.fixture
def cable(plane: ControlPlane) -> Iterator[Cable]:
    with Cable(plane) as made:
        yield made


def listed(plane: ControlPlane, resource: str) -> list[Json]:
    """All that bears our label."""
    path = f"/api/v1/{resource}?labelSelector={OURS}"
    items: list[Json] = plane.request("GET", path)["items"]
    return items


def profiles(plane: ControlPlane) -> dict[str, Json]:
    items = plane.request("GET", kubeflow.PROFILES)["items"]
    return {item["metadata"]["name"]: item for item in items}


def assert_converged(plane: ControlPlane) -> None:
    """One object of each kind for each Profile, owned by it, and two true conditions on it."""
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
        told = {one["type"]: one["status"] for one in listed_there}
        assert len(told) == len(listed_there), name
        assert {told.get(condition) for condition in observe.CONDITIONS} == {"True"}, name


def wait_converged(plane: ControlPlane) -> None:
    def converged() -> bool:
        try:
            assert_converged(plane)
        except StatusError as error:
            # An API server that was restarted makes the storage of its CRDs more than once.
            assert error.status != 429, error  # noqa: PT017 - it means "not yet" here
            raise
        return True

    waiting.until(converged, "all profiles are in shape", seconds=CONVERGED_SECONDS, pause=0.5)


def start(suites: Suites, *arguments: str, kubeconfig: Path | None = None) -> Suite:
    """Two controllers of one process: what fails here concerns the base."""
    return suites.start("all", "--only", CONTROLLERS, *arguments, kubeconfig=kubeconfig)


def settled(suites: Suites) -> Suite:
    """A suite over tenants that are all in shape."""
    suite = start(suites).wait_ready()
    wait_converged(suites.plane)
    return suite


def persistent(request: Callable[[], object]) -> None:
    """Repeats a request until an API server answers it; what is gone already is gone."""

    def answered() -> bool:
        try:
            request()
        except StatusError as error:
            return error.status == 404
        except OSError:
            return False
        return True

    waiting.until(answered, "the API server answers", seconds=60)


def compact(plane: ControlPlane) -> None:
    """Drops etcd's history, so that no watch can be taken up where it ended."""
    version = plane.request("GET", "/api/v1/namespaces?limit=1")["metadata"]["resourceVersion"]
    call = urllib.request.Request(
        f"http://127.0.0.1:{plane._etcd_port}/v3/kv/compaction",
        data=json.dumps({"revision": version, "physical": True}).encode(),
    )
    with urllib.request.urlopen(call, timeout=30) as answer:  # noqa: S310 - http://
        assert answer.status == 200


def restart(plane: ControlPlane) -> None:
    """Returns when it also serves Profiles: it answers 429 until it has read its CRDs."""
    plane.kill_apiserver()
    plane.start_apiserver()
    waiting.until(
        lambda: kubeflow.answers(plane, f"{kubeflow.PROFILES}?limit=1"), "it serves again"
    )


def uid(item: Json) -> str:
    return str(item["metadata"]["uid"])


def happen(plane: ControlPlane, number: int) -> None:
    """One of everything that a suite could miss; another `number` for each test."""
    leaver, renewed = leaver_of(number), renewed_of(number)
    observe.label(plane, renewed, pods="3")
    for name in (leaver, renewed):
        kubeflow.delete_profile(plane, name)
    observe.delete(plane, observe.quota_path(TENANTS[10]))
    observe.patch(plane, observe.limits_path(TENANTS[11]), {"metadata": {"labels": None}})
    observe.patch(plane, observe.quota_path(TENANTS[12]), {"spec": {"hard": {"pods": "1"}}})
    observe.label(plane, TENANTS[13], pods=str(number))
    for name in (leaver, renewed):
        waiting.until(
            functools.partial(observe.profile_gone, plane, f"/api/v1/namespaces/{name}"),
            f"the namespace {name} goes with its Profile",
            seconds=observe.GONE_SECONDS,
        )
    kubeflow.create_tenants(plane, [renewed, newcomer_of(number)])


def assert_happened(plane: ControlPlane, number: int) -> None:
    """After all is in shape again."""
    found = profiles(plane)
    assert leaver_of(number) not in found
    assert newcomer_of(number) in found
    assert observe.hard(plane, renewed_of(number))["pods"] == "100", "it is another Profile"
    assert observe.hard(plane, TENANTS[12])["pods"] == "100"
    assert observe.hard(plane, TENANTS[13])["pods"] == str(number)


def leaver_of(number: int) -> str:
    return TENANTS[20 + number]


def renewed_of(number: int) -> str:
    return TENANTS[40 + number]


def newcomer_of(number: int) -> str:
    return f"newcomer-{number}"


def test_a_suite_killed_in_a_cold_start_of_500_profiles_goes_on_where_it_ended(
    plane: ControlPlane, suites: Suites
) -> None:
    slowed = start(suites, "--qps", "300")
    waiting.until(
        lambda: observe.count(plane, "resourcequotas") >= 100, "a part is done", pause=0.01
    )
    slowed.kill()
    made = {resource: {uid(item) for item in listed(plane, resource)} for resource in RESOURCES}

    start(suites).wait_ready()

    wait_converged(plane)
    for resource in RESOURCES:
        assert 0 < len(made[resource]) < 500
        assert made[resource] <= {uid(item) for item in listed(plane, resource)}


def test_what_happens_while_the_suite_is_down_is_repaired_when_it_is_back(
    plane: ControlPlane, suites: Suites
) -> None:
    assert settled(suites).stop() == 0
    happen(plane, 1)

    start(suites).wait_ready()

    wait_converged(plane)
    assert_happened(plane, 1)


def test_what_happens_while_the_watch_is_broken_is_repaired_when_it_is_back(
    plane: ControlPlane, suites: Suites, cable: Cable, tmp_path: Path
) -> None:
    kubeconfig = cable.kubeconfig(suites.identity("all"), tmp_path)
    suite = start(suites, kubeconfig=kubeconfig).wait_ready()
    wait_converged(plane)

    cable.cut()
    happen(plane, 2)
    cable.mend()

    wait_converged(plane)
    assert_happened(plane, 2)
    assert not suite.series("profiles_controller_profile_condition", profile=leaver_of(2))


def test_a_watch_that_has_expired_is_begun_anew(
    plane: ControlPlane, suites: Suites, cable: Cable, tmp_path: Path
) -> None:
    kubeconfig = cable.kubeconfig(suites.identity("all"), tmp_path)
    suite = start(suites, kubeconfig=kubeconfig).wait_ready()
    wait_converged(plane)
    cable.cut()
    happen(plane, 3)
    compact(plane)
    restart(plane)  # its own memory of changes is as old as itself
    audit = Audit(plane, service_account.user("all"))

    cable.mend()

    wait_converged(plane)
    assert_happened(plane, 3)
    waiting.until(
        lambda: not suite.series("profiles_controller_profile_condition", profile=leaver_of(3)),
        "the series of the deleted profile are gone",
    )
    counts = audit.counts()
    for resource in ("profiles", "namespaces", *RESOURCES):
        assert counts["watch", resource] >= 2, "the first one had expired"
        assert audit.lists()[resource] >= 1
    assert "Traceback" not in suite.text()


def test_an_api_server_killed_under_load_loses_nothing(plane: ControlPlane, suites: Suites) -> None:
    suite = settled(suites)
    before = {uid(item) for item in listed(plane, "resourcequotas")}
    names = sorted(profiles(plane))
    deleted: list[str] = []

    def delete_all() -> None:
        for name in names:
            persistent(functools.partial(observe.delete, plane, observe.quota_path(name)))
            deleted.append(name)

    load = threading.Thread(target=delete_all)
    load.start()
    for share in (100, 250):
        waiting.until(functools.partial(has, deleted, share), "load", pause=0.01)
        restart(plane)
    load.join()

    waiting.until(
        lambda: not before & {uid(item) for item in listed(plane, "resourcequotas")},
        "every quota is another one",
        seconds=CONVERGED_SECONDS,
    )
    wait_converged(plane)
    waiting.until(suite.is_ready, "the suite is ready again")
    assert "Traceback" not in suite.text()


def has(items: Sequence[str], count: int) -> bool:
    return len(items) >= count
