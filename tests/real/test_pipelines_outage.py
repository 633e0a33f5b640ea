"""A store that fails while the process runs, and recovers."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from controllers.pipelines import names
from controllers.pipelines.config import PipelinesSettings
from controllers.runtime.objects.kinds import KINDS
from tests.support.cluster import kubeflow, observe, waiting
from tests.support.cluster.manager_process import Launcher, ManagerProcess
from tests.support.controlplane import ControlPlane
from tests.support.http.counting_proxy import CountingProxy
from tests.support.objectstore import namespaces
from tests.support.objectstore.seaweedfs import SeaweedFS

pytestmark = [pytest.mark.xdist_group("pipelines-outage"), pytest.mark.timeout(600)]

BUCKET = "kfp-outage"
TENANTS = [f"kfp-out-{number:02}" for number in range(20)]
LATE = "kfp-out-late"
WAIT_SECONDS = 240.0
"""More than the longest backoff with jitter."""
WORKERS = 8
"""Requests in flight at most."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SeaweedFS]:
    made = SeaweedFS.start(tmp_path / "store")
    yield made
    made.stop()


def port(url: str) -> int:
    return int(url.rpartition(":")[2])


def wait(check: Callable[[], object], what: str) -> None:
    waiting.until(check, what, seconds=WAIT_SECONDS, pause=0.2)


def other_objects_in_sync(plane: ControlPlane, name: str) -> bool:
    """Return whether the objects that need no store are in sync."""
    launcher = observe.find(plane, KINDS["ConfigMap"].path(name, names.LAUNCHER))
    pods = observe.find(plane, KINDS["PodDefault"].path(name, names.POD_DEFAULT))
    return launcher is not None and pods is not None and pods["spec"]["desc"] != "edited"


def wait_ready(plane: ControlPlane, name: str) -> None:
    wait(lambda: namespaces.is_ready(plane, name), f"{name} is ready")


def wait_without_store(plane: ControlPlane, name: str) -> None:
    wait(lambda: other_objects_in_sync(plane, name), f"the other objects of {name} are in sync")
    wait(
        lambda: observe.condition_status(plane, name, namespaces.CONDITION) == "False",
        f"the condition of {name} is False",
    )


def damage(plane: ControlPlane, name: str) -> None:
    observe.delete(plane, KINDS["ConfigMap"].path(name, names.LAUNCHER))
    path = KINDS["PodDefault"].path(name, names.POD_DEFAULT)
    observe.patch(plane, path, {"spec": {"desc": "edited"}})


def delays(manager: ManagerProcess) -> list[float]:
    """Return the logged delays until the next request, in order."""
    lines = manager.lines(message="not ready", reason="ObjectStoreUnavailable")
    return [line["retry_seconds"] for line in lines]


def test_an_outage_of_the_store_delays_only_keys_and_ends_without_a_burst_of_requests(
    fresh_launcher: Callable[..., Launcher], store: SeaweedFS
) -> None:
    made = fresh_launcher()
    plane = made.plane
    store.make_bucket(BUCKET)
    kubeflow.create_complete_tenants(plane, TENANTS)
    kubeconfig = made.identity("pipelines", "pipelines", pipelines=PipelinesSettings())
    with CountingProxy(port(store.s3_url)) as s3, CountingProxy(port(store.iam_url)) as iam:
        given: Mapping[str, str] = {
            **namespaces.variables(store, BUCKET),
            "S3_ENDPOINT_URL": f"http://127.0.0.1:{s3.port}",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{iam.port}",
        }
        manager = made.start(
            "pipelines", "--resync", "0.05", kubeconfig=kubeconfig, variables=given
        ).wait_ready()
        for name in TENANTS:
            wait_ready(plane, name)
        before = {name: namespaces.key(plane, name) for name in TENANTS}

        store.pause()
        wait(
            lambda: "next request in" in manager.probe_text("/readyz?verbose"),
            "the circuit breaker is open",
        )
        s3.reset_counts()
        iam.reset_counts()
        kubeflow.create_tenant(plane, LATE)
        observe.delete(plane, namespaces.secret_path(TENANTS[0]))
        for name in TENANTS:
            damage(plane, name)
        for name in (*TENANTS, LATE):
            wait_without_store(plane, name)
        wait(lambda: max(delays(manager)) > 8.0, "the backoff grows")
        assert {name: namespaces.key(plane, name) for name in TENANTS[1:]} == {
            name: before[name] for name in TENANTS[1:]
        }
        assert namespaces.key(plane, LATE) is None
        assert manager.probe_status("/readyz") == 200
        # The breaker sends single trials: resyncs every three seconds would send hundreds.
        assert s3.accepted + iam.accepted <= len(TENANTS)

        s3.reset_counts()
        iam.reset_counts()
        store.resume()
        for name in (*TENANTS, LATE):
            wait_ready(plane, name)
        assert {name: namespaces.key(plane, name) for name in TENANTS} == before
        assert namespaces.key(plane, LATE) is not None
        assert iam.max_open <= WORKERS
        assert s3.max_open <= 2 * WORKERS  # of boto3's client and of the key checker
        assert "next request in" not in manager.probe_text("/readyz?verbose")
        assert all(len(store.keys(name)) == 1 for name in (*TENANTS, LATE))
    manager.stop()
    text = manager.text()
    for key in (*before.values(), store.admin):
        assert key is not None
        assert key.secret_key not in text
