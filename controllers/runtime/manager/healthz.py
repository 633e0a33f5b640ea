"""The probes /livez and /readyz, and the server for them and for /metrics.

The server has a thread of its own, so that it responds while the event loop is blocked.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from controllers.runtime.cache.informer import Informer
from controllers.runtime.cache.profiles import ProfileStore
from controllers.runtime.client.config import ConfigurationError
from controllers.runtime.listen import listen
from controllers.runtime.manager.profile_watch.watch import ProfileWatch
from controllers.runtime.options import Options
from controllers.runtime.reconcile.metrics import Metrics
from controllers.runtime.reconcile.reconciler import Reconciler

_HEARTBEAT_SECONDS = 1.0
_START_SECONDS = 10.0
_METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of a probe. It fails if ``error`` is not empty."""

    name: str
    error: str = ""
    note: str = ""
    """Details that ``?verbose`` shows beside a check that passes."""


Checks = Callable[[], Sequence[Check]]


class Health:
    """The checks of a process. Safe to call from any thread."""

    def __init__(
        self,
        profiles: ProfileStore,
        watch: ProfileWatch,
        informers: Mapping[str, Informer],
        reconcilers: Mapping[str, Reconciler],
        options: Options,
        *,
        clock: Callable[[], float],
    ) -> None:
        """``clock`` returns monotonic seconds."""
        self._profiles = profiles
        self._watch = watch
        self._informers = informers
        self._reconcilers = reconcilers
        self._hang_timeout = options.hang_timeout
        self._watch_down_timeout = options.watch_down_timeout
        self._clock = clock
        self._last_heartbeat = clock()
        self._standby = ""

    def set_standby(self, reason: str) -> None:
        """Show why this process does not lead."""
        self._standby = reason

    def set_leading(self) -> None:
        """Show that this process leads."""
        self._standby = ""

    async def heartbeat(self) -> None:
        """Show that the event loop runs, until cancelled."""
        while True:
            self._last_heartbeat = self._clock()
            await asyncio.sleep(_HEARTBEAT_SECONDS)

    def livez(self) -> list[Check]:
        """Check that the event loop runs and that no worker hangs."""
        timeout = self._hang_timeout
        blocked = self._clock() - self._last_heartbeat
        error = f"blocked for {blocked:.0f} s" if blocked > timeout else ""
        checks = [Check(name="event-loop", error=error)]
        for name, reconciler in self._reconcilers.items():
            longest = max(reconciler.queue.running_seconds(), default=0.0)
            error = f"a reconcile has been running for {longest:.0f} s" if longest > timeout else ""
            checks.append(Check(name=f"workers/{name}", error=error))
        return checks

    def readyz(self) -> list[Check]:
        """Check that every list is complete and that no watch is down for too long."""
        checks = [
            self._check_watch(
                "profiles",
                synced=self._profiles.synced,
                down_since=self._watch.down_since,
                error=self._watch.health(),
            )
        ]
        for kind, informer in self._informers.items():
            reflector = informer.reflector
            error = reflector.health()
            if reflector.not_served and informer.kind.optional:
                checks.append(Check(name=f"informer/{kind}", note=f"waiting: {error}"))
                continue
            checks.append(
                self._check_watch(
                    f"informer/{kind}",
                    synced=informer.synced,
                    down_since=reflector.down_since,
                    error=error,
                )
            )
        for name, reconciler in self._reconcilers.items():
            if reconciler.external is None:
                continue
            for component in reconciler.external.components():
                # Never a failure: a restart repairs no external system, and other work continues.
                note = component.error
                if component.next_request is not None:
                    note += f"; next request in {component.next_request:.0f} s"
                checks.append(Check(name=f"external/{name}/{component.name}", note=note))
        checks.append(Check(name="leading", note=self._standby))
        return checks

    def _check_watch(
        self, name: str, *, synced: bool, down_since: float | None, error: str
    ) -> Check:
        if not synced:
            return Check(name=name, error=error or "not listed yet")
        down = 0.0 if down_since is None else self._clock() - down_since
        text = f"watch down for {down:.0f} s: {error}"
        if down > self._watch_down_timeout:
            return Check(name=name, error=text)
        return Check(name=name, note=text if error else "")


class ProbeServer:
    """Serves the probes and the metrics in a thread."""

    def __init__(
        self, address: tuple[str, int], *, livez: Checks, readyz: Checks, metrics: Metrics
    ) -> None:
        """Listen on an address. ``livez`` and ``readyz`` are called from the server's thread.

        Raises ConfigurationError if the address is not available.
        """
        self._livez_checks = livez
        self._readyz_checks = readyz
        self._metrics = metrics
        self._socket = _listen(*address)
        self.port: int = self._socket.getsockname()[1]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = threading.Event()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="probes", daemon=True)

    def start(self) -> None:
        """Start the thread and wait until it serves. Raises ConfigurationError."""
        self._thread.start()
        if not self._started.wait(_START_SECONDS):
            message = f"the server for probes and metrics did not start on port {self.port}"
            raise ConfigurationError(message)

    def stop(self) -> None:
        """Stop the thread; waits a bounded time for it."""
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
        return _response("livez", self._livez_checks(), verbose="verbose" in request.query)

    async def _readyz(self, request: web.Request) -> web.Response:
        return _response("readyz", self._readyz_checks(), verbose="verbose" in request.query)

    async def _scrape(self, _request: web.Request) -> web.Response:
        headers = {"Content-Type": _METRICS_CONTENT_TYPE}
        return web.Response(body=self._metrics.exposition(), headers=headers)


def _response(probe: str, checks: Sequence[Check], *, verbose: bool) -> web.Response:
    """Respond in the format of the API server's probes."""
    failed = [check for check in checks if check.error]
    if not failed and not verbose:
        return web.Response(text="ok")
    lines = [_line(check) for check in (checks if verbose else failed)]
    lines.append(f"{probe} check {'failed' if failed else 'passed'}")
    return web.Response(text="\n".join(lines) + "\n", status=503 if failed else 200)


def _line(check: Check) -> str:
    if check.error:
        return f"[-]{check.name} failed: {check.error}"
    return f"[+]{check.name} ok" + (f": {check.note}" if check.note else "")


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        message = (
            f"cannot listen on {host}:{port}: {error.strerror};"
            " set --listen to a free HOST:PORT, or to 0 to serve no probes and metrics"
        )
        raise ConfigurationError(message) from error
