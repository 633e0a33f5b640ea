"""What a reconcile would do, or did: the same value in logs, tests, events and on the terminal."""

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
    DELETE = "delete"
    REMOVE = "remove"
    """Deleted although it is not pruned: it is in the way of what goes or comes next."""
    ADOPT = "adopt"
    UNCHANGED = "unchanged"
    PENDING = "pending"
    REFUSED = "refused"


WRITES = frozenset(set(Action) - {Action.UNCHANGED, Action.PENDING, Action.REFUSED})


@dataclass(frozen=True, slots=True)
class Change:
    """One object and what happens to it; ``detail`` says why where that is not plain."""

    action: Action
    key: Key
    detail: str = ""
    planned: tuple[str, int] | None = field(default=None, compare=False)
    """UID and resourceVersion of the object that the plan saw, where it is to be deleted."""

    def __str__(self) -> str:
        """``Kind namespace/name action``, and the detail in brackets."""
        return f"{self.key} {self.action.value}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """All changes of one profile by one controller, in the order of the desired state."""

    changes: tuple[Change, ...] = ()

    def __iter__(self) -> Iterator[Change]:
        """Each change."""
        return iter(self.changes)

    def __len__(self) -> int:
        """How many objects are spoken of, the unchanged ones included."""
        return len(self.changes)

    def __str__(self) -> str:
        """A line for every object that is not simply unchanged."""
        return "\n".join(
            str(change)
            for change in self.changes
            if change.action is not Action.UNCHANGED or change.detail
        )

    @property
    def changed(self) -> bool:
        """Whether anything is written."""
        return any(change.action in WRITES for change in self.changes)

    def of(self, *actions: Action) -> tuple[Change, ...]:
        """The changes with one of these actions."""
        return tuple(change for change in self.changes if change.action in actions)

    def counts(self) -> dict[str, int]:
        """How often each action occurs; actions that do not occur are left out."""
        return dict(Counter(change.action.value for change in self.changes))


NOTHING = ChangeSet()
"""No object is spoken of."""
