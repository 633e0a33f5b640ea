"""From another thread into an event loop: calls, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog

logger = structlog.stdlib.get_logger(__name__)

_DELIVERED_AT_ONCE = 100


class Mailbox:
    """Takes calls in one thread and makes them in the event loop that it was made in."""

    def __init__(self) -> None:
        """To be made in the event loop that shall make the calls."""
        self._home = asyncio.get_running_loop()
        self._posted: deque[Callable[[], None]] = deque()
        self._delivering = False

    def post(self, call: Callable[..., None], *arguments: Any) -> None:
        """From one other thread. What the call raises is logged.

        Waking the loop costs more than a call, so it is woken once for many.
        """
        self._posted.append(lambda: call(*arguments))
        if not self._delivering:
            self._delivering = True
            self._home.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        """In the event loop: do what was posted, a bounded part at a time."""
        for _ in range(_DELIVERED_AT_ONCE):
            try:
                call = self._posted.popleft()
            except IndexError:
                break
            try:
                call()
            except Exception:  # what comes behind it must not be lost with it
                logger.exception("a Profile's event was not taken in")
        # Cleared before the last look: what is posted after that look is delivered anew.
        self._delivering = False
        if self._posted:
            self._delivering = True
            self._home.call_soon(self._deliver)
