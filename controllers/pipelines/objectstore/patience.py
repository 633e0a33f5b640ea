"""When to ask a store again that did not answer. One for all namespaces. Pure of I/O."""

from __future__ import annotations

from collections.abc import Callable

from controllers.pipelines.objectstore.provider import UnavailableError

_FIRST = 1.0
_LONGEST = 60.0
_SPREAD = 1.0
"""What a caller waits beyond the backoff, at most, as a part of it: they come back one by one."""


class Patience:
    """Lets everybody ask while the store answers, and after a failure one at a time.

    ``clock`` gives seconds, ``chance`` a number from 0 to 1.
    """

    def __init__(self, *, clock: Callable[[], float], chance: Callable[[], float]) -> None:
        """As the class says."""
        self._clock = clock
        self._chance = chance
        self._backoff = 0.0
        self._until = 0.0
        self._said = ""
        self._trying = False

    def enter(self) -> None:
        """Before a call. Raises UnavailableError while it is to be spared."""
        if not self._backoff:
            return
        if self._trying or self._clock() < self._until:
            raise self._refused()
        self._trying = True

    def succeeded(self) -> None:
        """A call was answered: everybody may ask again."""
        self._backoff = 0.0
        self._trying = False

    def failed(self, error: UnavailableError) -> UnavailableError:
        """A call was not answered. The same error, saying when to come back."""
        now = self._clock()
        # Those that were under way together count once.
        if now >= self._until:
            self._backoff = min(max(_FIRST, self._backoff * 2), _LONGEST)
            self._until = now + self._backoff * (0.75 + 0.5 * self._chance())
        self._trying = False
        self._said = error.message
        return self._refused()

    def abandoned(self) -> None:
        """A call ended without telling whether the store answers."""
        self._trying = False

    def health(self) -> str:
        """What keeps everybody from the store; empty when nothing does."""
        if not self._backoff:
            return ""
        remaining = max(self._until - self._clock(), 0.0)
        return f"away, asked again in {remaining:.0f} s: {self._said}"

    def _refused(self) -> UnavailableError:
        remaining = max(self._until - self._clock(), 0.0)
        spread = self._backoff * _SPREAD * self._chance()
        return UnavailableError(self._said, after=remaining + spread)
