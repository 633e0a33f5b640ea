"""A work queue with the promises of client-go's workqueue, and two priorities.

A key is never handed to two workers at once; a key that is added while it is worked on comes again
afterwards; a key that is added twice before it is taken comes once.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from enum import IntEnum

from controllers.runtime.backoff import Backoff

BACKLOG_TURN = 16
"""Every so many turns one is the backlog's, so that a storm of events cannot starve it."""


class Priority(IntEnum):
    """Which of two lines something stands in."""

    EVENT = 0
    """Something happened: before the backlog."""
    BACKLOG = 1
    """The initial list, a resync, and what is only told."""


class Closed(Exception):  # noqa: N818 - the end, not an error
    """The queue was closed, and holds nothing more."""


class Queue:
    """One controller's queue of profile names. For one event loop, not for threads."""

    def __init__(self, *, clock: Callable[[], float], backoff: Backoff | None = None) -> None:
        """``clock`` gives monotonic seconds."""
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._lines: tuple[dict[str, float], dict[str, float]] = ({}, {})  # key -> time added
        self._working: dict[str, float] = {}  # key -> time taken
        self._urgent: set[str] = set()  # worked on, and taken from the first line
        self._again: dict[str, Priority] = {}  # added while worked on
        self._failures: dict[str, int] = {}
        self._delayed: list[tuple[float, int, str, Priority]] = []
        self._due: dict[str, float] = {}  # the earliest delayed add of each key
        self._count = 0
        self._taken = 0
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._closed = False
        self.adds = 0
        self.retries = 0
        self.observe_wait: Callable[[float], None] = lambda _seconds: None
        self.observe_work: Callable[[float], None] = lambda _seconds: None

    def __len__(self) -> int:
        """How many keys wait to be taken; delayed ones are not counted."""
        return len(self._lines[0]) + len(self._lines[1])

    def add(self, key: str, priority: Priority = Priority.EVENT) -> None:
        """Put the key in line, or move it up; nothing when the queue is closed."""
        if self._closed:
            return
        if key in self._working:
            self._again[key] = min(priority, self._again.get(key, priority))
            return
        urgent, backlog = self._lines
        if key in urgent or (priority is Priority.BACKLOG and key in backlog):
            return
        since = backlog.pop(key, self._clock())
        self._lines[priority][key] = since
        self.adds += 1
        self._wake_one()

    def add_after(self, key: str, seconds: float, priority: Priority = Priority.EVENT) -> None:
        """Put the key in line after so many seconds; an earlier delayed add of it wins."""
        if self._closed:
            return
        due = self._clock() + seconds
        if self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        self._count += 1
        heapq.heappush(self._delayed, (due, self._count, key, priority))
        self._arm()

    def retry(self, key: str) -> float:
        """Put the key in line after its backoff, and return the seconds.

        The first time it keeps its place before the backlog; what fails on and on has none.
        """
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        self.retries += 1
        delay = self._backoff.delay(failures)
        self.add_after(key, delay, Priority.EVENT if failures == 1 else Priority.BACKLOG)
        return delay

    def forget(self, key: str) -> None:
        """The key did well: its next failure starts at the first backoff again."""
        self._failures.pop(key, None)

    def drop(self, key: str) -> None:
        """The key is no more: forget its failures, its delayed adds, and its place in line."""
        self.forget(key)
        self._due.pop(key, None)
        self._again.pop(key, None)
        for line in self._lines:
            line.pop(key, None)

    def hurry(self) -> None:
        """What all keys waited for is back: put the delayed ones in line, behind the others."""
        for key in list(self._due):
            self.add(key, Priority.BACKLOG)
        self._due.clear()
        self._delayed.clear()
        self._arm()

    def failures(self, key: str) -> int:
        """How often in a row the key has failed."""
        return self._failures.get(key, 0)

    async def get(self) -> str:
        """The next key; ``done`` must follow. Raises Closed when there will be none."""
        while True:
            line = self._next_line()
            if line is not None:
                break
            if self._closed:
                raise Closed
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            try:
                await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():
                    self._wake_one()  # the key that woke us is another worker's now
                raise
        key = next(iter(line))
        now = self._clock()
        self.observe_wait(now - line.pop(key))
        self._working[key] = now
        if line is self._lines[Priority.EVENT]:
            self._urgent.add(key)
        self._taken += 1
        return key

    def done(self, key: str) -> None:
        """The worker has finished with the key; it comes again when it was added meanwhile."""
        self.observe_work(self._clock() - self._working.pop(key))
        self._urgent.discard(key)
        again = self._again.pop(key, None)
        if again is not None:
            self.add(key, again)

    def close(self) -> None:
        """Take nothing more in and hand nothing more out; what is worked on goes on."""
        self._closed = True
        for line in self._lines:
            line.clear()
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting:
            self._wake_one()

    def is_urgent(self, key: str) -> bool:
        """Whether the key, which is worked on, was taken before the backlog."""
        return key in self._urgent

    @property
    def idle(self) -> bool:
        """Whether no key waits or is worked on; delayed ones may remain."""
        return not len(self) and not self._working

    def running(self) -> list[float]:
        """For each key that is worked on, for how many seconds; from any thread."""
        now = self._clock()
        return [now - since for since in list(self._working.values())]

    def _next_line(self) -> dict[str, float] | None:
        urgent, backlog = self._lines
        if backlog and (not urgent or self._taken % BACKLOG_TURN == BACKLOG_TURN - 1):
            return backlog
        return urgent or None

    def _wake_one(self) -> None:
        while self._waiting:
            future = self._waiting.pop(0)
            if not future.done():
                future.set_result(None)
                return

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._delayed:
            delay = max(0.0, self._delayed[0][0] - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._release)

    def _release(self) -> None:
        now = self._clock()
        while self._delayed and self._delayed[0][0] <= now:
            due, _, key, priority = heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key, priority)
        self._arm()
