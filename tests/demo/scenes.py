"""What people and programs do to the objects that the suite keeps, and what must follow."""

import dataclasses
from collections.abc import Callable, Iterator

from controllers.manifests import MANAGED_BY, MANAGED_BY_LABEL, Key
from tests.demo.scripts import EDITS, USERS_OWN, Edit
from tests.demo.stages import Stage
from tests.demo.worlds import said
from tests.support.controlplane import Json

TITLE_WIDTH = 47


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """`act` is timed until `lacking` has nothing to name; `prepare` comes before and is not.

    `title` says what is done, `verdict` what follows: "raised to 9000 pods", "put back".
    """

    tenant: str
    title: str
    act: Callable[[], object]
    lacking: Callable[[], str]
    verdict: str
    prepare: Callable[[], object] = lambda: None
    timed: bool = True
    """False where nothing follows, so that there is no time to tell."""
    repair: bool = False
    """Counts among the repairs of the summary."""


@dataclasses.dataclass
class Restored:
    """Whether an object is again what it was when this was made, after something befell it."""

    stage: Stage
    key: Key

    def __post_init__(self) -> None:
        body = self.stage.world.get(self.key)
        if body is None:
            raise LookupError(f"{self.key} is not there")
        self._content = said(body)
        self._uid = body["metadata"]["uid"]
        self._damaged_at = 0

    def patch(self, patch: Json) -> None:
        """Damages it."""
        answer = self.stage.patch(self.key, patch)
        self._damaged_at = int(answer["metadata"]["resourceVersion"])

    def delete(self) -> None:
        """Removes it."""
        self.stage.delete(self.key)

    def lacking(self) -> str:
        """What is still amiss. The state before the damage was seen does not count as restored."""
        body = self.stage.world.get(self.key)
        if body is None:
            return f"{self.key} is missing"
        metadata = body["metadata"]
        if not self._damaged_at and metadata["uid"] == self._uid:
            return f"{self.key} has not been made anew"
        if int(metadata["resourceVersion"]) <= self._damaged_at or said(body) != self._content:
            return f"{self.key} is not what it was"
        return ""

    def differs(self, expected: Json) -> str:
        """The object, where it does not hold all of this."""
        body = self.stage.world.get(self.key) or {}
        return "" if holds(body, expected) else f"{self.key} does not hold {expected}"


def holds(body: object, expected: object) -> bool:
    """Whether every value of a JSON merge patch is there."""
    if isinstance(body, dict) and isinstance(expected, dict):
        return all(holds(body.get(key), value) for key, value in expected.items())
    return body == expected


def first_kept(stage: Stage, controller: str, tenant: str) -> list[Key]:
    """The objects to damage: one of each kind that the controller keeps for the tenant."""
    kept = {key.kind: key for key in reversed(stage.world.kept(tenant, controller))}
    return [kept[kind] for kind in sorted(kept)]


def edited(stage: Stage, key: Key) -> Iterator[Scene]:
    """Its content is changed; no scene where it is not known how."""
    edit = EDITS.get(key.kind)
    if edit is None:
        return
    restored = Restored(stage, key)
    if (key.kind, key.name) in USERS_OWN:
        yield from respected(restored, edit)
    else:
        yield repair(restored, edit.words, lambda: restored.patch(edit.patch), "put back")


def respected(restored: Restored, edit: Edit) -> Iterator[Scene]:
    """Its content is the users': the suite comes round, for the label, and lets the edit be.

    Who wants it as it was has only to delete it.
    """
    unlabelled: Json = {"metadata": {"labels": {MANAGED_BY_LABEL: None}}}
    labelled: Json = {"metadata": {"labels": {MANAGED_BY_LABEL: MANAGED_BY}}}
    key = restored.key
    yield Scene(
        tenant=key.namespace,
        title=shortened(key, f"{edit.words}, unlabelled"),
        act=lambda: restored.patch({**edit.patch, **unlabelled}),
        lacking=lambda: restored.differs({**edit.patch, **labelled}),
        verdict="edit kept",
    )
    yield repair(restored, "deleted", restored.delete, "made anew")


def relabelled(stage: Stage, key: Key) -> Iterator[Scene]:
    """The label by which the suite finds its objects is taken away."""
    restored = Restored(stage, key)
    patch: Json = {"metadata": {"labels": {MANAGED_BY_LABEL: None}}}
    yield repair(restored, "unlabelled", lambda: restored.patch(patch), "labelled again")


def deleted(stage: Stage, key: Key) -> Iterator[Scene]:
    """Somebody tidies up."""
    restored = Restored(stage, key)
    yield repair(restored, "deleted", restored.delete, "made anew")


def shortened(key: Key, words: str) -> str:
    """What happened to which object, in a line's room: a long name gives way, not the words."""
    room = max(TITLE_WIDTH - len(f"{key.kind}  {words}"), 1)
    name = key.name if len(key.name) <= room else f"{key.name[: room - 1]}…"
    return f"{key.kind} {name} {words}"


def repair(restored: Restored, words: str, act: Callable[[], None], verdict: str) -> Scene:
    key = restored.key
    return Scene(
        tenant=key.namespace,
        title=shortened(key, words),
        act=act,
        lacking=restored.lacking,
        verdict=verdict,
        repair=True,
    )
