"""Waits for an effect with a timeout: no test sleeps for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TIMEOUT_SECONDS = 120.0
"""Long enough for a busy machine. A successful wait ends earlier."""


def until(
    check: Callable[[], T], what: str, *, seconds: float = TIMEOUT_SECONDS, pause: float = 0.05
) -> T:
    """Returns the first true result of `check`. Raises AssertionError with `what` after `seconds`.

    An AssertionError of `check` counts as not yet, and is the cause of the final one.
    """
    deadline = time.monotonic() + seconds
    while True:
        reason: AssertionError | None = None
        try:
            if result := check():
                return result
        except AssertionError as error:
            reason = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}") from reason
        time.sleep(pause)
