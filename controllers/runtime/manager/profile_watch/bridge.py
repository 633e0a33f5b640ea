"""Calls from another thread into an event loop, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog

logger = structlog.stdlib.get_logger(__name__)

_BATCH = 100


class LoopBridge:
    """Receives calls from one thread and runs them in the event loop that created it."""

    def __init__(self) -> None:
        """Must be called in the event loop that runs the calls."""
        self._loop = asyncio.get_running_loop()
        self._calls: deque[Callable[[], None]] = deque()
        self._scheduled = False

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Run a function in the event loop. An exception is logged.

        Scheduling in the loop costs more than a call, so it is done once for many calls.
        """
        self._calls.append(lambda: function(*arguments))
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon_threadsafe(self._run_batch)

    def _run_batch(self) -> None:
        for _ in range(_BATCH):
            try:
                call = self._calls.popleft()
            except IndexError:
                break
            try:
                call()
            except Exception:  # the calls behind it must not be lost
                logger.exception("cannot handle the event of a Profile")
        # Reset before the last check: a call that is added after the check schedules a new batch.
        self._scheduled = False
        if self._calls:
            self._scheduled = True
            self._loop.call_soon(self._run_batch)
