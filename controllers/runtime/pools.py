"""Connections to the API server that are kept, and requests on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from controllers.runtime.routes import Route
from controllers.runtime.wires import Answer, Wire

IDLE = 75.0
"""Seconds for which an idle connection is kept. The API server ends one after 90 (IdleTimeout in
k8s.io/apiserver); a repair after a quiet minute need not shake hands first.
"""
_CONNECT = 10.0
"""Seconds for a connection to be made, TLS included."""
_TICK = 1.0
"""Seconds between two looks at what has taken too long."""
_BUFFER = 1 << 18
"""Bytes that are read at once, at most: as many as asyncio's TLS takes from the socket."""
_REPEATABLE = (b"GET ", b"PUT ", b"DELETE ")
"""What may be sent twice: the second time another version is there, or none."""


class Pool:
    """As many connections to one server as are asked on at once."""

    def __init__(self, route: Route) -> None:
        """Nothing is connected before the first request."""
        self._route = route
        self._buffer = memoryview(bytearray(_BUFFER))
        self._wires: set[Wire] = set()
        self._idle: list[tuple[Wire, float]] = []
        self._clock: asyncio.TimerHandle
        self._emptied = asyncio.Event()
        self._emptied.set()

    async def ask(self, request: bytes, *, seconds: float) -> Answer:
        """Send a whole request, and wait for the whole answer.

        Raises OSError: ConnectionError, or TimeoutError after ``seconds``.
        """
        loop = asyncio.get_running_loop()
        while True:
            kept = self._kept(loop.time())
            wire = kept or await self._open()
            try:
                answer = await wire.ask(request, seconds)
            except ConnectionError:
                wire.abort()
                # The server may have ended a kept one in the moment in which it was asked.
                if kept is None or wire.heard or not request.startswith(_REPEATABLE):
                    raise
                continue
            except BaseException:
                wire.abort()
                raise
            if wire.usable:
                self._idle.append((wire, loop.time()))
            else:
                wire.abort()
            return answer

    @asynccontextmanager
    async def stream(
        self, request: bytes, *, silence: float
    ) -> AsyncIterator[tuple[Answer, AsyncGenerator[bytes]]]:
        """The answer's beginning, and its body as it comes; an answer that is no 200 is whole.

        Raises OSError: ConnectionError, or TimeoutError after ``silence`` seconds without a byte.
        """
        wire = await self._open()
        try:
            answer = await wire.ask(request, silence, stream=True)
            async with aclosing(wire.chunks()) as chunks:
                yield answer, chunks
        finally:
            wire.abort()

    async def close(self) -> None:
        """End all connections, and wait until they have."""
        for wire in self._wires:
            wire.abort()
        await self._emptied.wait()

    def _kept(self, now: float) -> Wire | None:
        """The connection that was used last, so that the others grow old and end."""
        while self._idle:
            wire, since = self._idle.pop()
            if wire.usable and now - since < IDLE:
                return wire
            wire.abort()
        return None

    async def _open(self) -> Wire:
        try:
            async with asyncio.timeout(_CONNECT):
                wire = await self._route.open(lambda: Wire(self._forget, self._buffer))
        except TimeoutError as error:
            message = f"cannot connect to {self._route.netloc} within {_CONNECT:g} s"
            raise TimeoutError(message) from error
        if wire.lost:  # already: the next who asks on it hears so
            return wire
        if not self._wires:
            self._emptied.clear()
            self._look_at_the_clock()
        self._wires.add(wire)
        return wire

    def _look_at_the_clock(self) -> None:
        """One timer for all: one a request would be a twentieth of what a write costs."""
        loop = asyncio.get_running_loop()
        for wire in tuple(self._wires):
            wire.look_at_the_clock(loop.time())
        self._clock = loop.call_later(_TICK, self._look_at_the_clock)

    def _forget(self, wire: Wire) -> None:
        self._wires.discard(wire)
        self._idle = [one for one in self._idle if one[0] is not wire]
        if not self._wires:
            self._emptied.set()
            self._clock.cancel()
