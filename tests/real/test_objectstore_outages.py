"""A SeaweedFS that fails and recovers, and errors that last."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controllers.pipelines.objectstore import provider
from controllers.pipelines.objectstore.spec import Credentials
from controllers.runtime.external.errors import ExternalError
from tests.support.cluster import waiting
from tests.support.controlplane import ports
from tests.support.objectstore.accounts import StoreTenant
from tests.support.objectstore.seaweedfs import SeaweedFS

LONGEST_DELAY = 60 * 1.2 * 1.5
"""Seconds: the longest backoff with jitter, and the spread of the callers."""


@pytest.fixture
def own_seaweedfs(tmp_path: Path) -> Iterator[SeaweedFS]:
    store = SeaweedFS.start(tmp_path)
    yield store
    store.stop()


async def test_a_store_that_recovers_gets_few_requests_and_no_key_changes(
    own_seaweedfs: SeaweedFS,
) -> None:
    tenant = StoreTenant.create(own_seaweedfs, "outage")
    specs = [replace(tenant.spec(), namespace=f"{tenant.name}-{at}") for at in range(12)]
    answers = [await tenant.store.ensure_key(one, None) for one in specs]
    keys = [one for one in answers if isinstance(one, Credentials)]
    own_seaweedfs.pause()
    delays: list[float] = []
    for spec, key in zip(specs, keys, strict=True):
        with pytest.raises(ExternalError) as caught:
            await tenant.store.ensure_key(spec, key)
        delays.append(caught.value.retry_after or 0.0)
        assert key.secret_key not in str(caught.value)
    assert len(set(delays)) > 6  # callers do not retry together
    assert all(0.0 < one < LONGEST_DELAY for one in delays)
    own_seaweedfs.resume()

    async def again(number: int) -> None:
        while True:
            try:
                assert keys[number] == await tenant.store.ensure_key(specs[number], keys[number])
            except ExternalError as error:
                await asyncio.sleep(error.retry_after or 0.0)
            else:
                return

    async with asyncio.timeout(waiting.TIMEOUT_SECONDS + LONGEST_DELAY):
        await asyncio.gather(*(again(number) for number in range(len(specs))))
    assert all(1 == len(own_seaweedfs.keys(one.namespace)) for one in specs)


async def test_an_unreachable_endpoint_is_named_in_the_error(seaweedfs: SeaweedFS) -> None:
    unreachable = f"http://127.0.0.1:{ports.free()}"
    fields: tuple[dict[str, Any], ...] = (
        {"s3_endpoint": unreachable},
        {"iam_endpoint": unreachable},
    )
    for changed in fields:
        tenant = StoreTenant.create(seaweedfs, "unreachable")
        tenant.reconnect(**changed)
        with pytest.raises(ExternalError) as caught:
            await tenant.ensure_key()
        assert unreachable in str(caught.value)
        assert caught.value.retry_after is not None


async def test_wrong_administrator_credentials_are_named(
    seaweedfs: SeaweedFS,
) -> None:
    tenant = StoreTenant.create(seaweedfs, "wrong")
    wrong = Credentials(access_key=seaweedfs.admin.access_key, secret_key="not-the-secret")
    tenant.reconnect(credentials=wrong)
    for call in (tenant.ensure_key, tenant.store.reconcile_bucket):
        with pytest.raises(ExternalError) as caught:
            await call()
        assert "AWS_SECRET_ACCESS_KEY" in str(caught.value)
        assert "not-the-secret" not in str(caught.value)
        assert (caught.value.reason, caught.value.action_required) == (provider.REJECTED, True)


async def test_a_missing_bucket_is_named_in_the_error(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "no-bucket")
    tenant.reconnect(bucket="never-made")
    for call in (tenant.ensure_key, tenant.store.reconcile_bucket):
        with pytest.raises(ExternalError) as caught:
            await call()
        assert "never-made" in str(caught.value)
    assert tenant.name not in seaweedfs.users()


async def test_no_more_requests_are_in_flight_than_allowed(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "bounded", workers=3)
    specs = [replace(tenant.spec(), namespace=f"{tenant.name}-{at}") for at in range(9)]
    in_flight = most = 0
    one_thread = threading.Lock()

    def begin(**_: object) -> None:
        nonlocal in_flight, most
        with one_thread:
            in_flight += 1
            most = max(most, in_flight)

    def end(**_: object) -> None:
        nonlocal in_flight
        with one_thread:
            in_flight -= 1

    for client in (tenant.api.clients.iam, tenant.api.clients.s3):
        client.meta.events.register("before-call", begin)
        client.meta.events.register("after-call", end)
    await asyncio.gather(*(tenant.store.ensure_key(one, None) for one in specs))
    assert 1 < most <= 3


async def test_a_cancelled_caller_does_not_stop_the_request(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "cancelled")
    first = asyncio.create_task(tenant.store.ensure_key(tenant.spec(), None))
    await asyncio.sleep(0)
    first.cancel()
    key = await tenant.key()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert [key.access_key] == tenant.keys
    await tenant.store.close()
    waiting.until(lambda: tenant.can_read(key), "S3 knows the key")
