"""Who goes first: two lines, for profiles in the queue and for writes to the API server."""

from __future__ import annotations

import asyncio
from collections import deque

from controllers.runtime.workqueue import LOW_PRIORITY_SHARE, Priority


class Slots:
    """So many writes at once, and in two lines: what an event woke goes before the backlog."""

    def __init__(self, count: int) -> None:
        self._count = self._free = count
        self._lines: tuple[deque[asyncio.Future[None]], ...] = (deque(), deque())
        self._turn = 0

    @property
    def busy(self) -> bool:
        """Whether half of them or more are taken."""
        return 2 * self._free <= self._count

    async def acquire(self, line: Priority) -> None:
        """Wait for a slot; ``release`` must follow, but not when this raises."""
        if self._free and not any(self._lines):
            self._free -= 1
            return
        future = asyncio.get_running_loop().create_future()
        self._lines[line].append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Give the slot to the next in line."""
        self._turn += 1
        urgent, backlog = self._lines
        first = (backlog, urgent) if self._turn % LOW_PRIORITY_SHARE == 0 else (urgent, backlog)
        for line in first:
            while line:
                future = line.popleft()
                if not future.done():
                    future.set_result(None)
                    return
        self._free += 1


class Limiter:
    """Bounds writes in flight, and their rate where ``qps`` is given."""

    def __init__(self, *, max_writes: int, qps: float | None) -> None:
        self._slots = Slots(max_writes)
        self._interval = 1 / qps if qps else 0.0
        self._next = 0.0

    @property
    def busy(self) -> bool:
        """Whether half of the writes that may be in flight are, or more."""
        return self._slots.busy

    async def enter(self, line: Priority) -> None:
        """Wait for a slot; ``leave`` must follow."""
        await self._slots.acquire(line)
        if self._interval:
            await self._pace()

    def leave(self) -> None:
        """Give the slot to the next."""
        self._slots.release()

    async def _pace(self) -> None:
        try:
            now = asyncio.get_running_loop().time()
            start = max(now, self._next)
            self._next = start + self._interval
            await asyncio.sleep(start - now)
        except asyncio.CancelledError:
            self._slots.release()
            raise
