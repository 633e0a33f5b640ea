"""The configuration of a connection to the API server, from a kubeconfig or a service account.

kubernetes.aio loads it, refreshes tokens and creates the TLS context. Sessions are aiohttp's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import structlog
import yarl
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration, rest
from kubernetes.aio.config import ConfigException

from controllers.manifests import MANAGED_BY
from controllers.runtime.client import proxy
from controllers.runtime.options import Connection

logger = structlog.stdlib.get_logger(__name__)

HEADERS_TTL = 5.0
"""Seconds for which the Authorization header is cached."""
REFRESH_INTERVAL = 60.0
"""Seconds between two reads of a kubeconfig and of the files that it names."""

_HEADERS = {
    "User-Agent": MANAGED_BY,
    "Accept": "application/json",
    # The API server compresses large lists, which takes longer than their transfer in a cluster.
    "Accept-Encoding": "identity",
}
_LIBRARY_TIMEOUT = 300.0
"""Seconds for a request of a library that sets no timeout itself; aiohttp's default."""
_READ_BUFFER = 1 << 21
"""Bytes; with twice as many unread, aiohttp stops reading from the connection."""
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}
"""Seconds of silence before the first TCP probe, seconds between probes, and their number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """The time limits of connections and requests, in seconds."""

    connect: float = 10.0
    """For a connection, including TLS."""
    request: float = 60.0
    """For a request other than a watch, including the connection."""
    watch_silence: float = 420.0
    """Between two pieces of a watch. The API server ends each watch earlier, and sends nothing
    until then if no object changes, not even a bookmark. TCP finds a peer that is gone within 90
    seconds.
    """
    idle: float = 75.0
    """For the reuse of an idle connection. The API server closes one after 90 seconds (IdleTimeout
    in k8s.io/apiserver).
    """


class ConfigurationError(Exception):
    """The kubeconfig, its context or the service account cannot be used; the message says why."""


class CredentialsError(OSError):
    """The token cannot be read, and no earlier token exists. Can be retried."""


class RestConfig:
    """A loaded kubeconfig or service account. Use ``load``.

    A client certificate and the authorities are read once; a token is read again.
    """

    def __init__(
        self,
        configuration: Configuration,
        proxy_url: yarl.URL | None,
        refresher: asyncio.Task[None] | None,
        timeouts: Timeouts,
    ) -> None:
        """``refresher`` keeps the token in ``configuration`` current. Raises ValueError."""
        self.server = server_url(configuration.host)
        self.tls_server_name: str = configuration.tls_server_name or ""
        """The name that the server's certificate must have; empty for the name in ``server``."""
        self.proxy = proxy_url
        self.timeouts = timeouts
        self._configuration = configuration
        self._refresher = refresher
        self._tls = rest.RESTClientObject(configuration).ssl_context
        self._headers: Mapping[str, str] = {}
        self._headers_expiry = 0.0

    @property
    def host(self) -> str:
        """Host and port of the server, as in its URL."""
        return urllib.parse.urlsplit(self.server).netloc

    def session(
        self,
        *,
        timeout: aiohttp.ClientTimeout | None = None,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> aiohttp.ClientSession:
        """Open a session without credentials in the event loop that runs; the caller closes it.

        It does not decompress, and it stores no cookies.
        """
        connector = aiohttp.TCPConnector(
            ssl=self._tls,
            limit=0,  # a watch occupies a connection
            keepalive_timeout=self.timeouts.idle,
            socket_factory=keepalive_socket,
        )
        return aiohttp.ClientSession(
            connector=connector,
            headers=_HEADERS,
            auto_decompress=False,
            read_bufsize=_READ_BUFFER,
            timeout=timeout or self._library_timeout(),
            trace_configs=list(trace_configs),
            middlewares=(self._set_tls_server_name,) if self.tls_server_name else (),
            **self._session_options(),
        )

    def api_client(self) -> ApiClient:
        """Open a client of kubernetes.aio for its leader election; the caller closes it."""
        self._configuration.client_session_kwargs = self._session_options()
        return ApiClient(self._configuration)

    async def headers(self) -> Mapping[str, str]:
        """Return the Authorization header; empty with a client certificate.

        Returns the same mapping until the header can have changed. Raises CredentialsError.
        """
        now = time.monotonic()
        if now >= self._headers_expiry:
            try:
                headers = await self.current_headers()
                if headers != self._headers:
                    self._headers = headers
            except (OSError, ConfigException) as error:
                if not self._headers:
                    raise CredentialsError(f"cannot read the token: {error}") from error
                logger.warning("cannot read the token; using the last one", error=str(error))
            self._headers_expiry = now + HEADERS_TTL
        return self._headers

    async def current_headers(self) -> Mapping[str, str]:
        """Return the Authorization header without the cache. Raises OSError, ConfigException."""
        settings = await self._configuration.auth_settings()
        token = str(settings.get("BearerToken", {}).get("value") or "").strip()
        if not (token.isascii() and token.isprintable()):
            message = "the token contains characters that are not allowed in a header"
            raise CredentialsError(message)
        return {"Authorization": token} if token else {}

    async def close(self) -> None:
        """Stop the refresh of the token."""
        if self._refresher is not None:
            self._refresher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._refresher

    def _library_timeout(self) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=_LIBRARY_TIMEOUT, sock_connect=self.timeouts.connect)

    def _session_options(self) -> dict[str, Any]:
        return {
            # With trust_env aiohttp uses a thread twice in each request (0.3 ms).
            "trust_env": False,
            "proxy": self.proxy,
            "cookie_jar": aiohttp.DummyCookieJar(),
            "json_serialize": lambda value: orjson.dumps(value).decode(),
        }

    async def _set_tls_server_name(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.server_hostname = self.tls_server_name
        return await handler(request)


async def load(connection: Connection, timeouts: Timeouts | None = None) -> RestConfig:
    """Load the kubeconfig, or the pod's service account if none is given.

    Raises ConfigurationError.
    """
    configuration = Configuration()
    configuration.connection_pool_maxsize = 0
    refresher: asyncio.Task[None] | None = None
    try:
        if connection.kubeconfig is None and connection.context is None:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            loader = await _read(connection, configuration)
            refresher = asyncio.create_task(_refresh(connection, configuration, loader))
        server = server_url(configuration.host)
        proxy_url = configuration.proxy or proxy.from_environment(server, os.environ)
        return RestConfig(
            configuration,
            proxy.parse(proxy_url) if proxy_url else None,
            refresher,
            timeouts or Timeouts(),
        )
    except Exception as error:
        if refresher is not None:
            refresher.cancel()
        where = connection.kubeconfig or "the pod's service account"
        message = f"cannot use {where}"
        message += f", context {connection.context!r}" if connection.context else ""
        message += f": {error}; set --kubeconfig FILE, or run in a pod with a service account"
        raise ConfigurationError(message) from error


def server_url(url: str) -> str:
    """Return the server's URL without user information or a slash at its end. Raises ValueError."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("https", "http") or not proxy.is_host(parts.hostname):
        message = f"the server {url!r} must be https://HOST:PORT"
        raise ValueError(message)
    netloc = parts.netloc.rpartition("@")[2]
    path = urllib.parse.quote(parts.path.rstrip("/"), safe="/:%")
    return f"{parts.scheme}://{netloc}{path}"


def keepalive_socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a socket on which TCP finds within 90 seconds that the peer is gone."""
    family, kind, protocol = address[:3]
    connection = socket.socket(family, kind, protocol)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection


async def _read(connection: Connection, configuration: Configuration) -> Any:
    return await config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=str(connection.kubeconfig) if connection.kubeconfig else None,
        context=connection.context,
        client_configuration=configuration,
        persist_config=False,
    )


async def _refresh(connection: Connection, configuration: Configuration, loader: Any) -> None:
    """Keep the token of a kubeconfig current, until cancelled.

    kubernetes.aio runs exec plugins and auth providers again. It returns at once for a token in
    the kubeconfig or in a file; that one is read again here, since it can be rotated.
    """
    while True:
        try:
            await config.refresh_token(loader, configuration, interval=REFRESH_INTERVAL)  # type: ignore[no-untyped-call]
            await asyncio.sleep(REFRESH_INTERVAL)
            fresh = Configuration()
            loader = await _read(connection, fresh)
            configuration.api_key = {**configuration.api_key, **fresh.api_key}
        except Exception as error:  # noqa: BLE001 - a plugin or an incomplete file raises anything
            logger.warning("cannot read the kubeconfig; using the last token", error=str(error))
            await asyncio.sleep(REFRESH_INTERVAL)
