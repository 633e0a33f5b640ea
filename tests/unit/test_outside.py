"""Controllers that reach beyond Kubernetes, or want a kind that a cluster may lack."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from controllers.findings import Finding, Severity
from controllers.manifests import Key
from controllers.profiles import Profile
from controllers.runtime.controller import (
    AnyController,
    CacheReader,
    ExternalFactory,
    Owned,
    ProfileGone,
)
from controllers.runtime.errors import Terminal, UnreachableError, Waiting
from controllers.runtime.objects.kinds import KINDS
from controllers.runtime.options import Options, Shard
from controllers.runtime.reconcile.result import Failed, outcome_of
from tests.support.builders import live_objects
from tests.support.fakes import event_loop, harness

pytestmark = pytest.mark.virtual_time


class World:
    """Something outside that notes what is done to it."""

    def __init__(self) -> None:
        self.chores: list[bool] = []
        self.gone: Callable[[str, str], bool] = lambda _name, _uid: False
        self.error: Exception | None = None
        self.dry_run: bool | None = None
        self.closed = False

    async def close(self) -> None:
        self.closed = True


async def collect_garbage(outside: World, profile_gone: ProfileGone) -> None:
    outside.gone = profile_gone
    outside.chores.append(profile_gone("alice", "uid-alice"))
    if outside.error:
        raise outside.error


def controller(world: World, **fields: Any) -> AnyController:
    def connect(_settings: object, *, dry_run: bool) -> World:
        world.dry_run = dry_run
        return world

    async def observe(
        _profile: Profile, _cache: CacheReader, _settings: object, external: World
    ) -> Exception | None:
        return external.error

    return live_objects.controller(
        observe=observe,
        error=lambda _profile, error, _settings: error,
        external=ExternalFactory(connect=connect, collect_garbage=collect_garbage),
        **fields,
    )


def running(world: World, options: Options | None = None, **fields: Any) -> Any:
    assembly = (controller(world, **fields), live_objects.Settings())
    return harness.running(assembly, options=options)


async def test_the_world_outside_is_connected_once_and_closed_at_the_end() -> None:
    world = World()
    async with running(world):
        assert world.dry_run is False
        assert not world.closed
    assert world.closed


async def test_objects_are_kept_although_the_world_outside_is_in_trouble() -> None:
    world = World()
    world.error = Waiting("StoreAway", "the store does not answer", after=60.0)
    async with running(world) as process:
        assert process.cluster.objects.read(Key("ConfigMap", "alice", "settings"))
        assert {"SamplesReady": ("False", "the store does not answer")} == process.conditions()

        world.error = None
        await event_loop.until(
            lambda: process.conditions()["SamplesReady"][0] == "True", "it is ready", seconds=90.0
        )


async def test_what_is_to_be_said_is_said_whatever_trouble_there_is() -> None:
    world = World()
    world.error = Waiting("StoreAway", "the store does not answer", after=60.0)
    problem = Finding(reason="LabelRefused", message="label x is refused")
    notice = Finding(reason="LabelOdd", message="label y is odd", severity=Severity.NOTICE)
    async with running(world, findings=lambda *_: (problem, notice)) as process:
        message = "the store does not answer; label x is refused"
        assert {"SamplesReady": ("False", message)} == process.conditions()
        reasons = [reason for kind, reason, _ in process.events() if kind == "Warning"]
        assert ["LabelOdd", "LabelRefused"] == reasons


async def test_gather_is_told_who_else_there_is() -> None:
    seen: list[frozenset[str]] = []

    async def observe(
        _profile: Profile, cache: CacheReader, _settings: object, _external: object
    ) -> None:
        seen.append(cache.profiles)

    assembly = (live_objects.controller(observe=observe), live_objects.Settings())
    async with harness.running(assembly, cluster=harness.tenants("alice", "bob")):
        assert {frozenset({"alice", "bob"})} == set(seen)


@pytest.mark.parametrize(
    ("cause", "reason", "retried"),
    [
        (Waiting("StoreAway", "later", after=3.0), "StoreAway", False),
        (Terminal("StoreSaidNo", "never"), "StoreSaidNo", False),
        (UnreachableError("gone"), "Unreachable", True),
    ],
)
def test_trouble_ends_a_reconcile_as_if_it_had_been_raised(
    cause: Exception, reason: str, *, retried: bool
) -> None:
    outcome = outcome_of(Failed(str(cause), cause))

    assert (reason, retried, False) == (outcome.reason, outcome.retry, outcome.ready)
    assert getattr(cause, "after", None) == outcome.after


async def test_a_chore_is_done_at_the_start_at_every_resync_and_when_a_profile_went() -> None:
    world = World()
    async with running(world, Options(listen=None, resync=600.0)) as process:
        await event_loop.until(lambda: world.chores == [False], "the first chore")
        began = event_loop.now()
        await event_loop.until(lambda: len(world.chores) == 2, "the next", seconds=1000.0)
        assert 590.0 < event_loop.now() - began <= 600.0

        process.cluster.objects.delete(Key("Profile", "", "alice"))
        await event_loop.until(lambda: world.chores[2:] == [True], "soon after", seconds=5.0)


async def test_a_chore_that_fails_is_tried_again_with_backoff() -> None:
    world = World()
    world.error = OSError("broken")
    async with running(world) as process:
        await event_loop.until(lambda: len(world.chores) > 3, "tried again", seconds=30.0)
        assert process.manager.failed.is_set() is False
        world.error = None


async def test_nobody_is_gone_that_this_process_cannot_know() -> None:
    world = World()
    shard = next(
        one for one in (Shard(index=0, count=2), Shard(index=1, count=2)) if one.holds("uid-x")
    )
    async with running(world, Options(listen=None, shard=shard)) as process:
        await event_loop.until(lambda: bool(world.chores), "the first chore")
        other = next(f"uid-{n}" for n in range(100) if not shard.holds(f"uid-{n}"))

        assert world.gone("x", "uid-x")
        assert not world.gone("x", other)
        process.manager.profiles._awaited = None
        assert not world.gone("x", "uid-x")


async def test_a_dry_run_does_no_chore() -> None:
    world = World()
    async with running(world, Options(listen=None, dry_run=True)) as process:
        await process.resynced()

        assert world.dry_run is True
        assert [] == world.chores


async def test_what_is_dispensable_is_left_out_until_its_kind_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = dataclasses.replace(KINDS["LimitRange"], optional=True)
    monkeypatch.setattr("controllers.runtime.cache.informer.KINDS", {**KINDS, "LimitRange": kind})
    limits = live_objects.manifest("LimitRange", "limits", content={"spec": {"limits": []}})
    settings = live_objects.Settings(manifests=lambda _profile: [live_objects.manifest(), limits])
    owned = (
        Owned(kind="ConfigMap"),
        Owned(kind="LimitRange", optional=True),
    )
    cluster = harness.tenants()
    cluster.unserved.add(("LimitRange", "v1"))
    assembly = (live_objects.controller(owned=owned), settings)
    async with harness.running(assembly, cluster=cluster) as process:
        assert ("True", "ConfigMap settings is in place") == process.conditions()["SamplesReady"]

        cluster.unserved.clear()
        await event_loop.until(
            lambda: cluster.objects.get(limits.key) is not None, "made once it is served"
        )
