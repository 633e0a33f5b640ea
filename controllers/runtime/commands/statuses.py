"""What is to be said of every profile and controller, from conditions and memory. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from controllers.profiles import Condition, Profile, is_paused
from controllers.runtime.apply.changeset import WRITES, Change
from controllers.runtime.controller import AnyController


class State(Enum):
    """How a profile fares with a controller."""

    READY = "ready"
    """The condition is True: everything is in place."""
    NOT_READY = "not ready"
    """The condition is False; its message says why."""
    UNKNOWN = "unknown"
    """The controller is installed and has said nothing of this profile, or nothing that holds."""
    PAUSED = "paused"
    """The Profile pauses the controller."""
    DELETING = "deleting"
    """The Profile is on its way out, and nobody keeps it in shape any more."""


UNWELL = frozenset({State.NOT_READY, State.UNKNOWN})
"""What a person has to look at."""
SILENT = "no condition of this controller on the Profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What somebody wants to know."""

    registry: Sequence[AnyController]
    judged: Sequence[tuple[AnyController, Any]] = ()
    """Those of which drift is looked for, with the settings that they are judged by."""
    expected: frozenset[str] = frozenset()
    """Controllers that must be there; empty: those that have left a trace."""
    profiles: Sequence[str] = ()
    """Only these; empty: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A Profile as a list showed it. Times are RFC 3339, "" where they are not known."""

    profile: Profile
    created: str
    changed: str
    """When any of its conditions last changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What memory and plan say of one profile and controller; None: it cannot be known."""

    objects: Mapping[str, int] | None
    """How many of each kind carry the controller's labels and are controlled by the Profile."""
    drift: tuple[Change, ...] | None
    """What a reconcile would write now."""
    note: str = ""
    """Why one of them is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One row."""

    profile: str
    controller: str
    state: State
    since: str
    """RFC 3339: it has been so at least since then; "" where that is not known."""
    message: str
    look: Look


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All rows, by profile, and in the registry's order of controllers."""

    statuses: tuple[Status, ...]
    profiles: int
    """How many were looked at."""
    troubles: tuple[str, ...] = ()
    """What could not be read, a sentence each."""
    stale: str = ""
    """Why this is as it was last seen; "" when it is fresh."""

    @property
    def well(self) -> bool:
        """Whether nothing needs a person: every controller that is there has spoken well of all.

        Nobody can call profiles ready of which no controller at all says a word.
        """
        if not self.statuses:
            return not self.profiles
        return not any(status.state in UNWELL for status in self.statuses)


def status_of(controller: AnyController, sight: Sight, look: Look) -> Status:
    """The row of one profile and controller."""
    state, since, message = _judged(controller, sight)
    return Status(
        profile=sight.profile.name,
        controller=controller.name,
        state=state,
        since=since,
        message=message,
        look=look,
    )


def names_of(controller: AnyController) -> tuple[str, ...]:
    """The names that it runs by: those of its variants, where it has any."""
    return tuple(f"{controller.name}-{each}" for each in controller.variants.names) or (
        controller.name,
    )


def condition_of(controller: AnyController, profile: Profile) -> Condition | None:
    """What the controller says on the Profile."""
    return next((one for one in profile.conditions if one.type == controller.condition), None)


def drift_of(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """Those of a plan's changes that would be written."""
    return tuple(change for change in changes if change.action in WRITES)


def _judged(controller: AnyController, sight: Sight) -> tuple[State, str, str]:
    profile = sight.profile
    condition = condition_of(controller, profile)
    since = sight.changed if condition else sight.created
    message = condition.message if condition else SILENT
    if profile.deleting:
        return State.DELETING, since, message
    if any(is_paused(profile, name) for name in controller.registered_names):
        return State.PAUSED, since, message
    match condition.status if condition else "":
        case "True":
            return State.READY, since, message
        case "False":
            return State.NOT_READY, since, message
        case _:
            return State.UNKNOWN, since, message
