"""Virtual time: an event loop whose clock jumps to the next timer when every task waits.

A test that waits for a backoff of five minutes takes no time, and every run takes the same turns.
Only for tests without sockets and threads: `pytestmark = pytest.mark.virtual_time`.
"""

import asyncio
import selectors
from collections.abc import Callable

_STUCK_SECONDS = 5.0
_TICK = 0.01


class _Selector(selectors.DefaultSelector):
    """Does not wait for timers. Without a timer it waits for files, for a bounded time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            ready: list[tuple[selectors.SelectorKey, int]] = super().select(_STUCK_SECONDS)
            if not ready:
                raise AssertionError("every task waits, and no event can resume one")
            return ready
        ready = super().select(0)
        if not ready and timeout > 0:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, which starts at 1,000 s."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        self._virtual.now = 1000.0
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def now() -> float:
    """The time of the running loop, the clock of the tests."""
    return asyncio.get_running_loop().time()


async def until(check: Callable[[], object], what: str, *, seconds: float = 30.0) -> None:
    """Waits until `check` is true. Raises AssertionError with `what` after some seconds."""
    deadline = now() + seconds
    while not check():
        if now() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        await asyncio.sleep(_TICK)


async def turns(count: int = 20) -> None:
    """Runs the tasks that are ready, without advancing the time."""
    for _ in range(count):
        await asyncio.sleep(0)
