"""The API server, as the base sees it: three calls with plain dicts and bytes.

Requests are made on a session of kubernetes.aio (credentials.py). Its typed models and its generic
serialisation stay off this path: they cost more than the request itself (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import functools
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import orjson
import structlog
import yarl

from controllers.manifests import Body
from controllers.runtime import answers, slots
from controllers.runtime.credentials import Credentials, load
from controllers.runtime.echoes import version_of
from controllers.runtime.errors import UnreachableError
from controllers.runtime.options import Connection
from controllers.runtime.slots import Priority

logger = structlog.stdlib.get_logger(__name__)

REQUEST_TIMEOUT = 60.0
"""Seconds after which a request that is not a watch counts as lost."""
WATCH_SILENCE = 90.0
"""Seconds without a byte after which a watch counts as dead; bookmarks come every 60."""
_PAUSE = 0.005
"""Seconds: while we write much, a watch is read in larger pieces and after the answers to what we
wrote, so that their echoes are known for what they are before they are parsed.
"""
_THROTTLED_TRIES = 5
_LONGEST_THROTTLE = 30.0

JSON = "application/json"
# The API server compresses large lists, which costs more time than it saves next door.
_ACCEPT = {"Accept": JSON, "Accept-Encoding": "identity"}
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


class Known(Protocol):
    """The resourceVersions of which a watch need not tell."""

    def __len__(self) -> int:
        """How many."""

    def __contains__(self, version: object, /) -> bool:
        """Whether it is one of them."""


class Cluster(Protocol):
    """The calls that the base needs of an API server."""

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Body:
        """One object, or one page of a list. Raises ApiError, UnreachableError."""

    async def write(
        self,
        method: str,
        path: str,
        body: Body | None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Body:
        """Change something; the answer's body. Raises ApiError, UnreachableError."""

    def watch(
        self, path: str, query: Mapping[str, str], known: Known = ()
    ) -> AsyncIterator[Iterable[Body]]:
        """Watch events in batches as they arrive, until the server ends the stream.

        The first batch is empty and says that the watch is up. An event is made as it is taken out
        of its batch, once: dozens of them at a time would cost twice their time. Events of objects
        whose resourceVersion is in ``known`` may be left out, but for that of its end.

        Raises ApiError, UnreachableError; so does the taking out.
        """


Observer = Callable[[str, str, str], None]
"""Told of every request: code (``<error>`` when none came), method, host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What this process allows itself; the API server's own limits come on top."""

    max_writes: int = 16
    qps: float | None = None
    read_only: bool = False


class KubeCluster:
    """A Cluster on a real API server. Use ``connect``."""

    def __init__(
        self, credentials: Credentials, limits: Limits, observer: Observer | None = None
    ) -> None:
        """Must be called in the event loop that will use it."""
        self.credentials = credentials
        self._limits = limits
        self._limiter = slots.Limiter(max_writes=limits.max_writes, qps=limits.qps)
        self._observe = observer or (lambda _code, _method, _host: None)
        self._session = credentials.session()
        self._timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT)
        self._watch_timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=10, sock_read=WATCH_SILENCE
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()
        await self.credentials.close()

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Body:
        """See Cluster."""
        return await self._request("GET", self._url(path, query), None, JSON)

    async def write(
        self,
        method: str,
        path: str,
        body: Body | None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Body:
        """See Cluster. Waits for a slot; a read-only process raises RuntimeError instead."""
        return await self._write(Priority.EVENT, method, path, body, query, content_type)

    def in_backlog(self) -> Cluster:
        """The same cluster for what is in no hurry: its writes let the others go first."""
        return _Backlog(self)

    async def _write(  # noqa: PLR0917 - private, and on the hot path
        self,
        line: Priority,
        method: str,
        path: str,
        body: Body | None,
        query: Mapping[str, str] | None,
        content_type: str,
    ) -> Body:
        if self._limits.read_only:
            message = f"a dry run must not {method} {path}"
            raise RuntimeError(message)
        data = None if body is None else orjson.dumps(body)
        await self._limiter.enter(line)
        try:
            return await self._request(method, self._url(path, query), data, content_type)
        finally:
            self._limiter.leave()

    async def watch(
        self, path: str, query: Mapping[str, str], known: Known = ()
    ) -> AsyncIterator[Iterable[Body]]:
        """See Cluster."""
        url = self._url(path, {**query, "watch": "1", "allowWatchBookmarks": "true"})
        code = "<error>"
        try:
            headers = {**await self.credentials.headers(), **_ACCEPT}
            async with self._session.get(
                url, headers=headers, timeout=self._watch_timeout
            ) as response:
                code = str(response.status)
                self._observe(code, "GET", self.credentials.host)
                if response.status != 200:  # noqa: PLR2004
                    raise answers.api_error(response.status, await response.read())
                yield ()
                rest_of_line = b""
                async for chunk in response.content.iter_any():
                    if self._limiter.busy:
                        await asyncio.sleep(_PAUSE)
                    *lines, rest_of_line = (rest_of_line + chunk).split(b"\n")
                    news = [
                        line for line in lines if line and not (known and version_of(line) in known)
                    ]
                    if news:
                        yield map(answers.event, news)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if code == "<error>":
                self._observe(code, "GET", self.credentials.host)
            raise UnreachableError(answers.said(error)) from error

    def _url(self, path: str, query: Mapping[str, str] | None) -> yarl.URL:
        return _url(self.credentials.server, path, tuple(query.items()) if query else ())

    async def _request(
        self, method: str, url: yarl.URL, data: bytes | None, content_type: str
    ) -> Body:
        for tries_left in reversed(range(_THROTTLED_TRIES)):
            code, retry_after, payload = await self._send(method, url, data, content_type)
            if code < 400:  # noqa: PLR2004
                return answers.parsed(code, payload)
            if retry_after is None or not tries_left:
                break
            await asyncio.sleep(min(retry_after, _LONGEST_THROTTLE))
        raise answers.api_error(code, payload)

    async def _send(
        self, method: str, url: yarl.URL, data: bytes | None, content_type: str
    ) -> tuple[int, float | None, bytes]:
        code = "<error>"
        try:
            headers = {**await self.credentials.headers(), **_ACCEPT}
            if data is not None:
                headers["Content-Type"] = content_type
            async with self._session.request(
                method, url, data=data, headers=headers, timeout=self._timeout
            ) as response:
                code = str(response.status)
                payload = await response.read()
                return response.status, answers.retry_after(response), payload
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(answers.said(error)) from error
        finally:
            self._observe(code, method, self.credentials.host)


@dataclass(frozen=True, slots=True)
class _Backlog:
    """See KubeCluster.in_backlog."""

    _cluster: KubeCluster

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Body:
        return await self._cluster.get(path, query)

    async def write(
        self,
        method: str,
        path: str,
        body: Body | None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Body:
        return await self._cluster._write(  # noqa: SLF001 - the other half of one class
            Priority.BACKLOG, method, path, body, query, content_type
        )

    def watch(
        self, path: str, query: Mapping[str, str], known: Known = ()
    ) -> AsyncIterator[Iterable[Body]]:
        return self._cluster.watch(path, query, known)


@functools.lru_cache(maxsize=256)
def _url(server: str, path: str, query: tuple[tuple[str, str], ...]) -> yarl.URL:
    """A profile's objects of one kind are made at one URL, and its parts are worked out once."""
    text = server + path + (f"?{urllib.parse.urlencode(query)}" if query else "")
    return yarl.URL(text, encoded=True)


async def connect(
    connection: Connection, limits: Limits, observer: Observer | None = None
) -> KubeCluster:
    """A cluster for the event loop that runs. No request is made. Raises ConfigurationError."""
    return KubeCluster(await load(connection), limits, observer)
