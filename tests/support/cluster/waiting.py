"""Waiting for an effect, bounded: no test sleeps for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds. A busy machine is slow at times, and a long bound costs nothing where all is well."""


def until(
    check: Callable[[], T], what: str, *, seconds: float = PATIENCE, pause: float = 0.05
) -> T:
    """The first true answer of `check`; AssertionError naming `what` after `seconds`.

    An AssertionError of `check` counts as not yet, and is the cause of the final one.
    """
    deadline = time.monotonic() + seconds
    while True:
        reason: AssertionError | None = None
        try:
            if answer := check():
                return answer
        except AssertionError as error:
            reason = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}") from reason
        time.sleep(pause)
