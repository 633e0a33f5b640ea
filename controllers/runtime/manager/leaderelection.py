"""Leader election by Lease, with the loop of kubernetes.aio."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import aiohttp
import structlog
from kubernetes.aio.client import ApiClient, ApiException, V1Lease, V1ObjectMeta
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

from controllers.manifests import MANAGED_BY
from controllers.runtime.client.config import RestConfig
from controllers.runtime.options import LeaderElectionConfig, Shard

logger = structlog.stdlib.get_logger(__name__)

_TIME_FORMAT = "%Y-%m-%d %H:%M:%S.%f"
_UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)


def lease_name(controller: str, shard: Shard) -> str:
    """Return ``profiles-controller-<controller>``, with the shard where there are several."""
    suffix = f"-{shard.index}-of-{shard.count}" if shard.count > 1 else ""
    return f"{MANAGED_BY}-{controller}{suffix}"


class LeaderElector:
    """Holds one Lease per controller. The process leads while it holds all of them.

    It acquires them in the order of their names, so that of two processes with several controllers
    one gets all of them.
    """

    def __init__(
        self,
        config: RestConfig,
        election: LeaderElectionConfig,
        names: Sequence[str],
        observe: Callable[[str, bool], None],
    ) -> None:
        """``observe`` is called with a Lease's name and whether this process holds it."""
        self._client = config.api_client()
        self._election = election
        self._names = sorted(names)
        self._observe = observe
        self._tasks: list[asyncio.Task[None]] = []
        self._locks: list[_Lock] = []
        self.lost = asyncio.Event()
        """Set when this process lost a Lease."""

    async def acquire(self) -> None:
        """Wait until this process leads."""
        for name in self._names:
            acquired = asyncio.Event()
            lock = _Lock(name, self._election, self._client)
            self._locks.append(lock)
            self._tasks.append(
                asyncio.create_task(self._hold(lock, acquired), name=f"lease {name}")
            )
            logger.info("waiting for the lease", lease=name, identity=self._election.identity)
            await acquired.wait()
            self._observe(name, True)  # noqa: FBT003 - a Callable takes no keywords
            logger.info("acquired the lease", lease=name, identity=self._election.identity)

    async def release(self) -> None:
        """Release every Lease that this process holds."""
        for task in self._tasks:
            task.cancel()
        for end in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(end, Exception):
                logger.error("leader election failed", exc_info=end)
        for lock in self._locks:
            with contextlib.suppress(ApiException, *_UNREACHABLE):
                await lock.release()
            self._observe(lock.name, False)  # noqa: FBT003
        await self._client.close()  # type: ignore[no-untyped-call]

    async def _hold(self, lock: _Lock, acquired: asyncio.Event) -> None:
        async def started_leading() -> None:
            acquired.set()
            await asyncio.Event().wait()

        async def stopped_leading() -> None:
            return None

        config = Config(
            lock,
            lease_duration=round(self._election.lease_duration),  # a Lease holds whole seconds
            renew_deadline=self._election.renew_deadline,
            retry_period=self._election.retry_period,
            onstarted_leading=started_leading,
            onstopped_leading=stopped_leading,
        )
        watchdog = asyncio.create_task(self._check_deadline(lock, acquired))
        try:
            await LeaderElection(config).run()
        finally:
            watchdog.cancel()
            self.lost.set()

    async def _check_deadline(self, lock: _Lock, acquired: asyncio.Event) -> None:
        """Give up at the renew deadline: the library checks it only between its attempts."""
        await acquired.wait()
        while True:
            left = lock.renewed + self._election.renew_deadline - time.monotonic()
            if left <= 0:
                logger.error("lease not renewed in time", lease=lock.name)
                self.lost.set()
                return
            await asyncio.sleep(left)


class _Lock(LeaseLock):
    """A LeaseLock that tolerates a lost connection, writes times in UTC, and can be released.

    It inherits because the library has no other way to change a lock.
    """

    def __init__(self, name: str, election: LeaderElectionConfig, client: ApiClient) -> None:
        super().__init__(name, election.namespace, election.identity, client)
        # A request must not outlast the deadline within which the Lease has to be renewed.
        self._timeout = election.renew_deadline / 2
        self.renewed = time.monotonic()
        """When the request of the last successful write was sent."""

    async def get(self, name: str, namespace: str) -> tuple[bool, Any]:
        try:
            async with asyncio.timeout(self._timeout):
                found: tuple[bool, Any] = await super().get(name, namespace)
        except _UNREACHABLE as error:
            return False, ApiException(status=0, reason=f"API server unreachable: {error}")
        return found

    async def create(
        self, name: str, namespace: str, election_record: LeaderElectionRecord
    ) -> bool:
        # Not the library's create: it passes a parameter that its own client rejects.
        spec = self.update_lease(_in_utc(election_record))
        lease = V1Lease(metadata=V1ObjectMeta(name=name), spec=spec)
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                await self.api_instance.create_namespaced_lease(namespace, lease)
        except (ApiException, *_UNREACHABLE) as error:
            logger.warning("lease not created", lease=name, error=str(error))
            return False
        self.renewed = began
        return True

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                written = await super().update(name, namespace, _in_utc(updated_record))
        except _UNREACHABLE:
            return False
        if written:
            self.renewed = began
        return bool(written)

    async def release(self) -> None:
        found, record = await self.get(self.name, self.namespace)
        if found and record is not None and record.holder_identity == self.identity:
            lease = self.lease_reference
            if lease is None or lease.spec is None:
                return
            lease.spec.holder_identity = ""
            async with asyncio.timeout(self._timeout):
                await self.api_instance.replace_namespaced_lease(
                    name=self.name, namespace=self.namespace, body=lease
                )
            logger.info("lease released", lease=self.name)


def _in_utc(record: LeaderElectionRecord) -> LeaderElectionRecord:
    """Return the record in UTC.

    The library labels local time as UTC, and fails on a full second.
    """
    now = datetime.now(UTC).strftime(_TIME_FORMAT)
    acquired = record.acquire_time
    if acquired is None or acquired == record.renew_time:
        acquired = now  # just acquired
    else:
        acquired = datetime.fromisoformat(acquired).strftime(_TIME_FORMAT)
    return LeaderElectionRecord(record.holder_identity, record.lease_duration, acquired, now)
