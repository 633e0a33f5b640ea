"""The status of each profile for each controller. Pure: imports no API client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from controllers.profiles import Condition, Profile, is_paused
from controllers.runtime.apply.changeset import WRITES, Change
from controllers.runtime.controller import AnyController


class ProfileState(Enum):
    """The state of one profile for one controller."""

    READY = "Ready"
    """The condition is True."""
    NOT_READY = "NotReady"
    """The condition is False; its message states the reason."""
    UNKNOWN = "Unknown"
    """The Profile has no condition of the controller, or the condition is Unknown."""
    PAUSED = "Paused"
    """The Profile pauses the controller."""
    TERMINATING = "Terminating"
    """The Profile is being deleted; controllers no longer reconcile it."""


UNREADY = frozenset({ProfileState.NOT_READY, ProfileState.UNKNOWN})
"""States that need the attention of a person."""
NO_CONDITION = "the Profile has no condition of this controller"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRequest:
    """What a report covers."""

    registry: Sequence[AnyController]
    configured: Sequence[tuple[AnyController, Any]] = ()
    """Controllers whose drift is computed, with the settings to compare with."""
    expected: frozenset[str] = frozenset()
    """Controllers to report on in any case; if empty, those that left a condition or an object."""
    profiles: Sequence[str] = ()
    """Profiles to report on; if empty, all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedProfile:
    """A Profile as it was listed. Times are RFC 3339, or "" where they are unknown."""

    profile: Profile
    created: str
    conditions_changed_at: str
    """When any of the conditions last changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileStatus:
    """The status of one profile for one controller."""

    profile: str
    controller: str
    state: ProfileState
    since: str
    """RFC 3339: the state has lasted at least since then. "" where that is unknown."""
    message: str
    objects: Mapping[str, int] | None = None
    """Objects by kind that have the controller's labels and are controlled by the Profile. None
    where that is unknown."""
    drift: tuple[Change, ...] | None = None
    """What a reconcile would write now. None where that is unknown."""
    note: str = ""
    """Why objects or drift are unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """The status of all profiles, sorted by profile and then in the order of the registry."""

    statuses: tuple[ProfileStatus, ...]
    profiles: int
    """The number of profiles that the report covers."""
    warnings: tuple[str, ...] = ()
    """What could not be read, one sentence each."""
    stale: str = ""
    """Why this is the last known state and not the current one; "" for a current report."""

    @property
    def ready(self) -> bool:
        """Whether no profile needs attention.

        Profiles for which no controller reports a status are not ready.
        """
        if not self.statuses:
            return not self.profiles
        return not any(status.state in UNREADY for status in self.statuses)


def status_of(controller: AnyController, observed: ObservedProfile) -> ProfileStatus:
    """Returns the status of one profile, without objects and drift."""
    profile = observed.profile
    condition = condition_of(controller, profile)
    return ProfileStatus(
        profile=profile.name,
        controller=controller.name,
        state=_state(controller, profile, condition),
        since=observed.conditions_changed_at if condition else observed.created,
        message=condition.message if condition else NO_CONDITION,
    )


def component_names(controller: AnyController) -> tuple[str, ...]:
    """Returns the names that the controller runs by: those of its variants, if it has any."""
    return tuple(f"{controller.name}-{each}" for each in controller.variants.names) or (
        controller.name,
    )


def condition_of(controller: AnyController, profile: Profile) -> Condition | None:
    """Returns the controller's condition on the Profile."""
    return next((one for one in profile.conditions if one.type == controller.condition), None)


def drift_of(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """Returns the changes that a reconcile would write."""
    return tuple(change for change in changes if change.action in WRITES)


def _state(
    controller: AnyController, profile: Profile, condition: Condition | None
) -> ProfileState:
    if profile.deleting:
        return ProfileState.TERMINATING
    if any(is_paused(profile, name) for name in controller.registered_names):
        return ProfileState.PAUSED
    match condition.status if condition else "":
        case "True":
            return ProfileState.READY
        case "False":
            return ProfileState.NOT_READY
        case _:
            return ProfileState.UNKNOWN
