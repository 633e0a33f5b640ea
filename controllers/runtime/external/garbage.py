"""What a controller does outside Kubernetes for no profile, or for those that are gone."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import structlog

from controllers.runtime.backoff import Backoff
from controllers.runtime.controller import AnyController, ProfileGone
from controllers.runtime.errors import Terminal, Waiting

logger = structlog.stdlib.get_logger(__name__)

_RETRY = Backoff(initial=1.0, maximum=300.0)
_SETTLE = 1.0
"""Seconds after a Profile went: many often go together."""


class Chore:
    """One controller's chore: at the start, at every resync, and soon after a Profile went."""

    def __init__(
        self,
        controller: AnyController,
        external: Any,
        profile_gone: ProfileGone,
        *,
        resync: float,
    ) -> None:
        """``resync`` is in seconds."""
        factory = controller.external
        if factory is None or factory.collect_garbage is None:
            raise ValueError(f"controller {controller.name} collects no garbage")
        self.controller = controller.name
        self._work = factory.collect_garbage
        self._external = external
        self._profile_gone = profile_gone
        self._resync = resync
        self._wanted = asyncio.Event()
        self._failures = 0

    def hurry(self) -> None:
        """A Profile went: do not wait for the next resync."""
        self._wanted.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            delay = self._resync
            self._wanted.clear()
            if (error := await self.attempt()) is not None:
                delay = min(self._delay(error), self._resync)
                logger.warning(
                    "chore failed",
                    controller=self.controller,
                    error=said(error),
                    retry_seconds=round(delay, 1),
                    exc_info=None if isinstance(error, Waiting | Terminal) else error,
                )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._wanted.wait()
                    await asyncio.sleep(_SETTLE)

    async def attempt(self) -> Exception | None:
        """Does it once; what it failed with, if it did."""
        try:
            await self._work(self._external, self._profile_gone)
        except Exception as error:  # noqa: BLE001 - the boundary: told by who asked for it
            self._failures += 1
            return error
        if self._failures:
            logger.info("chore done again", controller=self.controller)
        self._failures = 0
        return None

    def _delay(self, error: Exception) -> float:
        if isinstance(error, Waiting) and error.after is not None:
            return max(error.after, _RETRY.initial)
        return _RETRY.delay(self._failures)


def said(error: Exception) -> str:
    """What a chore failed with, in a sentence."""
    if isinstance(error, Waiting | Terminal):
        return f"{error.reason}: {error.message}"
    return str(error) or type(error).__name__
