"""A TLS proxy for a Postgres that was built without TLS.

It negotiates TLS as Postgres does, then tunnels. A test can make it refuse TLS, never respond, or
stop forwarding on open connections.
"""

import asyncio
import contextlib
import ssl
import threading
from enum import Enum
from pathlib import Path

HOST = "localhost"
_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


class ProxyMode(Enum):
    """How the proxy treats connections."""

    FORWARD = "TLS, then the server"
    REFUSE_TLS = "new connections are refused TLS"
    NO_RESPONSE = "new connections are accepted and never get a response"
    FROZEN = "nothing is forwarded, on open connections either"


class TlsProxy:
    """Listens in its own thread, from the constructor until `stop`."""

    def __init__(self, *, port: int, server_port: int, certificate: Path, key: Path) -> None:
        self.mode = ProxyMode.FORWARD
        self.connections = 0
        """The number of accepted connections."""
        self.open = 0
        """The number of open connections."""
        self._server_port = server_port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        listening = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port, listening), daemon=True)
        self._thread.start()
        assert listening.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)

    def _run(self, port: int, listening: threading.Event) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen(port, listening))

    async def _listen(self, port: int, listening: threading.Event) -> None:
        server = await asyncio.start_server(self._handle, HOST, port)
        listening.set()
        await self._stopped.wait()
        server.close()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            self.open -= 1
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readexactly(len(_SSL_REQUEST))
        if self.mode is ProxyMode.NO_RESPONSE:
            await reader.read()
        if request != _SSL_REQUEST or self.mode is ProxyMode.REFUSE_TLS:
            writer.write(b"N")
            await reader.read()
            return
        writer.write(b"S")
        await writer.start_tls(self._context)
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        try:
            copies = (self._copy(reader, server_writer), self._copy(server_reader, writer))
            tasks = [asyncio.ensure_future(copy) for copy in copies]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            server_writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            while self.mode is ProxyMode.FROZEN:  # noqa: ASYNC110 - another thread sets it
                await asyncio.sleep(0.02)
            writer.write(data)
            await writer.drain()
