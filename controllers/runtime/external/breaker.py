"""A circuit breaker: it stops requests to a system that fails, and lets single ones try it."""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum

from controllers.runtime.backoff import Backoff
from controllers.runtime.external.errors import ExternalError

_SPREAD = 0.5
"""Callers wait up to this part longer than the breaker, so that they do not return together."""


class BreakerState(Enum):
    """Whether requests are sent."""

    CLOSED = "requests are sent"
    OPEN = "requests fail at once until the backoff has passed"
    HALF_OPEN = "the backoff has passed: one trial request is sent, and the others fail at once"


class CircuitBreaker:
    """Opens after a failure for the delay of ``backoff``; then one trial request decides.

    ``clock`` returns monotonic seconds, ``jitter`` a number from 0 to 1. For one event loop;
    ``error`` and ``state`` may be read from any thread.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        backoff: Backoff,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._backoff = backoff
        self._jitter = jitter
        self._error: ExternalError | None = None
        self._failures = 0
        self._until = float("-inf")
        self._trial = False

    @property
    def error(self) -> ExternalError | None:
        """The failure that opened it; None while it is closed."""
        return self._error

    @property
    def state(self) -> BreakerState:
        """The state at this moment."""
        if self._error is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._clock() < self._until else BreakerState.HALF_OPEN

    @property
    def remaining(self) -> float:
        """Seconds until a trial request is allowed."""
        return max(self._until - self._clock(), 0.0)

    @property
    def idle_seconds(self) -> float:
        """Seconds since the backoff passed; negative while it has not."""
        return self._clock() - self._until

    def check(self) -> None:
        """Allow one request. Raises the ExternalError that opened the breaker, with retry_after.

        ``succeeded``, ``failed`` or ``abandoned`` must follow a request that was allowed.
        """
        if self._error is None:
            return
        if self._trial or self.state is BreakerState.OPEN:
            raise self._error.retried_after(self.retry_after())
        self._trial = True

    def succeeded(self) -> bool:
        """Close after a successful request. Return whether the breaker was open."""
        was_closed = self._error is None
        self._error, self._failures, self._trial = None, 0, False
        return not was_closed

    def failed(self, error: ExternalError) -> ExternalError:
        """Open after a failure. Returns the error with the seconds after which to retry.

        Requests that were in flight together count as one failure. A longer ``retry_after`` of
        the error than the backoff's delay is respected, up to the backoff's maximum.
        """
        if self._error is None or self.state is not BreakerState.OPEN:
            self._failures += 1
            requested = min(error.retry_after or 0.0, self._backoff.maximum)
            delay = max(self._backoff.delay(self._failures), requested)
            self._until = self._clock() + delay
        self._error, self._trial = error, False
        return error.retried_after(self.retry_after())

    def abandoned(self) -> None:
        """End a request that did not show whether the system works."""
        self._trial = False

    def retry_after(self) -> float:
        """Return seconds until a caller should retry, with jitter."""
        return max(self.remaining, self._backoff.initial) * (1.0 + _SPREAD * self._jitter())
