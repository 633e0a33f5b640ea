"""Ordered deletion: objects that are deleted in stages, one stage in each reconcile."""

from collections.abc import Collection
from typing import Any

import pytest

from controllers.manifests import Key
from controllers.profiles import PAUSED_ANNOTATION, Profile
from controllers.runtime import rbac
from controllers.runtime.controller import AnyController, CacheReader, Owned, Watch, by_namespace
from controllers.runtime.errors import Waiting
from controllers.runtime.options import Options
from tests.support import builders
from tests.support.fakes import Failure, FakeCluster, harness, virtual_time

pytestmark = pytest.mark.virtual_time

POD = Key("Pod", "alice", "notebook-0")
CLAIM = Key("PersistentVolumeClaim", "alice", "data")
CONDITION = "SamplesReady"


class StagedDeletion:
    """Deletes objects in stages: each stage after the objects of the former one are gone."""

    def __init__(self, *stages: Collection[Key]) -> None:
        self.stages = stages
        self.error: Exception | None = None

    def controller(self) -> AnyController:
        async def observe(
            _profile: Profile, cache: CacheReader, _settings: object, _external: object
        ) -> Collection[Key]:
            for stage in self.stages:
                if any(cache.get(*key) for key in stage):
                    return stage
            return ()

        def delete(_profile: Profile, stage: Collection[Key], _settings: object) -> Any:
            return stage

        return builders.controller(
            owned=[Owned(kind="ConfigMap"), Owned(kind="PersistentVolumeClaim")],
            watches=[
                Watch(kind="Pod", transform=lambda _body: True, map=by_namespace, deletable=True),
                Watch(kind="PersistentVolumeClaim", transform=lambda _body: True, map=by_namespace),
            ],
            observe=observe,
            delete=delete,
            error=lambda *_: self.error,
        )

    def running(self, cluster: FakeCluster, **fields: Any) -> Any:
        assembly = (self.controller(), builders.Settings())
        return harness.running(assembly, cluster=cluster, **fields)


def tenant() -> FakeCluster:
    """A cluster with a claim and a pod of Alice that the controller does not own."""
    cluster = harness.tenants()
    for key in (CLAIM, POD):
        cluster.objects.put(
            builders.object_body(*key_parts(key), uid=f"uid-{key.kind}", labels={}, owners=[])
        )
    return cluster


def key_parts(key: Key) -> tuple[str, str, str]:
    return key.kind, key.name, key.namespace


def deletions(cluster: FakeCluster) -> list[str]:
    return [one for one in cluster.written(but=("Event", "Profile")) if one.startswith("DELETE")]


async def test_the_next_stage_is_deleted_after_the_first_without_an_event() -> None:
    cluster = tenant()
    async with StagedDeletion([CLAIM], [POD]).running(cluster) as process:
        await virtual_time.until(
            lambda: cluster.objects.get(POD) is None, "both objects are deleted", seconds=3.0
        )
        await process.settled()

        assert [f"DELETE {CLAIM}", f"DELETE {POD}"] == deletions(cluster)
        assert ("True", "ConfigMap settings is in place") == process.conditions()[CONDITION]
        messages = [message for _, reason, message in process.events() if reason == "Reconciled"]
        assert any(f"{POD} delete" in message for message in messages)


async def test_a_delete_has_the_observed_uid_and_version_and_is_retried_after_a_conflict() -> None:
    cluster = tenant()
    cluster.fail_next(Failure.CONFLICT, lambda one: one.method == "DELETE")
    seen = cluster.objects.read(POD)["metadata"]
    async with StagedDeletion([POD]).running(cluster):
        requests = [one for one in cluster.requests if one.method == "DELETE"]
        preconditions = {"uid": seen["uid"], "resourceVersion": seen["resourceVersion"]}
        assert [preconditions] * 2 == [(one.body or {})["preconditions"] for one in requests]
        assert cluster.objects.get(POD) is None


async def test_the_profile_is_not_ready_while_an_object_is_being_deleted() -> None:
    cluster = tenant()
    cluster.objects.edit(CLAIM, lambda body: body["metadata"].update(finalizers=["test/hold"]))
    async with StagedDeletion([CLAIM]).running(cluster, settle=False) as process:
        expected = ("False", f"{CLAIM} pending (is being deleted)")
        await virtual_time.until(
            lambda: process.conditions().get(CONDITION) == expected, "the condition is written"
        )
        assert [f"DELETE {CLAIM}"] == deletions(cluster)

        cluster.objects.edit(CLAIM, lambda body: body["metadata"].pop("finalizers"))
        await process.settled()
        assert "True" == process.conditions()[CONDITION][0]


async def test_deletion_continues_soon_while_an_external_system_fails() -> None:
    cluster, deletion = tenant(), StagedDeletion([CLAIM], [POD])
    deletion.error = Waiting("AccountAway", "away", after=300.0)
    async with deletion.running(cluster):
        await virtual_time.until(
            lambda: cluster.objects.get(POD) is None, "both objects are deleted", seconds=5.0
        )


async def test_a_paused_object_is_not_deleted() -> None:
    cluster = tenant()
    paused = {"annotations": {PAUSED_ANNOTATION: "true"}}
    cluster.objects.edit(POD, lambda body: body["metadata"].update(paused))
    async with StagedDeletion([POD]).running(cluster):
        assert [] == deletions(cluster)


async def test_a_dry_run_plans_the_deletion_and_writes_nothing() -> None:
    cluster = tenant()
    options = Options(listen=None, dry_run=True)
    async with StagedDeletion([POD]).running(cluster, options=options) as process:
        report = await process.reconcile("samples")
        assert f"{POD} delete" in str(report.changes)
        assert [] == cluster.written()


@pytest.mark.parametrize("key", [Key("Pod", "bob", "notebook-0"), builders.manifest().key])
async def test_an_object_that_is_desired_or_in_another_namespace_is_never_deleted(key: Key) -> None:
    cluster = tenant()
    deletion = StagedDeletion([POD])
    async with deletion.running(cluster, settle=False) as process:
        deletion.stages = ([POD, key],)
        report = await process.reconcile("samples")
        assert (
            "is in Desired.delete, but it is desired or outside the profile"
            in report.outcome.message
        )
        assert [] == deletions(cluster)


def test_the_rules_of_a_deletable_watch_include_delete() -> None:
    rules = rbac.rules(StagedDeletion().controller())
    assert [("list", "watch", "delete")] == [one.verbs for one in rules if "pods" in one.resources]
