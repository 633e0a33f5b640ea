"""limitranges in a fake cluster. The table is in tests/support/reconcile."""

import pytest

from controllers.limitranges.config import LimitRangesSettings
from controllers.limitranges.controller import CONTROLLER
from tests.support.fakes import harness
from tests.support.reconcile.tables.limitranges import KEY, PREFIX

pytestmark = pytest.mark.virtual_time


async def test_an_invalid_label_is_reported_and_the_others_are_applied() -> None:
    labels = {f"{PREFIX}/default.cpu": "lots", f"{PREFIX}/default.memory": "1G"}
    cluster = harness.tenants(labels=labels)
    async with harness.running((CONTROLLER, LimitRangesSettings()), cluster=cluster) as process:
        status, message = process.conditions()["LimitrangesReady"]
        (item,) = cluster.objects.read(KEY)["spec"]["limits"]

        assert "False" == status
        assert f"{PREFIX}/default.cpu" in message
        assert ("Warning", "InvalidLimit", message) in process.events()
        assert {"cpu": "250m", "memory": "1G"} == item["default"]
