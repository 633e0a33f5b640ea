"""Exponential backoff with jitter."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

_LARGEST_EXPONENT = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays in seconds that double with each failure in a row, with a jitter of 20 per cent.

    ``initial`` is the delay after the first failure and ``maximum`` the largest delay, both before
    jitter. ``jitter`` returns a number from 0 to 1.
    """

    initial: float = 0.05
    maximum: float = 300.0
    jitter: Callable[[], float] = random.random

    def delay(self, failures: int) -> float:
        """Return the delay after this many failures in a row (at least one)."""
        exponent = min(failures - 1, _LARGEST_EXPONENT)
        base = min(self.initial * 2.0**exponent, self.maximum)
        return base * (0.8 + 0.4 * self.jitter())
