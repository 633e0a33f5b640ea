"""The limits of this process on its writes to the API server."""

from __future__ import annotations

import asyncio
from collections import deque

from controllers.runtime.workqueue import LOW_PRIORITY_SHARE, Priority


class PrioritySemaphore:
    """A semaphore with two queues of waiters, by priority.

    Every ``LOW_PRIORITY_SHARE``-th release goes to a waiter of low priority, so that none starves.
    For one event loop.
    """

    def __init__(self, count: int) -> None:
        self._count = self._free = count
        self._waiters: tuple[deque[asyncio.Future[None]], ...] = (deque(), deque())
        self._releases = 0

    @property
    def busy(self) -> bool:
        """Whether at least half of the semaphore is acquired."""
        return 2 * self._free <= self._count

    async def acquire(self, priority: Priority) -> None:
        """Wait until the semaphore is free; call ``release`` afterwards, unless this raises."""
        if self._free and not any(self._waiters):
            self._free -= 1
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[priority].append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Pass the place on to the next waiter."""
        self._releases += 1
        normal, low = self._waiters
        order = (low, normal) if self._releases % LOW_PRIORITY_SHARE == 0 else (normal, low)
        for waiters in order:
            while waiters:
                waiter = waiters.popleft()
                if not waiter.done():
                    waiter.set_result(None)
                    return
        self._free += 1


class Limiter:
    """Limits the writes in flight, and their rate if ``qps`` is set. For one event loop."""

    def __init__(self, *, max_writes: int, qps: float | None) -> None:
        self._in_flight = PrioritySemaphore(max_writes)
        self._interval = 1 / qps if qps else 0.0
        self._next = 0.0

    @property
    def busy(self) -> bool:
        """Whether at least half of the allowed writes are in flight."""
        return self._in_flight.busy

    async def acquire(self, priority: Priority) -> None:
        """Wait until a write is allowed; call ``release`` afterwards, unless this raises."""
        await self._in_flight.acquire(priority)
        if self._interval:
            await self._wait_for_rate()

    def release(self) -> None:
        """End a write."""
        self._in_flight.release()

    async def _wait_for_rate(self) -> None:
        try:
            now = asyncio.get_running_loop().time()
            start = max(now, self._next)
            self._next = start + self._interval
            await asyncio.sleep(start - now)
        except asyncio.CancelledError:
            self._in_flight.release()
            raise
