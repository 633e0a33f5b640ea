"""Watched cluster-scoped objects are indexed by the Profile that they map to."""

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from controllers.manifests import Body, Key
from controllers.profiles import Profile
from controllers.runtime.controller import AnyController, CacheReader, Watch
from tests.support import builders
from tests.support.fakes import FakeCluster, harness

pytestmark = pytest.mark.virtual_time

VOLUME = Key("PersistentVolume", "", "data")


def transform_volume(body: Body) -> str | None:
    found: str | None = body["spec"].get("phase")
    return found


def map_volume(body: Body) -> Collection[str]:
    return [body["spec"]["for"]] if body["spec"].get("for") else []


def watching(observed: dict[str, Mapping[str, Any]]) -> AnyController:
    async def observe(
        profile: Profile, cache: CacheReader, _settings: object, _external: object
    ) -> None:
        observed[profile.name] = cache.list_for_profile("PersistentVolume", profile.name)

    watched = Watch(kind="PersistentVolume", transform=transform_volume, map=map_volume)
    return builders.controller(watches=[watched], observe=observe)


def put(cluster: FakeCluster, name: str, for_: str | None, phase: str | None = "Bound") -> None:
    spec = {"for": for_, "phase": phase}
    body = builders.object_body(VOLUME.kind, name, "", uid=f"uid-{name}", labels={}, owners=[])
    cluster.objects.put({**body, "spec": spec})


def running(observed: dict[str, Mapping[str, Any]], cluster: FakeCluster) -> Any:
    return harness.running((watching(observed), builders.Settings()), cluster=cluster)


async def test_each_profile_observes_the_objects_that_map_to_it() -> None:
    observed: dict[str, Mapping[str, Any]] = {}
    cluster = harness.tenants("alice", "bob")
    for name, for_ in (("one", "alice"), ("other", "alice"), ("third", "bob"), ("odd", None)):
        put(cluster, name, for_)
    put(cluster, "untransformed", "alice", None)
    async with running(observed, cluster):
        assert {"alice": {"one": "Bound", "other": "Bound"}, "bob": {"third": "Bound"}} == observed


async def test_a_change_of_the_mapping_enqueues_the_old_and_the_new_profile() -> None:
    observed: dict[str, Mapping[str, Any]] = {}
    cluster = harness.tenants("alice", "bob", "carol")
    put(cluster, VOLUME.name, "alice")
    async with running(observed, cluster) as process:
        observed.clear()
        cluster.objects.edit(VOLUME, lambda body: body["spec"].update({"for": "bob", "phase": "F"}))
        await process.settled()
        assert {"alice": {}, "bob": {"data": "F"}} == observed

        observed.clear()
        cluster.objects.delete(VOLUME)
        await process.settled()
        assert {"bob": {}} == observed
