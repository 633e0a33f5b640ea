"""The client of the Kubernetes API: get, write and watch with plain dictionaries.

It uses the generic endpoints. The typed models of the kubernetes package and their serialisation
cost more than the request itself (docs/designs/0005-connections.md).
"""

from __future__ import annotations

import asyncio
import functools
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import orjson
import yarl

from controllers.manifests import Body
from controllers.runtime.client import failures, ratelimit, responses
from controllers.runtime.client.config import RestConfig, Timeouts, load
from controllers.runtime.errors import UnreachableError
from controllers.runtime.options import Connection
from controllers.runtime.workqueue import Priority

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_BUSY_PAUSE = 0.005
"""Seconds. While many writes are in flight, a watch is read in larger pieces and after the
responses to these writes, so that their own events are recognised before they are parsed.
"""
_THROTTLED_ATTEMPTS = 5
_LONGEST_RETRY_AFTER = 30.0
_NO_RESPONSE = "<error>"


class ResourceVersions(Protocol):
    """A set of resourceVersions."""

    def __len__(self) -> int:
        """Return their number."""

    def __contains__(self, version: object, /) -> bool:
        """Return whether the resourceVersion is in the set."""


class Client(Protocol):
    """The requests that the base sends to an API server."""

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Body:
        """Return an object, or a page of a list. Raises ApiError, UnreachableError."""

    async def write(
        self,
        method: str,
        path: str,
        body: Body | None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Body:
        """Send a change and return the response's body. Raises ApiError, UnreachableError."""

    def watch(
        self, path: str, query: Mapping[str, str], skip: ResourceVersions = ()
    ) -> AsyncIterator[Iterable[Body]]:
        """Return batches of watch events until the server ends the watch.

        The first batch is empty: the watch is established. An event is parsed when it is taken
        from its batch, which can be iterated once. Events whose resourceVersion is in ``skip`` can
        be omitted, except DELETED events.

        Raises ApiError and UnreachableError, also while a batch is iterated.
        """


RequestObserver = Callable[[str, str, str], None]
"""Called for each request with the code (``<error>`` without a response), the method, the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """The limits of this process on its own writes."""

    max_writes: int = 16
    """Writes in flight."""
    qps: float | None = None
    """Writes per second; None is no limit."""
    read_only: bool = False
    """Whether a write is a bug."""


class RestClient:
    """A Client of a real API server. Use ``connect``."""

    def __init__(
        self, config: RestConfig, options: ClientOptions, observer: RequestObserver | None = None
    ) -> None:
        """Must be called in the event loop that uses the client."""
        self.config = config
        self._options = options
        self._limiter = ratelimit.Limiter(max_writes=options.max_writes, qps=options.qps)
        self._observe = observer or (lambda _code, _method, _host: None)
        timeouts = config.timeouts
        self._session = config.session(timeout=aiohttp.ClientTimeout(sock_connect=timeouts.connect))
        self._watch_timeout = aiohttp.ClientTimeout(
            sock_connect=timeouts.connect, sock_read=timeouts.watch_silence
        )
        self._request_timeout = timeouts.request
        self._host = config.host
        self._authorization: Mapping[str, str] = {}
        self._headers: dict[str, Mapping[str, str]] = {}

    async def close(self) -> None:
        """End all requests and close the connections."""
        try:
            # Before the session: a request that is retried now needs a connector that is closed.
            if self._session.connector is not None:
                await self._session.connector.close()
            await self._session.close()
        finally:
            await self.config.close()

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Body:
        """See Client."""
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
        """See Client. Waits for the limiter. Raises RuntimeError in a read-only process."""
        return await self._write(Priority.NORMAL, method, path, body, query, content_type)

    def low_priority(self) -> Client:
        """Return the same client with writes that let other writes go first."""
        return _LowPriorityClient(self)

    async def _write(  # noqa: PLR0917 - private, and on the hot path
        self,
        priority: Priority,
        method: str,
        path: str,
        body: Body | None,
        query: Mapping[str, str] | None,
        content_type: str,
    ) -> Body:
        if self._options.read_only:
            message = f"a dry run must not send {method} {path}"
            raise RuntimeError(message)
        data = None if body is None else orjson.dumps(body)
        await self._limiter.acquire(priority)
        try:
            return await self._request(method, self._url(path, query), data, content_type)
        finally:
            self._limiter.release()

    async def watch(
        self, path: str, query: Mapping[str, str], skip: ResourceVersions = ()
    ) -> AsyncIterator[Iterable[Body]]:
        """See Client."""
        url = self._url(path, {**query, "watch": "1", "allowWatchBookmarks": "true"})
        code = _NO_RESPONSE
        try:
            headers = await self._request_headers("")
            response = await self._session.get(
                url, headers=headers, allow_redirects=False, timeout=self._watch_timeout
            )
            code = str(response.status)
            self._observe(code, "GET", self._host)
            try:
                if response.status != 200:  # noqa: PLR2004
                    raise responses.error_from_response(response.status, await response.read())
                yield ()
                buffer = responses.LineBuffer()
                while chunk := await response.content.readany():
                    if self._limiter.busy:
                        await asyncio.sleep(_BUSY_PAUSE)
                    events = [
                        line
                        for line in buffer.feed(chunk)
                        if line and not (skip and responses.resource_version(line) in skip)
                    ]
                    if events:
                        yield map(responses.parse_event, events)
            finally:
                _abort(response)
        except (aiohttp.ClientError, OSError) as error:
            if code == _NO_RESPONSE:
                self._observe(code, "GET", self._host)
            raise UnreachableError(failures.reason(error, self.config)) from error

    def _url(self, path: str, query: Mapping[str, str] | None) -> yarl.URL:
        return _url(self.config.server, path, tuple(query.items()) if query else ())

    async def _request(
        self, method: str, url: yarl.URL, data: bytes | None, content_type: str
    ) -> Body:
        for attempts_left in reversed(range(_THROTTLED_ATTEMPTS)):
            code, retry_after, payload = await self._send(method, url, data, content_type)
            if code < 300:  # noqa: PLR2004 - an API server does not redirect
                return responses.parse_object(code, payload)
            seconds = responses.retry_after(code, retry_after)
            if seconds is None or not attempts_left:
                break
            await asyncio.sleep(min(seconds, _LONGEST_RETRY_AFTER))
        raise responses.error_from_response(code, payload)

    async def _send(
        self, method: str, url: yarl.URL, data: bytes | None, content_type: str
    ) -> tuple[int, str, bytes]:
        """Return the code, the Retry-After header and the body of the response."""
        code = _NO_RESPONSE
        try:
            headers = await self._request_headers(content_type if data is not None else "")
            # One timer for the whole request: aiohttp's own cost more.
            async with (
                asyncio.timeout(self._request_timeout),
                self._session.request(
                    method, url, data=data, headers=headers, allow_redirects=False
                ) as response,
            ):
                payload = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(failures.reason(error, self.config)) from error
        else:
            code = str(response.status)
            return response.status, response.headers.get("Retry-After", ""), payload
        finally:
            self._observe(code, method, self._host)

    async def _request_headers(self, content_type: str) -> Mapping[str, str]:
        """Return the headers that the session does not add.

        Raises CredentialsError, or UnreachableError if the client is closed.
        """
        if self._session.closed:
            raise UnreachableError("the client is closed")
        authorization = await self.config.headers()
        if authorization is not self._authorization:
            self._headers.clear()
            self._authorization = authorization
        headers = self._headers.get(content_type)
        if headers is None:
            added = {"Content-Type": content_type} if content_type else {}
            headers = self._headers[content_type] = {**authorization, **added}
        return headers


@dataclass(frozen=True, slots=True)
class _LowPriorityClient:
    """See RestClient.low_priority."""

    _client: RestClient

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Body:
        return await self._client.get(path, query)

    async def write(
        self,
        method: str,
        path: str,
        body: Body | None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Body:
        return await self._client._write(  # noqa: SLF001 - the other half of one class
            Priority.LOW, method, path, body, query, content_type
        )

    def watch(
        self, path: str, query: Mapping[str, str], skip: ResourceVersions = ()
    ) -> AsyncIterator[Iterable[Body]]:
        return self._client.watch(path, query, skip)


def _abort(response: aiohttp.ClientResponse) -> None:
    """Close the connection of a response now, unless the response is complete."""
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
    response.close()


@functools.lru_cache(maxsize=256)
def _url(server: str, path: str, query: tuple[tuple[str, str], ...]) -> yarl.URL:
    """Return the URL of a request. Cached: the objects of one kind and profile share it."""
    text = server + urllib.parse.quote(path, safe="/:")
    text += f"?{urllib.parse.urlencode(query)}" if query else ""
    return yarl.URL(text, encoded=True)


async def connect(
    connection: Connection,
    options: ClientOptions,
    observer: RequestObserver | None = None,
    timeouts: Timeouts | None = None,
) -> RestClient:
    """Return a client for the event loop that runs. Sends no request.

    Raises ConfigurationError.
    """
    return RestClient(await load(connection, timeouts), options, observer)
