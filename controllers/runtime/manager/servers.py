"""/livez, /readyz and /metrics, from a thread of their own: they answer while the loop is stuck."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from controllers.runtime.client.config import ConfigurationError
from controllers.runtime.listen import listen
from controllers.runtime.reconcile.metrics import Metrics

_START_SECONDS = 10.0
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of a probe: ``trouble`` is empty when all is well."""

    name: str
    trouble: str = ""
    note: str = ""
    """Said beside a check that is well."""


Checks = Callable[[], Sequence[Check]]


class Server:
    """Serves until stopped. ``live`` and ``ready`` are called from the server's thread."""

    def __init__(
        self, address: tuple[str, int], *, live: Checks, ready: Checks, metrics: Metrics
    ) -> None:
        """Binds the address. Raises ConfigurationError when it is taken or not ours."""
        self._live = live
        self._ready = ready
        self._metrics = metrics
        self._socket = _listen(*address)
        self.port: int = self._socket.getsockname()[1]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = threading.Event()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="probes", daemon=True)

    def start(self) -> None:
        """Serve; returns once requests are answered."""
        self._thread.start()
        if not self._started.wait(_START_SECONDS):
            raise ConfigurationError(f"probes and metrics are not served on port {self.port}")

    def stop(self) -> None:
        """Stop serving; waits for the thread, bounded."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START_SECONDS)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/healthz", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._scrape)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.SockSite(runner, self._socket).start()
        self._started.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _livez(self, request: web.Request) -> web.Response:
        return _answer("livez", self._live(), verbose="verbose" in request.query)

    async def _readyz(self, request: web.Request) -> web.Response:
        return _answer("readyz", self._ready(), verbose="verbose" in request.query)

    async def _scrape(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.exposition(), headers={"Content-Type": _EXPOSITION})


def _answer(probe: str, checks: Sequence[Check], *, verbose: bool) -> web.Response:
    failed = [check for check in checks if check.trouble]
    if not failed and not verbose:
        return web.Response(text="ok")
    lines = [
        f"[-]{check.name} failed: {check.trouble}"
        if check.trouble
        else f"[+]{check.name} ok" + (f": {check.note}" if check.note else "")
        for check in (checks if verbose else failed)
    ]
    lines.append(f"{probe} check {'failed' if failed else 'passed'}")
    return web.Response(text="\n".join(lines) + "\n", status=503 if failed else 200)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        message = f"cannot listen on {host}:{port}: {error.strerror}; give --listen HOST:PORT, or 0"
        raise ConfigurationError(message) from error
