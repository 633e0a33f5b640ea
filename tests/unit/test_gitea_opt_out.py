"""Opting out of gitea in a fake cluster, with each value of `opt_out`, and in again."""

import pytest

from controllers.gitea import names
from controllers.manifests import Key
from tests.support.fakes import virtual_time
from tests.support.gitea.fakes import (
    ALL_KEYS,
    APPLICATION,
    BANNER,
    CONDITION,
    LABEL,
    READY,
    SECRET,
    SERVICE_ENTRY,
    VIRTUAL_SERVICE,
    FakeDatabaseServer,
    cluster_with_profiles,
    existing,
    running,
    set_label,
    stored_credentials,
)

pytestmark = pytest.mark.virtual_time


async def test_keep_repairs_existing_objects_and_reports_opted_out() -> None:
    server, cluster = FakeDatabaseServer(), cluster_with_profiles()
    async with running(server, cluster) as process:
        set_label(cluster, "false")
        await process.settled()
        assert list(ALL_KEYS) == existing(cluster)
        assert "OptedOut" in [event[1] for event in process.events()]
        cluster.objects.edit(SERVICE_ENTRY, lambda body: body.pop("spec"))
        await process.settled()
        assert cluster.objects.read(SERVICE_ENTRY)["spec"]
        cluster.objects.delete(BANNER)
        await process.settled()
        assert BANNER not in existing(cluster)


@pytest.mark.parametrize(
    ("opt_out", "retained"),
    [("stop", [SECRET]), ("detach", [BANNER, SERVICE_ENTRY, SECRET, VIRTUAL_SERVICE])],
)
async def test_opting_out_removes_the_application_and_opting_in_again_uses_the_same_password(
    opt_out: str, retained: list[Key]
) -> None:
    server, cluster = FakeDatabaseServer(), cluster_with_profiles()
    async with running(server, cluster, opt_out=opt_out) as process:
        if opt_out == "detach":
            cluster.objects.edit(
                APPLICATION, lambda body: body["metadata"].update(finalizers=[names.FINALIZER])
            )
            await process.settled()
        before = stored_credentials(cluster)
        set_label(cluster, None)
        if opt_out == "stop":
            await virtual_time.until(
                lambda: "deletionTimestamp" in cluster.objects.read(APPLICATION)["metadata"],
                "the Application is being deleted",
                seconds=20.0,
            )
            finalizers = cluster.objects.read(APPLICATION)["metadata"]["finalizers"]
            assert [names.FINALIZER] == finalizers
            cluster.objects.edit(APPLICATION, lambda body: body["metadata"].update(finalizers=[]))
        await virtual_time.until(
            lambda: retained == existing(cluster), "the other objects are removed", seconds=20.0
        )
        await process.settled()
        assert before == stored_credentials(cluster)

        set_label(cluster, "true")
        await process.settled()
        assert list(ALL_KEYS) == existing(cluster)
        assert before == stored_credentials(cluster)
        assert READY == process.conditions()[CONDITION]


async def test_an_invalid_label_is_reported_and_removes_no_object() -> None:
    cluster = cluster_with_profiles()
    async with running(cluster=cluster, opt_out="stop") as process:
        set_label(cluster, "ture")
        await process.settled()
        assert list(ALL_KEYS) == existing(cluster)
        status, message = process.conditions()[CONDITION]
        assert "False" == status
        assert f'{LABEL}="ture"' in message
