"""Leader election by Lease, with kubernetes.aio's own loop; released when the process ends."""

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
from controllers.runtime import tracebacks
from controllers.runtime.client.config import RestConfig
from controllers.runtime.options import Election, Shard

logger = structlog.stdlib.get_logger(__name__)

_LIBRARY = "kubernetes.aio.leaderelection"
_MOMENT = "%Y-%m-%d %H:%M:%S.%f"
_UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)


def lease_name(controller: str, shard: Shard) -> str:
    """``profiles-controller-<controller>``, and the shard where there are several."""
    part = f"-{shard.index}-of-{shard.count}" if shard.count > 1 else ""
    return f"{MANAGED_BY}-{controller}{part}"


class Leases:
    """One Lease a controller; the process leads once it holds all of them.

    They are taken one after the other in the order of their names, so that two processes with
    several controllers cannot each hold half of them for ever.
    """

    def __init__(
        self,
        config: RestConfig,
        election: Election,
        names: Sequence[str],
        observe: Callable[[str, bool], None],
    ) -> None:
        """``observe`` is told of each Lease that is won or lost."""
        self._client = config.api_client()
        self._election = election
        self._names = sorted(names)
        self._observe = observe
        self._tasks: list[asyncio.Task[None]] = []
        self._locks: list[_Lock] = []
        self.lost = asyncio.Event()
        tracebacks.silence(f"{_LIBRARY}.leaderelection", f"{_LIBRARY}.resourcelock.leaselock")

    async def acquire(self) -> None:
        """Wait until this process leads."""
        for name in self._names:
            won = asyncio.Event()
            lock = _Lock(name, self._election, self._client)
            self._locks.append(lock)
            self._tasks.append(asyncio.create_task(self._hold(lock, won), name=f"lease {name}"))
            logger.info("waiting for the lease", lease=name, identity=self._election.identity)
            await won.wait()
            self._observe(name, True)  # noqa: FBT003 - a Callable takes no keywords
            logger.info("leading", lease=name, identity=self._election.identity)

    async def release(self) -> None:
        """Give every Lease that is still ours to whoever asks next."""
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

    async def _hold(self, lock: _Lock, won: asyncio.Event) -> None:
        async def lead() -> None:
            won.set()
            await asyncio.Event().wait()

        async def stop() -> None:
            return None

        config = Config(
            lock,
            lease_duration=round(self._election.lease_duration),  # a Lease holds whole seconds
            renew_deadline=self._election.renew_deadline,
            retry_period=self._election.retry_period,
            onstarted_leading=lead,
            onstopped_leading=stop,
        )
        watchdog = asyncio.create_task(self._watch_over(lock, won))
        try:
            await LeaderElection(config).run()
        finally:
            watchdog.cancel()
            self.lost.set()

    async def _watch_over(self, lock: _Lock, won: asyncio.Event) -> None:
        """The library asks for the time only between its attempts; an attempt may hang."""
        await won.wait()
        while True:
            left = lock.renewed + self._election.renew_deadline - time.monotonic()
            if left <= 0:
                logger.error("lease not renewed in time", lease=lock.name)
                self.lost.set()
                return
            await asyncio.sleep(left)


class _Lock(LeaseLock):
    """A Lease that survives a lost connection, states times in UTC, and can be given back."""

    def __init__(self, name: str, election: Election, client: ApiClient) -> None:
        super().__init__(name, election.namespace, election.identity, client)
        # A request that hangs must not outlast the deadline within which we must renew.
        self._patience = election.renew_deadline / 2
        self.renewed = time.monotonic()
        """When the Lease was last written, before it was sent."""

    async def get(self, name: str, namespace: str) -> tuple[bool, Any]:
        try:
            async with asyncio.timeout(self._patience):
                found: tuple[bool, Any] = await super().get(name, namespace)
        except _UNREACHABLE as error:
            return False, ApiException(status=0, reason=f"API server unreachable: {error}")
        return found

    async def create(
        self, name: str, namespace: str, election_record: LeaderElectionRecord
    ) -> bool:
        # Not the library's create: it asks for a pretty answer in a way that its client refuses.
        spec = self.update_lease(_in_utc(election_record))
        lease = V1Lease(metadata=V1ObjectMeta(name=name), spec=spec)
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._patience):
                await self.api_instance.create_namespaced_lease(namespace, lease)
        except (ApiException, *_UNREACHABLE) as error:
            logger.warning("lease not created", lease=name, error=str(error))
            return False
        self.renewed = began
        return True

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._patience):
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
            async with asyncio.timeout(self._patience):
                await self.api_instance.replace_namespaced_lease(
                    name=self.name, namespace=self.namespace, body=lease
                )
            logger.info("lease released", lease=self.name)


def _in_utc(record: LeaderElectionRecord) -> LeaderElectionRecord:
    """The library writes local time and calls it UTC, and stumbles over a full second."""
    now = datetime.now(UTC).strftime(_MOMENT)
    acquired = record.acquire_time
    if acquired is None or acquired == record.renew_time:
        acquired = now  # newly won
    else:
        acquired = datetime.fromisoformat(acquired).strftime(_MOMENT)
    return LeaderElectionRecord(record.holder_identity, record.lease_duration, acquired, now)
