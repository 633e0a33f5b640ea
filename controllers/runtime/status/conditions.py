"""Writes conditions to Profiles, one writer per process, and only when they change.

The CRD does not declare ``status.conditions`` as a map list, so a patch replaces the whole list.
Every patch states the resourceVersion that it is based on. After a conflict the Profile is read
again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from controllers.manifests import Body
from controllers.profiles import Condition, Profile, parse_profile
from controllers.runtime.cache.profiles import ProfileStore
from controllers.runtime.client.client import MERGE_PATCH, Client
from controllers.runtime.errors import ApiError, UnreachableError
from controllers.runtime.objects.kinds import KINDS
from controllers.runtime.workqueue import ShutDown, WorkQueue

logger = structlog.stdlib.get_logger(__name__)

BATCH_SECONDS = 0.1
"""How long a condition waits for conditions of other controllers, to share a write."""
DEBOUNCE_SECONDS = 3.0
"""How long a debounced condition has to last before it is written."""
MAX_MESSAGE = 1024
_ATTEMPTS = 5
_WRITERS = 8
"""Enough to keep up with the writes that are reported; --max-writes bounds all of them."""
_TICK = 0.01
_CONFLICT, _NOT_FOUND = 409, 404


class ConditionWriter:
    """Collects conditions and writes them, one Profile per request."""

    def __init__(
        self, client: Client, profiles: ProfileStore, *, clock: Callable[[], float]
    ) -> None:
        """``clock`` returns monotonic seconds."""
        self._client = client
        self._profiles = profiles
        self._queue = WorkQueue(clock=clock)
        self._pending: dict[str, dict[str, Condition]] = {}
        self._writing: set[str] = set()

    def set(self, name: str, condition: Condition) -> None:
        """Set a condition of a Profile. Nothing is written if the Profile has it already."""
        self._set(name, condition, BATCH_SECONDS)

    def set_debounced(self, name: str, condition: Condition) -> None:
        """Set a condition that is only written if it is still set after ``DEBOUNCE_SECONDS``."""
        self._set(name, condition, DEBOUNCE_SECONDS)

    def forget(self, name: str) -> None:
        """Drop the conditions of a Profile that is deleted."""
        self._pending.pop(name, None)
        self._queue.remove(name)

    def retry_now(self) -> None:
        """Retry failed writes now, because the API server is reachable again."""
        self._queue.retry_now()

    @property
    def idle(self) -> bool:
        """Whether no condition waits to be written or retried."""
        return not self._pending and self._queue.idle

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_WRITERS):
                group.create_task(self._work())

    async def flush(self) -> None:
        """Attempt every pending write now, whether ``run`` runs or not."""
        helpers = [asyncio.create_task(self._work()) for _ in range(_WRITERS)]
        self._queue.retry_now()
        while not self._queue.idle:  # noqa: ASYNC110 - ``run`` may process some of the keys
            await asyncio.sleep(_TICK)
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)

    def _set(self, name: str, condition: Condition, delay: float) -> None:
        condition = _truncated(condition)
        profile = self._profiles.get(name)
        pending = self._pending.get(name)
        # While an earlier condition is being written, the stored Profile may be outdated.
        in_flight = name in self._writing
        if not in_flight and profile is not None and condition in profile.conditions:
            if pending is not None:
                pending.pop(condition.type, None)
            return
        self._pending.setdefault(name, {})[condition.type] = condition
        self._queue.add_after(name, delay)

    async def _work(self) -> None:
        while True:
            try:
                name = await self._queue.get()
            except ShutDown:
                return
            try:
                await self._write_pending(name)
            finally:
                self._queue.done(name)

    async def _write_pending(self, name: str) -> None:
        pending = self._pending.pop(name, None)
        if not pending:
            return
        self._writing.add(name)
        try:
            await self._write(name, list(pending.values()))
        except (ApiError, UnreachableError) as error:
            logger.warning("condition not written", profile=name, error=str(error))
            if name in self._pending or self._profiles.get(name) is not None:
                self._pending[name] = {**pending, **self._pending.get(name, {})}
                self._queue.add_rate_limited(name)
        else:
            self._queue.forget(name)
        finally:
            self._writing.discard(name)

    async def _write(self, name: str, conditions: Iterable[Condition]) -> None:
        profile = self._profiles.get(name)
        for _ in range(_ATTEMPTS):
            if profile is None or profile.deleting:
                return
            version = profile.api_version.partition("/")[2]
            path = KINDS["Profile"].path(name=name, version=version)
            merged = merge(profile.conditions, conditions)
            if merged == profile.conditions:
                return
            try:
                response = await self._client.write(
                    "PATCH", path + "/status", _patch(profile, merged), content_type=MERGE_PATCH
                )
            except ApiError as error:
                if error.code == _NOT_FOUND:
                    return
                if error.code != _CONFLICT:
                    raise
                profile = await self._read_again(path, profile.uid)
            else:
                self._profiles.update_status(parse_profile(response))
                return
        message = f"the conditions of Profile {name} were modified concurrently; will retry"
        raise UnreachableError(message)

    async def _read_again(self, path: str, uid: str) -> Profile | None:
        """Return the current Profile; None when it is deleted, or replaced by a new one."""
        try:
            profile = parse_profile(await self._client.get(path))
        except ApiError as error:
            if error.code == _NOT_FOUND:
                return None
            raise
        return profile if profile.uid == uid else None


def merge(present: Iterable[Condition], conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return the list with each condition replaced in its place, or appended in type order."""
    new = {condition.type: condition for condition in conditions}
    merged = [new.pop(condition.type, condition) for condition in present]
    return (*merged, *(new[type_] for type_ in sorted(new)))


def _patch(profile: Profile, conditions: Iterable[Condition]) -> Body:
    return {
        "metadata": {"resourceVersion": profile.resource_version, "uid": profile.uid},
        "status": {
            "conditions": [
                {"type": one.type, "status": one.status, "message": one.message}
                for one in conditions
            ]
        },
    }


def _truncated(condition: Condition) -> Condition:
    if len(condition.message) <= MAX_MESSAGE:
        return condition
    return Condition(
        type=condition.type,
        status=condition.status,
        message=condition.message[: MAX_MESSAGE - 3] + "...",
    )
