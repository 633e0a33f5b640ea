"""When to ask again who failed: the server, for everybody, or about one tenant. Pure of I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controllers.gitea.postgres.tenants import DatabaseError

FIRST_PAUSE = 2.0
"""Seconds for which it is left alone after a first failure; doubled with each one after."""


@dataclass(kw_only=True)
class Patience:
    """Leaves alone what failed a moment ago. ``clock`` gives seconds, ``longest`` is in seconds."""

    clock: Callable[[], float]
    longest: float
    trouble: DatabaseError | None = None
    """Of the last failure; None once all was well again."""
    _until: float = 0.0
    _pause: float = 0.0

    def enter(self) -> None:
        """Before the work. Raises the DatabaseError of the last failure while it is too early."""
        if self.trouble is not None and self.clock() < self._until:
            # Raised again and again: it must not gather the frames of all who met it.
            raise self.trouble.with_traceback(None)

    def failed(self, trouble: DatabaseError) -> None:
        """The work failed. What was under way together counts once."""
        now = self.clock()
        if now >= self._until:
            self._pause = min(max(FIRST_PAUSE, self._pause * 2), self.longest)
            self._until = now + self._pause
        self.trouble = trouble

    def succeeded(self) -> None:
        """The work was done."""
        self.trouble, self._pause, self._until = None, 0.0, 0.0

    @property
    def seconds(self) -> float:
        """Until it may be tried again."""
        return max(self._until - self.clock(), 0.0)
