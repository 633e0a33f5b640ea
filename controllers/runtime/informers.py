"""One informer per kind: lists in pages, watches with bookmarks, remembers records.

No Python library holds 100,000 objects in the memory of a small pod or keeps quiet about its own
writes; this one does both. Handlers get names, never objects: a reconcile looks for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from controllers.manifests import COMPONENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, Body
from controllers.runtime import projections
from controllers.runtime.clusters import Cluster, status_error
from controllers.runtime.declarations import AnyController, Owned, Watched
from controllers.runtime.echoes import Echoes
from controllers.runtime.errors import ApiError, UnreachableError
from controllers.runtime.kinds import KINDS, Kind, Mode
from controllers.runtime.memories import Records
from controllers.runtime.projections import Record
from controllers.runtime.queues import Backoff
from controllers.runtime.slots import Priority

logger = structlog.stdlib.get_logger(__name__)

PAGE = 500
"""Objects per page of a list: a page is dropped as soon as it is digested."""
_WATCH_SECONDS = (240, 360)
"""Bounds of a watch's life; the server ends it, so that load spreads over its replicas."""
_GONE = 410
_NOT_FOUND = 404
_REFUSALS = (401, 403)
_FOR_EVER = sys.maxsize
_MOST_LATEST = 64
"""Objects: a storm of edits is repaired by reading, a single one without."""
OUTAGE = 5.0
"""Seconds of a watch being down from which on backoffs have grown that nobody shall wait out."""
_RECONNECT = Backoff(first=0.1, longest=5.0)
_ABSENT_RETRY = 2.0


Written = tuple[bytes, str, str]
"""What a write leaves on the server: digest, UID of the owning Profile, controller."""


class Wake(Protocol):
    """Called when something happened to a profile."""

    def __call__(self, profile: str, controller: str | None, priority: Priority, /) -> None:
        """``controller`` None means every controller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interest:
    """Who wants what of one kind."""

    owners: Mapping[str, Owned]
    watchers: Mapping[str, Watched]
    all_objects: bool = False
    """Namespaces: each one is remembered, whoever it belongs to."""

    @property
    def selector(self) -> str:
        """The server-side label selector; empty where unlabelled objects count too."""
        if self.all_objects or self.watchers or any(own.legacy for own in self.owners.values()):
            return ""
        components = ",".join(sorted(self.owners))
        return f"{MANAGED_BY_LABEL}={MANAGED_BY},{COMPONENT_LABEL} in ({components})"

    def keep(self, kind: Kind, body: Body) -> Record | None:
        """The record of an object that somebody is interested in."""
        metadata = body["metadata"]
        labels = metadata.get("labels") or {}
        ours = (
            labels.get(MANAGED_BY_LABEL) == MANAGED_BY
            and labels.get(COMPONENT_LABEL) in self.owners
        )
        kept = None
        if self.watchers:
            found = {name: watch.keep(body) for name, watch in self.watchers.items()}
            kept = {name: value for name, value in found.items() if value is not None} or None
        legacy = () if ours else self._legacy(metadata)
        if ours or kept or self.all_objects or legacy:
            return projections.project(kind, body, kept, legacy)
        return None

    def _legacy(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(
            name for name, own in self.owners.items() if own.legacy and own.legacy(metadata)
        )


def interests(controllers: Sequence[AnyController]) -> dict[str, Interest]:
    """What these controllers together want to know, by kind; Namespaces always."""
    result = {"Namespace": Interest(owners={}, watchers={}, all_objects=True)}
    for controller in controllers:
        for kind in {own.kind for own in controller.owned} | {w.kind for w in controller.watched}:
            before = result.get(kind, Interest(owners={}, watchers={}))
            owned = [(controller.name, own) for own in controller.owned if own.kind == kind]
            watched = [(controller.name, one) for one in controller.watched if one.kind == kind]
            result[kind] = Interest(
                owners={**before.owners, **dict(owned)},
                watchers={**before.watchers, **dict(watched)},
                all_objects=before.all_objects,
            )
    return result


class Informer:
    """The memory of one kind. ``synced`` once its first list is complete."""

    def __init__(
        self,
        kind: Kind,
        interest: Interest,
        cluster: Cluster,
        wake: Wake,
        *,
        clock: Callable[[], float],
        holds: Callable[[str], bool] = lambda _uid: True,
    ) -> None:
        """``holds`` says of an owner's UID whether it belongs to this process's shard."""
        self.kind = kind
        self.interest = interest
        self.synced = False
        self.absent = False
        self.trouble = "not listed yet"
        self.down_since: float | None = clock()
        self.version = kind.versions[0]
        self.recovered: Callable[[], None] = lambda: None
        """Called when the watch is up after it was down for OUTAGE seconds."""
        self.listed: Callable[[], None] = lambda: None
        """Called when a first list is complete, or that of a kind which was not served."""
        self.refusal: ApiError | None = None
        """The API server's word that this identity may not list the kind, while that holds."""
        self._expired = 0
        self._cluster = cluster
        self._wake = wake
        self._clock = clock
        self._holds = holds
        self._records = Records()
        self._expected: dict[tuple[str, str], Written | None] = {}
        self._buried: dict[str, int] = {}  # UID -> resourceVersion up to which it is dead
        self._echoes = Echoes()
        self._latest: dict[tuple[str, str], Body] = {}
        self._resource_version = ""
        self._failures = 0

    def get(self, namespace: str, name: str) -> Record | None:
        """The record of one object, or None."""
        return self._records.get(namespace, name)

    def named(self, namespace: str) -> Mapping[str, Record]:
        """The records of a namespace, by name."""
        return self._records.named(namespace)

    def owned(self, namespace: str, uid: str) -> Iterator[tuple[str, str, Record]]:
        """Namespace, name and record of every object that this Profile controls."""
        return self._records.owned(namespace, uid)

    def __len__(self) -> int:
        """How many objects are remembered."""
        return len(self._records)

    def count(self, component: str) -> int:
        """How many of them carry a controller's labels; from any thread."""
        return self._records.count(component)

    def take_latest(self, namespace: str, name: str) -> Body | None:
        """The object as its last event showed it, once; None where it must be read.

        That holds for what carries our labels, was just changed by somebody else, and has not been
        heard of since. A write that is based on it must name its resourceVersion; for a kind that
        is applied instead there is never one.
        """
        return self._latest.pop((namespace, name), None)

    # -- our own writes -------------------------------------------------------------------------

    def expect(self, namespace: str, name: str, content: Written | None) -> None:
        """We are about to write this, or (None) to delete: the echo of it shall wake nobody."""
        self._expected[namespace, name] = content
        self._latest.pop((namespace, name), None)

    def settle(self, namespace: str, name: str, body: Body | None) -> Record | None:
        """The write was answered with this body (None: it failed); the record of it."""
        self._expected.pop((namespace, name), None)
        if body is None:
            return None
        metadata = body["metadata"]
        if self._is_dead(metadata):  # deleted again before we heard of our own write
            del self._buried[metadata["uid"]]
            return None
        before = self.get(namespace, name)
        if before is not None and _known(before, metadata):
            return self._caught_up(namespace, name, before, body)
        record = self.interest.keep(self.kind, body)
        if record is not None:
            self._records.remember(namespace, name, record)
            self._echoes.add(metadata["resourceVersion"])
        return record

    def _caught_up(self, namespace: str, name: str, known: Record, body: Body) -> Record | None:
        """The watch was quicker than the answer: tell when others edited it after our write."""
        if known.version == int(body["metadata"]["resourceVersion"]):
            return known
        written = self.interest.keep(self.kind, body)
        if written is not None and not written.same(known):
            self._tell(namespace, name, written, known, None)
        return written

    def bury(self, namespace: str, name: str, uid: str) -> None:
        """We deleted it, and it is gone: late events of it are nothing new."""
        self._expected.pop((namespace, name), None)
        before = self.get(namespace, name)
        if before is not None and before.uid == uid:
            self._buried[uid] = _FOR_EVER
            self._records.forget(namespace, name)

    # -- list and watch -------------------------------------------------------------------------

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                await self._follow()
            except UnreachableError as error:
                await self._stumble(f"API server unreachable: {error}")
            except ApiError as error:
                if error.code == _GONE:
                    await self._start_over(error)
                elif error.code == _NOT_FOUND:
                    await self._wait_for_kind()
                else:
                    self.refusal = error if error.code in _REFUSALS else None
                    await self._stumble(str(error))

    async def _follow(self) -> None:
        if not self._resource_version:
            await self._list()
        query = {
            "resourceVersion": self._resource_version,
            "timeoutSeconds": str(random.randint(*_WATCH_SECONDS)),  # noqa: S311 - no secret
        }
        async for events in self._cluster.watch(self._path(), self._query(query), self._echoes):
            self._well()
            for event in events:
                self._take(event)
            if events:
                self._expired = 0
        # A stream that the server ended in order is taken up again where it ended.
        await asyncio.sleep(_RECONNECT.first)

    async def _list(self) -> None:
        seen: dict[str, set[str]] = {}
        metadata: Body = {}
        async with contextlib.aclosing(self._pages()) as pages:
            async for page in pages:
                for body in page.get("items") or ():
                    namespace, name = self._place(body)
                    seen.setdefault(namespace, set()).add(name)
                    self._absorb(body)
                metadata = page["metadata"]
        self._sweep(seen, int(metadata["resourceVersion"]))
        self._resource_version = metadata["resourceVersion"]
        self.absent = False
        self._well()
        if not self.synced:
            self.synced = True
            logger.info("informer synced", kind=self.kind.name, objects=len(self))
            self.listed()

    async def _pages(self) -> AsyncGenerator[Body]:
        """The pages of a list; the API server makes the next while one is digested."""
        query = self._query({"limit": str(PAGE)})
        page = await self._cluster.get(self._path(), query)
        while onward := page["metadata"].get("continue"):
            request = self._cluster.get(self._path(), {**query, "continue": onward})
            following = asyncio.create_task(request)
            try:
                await asyncio.sleep(0)  # the request is on its way before the digesting begins
                yield page
                page = await following
            finally:
                following.cancel()
        yield page

    def _sweep(self, seen: Mapping[str, set[str]], version: int) -> None:
        """Forget what a list of this version no longer shows: it went while no watch was up."""
        self._buried.clear()
        self._echoes.clear()
        for namespace, name, record in self._records:
            # A later version is one that we wrote since.
            if name not in seen.get(namespace, ()) and record.version <= version:
                self._vanish(namespace, name)

    def _take(self, event: Body) -> None:
        body = event["object"]
        match event["type"]:
            case "ADDED" | "MODIFIED":
                self._absorb(body)
            case "DELETED":
                namespace, name = self._place(body)
                self._end(namespace, name, body["metadata"])
            case "ERROR":
                self._resource_version = ""
                raise status_error(body)
        self._resource_version = body["metadata"]["resourceVersion"]

    def _end(self, namespace: str, name: str, metadata: Body) -> None:
        """It was deleted, or has left the selector: then a later version may come back."""
        uid = metadata["uid"]
        if self._expected.get((namespace, name)) is None:
            self._buried.pop(uid, None)
        else:  # the answer to our write may still bring it back
            self._buried[uid] = int(metadata["resourceVersion"])
        before = self.get(namespace, name)
        if before is not None and before.uid == uid:
            self._vanish(namespace, name)

    def _absorb(self, body: Body) -> None:
        namespace, name = self._place(body)
        before = self.get(namespace, name)
        if before is not None and _known(before, body["metadata"]):
            return
        self._latest.pop((namespace, name), None)
        record = self.interest.keep(self.kind, body)
        if record is None or (record.owner and not self._holds(record.owner)):
            if before is not None:
                self._vanish(namespace, name)
            return
        if self._is_dead(body["metadata"]):
            return
        self._records.remember(namespace, name, record)
        if before is not None and before.same(record):
            return
        if self._is_echo(namespace, name, record) or not self.synced:
            return
        if record.component in self.interest.owners and self.kind.mode is Mode.EXACT:
            self._keep_latest(namespace, name, body)
        self._tell(namespace, name, before, record, body)

    def _keep_latest(self, namespace: str, name: str, body: Body) -> None:
        self._latest[namespace, name] = body
        if len(self._latest) > _MOST_LATEST:
            del self._latest[next(iter(self._latest))]

    def _is_dead(self, metadata: Body) -> bool:
        return int(metadata["resourceVersion"]) <= self._buried.get(metadata["uid"], -1)

    def _is_echo(self, namespace: str, name: str, record: Record) -> bool:
        if (namespace, name) not in self._expected:
            return False
        expected = self._expected[namespace, name]
        if expected is None:
            return record.deleting
        # Of a merge kind no digest is known before the answer: its echo may wake once too often.
        written = (record.digest, record.owner, record.component)
        return written == expected and self.kind.mode is not Mode.MERGE

    def _vanish(self, namespace: str, name: str) -> None:
        self._latest.pop((namespace, name), None)
        before = self._records.forget(namespace, name)
        deleting = self._expected.get((namespace, name), ()) is None
        if self.synced and not deleting:
            self._tell(namespace, name, before, None, None)

    def _tell(
        self,
        namespace: str,
        name: str,
        before: Record | None,
        after: Record | None,
        body: Body | None,
    ) -> None:
        if self.interest.all_objects:
            self._wake(name, None, Priority.EVENT)
        for record in (before, after):
            if record is None:
                continue
            profile = record.owner_name or namespace
            component = record.component
            owners = [component] if component in self.interest.owners else self.interest.owners
            # One that is nobody's, and remembered for its name alone, stands in the way of ours.
            concerns = record.owner or component or record.kept is None
            for controller in owners if concerns else ():
                self._wake(profile, controller, Priority.EVENT)
        old = (before.kept if before else None) or {}
        new = (after.kept if after else None) or {}
        for controller, watch in self.interest.watchers.items():
            if old.get(controller) != new.get(controller):
                told = body or {"metadata": {"namespace": namespace, "name": name}}
                profile_name = watch.wakes(told)
                if profile_name:
                    self._wake(profile_name, controller, Priority.EVENT)

    # -- connection -----------------------------------------------------------------------------

    def health(self) -> str:
        """A sentence for /readyz?verbose; empty when all is well."""
        return "" if self.synced and self.down_since is None else self.trouble

    def _well(self) -> None:
        if self.synced and self.down_since is not None:
            logger.info("watch is up again", kind=self.kind.name)
            if self._clock() - self.down_since >= OUTAGE:
                self.recovered()
        self.down_since = None
        self.trouble = ""
        self.refusal = None
        self._failures = 0

    async def _stumble(self, trouble: str) -> None:
        self._failures += 1
        self.trouble = trouble
        if self.down_since is None:
            self.down_since = self._clock()
        delay = _RECONNECT.delay(self._failures)
        if self._failures == 1 or self._failures % 10 == 0:
            logger.warning(
                "watch is down", kind=self.kind.name, error=trouble, retry_seconds=round(delay, 1)
            )
        await asyncio.sleep(delay)

    async def _start_over(self, error: ApiError) -> None:
        """The version watched from is too old: list again; the second time in a row, later."""
        self._resource_version = ""
        self._expired += 1
        if self._expired > 1:
            await self._stumble(str(error))

    async def _wait_for_kind(self) -> None:
        """Not served in this version: look for the next one, and wait when there is none."""
        self._resource_version = ""
        later = self.kind.versions[self.kind.versions.index(self.version) + 1 :]
        self.version = (*later, self.kind.versions[0])[0]
        if not later:
            self._lack_kind()
            await asyncio.sleep(_ABSENT_RETRY)

    def _lack_kind(self) -> None:
        """The cluster serves no such kind; what was remembered went with it."""
        if not self.absent:
            logger.warning("kind is not served; waiting for it", kind=self.kind.name)
        self.absent = True
        self.synced = False
        self._records.clear()
        self.trouble = f"the cluster serves no {self.kind.plural}.{self.kind.group} yet"
        if self.down_since is None:
            self.down_since = self._clock()

    def _path(self) -> str:
        return self.kind.path(version=self.version)

    def _query(self, query: Mapping[str, str]) -> dict[str, str]:
        selectors = {"labelSelector": self.interest.selector, "fieldSelector": self.kind.unread}
        return {**query, **{key: value for key, value in selectors.items() if value}}

    def _place(self, body: Body) -> tuple[str, str]:
        metadata = body["metadata"]
        # Thousands of namespaces hold objects of the same few names.
        return sys.intern(metadata.get("namespace", "")), sys.intern(metadata["name"])


def _known(before: Record, metadata: Body) -> bool:
    """Whether this is old news: mostly the echo of a write whose answer came first."""
    return before.uid == metadata["uid"] and before.version >= int(metadata["resourceVersion"])


def informers_for(
    controllers: Sequence[AnyController],
    cluster: Cluster,
    wake: Wake,
    *,
    clock: Callable[[], float],
    holds: Callable[[str], bool] = lambda _uid: True,
) -> dict[str, Informer]:
    """An informer for every kind that these controllers own or watch, by kind."""
    return {
        name: Informer(KINDS[name], interest, cluster, wake, clock=clock, holds=holds)
        for name, interest in interests(controllers).items()
    }
