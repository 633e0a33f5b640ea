"""Posts events on Profiles: changes, and what a person must act on. Repeated events are counted.

This uses the client of the process instead of kopf's event posting: kopf posts from its handlers,
does not aggregate, and --max-writes does not bound its queue (docs/designs/0001-events.md).
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
"""The namespace of the events of cluster-scoped objects."""
REPEAT_SECONDS = 3600.0
"""How long the same event of the same Profile is not posted again."""
MAX_MESSAGE = 1024
CAPACITY = 20_000
"""How many events may wait, and how many posted ones are remembered."""
_POSTERS = 8
"""Enough to keep up with the writes that are reported; --max-writes bounds all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event on a Profile."""

    controller: str
    reason: str
    message: str
    warning: bool = False


class EventRecorder:
    """Posts events in the background. ``record`` never waits and never fails."""

    def __init__(
        self,
        client: Client,
        *,
        clock: Callable[[], float],
        identity: str,
        capacity: int = CAPACITY,
    ) -> None:
        """``clock`` returns monotonic seconds; ``identity`` is the reportingInstance."""
        self._client = client
        self._clock = clock
        self._identity = identity
        self._capacity = capacity
        self._queue: asyncio.Queue[tuple[Profile, Event]] = asyncio.Queue(capacity)
        self._posted: OrderedDict[str, float] = OrderedDict()
        self._pending = 0
        self.dropped = 0
        """How many events were dropped because too many waited; exposed as a metric."""

    def record(self, profile: Profile, event: Event) -> None:
        """Post an event, unless the same was posted within ``REPEAT_SECONDS``.

        Drops the event when too many wait.
        """
        name = _name(profile, event)
        now = self._clock()
        if now - self._posted.get(name, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return
        try:
            self._queue.put_nowait((profile, event))
        except asyncio.QueueFull:
            self.dropped += 1
            return
        self._pending += 1
        self._posted[name] = now
        self._posted.move_to_end(name)
        while len(self._posted) > self._capacity:
            self._posted.popitem(last=False)

    @property
    def idle(self) -> bool:
        """Whether no event waits to be posted or is being posted."""
        return not self._pending

    async def run(self) -> None:
        """Post events until cancelled."""
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
                self._posted.pop(_name(profile, event), None)
            finally:
                self._pending -= 1
                self._queue.task_done()

    async def flush(self) -> None:
        """Post every waiting event now, whether ``run`` runs or not."""
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
            await self._client.write("POST", path, _body(profile, event, name, now, self._identity))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            await self._count(f"{path}/{name}", now)

    async def _count(self, path: str, now: str) -> None:
        """Increase the count of an event that exists already, perhaps from an earlier process."""
        live = await self._client.get(path)
        patch: Body = {"count": int(live.get("count") or 1) + 1, "lastTimestamp": now}
        await self._client.write("PATCH", path, patch, content_type=MERGE_PATCH)


def _name(profile: Profile, event: Event) -> str:
    """Return the same name for the same event of the same Profile, also after a restart."""
    content = f"{profile.uid}/{event.controller}/{event.reason}/{event.message}"
    return f"{profile.name[:200]}.{hashlib.blake2b(content.encode(), digest_size=8).hexdigest()}"


def _body(profile: Profile, event: Event, name: str, now: str, identity: str) -> Body:
    component = f"{MANAGED_BY}-{event.controller}"
    message = event.message
    if len(message.encode()) > MAX_MESSAGE:
        message = message.encode()[: MAX_MESSAGE - 3].decode("utf-8", "ignore") + "..."
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
