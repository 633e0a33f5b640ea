"""How asking a storage account can fail, and when to ask it again. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controllers.blob_csi.grants.resolve import Withheld
from controllers.runtime.backoff import Backoff
from controllers.runtime.errors import Waiting

BACKOFF = Backoff(initial=1.0, maximum=300.0)
_SPREAD = 0.5
"""What a profile waits beyond the backoff, at most, as a part of it: they come back one by one."""


class AccountError(Exception):
    """A storage account did not do as it was asked. The text holds no secret.

    ``reason`` is CamelCase. ``after`` is what the account itself asked to be spared, in seconds.
    ``everybody``: another profile would fare no better. ``lasting``: a person must act.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        after: float = 0.0,
        everybody: bool = True,
        lasting: bool = False,
    ) -> None:
        """As the class says."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.after = after
        self.everybody = everybody
        self.lasting = lasting

    def withheld(self, after: float) -> Withheld:
        """What is said to a profile that comes back after so many seconds."""
        return Withheld(reason=self.reason, message=self.message, after=after, warn=self.lasting)


class SparedError(Exception):
    """The account failed a moment ago and is not asked for now: see ``withheld``."""

    def __init__(self, withheld: Withheld) -> None:
        """As the class says."""
        super().__init__(withheld.message)
        self.withheld = withheld


@dataclass(kw_only=True)
class Breaker:
    """Lets everybody ask while an account answers, and after a failure one at a time.

    ``clock`` gives monotonic seconds, ``chance`` a number from 0 to 1.
    """

    clock: Callable[[], float]
    chance: Callable[[], float]
    failures: int = 0
    until: float = 0.0
    last: AccountError | None = None
    _trying: bool = False

    def enter(self) -> None:
        """Before a call. Raises SparedError while the account is to be left alone."""
        if self.last is None:
            return
        if self._trying or self.clock() < self.until:
            raise SparedError(self.withheld(self.last))
        self._trying = True

    def succeeded(self) -> bool:
        """The account answered; whether that is news."""
        before, self.last, self.failures, self._trying = self.last, None, 0, False
        return before is not None

    def failed(self, error: AccountError) -> bool:
        """The account failed everybody; whether that is news."""
        news = self.last is None or self.last.reason != error.reason
        if self.last is None or self.clock() >= self.until:  # calls under way together count once
            self.failures += 1
            wait = max(BACKOFF.delay(self.failures), min(error.after, BACKOFF.maximum))
            self.until = self.clock() + wait
        self.last, self._trying = error, False
        return news

    def abandoned(self) -> None:
        """A call ended without telling whether the account answers."""
        self._trying = False

    def withheld(self, error: AccountError) -> Withheld:
        """What is said to a profile meanwhile."""
        left = max(self.until - self.clock(), BACKOFF.initial)
        return error.withheld(left * (1 + _SPREAD * self.chance()))


def waiting(withheld: Iterable[Withheld]) -> Waiting | None:
    """What a reconcile waits for: the accounts that will be asked again; None when none will."""
    passing = {one.message: one for one in withheld if one.after is not None}
    if not passing:
        return None
    first = next(iter(passing.values()))
    return Waiting(
        first.reason,
        "; ".join(passing),
        after=min(one.after for one in passing.values() if one.after is not None),
        warn=any(one.warn for one in passing.values()),
    )
