"""quotas in a fake cluster: what happens while it runs. The table is in tests/support/reconcile."""

import pytest

from controllers.manifests import Key
from controllers.quotas.config import DEFAULT_HARD, QuotasSettings
from controllers.quotas.controller import CONTROLLER
from tests.support.fakes import harness
from tests.support.reconcile.tables.quotas import KEY, PREFIX, READY, quota

pytestmark = pytest.mark.virtual_time

KUBEFLOW_QUOTA = Key("ResourceQuota", "alice", "kf-resource-quota")


async def test_an_invalid_label_is_reported_and_the_others_are_applied() -> None:
    labels = {f"{PREFIX}/pods": "1.5", f"{PREFIX}/gpu": "8"}
    cluster = harness.tenants(labels=labels)
    async with harness.running((CONTROLLER, QuotasSettings()), cluster=cluster) as process:
        status, message = process.conditions()["QuotasReady"]
        (warning,) = (event for event in process.events() if event[0] == "Warning")

        assert "False" == status
        assert f"{PREFIX}/pods" in message
        assert ("InvalidQuota", message) == warning[1:]
        hard = cluster.objects.read(KEY)["spec"]["hard"]
        assert {**DEFAULT_HARD, "requests.nvidia.com/gpu": "8"} == hard


async def test_a_corrected_or_removed_label_is_applied_at_once() -> None:
    async with harness.running((CONTROLLER, QuotasSettings())) as process:
        objects = process.cluster.objects
        for text, pods in (("many", "100"), ("200", "200"), (None, "100")):
            labels = {} if text is None else {f"{PREFIX}/pods": text}
            profile = objects.read(Key("Profile", "", "alice"))
            profile["metadata"]["labels"] = labels
            objects.put(profile)
            await process.settled()

            assert pods == objects.read(KEY)["spec"]["hard"]["pods"]
            expected = "False" if text == "many" else "True"
            assert expected == process.conditions()["QuotasReady"][0]


async def test_a_stricter_quota_of_kubeflow_is_reported_and_changes_nothing() -> None:
    cluster = harness.tenants(labels={f"{PREFIX}/pods": "500"})
    async with harness.running((CONTROLLER, QuotasSettings()), cluster=cluster) as process:
        cluster.requests.clear()
        stricter = quota({"pods": "50"}, name=KUBEFLOW_QUOTA.name, labels={}, uid="uid-kubeflow")
        stored = cluster.objects.put(stricter)
        await process.settled()

        assert ["StricterQuota"] == [event[1] for event in process.events() if event[0] != "Normal"]
        assert {"QuotasReady": READY} == process.conditions()
        assert [] == cluster.written(but=("Event",))
        assert stored == cluster.objects.read(KUBEFLOW_QUOTA)
