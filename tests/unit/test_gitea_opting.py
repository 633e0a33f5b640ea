"""gitea on a cluster in memory: out, by each of the three settings, and in again."""

import pytest

from controllers.gitea import names
from controllers.manifests import Key
from tests.support.fakes import event_loop
from tests.support.gitea.scenes import (
    ALL,
    APPLICATION,
    BANNER,
    ENTRY,
    LABEL,
    ROUTE,
    SECRET,
    TYPE,
    WELL,
    Databases,
    held,
    label,
    running,
    tenants,
    there,
)

pytestmark = pytest.mark.virtual_time


async def test_keep_keeps_everything_in_shape_and_says_so() -> None:
    databases, cluster = Databases(), tenants()
    async with running(databases, cluster) as process:
        label(cluster, "false")
        await process.settled()
        assert list(ALL) == there(cluster)
        assert "OptedOut" in [event[1] for event in process.events()]
        cluster.objects.edit(ENTRY, lambda body: body.pop("spec"))
        await process.settled()
        assert cluster.objects.read(ENTRY)["spec"]
        cluster.objects.delete(BANNER)
        await process.settled()
        assert BANNER not in there(cluster)


@pytest.mark.parametrize(
    ("opt_out", "left"), [("stop", [SECRET]), ("detach", [BANNER, ENTRY, SECRET, ROUTE])]
)
async def test_out_removes_the_application_and_in_again_finds_the_password(
    opt_out: str, left: list[Key]
) -> None:
    databases, cluster = Databases(), tenants()
    async with running(databases, cluster, opt_out=opt_out) as process:
        if opt_out == "detach":
            cluster.objects.edit(
                APPLICATION, lambda body: body["metadata"].update(finalizers=[names.FINALIZER])
            )
            await process.settled()
        before = held(cluster)
        label(cluster, None)
        if opt_out == "stop":
            await event_loop.until(
                lambda: "deletionTimestamp" in cluster.objects.read(APPLICATION)["metadata"],
                "it waits for Argo CD",
                seconds=20.0,
            )
            finalizers = cluster.objects.read(APPLICATION)["metadata"]["finalizers"]
            assert [names.FINALIZER] == finalizers
            cluster.objects.edit(APPLICATION, lambda body: body["metadata"].update(finalizers=[]))
        await event_loop.until(lambda: left == there(cluster), "the rest is gone", seconds=20.0)
        await process.settled()
        assert before == held(cluster)

        label(cluster, "true")
        await process.settled()
        assert list(ALL) == there(cluster)
        assert before == held(cluster)
        assert WELL == process.conditions()[TYPE]


async def test_a_wrong_label_is_told_and_removes_nothing() -> None:
    cluster = tenants()
    async with running(cluster=cluster, opt_out="stop") as process:
        label(cluster, "ture")
        await process.settled()
        assert list(ALL) == there(cluster)
        status, message = process.conditions()[TYPE]
        assert "False" == status
        assert f'{LABEL}: "ture"' in message
