"""A way to a server on this machine that counts who goes along it, and may speak TLS in front."""

import asyncio
import contextlib
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
CHUNK = 65536


class Tunnel:
    """A context manager; it listens in a thread of its own while it is entered.

    `certificate` and `key` are PEM files: with them what comes is TLS, what goes on is not.
    """

    def __init__(
        self, behind: int, *, certificate: Path | None = None, key: Path | None = None
    ) -> None:
        self.port = 0
        self.taken = 0
        """How many connections so far."""
        self.most = 0
        """How many at the same time, at most."""
        self._open = 0
        self._ends: set[asyncio.StreamWriter] = set()
        self._behind = behind
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate, key)
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def forget(self) -> None:
        """Counts anew from here."""
        self.taken, self.most = 0, self._open

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(30)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen())

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._meet, HOST, 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._ended.wait()
        server.close()
        for end in self._ends:
            end.transport.abort()
        while self._open:  # noqa: ASYNC110 - each ends as soon as it hears of it
            await asyncio.sleep(0.01)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken += 1
        self._open += 1
        self.most = max(self.most, self._open)
        self._ends.add(writer)
        try:
            with contextlib.suppress(OSError):
                further, onward = await asyncio.open_connection(HOST, self._behind)
                self._ends.add(onward)
                await asyncio.gather(pump(reader, onward), pump(further, writer))
                await hang_up(onward)
                self._ends.discard(onward)
        finally:
            await hang_up(writer)
            self._ends.discard(writer)
            self._open -= 1


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until there is no more, or nobody to take it; then the other end is told."""
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
