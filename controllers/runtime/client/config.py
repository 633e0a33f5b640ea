"""Who we are to the API server, as kubernetes.aio reads it from a kubeconfig or a pod's files.

Configuration, authentication and its refresh, and the TLS context are kubernetes.aio's. The
suite's own requests go by ``route``, on connections of ``pools``
(docs/designs/0005-connections.md). kopf and leader election, which need one, are given a session of
aiohttp each, with a pool of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson
import structlog
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration, rest
from kubernetes.aio.config import ConfigException

from controllers.runtime.client.pools import IDLE
from controllers.runtime.client.routes import Route
from controllers.runtime.options import Connection

logger = structlog.stdlib.get_logger(__name__)

HEADERS_LIFE = 5.0
"""Seconds after which a token is looked up again."""
REREAD = 60.0
"""Seconds after which a kubeconfig, and what it names, is read again for its token."""


class ConfigurationError(Exception):
    """The kubeconfig, its context or the pod's service account cannot be used; says why."""


class CredentialsError(OSError):
    """A token could not be read, and there is none from before. Worth another try."""


class _Sessions(rest.RESTClientObject):
    """kubernetes.aio's way to a session with its pool and TLS, without its request method."""

    def open(self) -> aiohttp.ClientSession:
        session: aiohttp.ClientSession = self._create_pool_manager()
        return session

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            limit=self.maxsize, ssl=self.ssl_context, keepalive_timeout=IDLE
        )


class Credentials:
    """A loaded kubeconfig or service account: the way, and headers that are always fresh."""

    def __init__(self, configuration: Configuration, refresher: asyncio.Task[None] | None) -> None:
        """Use ``load``."""
        self._configuration = configuration
        self._refresher = refresher
        self._sessions = _Sessions(configuration)
        self.server: str = configuration.host.rstrip("/")
        self._headers: Mapping[str, str] = {}
        self._headers_end = 0.0
        self.proxy: str | None = configuration.proxy or _environment_proxy(self.server)
        self.route = Route.to(
            self.server,
            self._sessions.ssl_context,
            server_name=configuration.tls_server_name or "",
            proxy=self.proxy,
        )

    def session(
        self, trace_configs: list[aiohttp.TraceConfig] | None = None
    ) -> aiohttp.ClientSession:
        """A session of aiohttp, for libraries that need one; the caller closes it."""
        # An aiohttp session with trust_env hops into a thread twice per request (0.3 ms).
        extra: dict[str, Any] = {
            "trust_env": False,
            "proxy": self.proxy,
            "cookie_jar": aiohttp.DummyCookieJar(),
            "json_serialize": lambda value: orjson.dumps(value).decode(),
        }
        if trace_configs is not None:
            extra["trace_configs"] = trace_configs
        self._configuration.client_session_kwargs = extra
        return self._sessions.open()

    def api_client(self) -> ApiClient:
        """A client of kubernetes.aio itself, for its leader election; the caller closes it."""
        client = ApiClient(self._configuration)
        # Opened now: what a later session of this configuration is given must not reach this one.
        client.rest_client.pool_manager = self.session()
        return client

    async def headers(self) -> Mapping[str, str]:
        """The Authorization header, or none: client certificates are in the TLS context.

        Looked up again after HEADERS_LIFE seconds: a pod's token changes in its file. Raises
        CredentialsError.
        """
        now = time.monotonic()
        if now >= self._headers_end:
            try:
                self._headers = await self._authorization()
            except (OSError, ConfigException) as error:
                if not self._headers:
                    raise CredentialsError(f"no credentials: {error}") from error
                logger.warning("credentials not read again; using the last", error=str(error))
            self._headers_end = now + HEADERS_LIFE
        return self._headers

    async def _authorization(self) -> Mapping[str, str]:
        settings = await self._configuration.auth_settings()
        token = str(settings.get("BearerToken", {}).get("value") or "").strip()
        if not (token.isascii() and token.isprintable()):
            message = "the token holds characters that no header may"
            raise CredentialsError(message)
        return {"Authorization": token} if token else {}

    async def close(self) -> None:
        """Stop refreshing."""
        if self._refresher is not None:
            self._refresher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._refresher


async def load(connection: Connection) -> Credentials:
    """Credentials from the kubeconfig, or from the pod's service account where none is given.

    Raises ConfigurationError.
    """
    configuration = Configuration()
    configuration.connection_pool_maxsize = 0  # of aiohttp's sessions: a watch holds one
    refresher: asyncio.Task[None] | None = None
    try:
        if connection.kubeconfig is None and connection.context is None:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            loader = await _read(connection, configuration)
            refresher = asyncio.create_task(_refresh(connection, configuration, loader))
        return Credentials(configuration, refresher)
    except Exception as error:
        if refresher is not None:
            refresher.cancel()
        where = connection.kubeconfig or "the pod's service account"
        message = f"cannot use {where}"
        message += f", context {connection.context!r}" if connection.context else ""
        message += f": {error}; give --kubeconfig FILE, or run in a pod with a service account"
        raise ConfigurationError(message) from error


async def _read(connection: Connection, configuration: Configuration) -> Any:
    return await config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=str(connection.kubeconfig) if connection.kubeconfig else None,
        context=connection.context,
        client_configuration=configuration,
        persist_config=False,
    )


async def _refresh(connection: Connection, configuration: Configuration, loader: Any) -> None:
    """Keep the token of a kubeconfig fresh, until cancelled.

    kubernetes.aio asks exec plugins and providers again, and returns at once where a token is
    written down: that one is read again, as whoever rotates it writes another into its place.
    """
    while True:
        try:
            await config.refresh_token(loader, configuration, interval=REREAD)  # type: ignore[no-untyped-call]
            await asyncio.sleep(REREAD)
            fresh = Configuration()
            loader = await _read(connection, fresh)
            configuration.api_key = {**configuration.api_key, **fresh.api_key}
        except Exception as error:  # noqa: BLE001 - a plugin or a half-written file: anything
            logger.warning("kubeconfig not read again; using the last", error=str(error))
            await asyncio.sleep(REREAD)


def _environment_proxy(server: str) -> str | None:
    """The proxy that the environment names for this server, resolved once."""
    parts = urllib.parse.urlsplit(server)
    with contextlib.suppress(OSError, socket.error):
        if parts.hostname and urllib.request.proxy_bypass(parts.hostname):
            return None
    return urllib.request.getproxies().get(parts.scheme)
