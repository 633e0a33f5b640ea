"""The changes of one reconcile: the same value in logs, tests, events and on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from controllers.manifests import Key


class Action(Enum):
    """What happens to one object."""

    CREATE = "create"
    UPDATE = "update"
    RECREATE = "recreate"
    PRUNE = "prune"
    """Deleted because it is no longer desired."""
    DELETE = "delete"
    """Deleted because the controller requires it (``Desired.delete``)."""
    ADOPT = "adopt"
    UNCHANGED = "unchanged"
    PENDING = "pending"
    REFUSED = "refused"


WRITES = frozenset(set(Action) - {Action.UNCHANGED, Action.PENDING, Action.REFUSED})


@dataclass(frozen=True, slots=True)
class Change:
    """One object and what happens to it; ``detail`` is the reason where it is not obvious."""

    action: Action
    key: Key
    detail: str = ""
    precondition: tuple[str, int] | None = field(default=None, compare=False)
    """UID and resourceVersion of the cached object, for a change that deletes it."""

    def __str__(self) -> str:
        """``Kind namespace/name action``, and the detail in brackets."""
        return f"{self.key} {self.action.value}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """All changes of one profile by one controller, in the order of the desired state."""

    changes: tuple[Change, ...] = ()

    def __iter__(self) -> Iterator[Change]:
        """Yield each change."""
        return iter(self.changes)

    def __len__(self) -> int:
        """Return the number of objects, the unchanged ones included."""
        return len(self.changes)

    def __str__(self) -> str:
        """One line for every object, except the unchanged ones without a detail."""
        return "\n".join(
            str(change)
            for change in self.changes
            if change.action is not Action.UNCHANGED or change.detail
        )

    @property
    def changed(self) -> bool:
        """Whether anything is written."""
        return any(change.action in WRITES for change in self.changes)

    def with_action(self, *actions: Action) -> tuple[Change, ...]:
        """Return the changes with one of these actions."""
        return tuple(change for change in self.changes if change.action in actions)

    def counts(self) -> dict[str, int]:
        """Return how often each action occurs; actions that do not occur are left out."""
        return dict(Counter(change.action.value for change in self.changes))


NO_CHANGES = ChangeSet()


class ApplyError(Exception):
    """Some changes of a profile failed; the others were made."""

    def __init__(self, message: str, cause: Exception, changes: ChangeSet = NO_CHANGES) -> None:
        """``message`` lists every failed change, ``cause`` is the first error.

        ``changes`` are those that were made.
        """
        super().__init__(message)
        self.cause = cause
        self.changes = changes
