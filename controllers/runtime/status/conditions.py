"""Conditions on Profiles: one writer a process, which writes only what changed.

``status.conditions`` is not declared as a map list, so a patch replaces it whole: every patch names
the resourceVersion that it was made for, and a conflict is answered by reading and trying again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

from controllers.manifests import Body
from controllers.profiles import Condition, Profile, parse_profile
from controllers.runtime.client.client import MERGE_PATCH, Client
from controllers.runtime.errors import ApiError, UnreachableError
from controllers.runtime.objects.kinds import KINDS
from controllers.runtime.workqueue import ShutDown, WorkQueue

logger = structlog.stdlib.get_logger(__name__)

PROMPT = 0.1
"""Seconds that a condition waits for those of other controllers of this process."""
PATIENT = 3.0
"""Seconds that a condition waits which is only worth telling when it lasts."""
LONGEST_MESSAGE = 1024
_TRIES = 5
_WRITERS = 8
"""As many as keep pace with the writes that they tell of; --max-writes bounds them all."""
_TICK = 0.01
_CONFLICT, _NOT_FOUND = 409, 404


class Profiles(Protocol):
    """What the writer needs of the profiles' store."""

    def get(self, name: str) -> Profile | None:
        """The profile of this name."""

    def observe_status(self, profile: Profile) -> None:
        """A newer status of a profile is known than its watch has told."""


class Writer:
    """Gathers what controllers say and writes it, a profile at a time."""

    def __init__(self, cluster: Client, profiles: Profiles, *, clock: Callable[[], float]) -> None:
        """``clock`` gives monotonic seconds."""
        self._cluster = cluster
        self._profiles = profiles
        self._queue = WorkQueue(clock=clock)
        self._said: dict[str, dict[str, Condition]] = {}
        self._writing: set[str] = set()

    def say(self, name: str, condition: Condition, *, patient: bool = False) -> None:
        """The condition is now this; nothing is written when it is so already."""
        condition = _bounded(condition)
        profile = self._profiles.get(name)
        said = self._said.get(name)
        # While an earlier word of this profile is being written, nobody knows how things stand.
        settled = name not in self._writing
        if settled and profile is not None and condition in profile.conditions:
            if said is not None:
                said.pop(condition.type, None)
            return
        self._said.setdefault(name, {})[condition.type] = condition
        self._queue.add_after(name, PATIENT if patient else PROMPT)

    def forget(self, name: str) -> None:
        """The profile is no more."""
        self._said.pop(name, None)
        self._queue.remove(name)

    def hurry(self) -> None:
        """The API server is back: try again now what failed."""
        self._queue.retry_now()

    @property
    def idle(self) -> bool:
        """Whether no condition waits to be written. Failed writes that wait for a retry count."""
        return not self._said and self._queue.idle

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_WRITERS):
                group.create_task(self._work())

    async def drain(self) -> None:
        """Write everything said so far, whether ``run`` runs or not; returns when it was tried."""
        helpers = [asyncio.create_task(self._work()) for _ in range(_WRITERS)]
        self._queue.retry_now()
        while not self._queue.idle:  # noqa: ASYNC110 - of many keys, some in the hands of ``run``
            await asyncio.sleep(_TICK)
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            try:
                name = await self._queue.get()
            except ShutDown:
                return
            try:
                await self._flush(name)
            finally:
                self._queue.done(name)

    async def _flush(self, name: str) -> None:
        said = self._said.pop(name, None)
        if not said:
            return
        self._writing.add(name)
        try:
            await self._write(name, list(said.values()))
        except (ApiError, UnreachableError) as error:
            logger.warning("condition not written", profile=name, error=str(error))
            if name in self._said or self._profiles.get(name) is not None:
                self._said[name] = {**said, **self._said.get(name, {})}
                self._queue.add_rate_limited(name)
        else:
            self._queue.forget(name)
        finally:
            self._writing.discard(name)

    async def _write(self, name: str, said: Iterable[Condition]) -> None:
        profile = self._profiles.get(name)
        for _ in range(_TRIES):
            if profile is None or profile.deleting:
                return
            version = profile.api_version.partition("/")[2]
            path = KINDS["Profile"].path(name=name, version=version)
            wanted = merge(profile.conditions, said)
            if wanted == profile.conditions:
                return
            try:
                answer = await self._cluster.write(
                    "PATCH", path + "/status", _patch(profile, wanted), content_type=MERGE_PATCH
                )
            except ApiError as error:
                if error.code == _NOT_FOUND:
                    return
                if error.code != _CONFLICT:
                    raise
                profile = await self._read_again(path, profile.uid)
            else:
                self._profiles.observe_status(parse_profile(answer))
                return
        message = f"conditions of profile {name} kept changing under our hands"
        raise UnreachableError(message)

    async def _read_again(self, path: str, uid: str) -> Profile | None:
        """The profile as it is now; None when it is gone, another of its name included."""
        try:
            profile = parse_profile(await self._cluster.get(path))
        except ApiError as error:
            if error.code == _NOT_FOUND:
                return None
            raise
        return profile if profile.uid == uid else None


def merge(present: Iterable[Condition], said: Iterable[Condition]) -> tuple[Condition, ...]:
    """The list with each condition that is said in its place, or at the end; others untouched."""
    wanted = {condition.type: condition for condition in said}
    merged = [wanted.pop(condition.type, condition) for condition in present]
    return (*merged, *(wanted[type_] for type_ in sorted(wanted)))


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


def _bounded(condition: Condition) -> Condition:
    if len(condition.message) <= LONGEST_MESSAGE:
        return condition
    return Condition(
        type=condition.type,
        status=condition.status,
        message=condition.message[: LONGEST_MESSAGE - 3] + "...",
    )
