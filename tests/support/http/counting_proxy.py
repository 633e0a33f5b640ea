"""A TCP proxy to a server on this machine that counts connections and can terminate TLS."""

import asyncio
import contextlib
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
CHUNK = 65536


class CountingProxy:
    """A context manager that listens in a thread of its own.

    `certificate` and `key` are PEM files. With them, clients use TLS; the server does not.
    """

    def __init__(
        self, behind: int, *, certificate: Path | None = None, key: Path | None = None
    ) -> None:
        self.port = 0
        self.accepted = 0
        """Connections so far."""
        self.max_open = 0
        """The largest number of concurrent connections so far."""
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

    def reset_counts(self) -> None:
        """Start to count again."""
        self.accepted, self.max_open = 0, self._open

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
        server = await asyncio.start_server(self._accept, HOST, 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._ended.wait()
        server.close()
        for end in self._ends:
            end.transport.abort()
        while self._open:  # noqa: ASYNC110 - connections end soon
            await asyncio.sleep(0.01)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._open += 1
        self.max_open = max(self.max_open, self._open)
        self._ends.add(writer)
        try:
            with contextlib.suppress(OSError):
                further, onward = await asyncio.open_connection(HOST, self._behind)
                self._ends.add(onward)
                await asyncio.gather(pump(reader, onward), pump(further, writer))
                await close(onward)
                self._ends.discard(onward)
        finally:
            await close(writer)
            self._ends.discard(writer)
            self._open -= 1


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until either end closes, then close the other."""
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
