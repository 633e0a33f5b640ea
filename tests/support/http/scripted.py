"""An HTTP server that says, connection by connection, what a test has written for it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

from tests.support.fakes import event_loop

HOST = "127.0.0.1"


class Caller:
    """One connection, from the server's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> str:
        """The next request as it was sent; "" when there is none any more."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return ""
        for line in head.splitlines():
            name, _, value = line.partition(": ")
            if name == "Content-Length":
                head += (await self.reader.readexactly(int(value))).decode()
        return head

    async def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    def hang_up(self) -> None:
        self.writer.close()

    async def stay_silent(self) -> None:
        await self.reader.read()


Script = Callable[[Caller], Awaitable[None]]


class Server:
    """Takes connections one by one; the last script serves all that follow."""

    def __init__(self, *scripts: Script) -> None:
        self.taken = 0
        self.asked: list[str] = []
        self.port = 0
        self._scripts = scripts
        self._callers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self._scripts[min(self.taken, len(self._scripts) - 1)]
        self.taken += 1
        self._callers.add(writer)
        with contextlib.suppress(OSError, asyncio.CancelledError):  # the test is over
            await script(Caller(reader, writer))
        writer.close()
        self._callers.discard(writer)

    def hang_up(self) -> None:
        for writer in self._callers:
            writer.close()


@contextlib.asynccontextmanager
async def serving(*scripts: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    found = Server(*scripts)
    listener = await asyncio.start_server(found.serve, HOST, 0, ssl=tls)
    found.port = listener.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        await event_loop.turns()  # who is just being let in is let in, and then out again
        listener.close()
        found.hang_up()


def answer(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


def chunked(*bodies: bytes, status: str = "200 OK") -> list[bytes]:
    """Head, chunks and end of an answer of unknown length."""
    head = f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return [head, *(b"%x\r\n%b\r\n" % (len(one), one) for one in bodies), b"0\r\n\r\n"]


def saying(*pieces: bytes) -> Script:
    """These pieces to every request, on a connection that is kept."""

    async def script(caller: Caller) -> None:
        while await caller.request():
            await caller.say(*pieces)

    return script


def echoing() -> Script:
    """To every request its own first line, on a connection that is kept."""

    async def script(caller: Caller) -> None:
        while request := await caller.request():
            await caller.say(answer(request.splitlines()[0].encode()))

    return script
