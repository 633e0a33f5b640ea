"""Lists and watches one kind, and reports what it receives.

The list is the beginning of the watch (``sendInitialEvents``, Kubernetes' WatchList): it takes half
of the time and a third of this process's CPU time that pages take, and no page is held in memory.
An API server without streaming lists is listed in pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Protocol

import structlog

from controllers.manifests import Body
from controllers.runtime.backoff import Backoff
from controllers.runtime.cache.store import key_of
from controllers.runtime.client.client import Client, ResourceVersions
from controllers.runtime.client.responses import error_from_status
from controllers.runtime.errors import ApiError, UnreachableError
from controllers.runtime.objects.kinds import Kind

logger = structlog.stdlib.get_logger(__name__)

PAGE_SIZE = 300
"""Objects per page of a list. A page is dropped as soon as its objects are cached."""
OUTAGE = 5.0
"""Seconds without a watch after which ``recovered`` is called: backoffs have grown long."""
_STREAMING_LIST = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
_STREAMING_LIST_REFUSED = (400, 403, 405, 422)
"""Responses of API servers and proxies without streaming lists, or where only list is allowed."""
_INITIAL_EVENTS_END = "k8s.io/initial-events-end"
"""The annotation of the bookmark that ends a streaming list (k8s.io/apimachinery, metav1)."""
_WATCH_SECONDS = (240, 360)
"""Bounds of a watch's duration. The server ends it, so that load spreads over its replicas."""
_GONE = 410
_NOT_FOUND = 404
_FORBIDDEN = (401, 403)
_RECONNECT = Backoff(initial=0.1, maximum=5.0)
_NOT_SERVED_RETRY = 2.0
_NOT_LISTED = "not listed yet"


class Sink(Protocol):
    """Receives what a reflector lists and watches."""

    synced: bool
    """Whether a list of the kind is complete."""

    def list_started(self) -> None:
        """A list begins."""

    def upsert(self, body: Body) -> None:
        """An object of a list, or of an ADDED or MODIFIED event."""

    def delete(self, body: Body) -> None:
        """The object of a DELETED event."""

    def replace(self, listed: Mapping[str, set[str]], version: int) -> None:
        """A list of this resourceVersion is complete; it contained these names by namespace."""

    def reset(self) -> None:
        """The API server does not serve the kind any more."""


class Reflector:
    """Lists and watches one kind. The attributes are safe to read from any thread."""

    def __init__(
        self,
        kind: Kind,
        sink: Sink,
        client: Client,
        *,
        namespace: str,
        selectors: Mapping[str, str],
        skip: ResourceVersions,
        recovered: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """List ``namespace`` (empty: all) with these selectors. ``clock`` is monotonic.

        ``skip`` holds the resourceVersions of events that the client may skip. ``recovered`` is
        called when the watch is up after an outage.
        """
        self.kind = kind
        self.version = kind.versions[0]
        """The API version in which the kind is listed."""
        self.not_served = False
        """Whether the API server serves the kind in none of its versions."""
        self.down_since: float | None = clock()
        """Since when there is no watch; None while it is up."""
        self.refusal: ApiError | None = None
        """The response that denies this identity the list, while that holds."""
        self._error = _NOT_LISTED
        self._sink = sink
        self._client = client
        self._namespace = namespace
        self._selectors = selectors
        self._skip = skip
        self._recovered = recovered
        self._clock = clock
        self._resource_version = ""
        self._listed: dict[str, set[str]] | None = None
        """While a list is in progress, the names that it contained, by namespace."""
        self._use_pages = False
        """List in pages next time: a streaming list was refused or was interrupted."""
        self._expired = 0
        self._failures = 0

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                await self._list_or_watch()
            except UnreachableError as error:
                await self._back_off(f"API server unreachable: {error}")
            except ApiError as error:
                if error.code == _GONE:
                    await self._expire(error)
                elif error.code == _NOT_FOUND:
                    await self._try_next_version()
                else:
                    self.refusal = error if error.code in _FORBIDDEN else None
                    await self._back_off(str(error))

    @property
    def first_list_ended(self) -> bool:
        """Whether the first list has succeeded or failed."""
        return self._sink.synced or self._error != _NOT_LISTED

    def health(self) -> str:
        """Return why the kind is not listed or not watched; empty when all is well."""
        return "" if self._sink.synced and self.down_since is None else self._error

    # -- list and watch -------------------------------------------------------------------------

    async def _list_or_watch(self) -> None:
        if self._resource_version:
            await self._watch({"resourceVersion": self._resource_version})
        elif self._use_pages:
            await self._list()
        else:
            await self._list_and_watch()

    async def _watch(self, start: Mapping[str, str]) -> None:
        seconds = random.randint(*_WATCH_SECONDS)  # noqa: S311 - no secret
        query = {**start, "timeoutSeconds": str(seconds), **self._selectors}
        async for events in self._client.watch(self._path(), query, self._skip):
            self._use_pages = self._listed is not None  # if the stream is interrupted from here on
            for event in events:
                self._handle(event)
            if self._listed is None:
                self._mark_up()
                if events:
                    self._expired = 0
        # The server ended the stream: continue from the last resourceVersion.
        await asyncio.sleep(_RECONNECT.initial)

    async def _list_and_watch(self) -> None:
        """Watch from a streaming list. If the server refuses it, list in pages next time."""
        self._start_list()
        try:
            await self._watch(_STREAMING_LIST)
        except ApiError as error:
            self._use_pages = self._listed is not None and error.code in _STREAMING_LIST_REFUSED
            if not self._use_pages:
                raise
            logger.debug(
                "streaming list refused; listing in pages", kind=self.kind.name, error=str(error)
            )

    async def _list(self) -> None:
        self._start_list()
        metadata: Body = {}
        found = list_pages(self._client, self._path(), self._selectors)
        async with contextlib.aclosing(found) as pages:
            async for page in pages:
                for body in page.get("items") or ():
                    self._upsert(body)
                metadata = page["metadata"]
        self._end_list(metadata["resourceVersion"])

    def _start_list(self) -> None:
        self._listed = {}
        self._sink.list_started()

    def _upsert(self, body: Body) -> None:
        if self._listed is not None:
            namespace, name = key_of(body)
            self._listed.setdefault(namespace, set()).add(name)
        self._sink.upsert(body)

    def _end_list(self, version: str) -> None:
        listed, self._listed = self._listed or {}, None
        self._use_pages = False
        self._resource_version = version
        self.not_served = False
        self._mark_up()
        self._sink.replace(listed, int(version))

    def _handle(self, event: Body) -> None:
        body = event["object"]
        match event["type"]:
            case "ADDED" | "MODIFIED":
                self._upsert(body)
            case "BOOKMARK" if _ends_list(body):
                self._end_list(body["metadata"]["resourceVersion"])
            case "DELETED":
                self._sink.delete(body)
            case "ERROR":
                self._resource_version = ""
                raise error_from_status(body)
        if self._listed is None:  # the events of a list come in no order of versions
            self._resource_version = body["metadata"]["resourceVersion"]

    # -- connection -----------------------------------------------------------------------------

    def _mark_up(self) -> None:
        if self._sink.synced and self.down_since is not None:
            logger.info("watch is up again", kind=self.kind.name)
            if self._clock() - self.down_since >= OUTAGE:
                self._recovered()
        self.down_since = None
        self._error = ""
        self.refusal = None
        self._failures = 0

    async def _back_off(self, error: str) -> None:
        self._failures += 1
        self._error = error
        if self.down_since is None:
            self.down_since = self._clock()
        delay = _RECONNECT.delay(self._failures)
        if self._failures == 1 or self._failures % 10 == 0:
            logger.warning(
                "watch is down", kind=self.kind.name, error=error, retry_seconds=round(delay, 1)
            )
        await asyncio.sleep(delay)

    async def _expire(self, error: ApiError) -> None:
        """List again, because the resourceVersion is too old; the second time after a backoff."""
        self._resource_version = ""
        self._expired += 1
        if self._expired > 1:
            await self._back_off(str(error))

    async def _try_next_version(self) -> None:
        """Switch to the next API version of the kind, and wait after the last one."""
        self._resource_version = ""
        later = self.kind.versions[self.kind.versions.index(self.version) + 1 :]
        self.version = (*later, self.kind.versions[0])[0]
        if not later:
            self._mark_not_served()
            await asyncio.sleep(_NOT_SERVED_RETRY)

    def _mark_not_served(self) -> None:
        if not self.not_served:
            logger.warning("kind is not served; waiting for it", kind=self.kind.name)
        self.not_served = True
        self._sink.reset()
        self._error = f"the cluster serves no {self.kind.plural}.{self.kind.group} yet"
        if self.down_since is None:
            self.down_since = self._clock()

    def _path(self) -> str:
        return self.kind.path(self._namespace, version=self.version)


async def list_pages(client: Client, path: str, query: Mapping[str, str]) -> AsyncGenerator[Body]:
    """Yield the pages of a list. The next page is requested while the caller handles one.

    Raises ApiError, UnreachableError.
    """
    query = {**query, "limit": str(PAGE_SIZE)}
    page = await client.get(path, query)
    while continue_token := page["metadata"].get("continue"):
        request = client.get(path, {**query, "continue": continue_token})
        following = asyncio.create_task(request)
        try:
            await asyncio.sleep(0)  # sends the request before the caller handles the page
            yield page
            page = await following
        finally:
            following.cancel()
    yield page


def _ends_list(bookmark: Body) -> bool:
    return _INITIAL_EVENTS_END in (bookmark["metadata"].get("annotations") or ())
