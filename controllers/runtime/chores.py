"""What a controller does outside Kubernetes for no profile, or for those that are gone."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from controllers.runtime.declarations import AnyController, IsGone, Outside
from controllers.runtime.outcomes import Terminal, Waiting
from controllers.runtime.queues import Backoff

logger = structlog.stdlib.get_logger(__name__)

_RETRY = Backoff(first=1.0, longest=300.0)
_SETTLE = 1.0
"""Seconds after a Profile went: many often go together."""


class Chore:
    """One controller's chore: at the start, at every resync, and soon after a Profile went."""

    def __init__(
        self,
        controller: AnyController,
        outside: Outside | None,
        is_gone: IsGone,
        *,
        resync: float,
    ) -> None:
        """``resync`` is in seconds."""
        self._controller = controller
        self._outside = outside
        self._is_gone = is_gone
        self._resync = resync
        self._wanted = asyncio.Event()
        self._failures = 0

    def hurry(self) -> None:
        """A Profile went: do not wait for the next resync."""
        self._wanted.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            delay = await self._once()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._wanted.wait()
                    await asyncio.sleep(_SETTLE)

    async def _once(self) -> float:
        """Seconds until it is due again."""
        work = self._controller.chore
        if work is None:
            raise ValueError(f"controller {self._controller.name} has no chore")
        self._wanted.clear()
        log = logger.bind(controller=self._controller.name)
        try:
            await work(self._outside, self._is_gone)
        except (Waiting, Terminal) as error:
            self._failures += 1
            delay = _RETRY.delay(self._failures)
            if isinstance(error, Waiting) and error.after is not None:
                delay = max(error.after, _RETRY.first)
            log.warning(
                "chore failed", reason=error.reason, error=error.message, retry_seconds=delay
            )
            return min(delay, self._resync)
        except Exception as error:
            self._failures += 1
            delay = _RETRY.delay(self._failures)
            log.exception("chore failed", error=str(error), retry_seconds=delay)
            return min(delay, self._resync)
        if self._failures:
            log.info("chore done again")
        self._failures = 0
        return self._resync
