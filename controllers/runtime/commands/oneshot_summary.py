"""Results of a one-shot run (``--once``, ``diff``). Pure: imports no API client."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from controllers.runtime.apply.changeset import NO_CHANGES, ChangeSet


class ResultKind(Enum):
    """How the reconcile of one profile by one controller ended."""

    UNCHANGED = "unchanged"
    """All objects exist as desired."""
    CHANGED = "changed"
    """Objects were written, or would be in a dry run, and nothing else is to be done."""
    WAITING = "waiting"
    """The reconcile waits for something, such as the namespace; a later run continues."""
    ACTION_REQUIRED = "action-required"
    """A person has to act, such as correct a label; the message states what to do."""
    REFUSED = "refused"
    """An object or the namespace belongs to somebody else and was not written."""
    FAILED = "failed"
    """An error ended the reconcile; it is unknown what the profile needs."""
    PAUSED = "paused"
    """The Profile pauses the controller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileResult:
    """The result of one profile and one controller.

    ``profile`` is empty for garbage collection, which belongs to no profile.
    """

    profile: str
    controller: str
    result: ResultKind
    message: str
    changes: ChangeSet = NO_CHANGES
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OneshotSummary:
    """All results, sorted by profile."""

    results: tuple[ProfileResult, ...]

    @property
    def has_failures(self) -> bool:
        """Whether a profile failed or was refused. A profile that waits has not failed."""
        failures = (ResultKind.FAILED, ResultKind.REFUSED)
        return any(one.result in failures for one in self.results)

    @property
    def has_errors(self) -> bool:
        """Whether an error ended a reconcile, so that its changes are unknown."""
        return any(one.result is ResultKind.FAILED for one in self.results)

    @property
    def has_changes(self) -> bool:
        """Whether an object was written, or would be in a dry run."""
        return any(one.changes.changed for one in self.results)
