"""A failure before and after every single request, in every situation: never a second key."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controllers.pipelines.objectstore.managed import ManagedStore
from controllers.pipelines.objectstore.provider import (
    Credentials,
    Decision,
    Provider,
    Refusal,
    UnavailableError,
    UnfinishedError,
)
from tests.support.objectstore.accounts import Trouble, World
from tests.support.objectstore.seaweedfs import SeaweedFS

MOST = 40
"""More requests than any call makes."""


class BrokenError(UnavailableError):
    """The failure that a test injects."""


class Breaker:
    """Counts the requests to users, bucket and prober, and breaks one of them."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.at = at
        self.after = after
        self.requests = 0
        self.broke = False

    def wrap(self, store: ManagedStore) -> None:
        store.parts = replace(
            store.parts,
            users=Fragile(store.parts.users, self),
            bucket=Fragile(store.parts.bucket, self),
            prober=Fragile(store.parts.prober, self),
        )

    def call(self, request: Callable[..., Any], *arguments: Any) -> Any:
        breaks = self.requests == self.at
        self.requests += 1
        if breaks and not self.after:
            self.fail()
        answer = request(*arguments)
        if breaks:
            self.fail()
        return answer

    def fail(self) -> None:
        self.broke = True
        raise BrokenError("injected", after=0.0)


class Fragile:
    """A part of the store whose every method may break."""

    def __init__(self, part: object, breaker: Breaker) -> None:
        self._part = part
        self._breaker = breaker

    def __getattr__(self, name: str) -> Any:
        request = getattr(self._part, name)
        if name == "record_key":  # asks nobody
            return request
        return lambda *arguments: self._breaker.call(request, *arguments)


def earlier_tenant(world: World) -> None:
    """A Profile of the same name was there, and its objects are."""
    world.put(f"private/{world.name}/old")
    world.uid = "uid-2"
    world.held = None


def generation(world: World) -> None:
    world.uid = "uid-3"  # as another generation, every key has to go


SITUATIONS: dict[str, Sequence[Trouble]] = {
    "as it should be": (),
    "key lost": (World.lose_key,),
    "Secret lost": (World.lose_secret,),
    "both lost": (World.lose_key, World.lose_secret),
    "user lost": (World.lose_user,),
    "Secret edited": (World.edit_secret,),
    "Secret edited, key lost": (World.edit_secret, World.lose_key),
    "policy widened": (World.widen_policy,),
    "strays": (World.add_key, World.add_key),
    "strays, Secret lost": (World.add_key, World.lose_secret),
    "another Profile": (generation,),
    "another Profile, objects there": (earlier_tenant,),
}


async def attempt(world: World, decision: Decision) -> Credentials | Refusal | None:
    """One reconcile; what it is given reaches the Secret."""
    try:
        return await world.ensure(world.tenant(decision))
    except (UnavailableError, UnfinishedError):
        return None


async def settle(
    world: World, decision: Decision, provider: Provider = Provider.SEAWEEDFS
) -> Credentials:
    """Reconciles of a process that remembers nothing, until there is a key."""
    world.restarted(provider)
    for _ in range(20):
        answer = await attempt(world, decision)
        assert len(world.keys) <= 1
        if isinstance(answer, Credentials):
            world.wait_until_known(answer)
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError("no key after twenty reconciles")


async def make_all_failures(
    world: World, prepare: Callable[[], Any], decision: Decision, provider: Provider
) -> int:
    """For each request of a reconcile: prepare, break there, count, and let it settle."""
    for at in range(MOST):
        for after in (False, True):
            await prepare()
            world.restarted(provider)
            breaker = Breaker(at, after=after)
            breaker.wrap(world.store)
            await attempt(world, decision)
            if not breaker.broke:
                return at
            assert world.extra_keys() == [], f"after request {at}"
            world.restarted(provider)
            await attempt(world, decision)
            assert len(world.keys) <= 1, f"after request {at} and another try"
    raise AssertionError(f"more than {MOST} requests")


@pytest.mark.parametrize("situation", SITUATIONS)
async def test_no_failure_of_a_request_leaves_a_second_key(
    seaweedfs: SeaweedFS, situation: str
) -> None:
    world = World.make(seaweedfs, "fails")
    await world.granted()

    async def prepare() -> None:
        await settle(world, Decision.PURGE)
        for trouble in SITUATIONS[situation]:
            trouble(world)
        world.mark_keys()

    requests = await make_all_failures(world, prepare, Decision.PURGE, Provider.SEAWEEDFS)
    assert requests >= 4
    key = await settle(world, Decision.PURGE)
    assert [key.access_key] == world.keys


@pytest.mark.parametrize("provider", [Provider.SEAWEEDFS, Provider.AWS], ids=lambda one: one.value)
async def test_no_failure_of_the_first_reconcile_leaves_a_second_key(
    seaweedfs: SeaweedFS, provider: Provider
) -> None:
    world = World.make(seaweedfs, "first")

    async def prepare() -> None:
        if world.name in seaweedfs.users():
            world.lose_user()
        world.store.bucket.delete_record(world.name)
        world.held = None
        world.mark_keys()

    requests = await make_all_failures(world, prepare, Decision.UNDECIDED, provider)
    assert requests >= 10


async def test_no_failure_of_a_removal_leaves_anything(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "removal")
    for at in range(MOST):
        for after in (False, True):
            await settle(world, Decision.PURGE)
            breaker = Breaker(at, after=after)
            breaker.wrap(world.store)
            try:
                await world.store.sweep(lambda _namespace, _uid: True)
            except UnavailableError:
                world.restarted()
                await world.store.sweep(lambda _namespace, _uid: True)
            assert world.name not in seaweedfs.users()
            assert set() == world.objects()
            if not breaker.broke:
                assert at >= 5
                return


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(sorted(SITUATIONS)), st.integers(0, 14), st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_no_row_of_troubles_and_failures_leaves_a_second_key(
    seaweedfs: SeaweedFS, steps: list[tuple[str, int, bool]]
) -> None:
    async def story() -> None:
        world = World.make(seaweedfs, "row")
        await settle(world, Decision.PURGE)
        for situation, at, after in steps:
            for trouble in SITUATIONS[situation]:
                if world.name in seaweedfs.users():
                    trouble(world)
            world.mark_keys()
            world.restarted()
            Breaker(at, after=after).wrap(world.store)
            await attempt(world, Decision.PURGE)
            assert world.extra_keys() == []
        key = await settle(world, Decision.PURGE)
        assert [key.access_key] == world.keys

    asyncio.run(story())
