"""What has to go in an order, a step in each reconcile: objects that nobody would prune."""

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


class Plan:
    """Removes what a test says, a stage at a time: the next one when the last is gone."""

    def __init__(self, *stages: Collection[Key]) -> None:
        self.stages = stages
        self.trouble: Exception | None = None

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
            error=lambda *_: self.trouble,
        )

    def running(self, cluster: FakeCluster, **fields: Any) -> Any:
        assembly = (self.controller(), builders.Settings())
        return harness.running(assembly, cluster=cluster, **fields)


def tenant() -> FakeCluster:
    """A claim and a pod of Alice's own, neither of which we made or own."""
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


async def test_a_stage_goes_and_the_next_follows_although_nothing_told_of_it() -> None:
    cluster = tenant()
    async with Plan([CLAIM], [POD]).running(cluster) as process:
        await virtual_time.until(
            lambda: cluster.objects.get(POD) is None, "both are gone", seconds=3.0
        )
        await process.settled()

        assert [f"DELETE {CLAIM}", f"DELETE {POD}"] == deletions(cluster)
        assert ("True", "ConfigMap settings is in place") == process.conditions()[CONDITION]
        told = [message for _, reason, message in process.events() if reason == "Reconciled"]
        assert any(f"{POD} delete" in message for message in told)


async def test_it_is_deleted_as_it_was_seen_and_again_after_a_conflict() -> None:
    cluster = tenant()
    cluster.fail_next(Failure.CONFLICT, lambda one: one.method == "DELETE")
    seen = cluster.objects.read(POD)["metadata"]
    async with Plan([POD]).running(cluster):
        requests = [one for one in cluster.requests if one.method == "DELETE"]
        preconditions = {"uid": seen["uid"], "resourceVersion": seen["resourceVersion"]}
        assert [preconditions] * 2 == [(one.body or {})["preconditions"] for one in requests]
        assert cluster.objects.get(POD) is None


async def test_while_something_is_on_its_way_out_the_profile_is_not_ready() -> None:
    cluster = tenant()
    cluster.objects.edit(CLAIM, lambda body: body["metadata"].update(finalizers=["test/hold"]))
    async with Plan([CLAIM]).running(cluster, settle=False) as process:
        expected = ("False", f"{CLAIM} pending (is being deleted)")
        await virtual_time.until(
            lambda: process.conditions().get(CONDITION) == expected, "it is said"
        )
        assert [f"DELETE {CLAIM}"] == deletions(cluster)

        cluster.objects.edit(CLAIM, lambda body: body["metadata"].pop("finalizers"))
        await process.settled()
        assert "True" == process.conditions()[CONDITION][0]


async def test_it_goes_on_soon_although_the_world_outside_is_in_trouble() -> None:
    cluster, plan = tenant(), Plan([CLAIM], [POD])
    plan.trouble = Waiting("AccountAway", "away", after=300.0)
    async with plan.running(cluster):
        await virtual_time.until(
            lambda: cluster.objects.get(POD) is None, "both are gone", seconds=5.0
        )


async def test_a_paused_object_stays() -> None:
    cluster = tenant()
    paused = {"annotations": {PAUSED_ANNOTATION: "true"}}
    cluster.objects.edit(POD, lambda body: body["metadata"].update(paused))
    async with Plan([POD]).running(cluster):
        assert [] == deletions(cluster)


async def test_a_dry_run_removes_nothing() -> None:
    cluster = tenant()
    options = Options(listen=None, dry_run=True)
    async with Plan([POD]).running(cluster, options=options) as process:
        report = await process.reconcile("samples")
        assert f"{POD} delete" in str(report.changes)
        assert [] == cluster.written()


@pytest.mark.parametrize("key", [Key("Pod", "bob", "notebook-0"), builders.manifest().key])
async def test_what_is_wanted_or_in_anothers_namespace_is_never_removed(key: Key) -> None:
    cluster = tenant()
    plan = Plan([POD])
    async with plan.running(cluster, settle=False) as process:
        plan.stages = ([POD, key],)
        report = await process.reconcile("samples")
        assert (
            "is in Desired.delete, but it is desired or outside the profile"
            in report.outcome.message
        )
        assert [] == deletions(cluster)


def test_the_right_to_delete_comes_with_the_declaration() -> None:
    rules = rbac.rules(Plan().controller())
    assert [("list", "watch", "delete")] == [one.verbs for one in rules if "pods" in one.resources]
