"""Connections to the API server that are kept, and requests on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import structlog

from controllers.runtime.client.routes import Route
from controllers.runtime.client.wires import Answer, Wire

logger = structlog.stdlib.get_logger(__name__)

IDLE = 75.0
"""Seconds for which an idle connection is kept. The API server ends one after 90 (IdleTimeout in
k8s.io/apiserver); a repair after a quiet minute need not shake hands first.
"""
_TICK = 1.0
"""Seconds between two looks at what has taken too long, or idles for too long."""
_CONNECT = 10.0
"""Seconds for a connection to be made, TLS included."""
_BUFFER = 1 << 18
"""Bytes that are read at once, at most: as many as asyncio's TLS takes from the socket."""
_REPEATABLE = (b"GET ", b"PUT ", b"DELETE ")
"""What may be sent twice: the second time another version is there, or none."""


class Pool:
    """As many connections to one server as are asked on at once. For one event loop."""

    def __init__(self, route: Route, *, idle: float = IDLE, tick: float = _TICK) -> None:
        """Nothing is connected before the first request."""
        self._route = route
        self._longest_idle = idle
        self._tick = tick
        self._buffer = memoryview(bytearray(_BUFFER))
        self._wires: set[Wire] = set()
        self._idle: list[tuple[Wire, float]] = []
        """Those that may be asked, and since when; the one that was used last is the last."""
        self._clock: asyncio.TimerHandle | None = None
        self._closed = False
        self._emptied = asyncio.Event()
        self._emptied.set()

    @property
    def connections(self) -> int:
        """How many there are, idle ones included."""
        return len(self._wires)

    async def ask(self, request: bytes, *, seconds: float) -> Answer:
        """Send a whole request, and wait for the whole answer.

        Raises ConnectionError, or TimeoutError after ``seconds``, connecting included.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        kept = self._kept(loop.time())
        if kept is not None:
            try:
                return await self._ask(kept, request, seconds)
            except ConnectionError as error:
                # The server may have ended it in the moment in which it was asked.
                if self._closed or kept.heard or not request.startswith(_REPEATABLE):
                    raise
                logger.debug("asked again on a new connection", error=str(error))
        wire = await self._open(deadline - loop.time())
        return await self._ask(wire, request, deadline - loop.time())

    @asynccontextmanager
    async def stream(
        self, request: bytes, *, silence: float
    ) -> AsyncIterator[tuple[Answer, AsyncGenerator[bytes]]]:
        """The answer's beginning, and its body as it comes; an answer that is no 200 is whole.

        Raises ConnectionError, or TimeoutError: after ``silence`` seconds without a beginning, and
        later without a byte.
        """
        wire = await self._open(silence)
        try:
            answer = await wire.ask(request, silence, stream=True)
            async with aclosing(wire.chunks()) as chunks:
                yield answer, chunks
        finally:
            wire.abort()

    async def close(self) -> None:
        """End all connections for good, and wait until they have; what is asked fails."""
        self._closed = True
        for wire in tuple(self._wires):
            wire.abort()
        await self._emptied.wait()

    async def _ask(self, wire: Wire, request: bytes, seconds: float) -> Answer:
        try:
            answer = await wire.ask(request, seconds)
        except BaseException:
            wire.abort()
            raise
        if wire.usable and not self._closed:
            self._idle.append((wire, asyncio.get_running_loop().time()))
        else:
            wire.abort()
        return answer

    def _kept(self, now: float) -> Wire | None:
        """The connection that was used last, so that the others grow old and end."""
        while self._idle:
            wire, since = self._idle.pop()
            if wire.usable and now - since < self._longest_idle:
                return wire
            wire.abort()
        return None

    async def _open(self, seconds: float) -> Wire:
        if self._closed:
            raise ConnectionError("the connections have been closed")
        wire = Wire(self._remember, self._forget, self._buffer)
        longest = min(seconds, _CONNECT)
        try:
            async with asyncio.timeout(longest):
                await self._route.open(lambda: wire)
        except TimeoutError as error:
            wire.abort()
            message = f"cannot connect to {self._route.netloc} within {longest:g} s"
            raise TimeoutError(message) from error
        except BaseException:
            wire.abort()
            raise
        return wire

    def _look_at_the_clock(self) -> None:
        """One timer for all: one a request would be a twentieth of what a write costs."""
        loop = asyncio.get_running_loop()
        self._clock = loop.call_later(self._tick, self._look_at_the_clock)
        now = loop.time()
        for wire in tuple(self._wires):
            wire.look_at_the_clock(now)
        while self._idle and now - self._idle[0][1] >= self._longest_idle:
            self._idle.pop(0)[0].abort()

    def _remember(self, wire: Wire) -> None:
        self._wires.add(wire)
        self._emptied.clear()
        if self._closed:
            wire.abort()
        elif self._clock is None:
            self._look_at_the_clock()

    def _forget(self, wire: Wire) -> None:
        self._wires.discard(wire)
        self._idle = [one for one in self._idle if one[0] is not wire]
        if not self._wires:
            self._emptied.set()
            if self._clock is not None:
                self._clock.cancel()
                self._clock = None
