"""The API server, as the base sees it: three calls with plain dicts and bytes.

Who we are and the way there are kubernetes.aio's (credentials.py). Its typed models, its generic
serialisation and its client stay off this path (docs/designs/0005-connections.md).
"""

from __future__ import annotations

import asyncio
import functools
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import orjson
import structlog

from controllers.manifests import MANAGED_BY, Body
from controllers.runtime.cache.expectations import version_of
from controllers.runtime.client import ratelimit, responses
from controllers.runtime.client.config import Credentials, load
from controllers.runtime.client.pools import Pool
from controllers.runtime.client.wires import Answer
from controllers.runtime.errors import UnreachableError
from controllers.runtime.options import Connection
from controllers.runtime.workqueue import Priority

logger = structlog.stdlib.get_logger(__name__)

REQUEST_TIMEOUT = 60.0
"""Seconds after which a request that is not a watch counts as lost."""
WATCH_SILENCE = 420.0
"""Seconds without a byte after which a watch counts as dead. The API server ends each before that
(informers), and of a kind that nobody changes it may say nothing until then, not even a bookmark.
Who is no more at the other end is found by TCP within a minute and a half (wires).
"""
_PAUSE = 0.005
"""Seconds: while we write much, a watch is read in larger pieces and after the answers to what we
wrote, so that their echoes are known for what they are before they are parsed.
"""
_THROTTLED_TRIES = 5
_LONGEST_THROTTLE = 30.0

JSON = "application/json"
# The API server compresses large lists, which costs more time than it saves next door.
_FIELDS = {"User-Agent": MANAGED_BY, "Accept": JSON, "Accept-Encoding": "identity"}
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
        self._limiter = ratelimit.Limiter(max_writes=limits.max_writes, qps=limits.qps)
        self._observe = observer or (lambda _code, _method, _host: None)
        self._route = credentials.route
        self._pool = Pool(self._route)
        self._identity: Mapping[str, str] = {}
        self._fields = ""

    async def close(self) -> None:
        """Close the connections."""
        try:
            await self._pool.close()
        finally:
            await self.credentials.close()

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Body:
        """See Cluster."""
        return await self._request("GET", self._target(path, query), None, JSON)

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
        return await self._write(Priority.NORMAL, method, path, body, query, content_type)

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
            return await self._request(method, self._target(path, query), data, content_type)
        finally:
            self._limiter.leave()

    async def watch(
        self, path: str, query: Mapping[str, str], known: Known = ()
    ) -> AsyncIterator[Iterable[Body]]:
        """See Cluster."""
        query = {**query, "watch": "1", "allowWatchBookmarks": "true"}
        code = "<error>"
        try:
            request = await self._head("GET", self._target(path, query))
            stream = self._pool.stream(f"{request}\r\n".encode(), silence=WATCH_SILENCE)
            async with stream as (answer, chunks):
                code = str(answer.code)
                self._observe(code, "GET", self._route.netloc)
                if answer.code != 200:  # noqa: PLR2004
                    raise responses.api_error(answer.code, answer.payload)
                yield ()
                rest_of_line = b""
                async for chunk in chunks:
                    if self._limiter.busy:
                        await asyncio.sleep(_PAUSE)
                    *lines, rest_of_line = (rest_of_line + chunk).split(b"\n")
                    news = [
                        line for line in lines if line and not (known and version_of(line) in known)
                    ]
                    if news:
                        yield map(responses.event, news)
        except OSError as error:
            if code == "<error>":
                self._observe(code, "GET", self._route.netloc)
            raise UnreachableError(responses.said(error)) from error

    def _target(self, path: str, query: Mapping[str, str] | None) -> str:
        return _target(self._route.prefix, path, tuple(query.items()) if query else ())

    async def _request(
        self, method: str, target: str, data: bytes | None, content_type: str
    ) -> Body:
        for tries_left in reversed(range(_THROTTLED_TRIES)):
            code, wait, payload = await self._send(method, target, data, content_type)
            if code < 300:  # noqa: PLR2004 - a redirect is no answer of an API server
                return responses.parsed(code, payload)
            seconds = responses.retry_after(code, wait)
            if seconds is None or not tries_left:
                break
            await asyncio.sleep(min(seconds, _LONGEST_THROTTLE))
        raise responses.api_error(code, payload)

    async def _send(
        self, method: str, target: str, data: bytes | None, content_type: str
    ) -> Answer:
        code = "<error>"
        try:
            head = await self._head(method, target)
            if data is None:
                request = f"{head}\r\n".encode()
            else:
                length = len(data)
                fields = f"Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
                request = f"{head}{fields}".encode() + data
            answer = await self._pool.ask(request, seconds=REQUEST_TIMEOUT)
        except OSError as error:
            raise UnreachableError(responses.said(error)) from error
        else:
            code = str(answer.code)
            return answer
        finally:
            self._observe(code, method, self._route.netloc)

    async def _head(self, method: str, target: str) -> str:
        """The request's first lines. Raises CredentialsError."""
        identity = await self.credentials.headers()
        if identity is not self._identity or not self._fields:
            fields = {**self._route.fields, **_FIELDS, **identity}
            self._fields = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
            self._identity = identity
        return f"{method} {target} HTTP/1.1\r\n{self._fields}"


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
            Priority.LOW, method, path, body, query, content_type
        )

    def watch(
        self, path: str, query: Mapping[str, str], known: Known = ()
    ) -> AsyncIterator[Iterable[Body]]:
        return self._cluster.watch(path, query, known)


@functools.lru_cache(maxsize=256)
def _target(prefix: str, path: str, query: tuple[tuple[str, str], ...]) -> str:
    """A profile's objects of one kind are made at one target, and it is worked out once."""
    text = prefix + urllib.parse.quote(path, safe="/:")
    return text + (f"?{urllib.parse.urlencode(query)}" if query else "")


async def connect(
    connection: Connection, limits: Limits, observer: Observer | None = None
) -> KubeCluster:
    """A cluster for the event loop that runs. No request is made. Raises ConfigurationError."""
    return KubeCluster(await load(connection), limits, observer)
