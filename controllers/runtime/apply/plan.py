"""Plan: compare what is wanted with what the informers remember. Pure; for all controllers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from controllers.manifests import Body, Key, Manifest, stamped_labels, to_body
from controllers.profiles import Profile
from controllers.runtime.apply.changeset import Action, Change, ChangeSet
from controllers.runtime.objects import cached_object, compare, managed_fields
from controllers.runtime.objects.cached_object import Record
from controllers.runtime.objects.kinds import KINDS, Kind, Mode


class Memory(Protocol):
    """What the plan needs of an informer."""

    def get(self, namespace: str, name: str) -> Record | None:
        """The record of one object."""

    def by_owner(self, namespace: str, uid: str) -> Iterable[tuple[str, str, Record]]:
        """Namespace, name and record of what a Profile controls."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A manifest made ready to compare and to send, for one profile and controller."""

    manifest: Manifest
    kind: Kind
    profile: Profile
    component: str
    labels: Mapping[str, str]
    digest: bytes
    fixed: bytes
    siblings: Collection[str] = ()
    """The names of all controllers; empty where they are not known."""

    def body(self, *, api_version: str = "") -> Body:
        """The object as it is sent."""
        return to_body(
            self.manifest,
            api_version=api_version or self.kind.api_version,
            profile=self.profile,
            component=self.component,
        )


def wanted(
    manifest: Manifest, profile: Profile, component: str, siblings: Collection[str] = ()
) -> Wanted:
    """The manifest with what the comparison needs. Raises KeyError for a kind not in the table."""
    kind = KINDS[manifest.kind]
    content = {key: value for key, value in manifest.content.items() if value is not None}
    return Wanted(
        manifest=manifest,
        kind=kind,
        profile=profile,
        component=component,
        labels=stamped_labels(manifest, component),
        digest=b"" if kind.mode is Mode.APPLY else cached_object.digest(kind, content),
        fixed=cached_object.fixed(kind, content),
        siblings=siblings,
    )


def plan(
    manifests: Iterable[Manifest],
    *,
    profile: Profile,
    component: str,
    memories: Mapping[str, Memory],
    namespaces: Collection[str] = (),
    siblings: Collection[str] = (),
    retain: Collection[Key] = (),
    delete: Collection[Key] = (),
) -> tuple[ChangeSet, dict[Key, Wanted]]:
    """What must change so that the profile has exactly these manifests of this controller.

    ``memories`` has an entry for every kind that the controller owns or may remove objects of.
    Nothing outside the profile's namespace, cluster-scoped kinds and ``namespaces`` is ever
    planned: a manifest elsewhere raises ValueError, as does a removal outside the first two; an
    owned object elsewhere is left alone.
    """
    allowed = {profile.namespace, "", *namespaces}
    wants = {}
    changes = []
    for manifest in manifests:
        if manifest.namespace not in allowed:
            message = f"{manifest.key} is outside the namespace of profile {profile.name}"
            raise ValueError(message)
        record = memories[manifest.kind].get(manifest.namespace, manifest.name)
        if record is None and manifest.update_only:
            continue
        want = wanted(manifest, profile, component, siblings)
        wants[manifest.key] = want
        changes.append(judge(want, record))
    changes += _removals(delete, memories, wants, {profile.namespace, ""})
    changes += _prune(profile, component, memories, {*wants, *retain, *delete}, allowed)
    return ChangeSet(tuple(changes)), wants


def judge(want: Wanted, record: Record | None) -> Change:
    """What must happen to one wanted object, given what is there: the first rule that speaks."""
    if record is None:
        absent = want.manifest.update_only
        return Change(Action.UNCHANGED if absent else Action.CREATE, want.manifest.key)
    decided = _first_change(_WRITE_RULES, want, record) or _first_change(
        _CONTENT_RULES, want, record
    )
    return decided or Change(Action.UNCHANGED, want.manifest.key)


def blocked_write(want: Wanted, record: Record | None) -> Change | None:
    """Return the change if the plan does not write this object whatever its content is, else None.

    Its action is UNCHANGED (the object is paused), PENDING or REFUSED.
    """
    return None if record is None else _first_change(_WRITE_RULES, want, record)


def _first_change(rules: Iterable[_Rule], want: Wanted, record: Record) -> Change | None:
    for rule in rules:
        verdict = rule(want, record)
        if verdict is not None:
            action, detail = verdict
            return Change(action, want.manifest.key, detail, (record.uid, record.version))
    return None


Verdict = tuple[Action, str] | None
_Rule = Callable[[Wanted, Record], Verdict]


def _paused(_want: Wanted, record: Record) -> Verdict:
    return (Action.UNCHANGED, "paused by its annotation") if record.paused else None


def _on_its_way_out(want: Wanted, record: Record) -> Verdict:
    if record.deleting:
        return Action.PENDING, "is being deleted; made anew when it is gone"
    if record.owner_name == want.profile.name and record.owner != want.profile.uid:
        gone = "belongs to an earlier Profile of this name; the garbage collector removes it"
        return Action.PENDING, gone
    return None


def _another_controllers(want: Wanted, record: Record) -> Verdict:
    other = record.component not in (None, want.component) and not record.relabelled
    # A text that names no controller was put there by hand, and is put right again.
    if other and (not want.siblings or record.component in want.siblings):
        return Action.REFUSED, f"is kept by controller {record.component}"
    return None


def _another_owners(want: Wanted, record: Record) -> Verdict:
    if not record.owned or record.owner == want.profile.uid or _inherits(want, record):
        return None
    by = f"Profile {record.owner_name}" if record.owner else "another owner"
    return Action.REFUSED, f"exists and belongs to {by}; rename or delete it"


def _nobodys(want: Wanted, record: Record) -> Verdict:
    if record.owned or record.component == want.component or want.manifest.adoptable:
        return None
    return Action.REFUSED, "exists and was not made by us; rename or delete it"


def _inherits(want: Wanted, record: Record) -> bool:
    return record.handed_down and want.manifest.adopt_from_namespace is not None


def _users_to_edit(want: Wanted, record: Record) -> Verdict:
    if not want.manifest.create_only:
        return None
    # Users edit the content; without our marks it could neither be found again nor delete.
    return _not_yet_marked(want, record) or (Action.UNCHANGED, "")


def _immutable(want: Wanted, record: Record) -> Verdict:
    if record.fixed == want.fixed:
        return None
    return Action.RECREATE, f"{' and '.join(want.kind.immutable)} cannot change"


def _not_yet_marked(want: Wanted, record: Record) -> Verdict:
    marked = record.owner == want.profile.uid and record.component is not None
    return None if marked else (Action.ADOPT, "")


def _out_of_shape(want: Wanted, record: Record) -> Verdict:
    return None if in_shape(want, record) else (Action.UPDATE, "")


_WRITE_RULES: Sequence[_Rule] = (
    _paused,
    _on_its_way_out,
    _another_controllers,
    _another_owners,
    _nobodys,
)
"""Whether the object may be written, in this order."""
_CONTENT_RULES: Sequence[_Rule] = (
    _users_to_edit,
    _immutable,
    _not_yet_marked,
    _out_of_shape,
)
"""Whether the object must be recreated or updated, in this order."""


def in_shape(want: Wanted, record: Record) -> bool:
    """Whether the object has everything that we state of it."""
    if not cached_object.includes(record.labels, want.labels):
        return False
    if not cached_object.includes(record.annotations, want.manifest.annotations):
        return False
    if any(key in want.manifest.stripped_annotations for key, _ in record.annotations):
        return False
    stated = want.manifest.finalizers.items()
    if any((name in record.finalizers) is not needed for name, needed in stated):
        return False
    if record.content is None:
        return record.digest == want.digest
    return compare.contains(
        want.kind, record.content, want.manifest.content
    ) and managed_fields.states_all(want.body(), record.applied)


def _is_ours(record: Record, component: str) -> bool:
    """By our labels, or by the list of an older suite's objects; others are only watched."""
    if record.component is None:
        return component in record.legacy
    return record.component == component and not record.relabelled


def _removals(
    delete: Iterable[Key],
    memories: Mapping[str, Memory],
    wants: Collection[Key],
    allowed: Collection[str],
) -> Iterator[Change]:
    for key in delete:
        if key in wants or key.namespace not in allowed:
            raise ValueError(
                f"{key} is in Desired.delete, but it is desired or outside the profile"
            )
        record = memories[key.kind].get(key.namespace, key.name)
        if record is None:
            continue
        if record.paused:
            yield Change(Action.UNCHANGED, key, "paused by its annotation")
        elif record.deleting:
            yield Change(Action.PENDING, key, "is being deleted")
        else:
            yield Change(Action.REMOVE, key, "", (record.uid, record.version))


def _prune(
    profile: Profile,
    component: str,
    memories: Mapping[str, Memory],
    kept: Collection[Key],
    allowed: Collection[str],
) -> Iterator[Change]:
    for kind, memory in memories.items():
        for namespace, name, record in memory.by_owner(profile.namespace, profile.uid):
            key = Key(kind, namespace, name)
            if (
                not _is_ours(record, component)
                or key in kept
                or namespace not in allowed
                or record.deleting
            ):
                continue
            if record.paused:
                yield Change(Action.UNCHANGED, key, "paused by its annotation")
            else:
                yield Change(Action.DELETE, key, "no longer wanted", (record.uid, record.version))
