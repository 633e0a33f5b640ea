"""An HTTP server that sends exactly what a test has written, connection by connection."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

from tests.support.fakes import virtual_time

HOST = "127.0.0.1"


class Connection:
    """One connection, at the server's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> str:
        """Return the next request as it was sent; "" at the end of the connection."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return ""
        for line in head.splitlines():
            name, _, value = line.partition(": ")
            if name == "Content-Length":
                head += (await self.reader.readexactly(int(value))).decode()
        return head

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def stay_silent(self) -> None:
        """Return when the client closes the connection."""
        await self.reader.read()


Script = Callable[[Connection], Awaitable[None]]


class Server:
    """Runs one script for each connection; the last script serves all that follow."""

    def __init__(self, *scripts: Script) -> None:
        self.accepted = 0
        """Connections so far."""
        self.port = 0
        self._scripts = scripts
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._writers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self._scripts[min(self.accepted, len(self._scripts) - 1)]
        self.accepted += 1
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.CancelledError):  # the test has ended
            await script(Connection(reader, writer))
        writer.close()
        self._writers.discard(writer)

    def close_connections(self) -> None:
        for writer in self._writers:
            writer.close()


@contextlib.asynccontextmanager
async def serving(*scripts: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(*scripts)
    listener = await asyncio.start_server(server.serve, HOST, 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        await virtual_time.turns()  # connections that are being accepted are accepted first
        listener.close()
        server.close_connections()


def response(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def chunked(*bodies: bytes, status: str = "200 OK") -> list[bytes]:
    """Head, chunks and end of a response of unknown length."""
    head = f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return [head, *(b"%x\r\n%b\r\n" % (len(one), one) for one in bodies), b"0\r\n\r\n"]


def responding(*pieces: bytes, requests: list[str] | None = None) -> Script:
    """Send these pieces in response to every request, on a connection that stays open."""

    async def script(connection: Connection) -> None:
        while request := await connection.request():
            if requests is not None:
                requests.append(request)
            await connection.send(*pieces)

    return script


def echoing() -> Script:
    """Respond to every request with its first line, on a connection that stays open."""

    async def script(connection: Connection) -> None:
        while request := await connection.request():
            line = request.splitlines()[0]
            await connection.send(response(json.dumps({"request": line}).encode()))

    return script
