"""TLS before a Postgres that was built without it: the negotiation of its protocol, then a tunnel.

What a client sees is a server that takes TLS and nothing else. A test may have it refuse TLS, say
nothing at all, or fall silent in the middle.
"""

import asyncio
import contextlib
import ssl
import threading
from enum import Enum
from pathlib import Path

HOST = "localhost"
_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


class Mood(Enum):
    """How the next connections are met."""

    WELL = "TLS, then the server behind"
    REFUSES_TLS = "told that there is no TLS"
    SILENT = "taken, and never answered"
    FROZEN = "nothing passes any more, on those that are open either"


class Front:
    """Listens in a thread of its own, from its making until `stop`."""

    def __init__(self, *, port: int, behind: int, certificate: Path, key: Path) -> None:
        self.mood = Mood.WELL
        self.connections = 0
        """How many it has taken so far."""
        self.open = 0
        self._behind = behind
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        listening = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port, listening), daemon=True)
        self._thread.start()
        assert listening.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    def _run(self, port: int, listening: threading.Event) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen(port, listening))

    async def _listen(self, port: int, listening: threading.Event) -> None:
        server = await asyncio.start_server(self._meet, HOST, port)
        listening.set()
        await self._ended.wait()
        server.close()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            self.open -= 1
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readexactly(len(_SSL_REQUEST))
        if self.mood is Mood.SILENT:
            await reader.read()
        if asked != _SSL_REQUEST or self.mood is Mood.REFUSES_TLS:
            writer.write(b"N")
            await reader.read()
            return
        writer.write(b"S")
        await writer.start_tls(self._context)
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._behind)
        try:
            pumps = (self._pump(reader, server_writer), self._pump(server_reader, writer))
            tasks = [asyncio.ensure_future(one) for one in pumps]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            server_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            while self.mood is Mood.FROZEN:  # noqa: ASYNC110 - another thread sets it
                await asyncio.sleep(0.02)
            writer.write(data)
            await writer.drain()
