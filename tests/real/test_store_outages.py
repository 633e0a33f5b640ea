"""A SeaweedFS that goes away and comes back, and ones that never answer as they should."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controllers.pipelines.objectstore.provider import Credentials, RejectedError, UnavailableError
from tests.support.cluster import waiting
from tests.support.controlplane import ports
from tests.support.objectstore.accounts import World
from tests.support.objectstore.seaweedfs import SeaweedFS

LONGEST_DELAY = 60 * 1.25 + 60
"""Seconds: the longest backoff, and what the callers are spread over."""


@pytest.fixture
def own_seaweedfs(tmp_path: Path) -> Iterator[SeaweedFS]:
    store = SeaweedFS.start(tmp_path)
    yield store
    store.stop()


async def test_a_store_that_comes_back_is_met_by_few_and_finds_all_as_it_was(
    own_seaweedfs: SeaweedFS,
) -> None:
    world = World.make(own_seaweedfs, "outage")
    tenants = [replace(world.tenant(), namespace=f"{world.name}-{at}") for at in range(12)]
    answers = [await world.store.ensure(one, None) for one in tenants]
    keys = [one for one in answers if isinstance(one, Credentials)]
    own_seaweedfs.pause()
    delays: list[float] = []
    for tenant, key in zip(tenants, keys, strict=True):
        with pytest.raises(UnavailableError) as caught:
            await world.store.ensure(tenant, key)
        delays.append(caught.value.after or 0.0)
        assert key.secret_key not in str(caught.value)
    assert len(set(delays)) > 6  # nobody comes back with everybody else
    assert all(0.0 < one < LONGEST_DELAY for one in delays)
    own_seaweedfs.resume()

    async def again(number: int) -> None:
        while True:
            try:
                assert keys[number] == await world.store.ensure(tenants[number], keys[number])
            except UnavailableError as error:
                await asyncio.sleep(error.after or 0.0)
            else:
                return

    async with asyncio.timeout(waiting.PATIENCE + LONGEST_DELAY):
        await asyncio.gather(*(again(number) for number in range(len(tenants))))
    assert all(1 == len(own_seaweedfs.keys(one.namespace)) for one in tenants)


async def test_an_endpoint_that_nobody_serves_is_told(seaweedfs: SeaweedFS) -> None:
    nowhere = f"http://127.0.0.1:{ports.free()}"
    fields: tuple[dict[str, Any], ...] = ({"s3_endpoint": nowhere}, {"iam_endpoint": nowhere})
    for changed in fields:
        world = World.make(seaweedfs, "nowhere")
        world.connection = replace(world.connection, **changed)
        world.restarted()
        with pytest.raises(UnavailableError) as caught:
            await world.ensure()
        assert nowhere in str(caught.value)
        assert caught.value.after is not None


async def test_wrong_keys_of_the_administrator_are_told(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "wrong")
    wrong = Credentials(access_key=seaweedfs.admin.access_key, secret_key="not-the-secret")
    world.connection = replace(world.connection, credentials=wrong)
    world.restarted()
    for call in (world.ensure, world.store.maintain):
        with pytest.raises(RejectedError) as caught:
            await call()
        assert "AWS_SECRET_ACCESS_KEY" in str(caught.value)
        assert "not-the-secret" not in str(caught.value)
        assert caught.value.after is None


async def test_a_bucket_that_is_missing_is_told(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "no-bucket")
    world.connection = replace(world.connection, bucket="never-made")
    world.restarted()
    for call in (world.ensure, world.store.maintain):
        with pytest.raises(RejectedError) as caught:
            await call()
        assert "never-made" in str(caught.value)
    assert world.name not in seaweedfs.users()


async def test_no_more_requests_are_under_way_than_allowed(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "bounded", workers=3)
    tenants = [replace(world.tenant(), namespace=f"{world.name}-{at}") for at in range(9)]
    under_way = most = 0
    one_thread = threading.Lock()

    def begin(**_: object) -> None:
        nonlocal under_way, most
        with one_thread:
            under_way += 1
            most = max(most, under_way)

    def end(**_: object) -> None:
        nonlocal under_way
        with one_thread:
            under_way -= 1

    for client in (world.store._clients.iam, world.store._clients.s3):
        client.meta.events.register("before-call", begin)
        client.meta.events.register("after-call", end)
    await asyncio.gather(*(world.store.ensure(one, None) for one in tenants))
    assert 1 < most <= 3


async def test_who_stops_waiting_stops_nobody_else(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "cancelled")
    first = asyncio.create_task(world.store.ensure(world.tenant(), None))
    await asyncio.sleep(0)
    first.cancel()
    key = await world.granted()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert [key.access_key] == world.keys
    await world.store.close()
    waiting.until(lambda: world.can_read(key), "S3 knows the key")
