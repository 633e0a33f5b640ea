"""Garbage collection in the external systems: what deleted Profiles left there."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import structlog

from controllers.runtime.backoff import Backoff
from controllers.runtime.controller import AnyController, ProfileGone
from controllers.runtime.errors import Terminal, Waiting
from controllers.runtime.external.errors import ExternalError

logger = structlog.stdlib.get_logger(__name__)

_BACKOFF = Backoff(initial=1.0, maximum=300.0)
_DEBOUNCE_SECONDS = 1.0
"""Profiles are often deleted together."""


class GarbageCollector:
    """Runs ``collect_garbage`` of one controller.

    It runs at the start, at every resync, soon after a Profile is deleted, and after a failure with
    backoff.
    """

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
            raise ValueError(f"controller {controller.name} has no collect_garbage")
        self.controller = controller.name
        self._collect = factory.collect_garbage
        self._external = external
        self._profile_gone = profile_gone
        self._resync = resync
        self._requested = asyncio.Event()
        self._failures = 0

    def profile_deleted(self) -> None:
        """Run soon, without waiting for the next resync."""
        self._requested.set()

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            delay = self._resync
            self._requested.clear()
            if (error := await self.collect()) is not None:
                delay = min(self._retry_delay(error), self._resync)
                logger.warning(
                    "garbage collection failed",
                    controller=self.controller,
                    error=describe(error),
                    retry_seconds=round(delay, 1),
                    exc_info=None if isinstance(error, Waiting | Terminal) else error,
                )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._requested.wait()
                    await asyncio.sleep(_DEBOUNCE_SECONDS)

    async def collect(self) -> Exception | None:
        """Run once. Returns the error, if it failed."""
        try:
            await self._collect(self._external, self._profile_gone)
        except ExternalError as error:
            return self._failed(error.outcome())
        except Exception as error:  # noqa: BLE001 - the boundary: the caller reports it
            return self._failed(error)
        if self._failures:
            logger.info("garbage collection recovered", controller=self.controller)
        self._failures = 0
        return None

    def _failed(self, error: Exception) -> Exception:
        self._failures += 1
        return error

    def _retry_delay(self, error: Exception) -> float:
        if isinstance(error, Waiting) and error.after is not None:
            return max(error.after, _BACKOFF.initial)
        return _BACKOFF.delay(self._failures)


def describe(error: Exception) -> str:
    """Return one sentence about an error of ``collect``."""
    if isinstance(error, Waiting | Terminal):
        return f"{error.reason}: {error.message}"
    return str(error) or type(error).__name__
