"""One informer per kind: lists and watches in one stream, remembers records.

The list is the beginning of the watch (``sendInitialEvents``, Kubernetes' WatchList): a half of the
time and a third of our processor time that pages take, and no page is ever held in memory. An API
server that has no such lists is asked for pages.

No Python library holds 100,000 objects in the memory of a small pod or keeps quiet about its own
writes; this one does both. Handlers get names, never objects: a reconcile looks for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from controllers.manifests import Body
from controllers.runtime.backoff import Backoff
from controllers.runtime.cache import lists
from controllers.runtime.cache.store import Knowledge, Wake, place_of
from controllers.runtime.cache.subscriptions import Interest, interests
from controllers.runtime.client.client import Cluster
from controllers.runtime.client.responses import status_error
from controllers.runtime.controller import AnyController
from controllers.runtime.errors import ApiError, UnreachableError
from controllers.runtime.objects.kinds import KINDS, Kind

logger = structlog.stdlib.get_logger(__name__)

_WATCH_SECONDS = (240, 360)
"""Bounds of a watch's life; the server ends it, so that load spreads over its replicas."""
_GONE = 410
_NOT_FOUND = 404
_REFUSALS = (401, 403)
OUTAGE = 5.0
"""Seconds of a watch being down from which on backoffs have grown that nobody shall wait out."""
UNLISTED = "not listed yet"
"""What an informer says of itself until its first list ended, well or not."""
_RECONNECT = Backoff(initial=0.1, maximum=5.0)
_ABSENT_RETRY = 2.0


class Informer(Knowledge):
    """The knowledge of one kind, kept current. ``synced`` once its first list is complete."""

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
        super().__init__(kind, interest, wake, holds=holds)
        self.absent = False
        self.trouble = UNLISTED
        self.down_since: float | None = clock()
        self.version = kind.versions[0]
        self.recovered: Callable[[], None] = lambda: None
        """Called when the watch is up after it was down for OUTAGE seconds."""
        self.listed: Callable[[], None] = lambda: None
        """Called when a first list is complete, or that of a kind which was not served."""
        self.refusal: ApiError | None = None
        """The API server's word that this identity may not list the kind, while that holds."""
        self._cluster = cluster
        self._clock = clock
        self._resource_version = ""
        self._seen: dict[str, set[str]] | None = None
        """While a list is under way, what it has shown: names by namespace."""
        self._in_pages = False
        """The next list is not to be a stream: that was refused, or broke off."""
        self._expired = 0
        self._failures = 0

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
        if self._resource_version:
            await self._watch()
        elif self._in_pages:
            await self._list()
        else:
            await self._list_and_watch()

    async def _watch(self) -> None:
        since = (
            {"resourceVersion": self._resource_version}
            if self._resource_version
            else lists.STREAMED
        )
        seconds = random.randint(*_WATCH_SECONDS)  # noqa: S311 - no secret
        query = self._query({**since, "timeoutSeconds": str(seconds)})
        async for events in self._cluster.watch(self._path(), query, self.echoes):
            self._in_pages = self._seen is not None  # should it break off now
            for event in events:
                self._take(event)
            if self._seen is None:
                self._well()
                if events:
                    self._expired = 0
        # A stream that the server ended in order is taken up again where it ended.
        await asyncio.sleep(_RECONNECT.initial)

    async def _list_and_watch(self) -> None:
        """A list that goes over into the watch. Where it is refused, the next one is in pages."""
        self._begin_list()
        try:
            await self._watch()
        except ApiError as error:
            self._in_pages = self._seen is not None and error.code in lists.NO_STREAMS
            if not self._in_pages:
                raise
            logger.debug(
                "no streamed list; asking for pages", kind=self.kind.name, error=str(error)
            )

    async def _list(self) -> None:
        self._begin_list()
        metadata: Body = {}
        found = lists.pages(self._cluster, self._path(), self._query({}))
        async with contextlib.aclosing(found) as pages:
            async for page in pages:
                for body in page.get("items") or ():
                    self._show(body)
                metadata = page["metadata"]
        self._end_list(metadata["resourceVersion"])

    def _begin_list(self) -> None:
        self._seen = {}
        self.echoes.heeded = False

    def _show(self, body: Body) -> None:
        """An object of a list, or an event."""
        if self._seen is not None:
            namespace, name = place_of(body)
            self._seen.setdefault(namespace, set()).add(name)
        self.absorb(body)

    def _end_list(self, version: str) -> None:
        self.sweep(self._seen or {}, int(version))
        self._seen = None
        self.echoes.heeded = True
        self._in_pages = False
        self._resource_version = version
        self.absent = False
        self._well()
        if not self.synced:
            self.synced = True
            logger.info("informer synced", kind=self.kind.name, objects=len(self))
            self.listed()

    def _take(self, event: Body) -> None:
        body = event["object"]
        match event["type"]:
            case "ADDED" | "MODIFIED":
                self._show(body)
            case "BOOKMARK" if lists.is_end(body):
                self._end_list(body["metadata"]["resourceVersion"])
            case "DELETED":
                namespace, name = place_of(body)
                self.end(namespace, name, body["metadata"])
            case "ERROR":
                self._resource_version = ""
                raise status_error(body)
        if self._seen is None:  # before that, no version says how far the list has come
            self._resource_version = body["metadata"]["resourceVersion"]

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
        self.lose()
        self.trouble = f"the cluster serves no {self.kind.plural}.{self.kind.group} yet"
        if self.down_since is None:
            self.down_since = self._clock()

    def _path(self) -> str:
        only = self.interest.only
        return self.kind.path(only.namespace if only else "", version=self.version)

    def _query(self, query: Mapping[str, str]) -> dict[str, str]:
        name = self.interest.name
        fields = [f"metadata.name={name}" if name else "", self.kind.unread]
        selectors = {
            "labelSelector": self.interest.selector,
            "fieldSelector": ",".join(filter(None, fields)),
        }
        return {**query, **{key: value for key, value in selectors.items() if value}}


def informers_for(
    assemblies: Sequence[tuple[AnyController, Any]],
    cluster: Cluster,
    wake: Wake,
    *,
    clock: Callable[[], float],
    holds: Callable[[str], bool] = lambda _uid: True,
) -> dict[str, Informer]:
    """An informer for all that these controllers own or watch, as ``interests`` calls them."""
    return {
        name: Informer(
            KINDS[interest.only.kind if interest.only else name],
            interest,
            cluster,
            wake,
            clock=clock,
            holds=holds,
        )
        for name, interest in interests(assemblies).items()
    }
