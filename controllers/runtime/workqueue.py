"""A rate-limited work queue with the guarantees of client-go's workqueue, and two priorities.

A key is never handed to two workers at the same time. A key that is added while a worker processes
it is queued again when the worker is done. A key that is added twice before a worker takes it is
queued once.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Collection
from enum import IntEnum

from controllers.runtime.backoff import Backoff

LOW_PRIORITY_SHARE = 16
"""Every sixteenth turn takes low priority first, so that many events cannot starve it."""


class Priority(IntEnum):
    """The order in which keys are processed and writes are sent."""

    NORMAL = 0
    """Something changed."""
    LOW = 1
    """The initial list, a resync, a repeated failure, and writes that only report status."""


class ShutDown(Exception):  # noqa: N818 - the end of the queue is not an error
    """The queue was shut down."""


def _ignore(_seconds: float) -> None:
    """Observe nothing."""


class WorkQueue:
    """The queue of one controller, of Profile names. Belongs to one event loop."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        backoff: Backoff | None = None,
        observe_wait: Callable[[float], None] = _ignore,
        observe_work: Callable[[float], None] = _ignore,
    ) -> None:
        """Create an empty queue. ``clock`` returns monotonic seconds.

        ``observe_wait`` receives the seconds that a key waited in the queue, ``observe_work`` the
        seconds that a worker processed it.
        """
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._observe_wait = observe_wait
        self._observe_work = observe_work
        # Per priority, the waiting keys and when each was added.
        self._waiting: tuple[dict[str, float], dict[str, float]] = ({}, {})
        self._processing: dict[str, float] = {}  # key -> when a worker took it
        self._processing_normal: set[str] = set()  # those that were taken at normal priority
        self._dirty: dict[str, Priority] = {}  # added while a worker processes them
        self._failures: dict[str, int] = {}
        self._delayed: list[tuple[float, int, str, Priority]] = []
        self._ready_at: dict[str, float] = {}  # the earliest delayed add of each key
        self._sequence = 0
        self._taken = 0
        self._timer: asyncio.TimerHandle | None = None
        self._getters: list[asyncio.Future[None]] = []
        self._shutting_down = False
        self.adds = 0
        """How many keys were added."""
        self.retries = 0
        """How many keys were added after a failure."""

    def __len__(self) -> int:
        """Return the number of keys that wait for a worker, without delayed ones."""
        return len(self._waiting[0]) + len(self._waiting[1])

    def add(self, key: str, priority: Priority = Priority.NORMAL) -> None:
        """Add a key, or raise its priority. Does nothing after ``shut_down``."""
        if self._shutting_down:
            return
        if key in self._processing:
            self._dirty[key] = min(priority, self._dirty.get(key, priority))
            return
        normal, low = self._waiting
        if key in normal or (priority is Priority.LOW and key in low):
            return
        since = low.pop(key, self._clock())
        self._waiting[priority][key] = since
        self.adds += 1
        self._notify_one()

    def add_after(self, key: str, seconds: float, priority: Priority = Priority.NORMAL) -> None:
        """Add a key after a delay. Of several delayed adds of a key the earliest counts."""
        if self._shutting_down:
            return
        ready_at = self._clock() + seconds
        if self._ready_at.get(key, ready_at + 1) <= ready_at:
            return
        self._ready_at[key] = ready_at
        self._sequence += 1
        heapq.heappush(self._delayed, (ready_at, self._sequence, key, priority))
        self._set_timer()

    def add_rate_limited(self, key: str) -> float:
        """Add a key after the backoff of its failures, and return that delay in seconds.

        The first retry has normal priority, later ones low priority.
        """
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        self.retries += 1
        delay = self._backoff.delay(failures)
        self.add_after(key, delay, Priority.NORMAL if failures == 1 else Priority.LOW)
        return delay

    def forget(self, key: str) -> None:
        """Reset the failures of a key, after it was processed successfully."""
        self._failures.pop(key, None)

    def remove(self, key: str) -> None:
        """Remove a key that no longer exists, with its failures and its delayed adds."""
        self.forget(key)
        self._ready_at.pop(key, None)
        self._dirty.pop(key, None)
        for waiting in self._waiting:
            waiting.pop(key, None)

    def retry_now(self) -> None:
        """Add every delayed key now, at low priority. Failure counts stay."""
        for key in list(self._ready_at):
            self.add(key, Priority.LOW)
        self._ready_at.clear()
        self._delayed.clear()
        self._set_timer()

    def num_requeues(self, key: str) -> int:
        """Return how often in a row a key failed."""
        return self._failures.get(key, 0)

    async def get(self) -> str:
        """Return the next key. The caller must call ``done``. Raises ShutDown."""
        while True:
            waiting = self._next()
            if waiting is not None:
                break
            if self._shutting_down:
                raise ShutDown
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                if getter.done() and not getter.cancelled():
                    self._notify_one()  # another worker takes the key in place of this one
                raise
        key = next(iter(waiting))
        now = self._clock()
        self._observe_wait(now - waiting.pop(key))
        self._processing[key] = now
        if waiting is self._waiting[Priority.NORMAL]:
            self._processing_normal.add(key)
        self._taken += 1
        return key

    def done(self, key: str) -> None:
        """Mark a key as processed. It is queued again if it was added in the meantime."""
        self._observe_work(self._clock() - self._processing.pop(key))
        self._processing_normal.discard(key)
        priority = self._dirty.pop(key, None)
        if priority is not None:
            self.add(key, priority)

    def shut_down(self) -> None:
        """Drop the waiting keys and accept no more. Workers finish the keys that they hold."""
        self._shutting_down = True
        for waiting in self._waiting:
            waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
        while self._getters:
            self._notify_one()

    def priority_of(self, key: str) -> Priority:
        """Return the priority at which a worker took the key that it processes."""
        return Priority.NORMAL if key in self._processing_normal else Priority.LOW

    @property
    def idle(self) -> bool:
        """Whether no key waits or is processed. Delayed keys do not count."""
        return not len(self) and not self._processing

    def delayed_seconds(self) -> dict[str, float]:
        """Return for each delayed key the seconds until it is added."""
        now = self._clock()
        return {key: ready_at - now for key, ready_at in self._ready_at.items()}

    def running_seconds(self) -> list[float]:
        """Return for each key in processing how long it has taken. Safe from any thread."""
        now = self._clock()
        return [now - since for since in list(self._processing.values())]

    def _next(self) -> dict[str, float] | None:
        normal, low = self._waiting
        if low and (not normal or self._taken % LOW_PRIORITY_SHARE == LOW_PRIORITY_SHARE - 1):
            return low
        return normal or None

    def _notify_one(self) -> None:
        while self._getters:
            getter = self._getters.pop(0)
            if not getter.done():
                getter.set_result(None)
                return

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._delayed:
            delay = max(0.0, self._delayed[0][0] - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._add_ready)

    def _add_ready(self) -> None:
        now = self._clock()
        while self._delayed and self._delayed[0][0] <= now:
            ready_at, _, key, priority = heapq.heappop(self._delayed)
            if self._ready_at.get(key) == ready_at:
                del self._ready_at[key]
                self.add(key, priority)
        self._set_timer()


class WorkQueues:
    """The work queues of a process, by controller. A map function's result ends up here.

    They accept nothing before ``start``: a process on standby enqueues nothing, because it
    reconciles every Profile when it starts to lead.
    """

    def __init__(self, profiles: Collection[str], *, all_profiles: Collection[str] = ()) -> None:
        """``profiles`` are the names of the existing Profiles, which change over time.

        ``all_profiles`` are the names that stand for every Profile.
        """
        self._profiles = profiles
        self._all_profiles = all_profiles
        self._queues: dict[str, WorkQueue] = {}
        self._started = False

    def register(self, controller: str, queue: WorkQueue) -> None:
        """Add the queue of a controller."""
        self._queues[controller] = queue

    def start(self) -> None:
        """Accept names, beginning with every Profile."""
        self._started = True
        self.enqueue_all()

    def enqueue(self, profile: str, controller: str | None, priority: Priority, /) -> None:
        """Add a Profile to the queue of one controller, or of all (None), if it exists."""
        if profile in self._all_profiles:
            self.enqueue_all(controller)
        elif self._started and profile in self._profiles:
            for name, queue in self._queues.items():
                if controller in (None, name):
                    queue.add(profile, priority)

    def enqueue_all(self, controller: str | None = None) -> None:
        """Add every Profile at low priority."""
        for profile in self._profiles:
            self.enqueue(profile, controller, Priority.LOW)

    def retry_now(self) -> None:
        """Add every delayed name now."""
        for queue in self._queues.values():
            queue.retry_now()

    def shut_down(self) -> None:
        """Shut every queue down."""
        for queue in self._queues.values():
            queue.shut_down()
