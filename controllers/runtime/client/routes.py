"""The way to the API server: its address, its TLS, and the proxy before it."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
import socket
import ssl
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeGuard, TypeVar

from controllers.runtime.client import responses

_ATTEMPT_DELAY = 0.25
"""Seconds after which the next address of a name is tried beside the first (RFC 8305)."""
_LONGEST_HEAD = 16_384
_PORTS = {"https": 443, "http": 80}
_LONGEST_STATUS = 100
_TUNNELLED = re.compile(r"HTTP/1\.[01] 2\d\d\b")
_END = b"\r\n\r\n"

AnyProtocol = TypeVar("AnyProtocol", bound=asyncio.BaseProtocol)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy: what is meant for a TLS server goes through a tunnel that it opens."""

    host: str
    port: int
    authorization: str = ""
    """The value of Proxy-Authorization; empty where the proxy asks for none."""

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """``http://[user:password@]host[:port]``. Raises ValueError, which names no password."""
        parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http" or not _is_host(parts.hostname):
            named = f"{parts.scheme}://{parts.hostname or ''}"
            message = f"the proxy {named} cannot be used: it must be http://HOST:PORT"
            raise ValueError(message)
        user, password = map(urllib.parse.unquote, (parts.username or "", parts.password or ""))
        secret = base64.b64encode(f"{user}:{password}".encode()).decode()
        return cls(
            host=parts.hostname,
            port=parts.port or _PORTS["http"],
            authorization=f"Basic {secret}" if user else "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How a connection to one server is made."""

    host: str
    port: int
    netloc: str
    """Host and port as the server's URL has them, for the header Host and for messages."""
    base: str
    """What precedes every path: a gateway before the API server may want one."""
    tls: ssl.SSLContext | None
    """None: plain HTTP."""
    server_name: str
    """The name that the server's certificate must have."""
    proxy: Proxy | None

    @classmethod
    def to(
        cls, server: str, tls: ssl.SSLContext, *, server_name: str = "", proxy: str | None = None
    ) -> Route:
        """The way to the server of this URL. Raises ValueError where that is none."""
        parts = urllib.parse.urlsplit(server)
        if parts.scheme not in _PORTS or not _is_host(parts.hostname):
            message = f"the server {server!r} must be https://HOST:PORT"
            raise ValueError(message)
        return cls(
            host=parts.hostname,
            port=parts.port or _PORTS[parts.scheme],
            netloc=parts.netloc.rpartition("@")[2],
            base=urllib.parse.quote(parts.path.rstrip("/"), safe="/:%"),
            tls=tls if parts.scheme == "https" else None,
            server_name=server_name or parts.hostname,
            proxy=Proxy.parse(proxy) if proxy else None,
        )

    @property
    def prefix(self) -> str:
        """What a request names before the path: a proxy is told the server as well."""
        if self.proxy is not None and self.tls is None:
            return f"http://{self.netloc}{self.base}"
        return self.base

    @property
    def fields(self) -> dict[str, str]:
        """The headers that every request needs on this way."""
        fields = {"Host": self.netloc}
        if self.proxy is not None and self.proxy.authorization and self.tls is None:
            fields["Proxy-Authorization"] = self.proxy.authorization
        return fields

    async def open(self, make: Callable[[], AnyProtocol]) -> AnyProtocol:
        """A connection that can be asked. Raises ConnectionError."""
        loop = asyncio.get_running_loop()
        try:
            if self.proxy is not None:
                return await self._by_proxy(loop, self.proxy, make)
            _, protocol = await loop.create_connection(
                make,
                self.host,
                self.port,
                ssl=self.tls,
                server_hostname=self.server_name if self.tls else None,
                happy_eyeballs_delay=_delay(self.host),
            )
        except OSError as error:
            message = f"cannot connect to {self.netloc}: {responses.said(error)}"
            raise ConnectionError(message) from error
        return protocol

    async def _by_proxy(
        self, loop: asyncio.AbstractEventLoop, proxy: Proxy, make: Callable[[], AnyProtocol]
    ) -> AnyProtocol:
        if self.tls is None:
            _, protocol = await loop.create_connection(
                make, proxy.host, proxy.port, happy_eyeballs_delay=_delay(proxy.host)
            )
            return protocol
        # The tunnel is asked for on the bare socket: TLS begins once it is there.
        connection = await _connected(loop, proxy)
        try:
            await self._tunnel(loop, proxy, connection)
        except BaseException:
            connection.close()
            raise
        # From here on the socket is asyncio's, which closes it whatever happens.
        _, protocol = await loop.create_connection(
            make, sock=connection, ssl=self.tls, server_hostname=self.server_name
        )
        return protocol

    async def _tunnel(
        self, loop: asyncio.AbstractEventLoop, proxy: Proxy, connection: socket.socket
    ) -> None:
        host = f"[{self.host}]" if ":" in self.host else self.host
        target = f"{host}:{self.port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if proxy.authorization:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        await loop.sock_sendall(connection, "\r\n".join([*lines, "", ""]).encode())
        head = b""
        while _END not in head and len(head) < _LONGEST_HEAD:
            chunk = await loop.sock_recv(connection, _LONGEST_HEAD)
            if not chunk:
                break
            head += chunk
        status = head.split(b"\r\n", 1)[0].decode("latin-1")
        if not _TUNNELLED.match(status):
            answer = ascii(status[:_LONGEST_STATUS]) if status else "no answer"
            message = f"the proxy {proxy.host}:{proxy.port} opens no tunnel: {answer}"
            raise ConnectionError(message)


def _delay(host: str) -> float | None:
    """None for an address: there is but one, and a cancelled race may leave its socket open."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _ATTEMPT_DELAY
    return None


def _is_host(name: str | None) -> TypeGuard[str]:
    """Whether a resolver can be asked for it."""
    try:
        return bool(name and name.encode("idna") and name.isascii())
    except UnicodeError:
        return False


async def _connected(loop: asyncio.AbstractEventLoop, proxy: Proxy) -> socket.socket:
    """A socket to the first of the proxy's addresses that takes one. Raises OSError."""
    found = await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM)
    failures = []
    for family, kind, number, _, address in found:
        connection = socket.socket(family, kind, number)
        try:
            connection.setblocking(False)  # noqa: FBT003 - it takes no keyword
            await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            failures.append(responses.said(error))
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise ConnectionError(f"the proxy {proxy.host}:{proxy.port}: {', '.join(failures)}")
