"""Steps that damage an object, and wait until the controllers have repaired it."""

import dataclasses
from collections.abc import Callable, Iterator

from controllers.manifests import MANAGED_BY, MANAGED_BY_LABEL, Key
from tests.demo.edits import EDITS, USER_EDITABLE, Edit
from tests.demo.environment import Environment
from tests.demo.state import written_content
from tests.support.controlplane import Json

TITLE_WIDTH = 47


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One simulated failure or change.

    The demo calls `prepare`, then `act`, and measures the time until `pending` returns an empty
    text. `title` describes the act, `outcome` the expected result.
    """

    tenant: str
    title: str
    act: Callable[[], object]
    pending: Callable[[], str]
    outcome: str
    prepare: Callable[[], object] = lambda: None
    timed: bool = True
    """Whether to show the time. False where the controllers write nothing."""
    repair: bool = False
    """Whether it counts as a repair in the summary."""


@dataclasses.dataclass
class Damaged:
    """An object that is damaged, and must become what it was when this was created."""

    environment: Environment
    key: Key

    def __post_init__(self) -> None:
        body = self.environment.state.get(self.key)
        if body is None:
            raise LookupError(f"{self.key} does not exist")
        self._content = written_content(body)
        self._uid = body["metadata"]["uid"]
        self._damaged_at = 0

    def patch(self, patch: Json) -> None:
        """Damages the object."""
        patched = self.environment.patch(self.key, patch)
        self._damaged_at = int(patched["metadata"]["resourceVersion"])

    def delete(self) -> None:
        """Deletes the object."""
        self.environment.delete(self.key)

    def pending(self) -> str:
        """What is not repaired yet. A state older than the damage does not count as repaired."""
        body = self.environment.state.get(self.key)
        if body is None:
            return f"{self.key} is missing"
        metadata = body["metadata"]
        if not self._damaged_at and metadata["uid"] == self._uid:
            return f"{self.key} is not recreated"
        restored = written_content(body) == self._content
        if int(metadata["resourceVersion"]) <= self._damaged_at or not restored:
            return f"{self.key} is not restored"
        return ""

    def lacks(self, expected: Json) -> str:
        """A text if the object does not contain this."""
        body = self.environment.state.get(self.key) or {}
        return "" if contains(body, expected) else f"{self.key} does not contain {expected}"


def contains(body: object, expected: object) -> bool:
    """Whether the object has every value of a JSON merge patch."""
    if isinstance(body, dict) and isinstance(expected, dict):
        return all(contains(body.get(key), value) for key, value in expected.items())
    return body == expected


def first_of_each_kind(environment: Environment, controller: str, tenant: str) -> list[Key]:
    """The objects to damage: one of each kind that the controller owns for the tenant."""
    owned = environment.state.owned(tenant, controller)
    first = {key.kind: key for key in reversed(owned)}
    return [first[kind] for kind in sorted(first)]


def edit_content(environment: Environment, key: Key) -> Iterator[Step]:
    """Changes the content of the object. No step for a kind without an entry in EDITS."""
    edit = EDITS.get(key.kind)
    if edit is None:
        return
    damaged = Damaged(environment, key)
    if (key.kind, key.name) in USER_EDITABLE:
        yield from edit_user_content(damaged, edit)
    else:
        yield repair(damaged, edit.description, lambda: damaged.patch(edit.patch), "restored")


def edit_user_content(damaged: Damaged, edit: Edit) -> Iterator[Step]:
    """Edits an object that users may edit: the controller restores its label and nothing else.

    A user deletes the object to get the original content.
    """
    unlabelled: Json = {"metadata": {"labels": {MANAGED_BY_LABEL: None}}}
    labelled: Json = {"metadata": {"labels": {MANAGED_BY_LABEL: MANAGED_BY}}}
    key = damaged.key
    yield Step(
        tenant=key.namespace,
        title=title_of(key, f"{edit.description}, label removed"),
        act=lambda: damaged.patch({**edit.patch, **unlabelled}),
        pending=lambda: damaged.lacks({**edit.patch, **labelled}),
        outcome="edit preserved",
    )
    yield repair(damaged, "deleted", damaged.delete, "recreated")


def remove_label(environment: Environment, key: Key) -> Iterator[Step]:
    """Removes the label by which the controllers select their objects."""
    damaged = Damaged(environment, key)
    patch: Json = {"metadata": {"labels": {MANAGED_BY_LABEL: None}}}
    yield repair(damaged, "label removed", lambda: damaged.patch(patch), "label restored")


def delete_object(environment: Environment, key: Key) -> Iterator[Step]:
    """Deletes the object."""
    damaged = Damaged(environment, key)
    yield repair(damaged, "deleted", damaged.delete, "recreated")


def title_of(key: Key, description: str) -> str:
    """Kind, name and description in TITLE_WIDTH characters. A long name is shortened."""
    room = max(TITLE_WIDTH - len(f"{key.kind}  {description}"), 1)
    name = key.name if len(key.name) <= room else f"{key.name[: room - 1]}…"
    return f"{key.kind} {name} {description}"


def repair(damaged: Damaged, description: str, act: Callable[[], None], outcome: str) -> Step:
    key = damaged.key
    return Step(
        tenant=key.namespace,
        title=title_of(key, description),
        act=act,
        pending=damaged.pending,
        outcome=outcome,
        repair=True,
    )
