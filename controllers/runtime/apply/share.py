"""Plan of the objects that a controller shares with their owners. Pure.

Such an object is patched and never created, adopted, labelled or deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from controllers.manifests import Addition, Key
from controllers.profiles import Profile
from controllers.runtime.apply.changeset import Action, Change
from controllers.runtime.controller import Shared
from controllers.runtime.objects import shared
from controllers.runtime.objects.cached_object import CachedObject
from controllers.runtime.objects.shared import SharedState


@dataclass(frozen=True, slots=True)
class DesiredAddition:
    """What one object should have of a controller; without ``addition`` nothing."""

    declaration: Shared
    key: Key
    addition: Addition | None
    component: str


def desired_additions(
    additions: Iterable[Addition],
    declarations: Sequence[Shared],
    *,
    profile: Profile,
    component: str,
) -> Iterator[DesiredAddition]:
    """Yield the desired addition to every shared object of the profile's namespace.

    Raises ValueError for an addition outside of the declarations or of the namespace.
    """
    wanted = {addition.key: addition for addition in additions}
    for declaration in declarations:
        for name in declaration.names:
            key = Key(declaration.kind, profile.namespace, name)
            addition = wanted.pop(key, None)
            if addition is not None:
                _validate(addition, declaration)
            yield DesiredAddition(declaration, key, addition, component)
    if wanted:
        keys = ", ".join(map(str, wanted))
        raise ValueError(f"{keys}: not declared in Controller.shared, or in another namespace")


def decide(desired: DesiredAddition, cached: CachedObject | None) -> Change | None:
    """Return the change of one shared object; None when there is nothing to add or to remove."""
    state = (cached.shared or {}).get(desired.component) if cached is not None else None
    if desired.addition is None and (state is None or not state.added):
        return None
    action, detail = _verdict(desired, cached, state)
    return Change(action, desired.key, detail)


def _verdict(
    desired: DesiredAddition, cached: CachedObject | None, state: SharedState | None
) -> tuple[Action, str]:
    if cached is None or state is None:
        return Action.PENDING, f"does not exist yet; {desired.declaration.owner} creates it"
    if cached.deleting:
        return Action.PENDING, "is being deleted"
    if cached.paused:
        return Action.UNCHANGED, "paused by its annotation"
    change = shared.update(state, desired.addition)
    if change.conflicts:
        paths = ", ".join(change.conflicts)
        return (
            Action.REFUSED,
            f"{paths} has another value, which this controller did not set; remove it",
        )
    if not shared.is_current(state, change):
        return Action.UPDATE, f"shared with {desired.declaration.owner}"
    return Action.UNCHANGED, ""


def _validate(addition: Addition, declaration: Shared) -> None:
    paths = {*addition.items, *addition.fields}
    if not paths <= set(declaration.paths):
        undeclared = ", ".join(sorted(paths - set(declaration.paths)))
        raise ValueError(f"{addition.key}: {undeclared} is not in Shared.paths")
    for path, value in addition.fields.items():
        if value is None or isinstance(value, Mapping):
            raise ValueError(
                f"{addition.key}: the value of {path} is null or a mapping, which a merge patch"
                " merges; state its fields by their own paths"
            )
