"""Objects without a namespace that a controller watches: found by the Profile that they wake."""

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from controllers.manifests import Body, Key
from controllers.profiles import Profile
from controllers.runtime.controller import AnyController, CacheReader, Watch
from tests.support.builders import live_objects
from tests.support.fakes import FakeCluster, harness

pytestmark = pytest.mark.virtual_time

VOLUME = Key("PersistentVolume", "", "data")


def keep(body: Body) -> str | None:
    found: str | None = body["spec"].get("phase")
    return found


def map_volume(body: Body) -> Collection[str]:
    return [body["spec"]["for"]] if body["spec"].get("for") else []


def watching(seen: dict[str, Mapping[str, Any]]) -> AnyController:
    async def observe(
        profile: Profile, cache: CacheReader, _settings: object, _external: object
    ) -> None:
        seen[profile.name] = cache.list_for_profile("PersistentVolume", profile.name)

    watched = Watch(kind="PersistentVolume", transform=keep, map=map_volume)
    return live_objects.controller(watches=[watched], observe=observe)


def put(cluster: FakeCluster, name: str, for_: str | None, phase: str | None = "Bound") -> None:
    spec = {"for": for_, "phase": phase}
    body = live_objects.object_body(VOLUME.kind, name, "", uid=f"uid-{name}", labels={}, owners=[])
    cluster.objects.put({**body, "spec": spec})


def running(seen: dict[str, Mapping[str, Any]], cluster: FakeCluster) -> Any:
    return harness.running((watching(seen), live_objects.Settings()), cluster=cluster)


async def test_each_profile_sees_its_own_and_nobody_those_that_are_not_kept() -> None:
    seen: dict[str, Mapping[str, Any]] = {}
    cluster = harness.tenants("alice", "bob")
    for name, for_ in (("one", "alice"), ("other", "alice"), ("third", "bob"), ("odd", None)):
        put(cluster, name, for_)
    put(cluster, "dropped", "alice", None)
    async with running(seen, cluster):
        assert {"alice": {"one": "Bound", "other": "Bound"}, "bob": {"third": "Bound"}} == seen


async def test_who_had_it_and_who_has_it_now_are_woken_and_who_had_what_is_gone() -> None:
    seen: dict[str, Mapping[str, Any]] = {}
    cluster = harness.tenants("alice", "bob", "carol")
    put(cluster, VOLUME.name, "alice")
    async with running(seen, cluster) as process:
        seen.clear()
        cluster.objects.edit(VOLUME, lambda body: body["spec"].update({"for": "bob", "phase": "F"}))
        await process.settled()
        assert {"alice": {}, "bob": {"data": "F"}} == seen

        seen.clear()
        cluster.objects.delete(VOLUME)
        await process.settled()
        assert {"bob": {}} == seen
