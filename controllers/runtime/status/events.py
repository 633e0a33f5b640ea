"""Events on Profiles: what a person must act on, and what was changed. Said once, counted after.

Written with the process's own client rather than kopf's: kopf posts from within its handlers, does
not aggregate, and its queue is not bounded by --max-writes (docs/designs/0001-events.md).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from controllers.manifests import MANAGED_BY, Body
from controllers.profiles import KIND, Profile
from controllers.runtime.client.client import MERGE_PATCH, Client
from controllers.runtime.errors import ApiError, UnreachableError

logger = structlog.stdlib.get_logger(__name__)

NAMESPACE = "default"
"""Where events of cluster-scoped objects live."""
REPEAT = 3600.0
"""Seconds before the same event of the same profile is worth another write."""
LONGEST_MESSAGE = 1024
CAPACITY = 20_000
"""Events that may wait, and that are remembered as told."""
_POSTERS = 8
"""As many as keep pace with the writes that they tell of; --max-writes bounds them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event to be told of a profile."""

    controller: str
    reason: str
    message: str
    warning: bool = False


class Recorder:
    """Posts events in the background; ``record`` never waits and never fails."""

    def __init__(
        self,
        cluster: Client,
        *,
        clock: Callable[[], float],
        identity: str,
        capacity: int = CAPACITY,
    ) -> None:
        """``clock`` gives monotonic seconds; ``identity`` names this process in the events."""
        self._cluster = cluster
        self._clock = clock
        self._identity = identity
        self._capacity = capacity
        self._queue: asyncio.Queue[tuple[Profile, Event]] = asyncio.Queue(capacity)
        self._told: OrderedDict[str, float] = OrderedDict()
        self._pending = 0
        self.dropped = 0
        """How many events were not told, because too many waited; shown as a metric."""

    def record(self, profile: Profile, event: Event) -> None:
        """Tell it, unless the same was told within REPEAT; drops it when too many wait."""
        name = _name(profile, event)
        now = self._clock()
        if now - self._told.get(name, -REPEAT) < REPEAT:
            return
        try:
            self._queue.put_nowait((profile, event))
        except asyncio.QueueFull:
            self.dropped += 1
            return
        self._pending += 1
        self._told[name] = now
        self._told.move_to_end(name)
        while len(self._told) > self._capacity:
            self._told.popitem(last=False)

    @property
    def idle(self) -> bool:
        """Whether no event waits to be posted or is being posted."""
        return not self._pending

    async def run(self) -> None:
        """Post what is recorded until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_POSTERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            profile, event = await self._queue.get()
            try:
                await self._post(profile, event)
            except (ApiError, UnreachableError) as error:
                logger.warning("event not posted", profile=profile.name, error=str(error))
                self._told.pop(_name(profile, event), None)
            finally:
                self._pending -= 1
                self._queue.task_done()

    async def drain(self) -> None:
        """Post everything recorded so far, whether ``run`` runs or not; returns when it is done."""
        helpers = [asyncio.create_task(self._work()) for _ in range(_POSTERS)]
        await self._queue.join()
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)

    async def _post(self, profile: Profile, event: Event) -> None:
        name = _name(profile, event)
        path = f"/api/v1/namespaces/{NAMESPACE}/events"
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            await self._cluster.write(
                "POST", path, _body(profile, event, name, now, self._identity)
            )
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            await self._count(f"{path}/{name}", now)

    async def _count(self, path: str, now: str) -> None:
        """The same was told before, perhaps by an earlier process: count it there."""
        live = await self._cluster.get(path)
        patch: Body = {"count": int(live.get("count") or 1) + 1, "lastTimestamp": now}
        await self._cluster.write("PATCH", path, patch, content_type=MERGE_PATCH)


def _name(profile: Profile, event: Event) -> str:
    """The same event of the same profile has the same name, over restarts too."""
    told = f"{profile.uid}/{event.controller}/{event.reason}/{event.message}"
    return f"{profile.name[:200]}.{hashlib.blake2b(told.encode(), digest_size=8).hexdigest()}"


def _body(profile: Profile, event: Event, name: str, now: str, identity: str) -> Body:
    component = f"{MANAGED_BY}-{event.controller}"
    message = event.message
    if len(message.encode()) > LONGEST_MESSAGE:
        message = message.encode()[: LONGEST_MESSAGE - 3].decode("utf-8", "ignore") + "..."
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "involvedObject": {
            "apiVersion": profile.api_version,
            "kind": KIND,
            "name": profile.name,
            "uid": profile.uid,
        },
        "reason": event.reason,
        "message": message,
        "type": "Warning" if event.warning else "Normal",
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": identity,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
