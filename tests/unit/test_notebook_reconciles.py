"""notebook in a fake cluster while it runs. The table is in tests/support/reconcile."""

import pytest

from controllers.notebook.config import NotebookSettings
from controllers.notebook.controller import CONTROLLER
from tests.support.fakes import FakeCluster, harness, virtual_time
from tests.support.reconcile.tables.notebook import DELETE, KEY, POST, READY, SPEC, pod_default

pytestmark = pytest.mark.virtual_time


def requests(cluster: FakeCluster) -> list[str]:
    """The requests for single PodDefaults."""
    return [
        str(one)
        for one in cluster.requests
        if one.kind == "PodDefault" and (one.method == "POST" or one.target.name)
    ]


async def test_a_changed_name_replaces_the_pod_default_and_no_foreign_one() -> None:
    cluster = harness.tenants()
    theirs = cluster.objects.put(pod_default(name="access-ml-pipeline", labels={}, owners=[]))
    cluster.objects.put(pod_default())
    settings = NotebookSettings(name="secret-b")
    async with harness.running((CONTROLLER, settings), cluster=cluster) as process:
        found = {body["metadata"]["name"]: body for body in cluster.objects.all_of("PodDefault")}

        assert {"access-ml-pipeline", "secret-b"} == set(found)
        assert theirs == found["access-ml-pipeline"]
        assert ["POST PodDefault alice/secret-b", DELETE] == requests(cluster)
        assert {"NotebookReady": ("True", "PodDefault secret-b is in place")} == (
            process.conditions()
        )


async def test_the_controller_waits_until_the_crd_is_served() -> None:
    cluster = harness.tenants()
    cluster.unserved.add(("PodDefault", "v1alpha1"))
    async with harness.running((CONTROLLER, NotebookSettings()), cluster=cluster) as process:
        (waiting,) = (one for one in process.health.readyz() if one.name == "informer/PodDefault")
        status, message = process.conditions()["NotebookReady"]
        assert ("", "waiting: the cluster serves no poddefaults.kubeflow.org yet") == (
            waiting.error,
            waiting.note,
        )
        assert "False" == status
        assert "PodDefault: the cluster serves no poddefaults.kubeflow.org yet" == message
        assert [] == requests(cluster)

        cluster.unserved.clear()
        await virtual_time.until(
            lambda: process.conditions()["NotebookReady"] == READY, "it is in place", seconds=60
        )

        assert [POST] == requests(cluster)


async def test_the_controller_waits_again_when_the_crd_is_removed() -> None:
    cluster = harness.tenants()
    async with harness.running((CONTROLLER, NotebookSettings()), cluster=cluster) as process:
        cluster.objects.delete(KEY)
        cluster.unserved.add(("PodDefault", "v1alpha1"))
        cluster.break_watches()
        await virtual_time.until(
            lambda: process.conditions()["NotebookReady"][0] == "False", "it waits", seconds=600
        )
        cluster.unserved.clear()
        await virtual_time.until(
            lambda: process.conditions()["NotebookReady"] == READY, "it is in place", seconds=600
        )

        assert SPEC == cluster.objects.read(KEY)["spec"]
