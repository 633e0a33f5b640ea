"""Plan: compare the desired objects with the cached ones. Pure; the same for all controllers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from controllers.manifests import Body, Key, Manifest, object_labels, to_body
from controllers.profiles import Profile
from controllers.runtime.apply.changeset import Action, Change, ChangeSet
from controllers.runtime.objects import cached_object, compare, managed_fields
from controllers.runtime.objects.cached_object import CachedObject
from controllers.runtime.objects.kinds import KINDS, Kind, Mode


class Store(Protocol):
    """Read access to the cached objects of one kind."""

    def get(self, namespace: str, name: str) -> CachedObject | None:
        """Return one object, or None."""

    def by_owner(self, namespace: str, uid: str) -> Iterable[tuple[str, str, CachedObject]]:
        """Return namespace, name and object of everything that a Profile controls."""


@dataclass(frozen=True, slots=True)
class DesiredObject:
    """A manifest with what the comparison and the request need, for one profile and controller."""

    manifest: Manifest
    kind: Kind
    profile: Profile
    component: str
    labels: Mapping[str, str]
    digest: bytes
    immutable_digest: bytes
    controllers: Collection[str] = ()
    """The names of all controllers; empty when they are not known."""

    def body(self, *, api_version: str = "") -> Body:
        """Return the object as it is sent."""
        return to_body(
            self.manifest,
            api_version=api_version or self.kind.api_version,
            profile=self.profile,
            component=self.component,
        )


def desired_object(
    manifest: Manifest, profile: Profile, component: str, controllers: Collection[str] = ()
) -> DesiredObject:
    """Return the manifest with its digests. Raises KeyError for a kind that is not in the table."""
    kind = KINDS[manifest.kind]
    content = {key: value for key, value in manifest.content.items() if value is not None}
    return DesiredObject(
        manifest=manifest,
        kind=kind,
        profile=profile,
        component=component,
        labels=object_labels(manifest, component),
        digest=b"" if kind.mode is Mode.APPLY else cached_object.digest(kind, content),
        immutable_digest=cached_object.immutable_digest(kind, content),
        controllers=controllers,
    )


def plan(
    manifests: Iterable[Manifest],
    *,
    profile: Profile,
    component: str,
    stores: Mapping[str, Store],
    namespaces: Collection[str] = (),
    controllers: Collection[str] = (),
    retain: Collection[Key] = (),
    delete: Collection[Key] = (),
    prunable: Collection[str] | None = None,
    update_only: Collection[str] = (),
) -> tuple[ChangeSet, dict[Key, DesiredObject]]:
    """Return the changes after which the profile has exactly these manifests of this controller.

    ``stores`` has an entry for every kind that the controller owns or may delete. Objects are
    pruned in the kinds ``prunable`` only; None means in all of them.

    Only the profile's namespace, cluster-scoped objects and ``namespaces`` are planned. A manifest
    elsewhere raises ValueError, as does a key of ``delete`` outside the first two; an owned object
    elsewhere is left alone. Of the kinds ``update_only`` nothing is created or pruned: a manifest
    that could create an object raises ValueError.
    """
    allowed = {profile.namespace, "", *namespaces}
    objects = {}
    changes = []
    for manifest in manifests:
        if manifest.namespace not in allowed:
            message = f"{manifest.key} is outside the namespace of profile {profile.name}"
            raise ValueError(message)
        if manifest.kind in update_only and not manifest.update_only:
            raise ValueError(
                f"{manifest.key} is not update_only, but its kind is (Owned.update_only)"
            )
        cached = stores[manifest.kind].get(manifest.namespace, manifest.name)
        if cached is None and manifest.update_only:
            continue
        desired = desired_object(manifest, profile, component, controllers)
        objects[manifest.key] = desired
        changes.append(decide(desired, cached))
    changes += _deletions(delete, stores, objects, {profile.namespace, ""})
    owned = {
        kind: store
        for kind, store in stores.items()
        if kind not in update_only and (prunable is None or kind in prunable)
    }
    changes += _prunes(profile, component, owned, {*objects, *retain, *delete}, allowed)
    return ChangeSet(tuple(changes)), objects


def decide(desired: DesiredObject, cached: CachedObject | None) -> Change:
    """Return the change of one desired object: the first predicate with a verdict decides."""
    if cached is None:
        action = Action.UNCHANGED if desired.manifest.update_only else Action.CREATE
        return Change(action, desired.manifest.key)
    return (
        blocked_write(desired, cached)
        or _first_verdict(_CONTENT_PREDICATES, desired, cached)
        or Change(Action.UNCHANGED, desired.manifest.key)
    )


def blocked_write(desired: DesiredObject, cached: CachedObject | None) -> Change | None:
    """Return the change if the plan does not write this object whatever its content is, else None.

    Its action is UNCHANGED (the object is paused), PENDING or REFUSED.
    """
    return None if cached is None else _first_verdict(_WRITE_PREDICATES, desired, cached)


def _first_verdict(
    predicates: Iterable[_Predicate], desired: DesiredObject, cached: CachedObject
) -> Change | None:
    for predicate in predicates:
        verdict = predicate(desired, cached)
        if verdict is not None:
            action, detail = verdict
            precondition = (cached.uid, cached.resource_version)
            return Change(action, desired.manifest.key, detail, precondition)
    return None


Verdict = tuple[Action, str] | None
_Predicate = Callable[[DesiredObject, CachedObject], Verdict]


def _is_paused(_desired: DesiredObject, cached: CachedObject) -> Verdict:
    return (Action.UNCHANGED, "paused by its annotation") if cached.paused else None


def _is_being_deleted(desired: DesiredObject, cached: CachedObject) -> Verdict:
    if cached.deleting:
        return Action.PENDING, "is being deleted; will be recreated"
    if cached.owner_name == desired.profile.name and cached.owner_uid != desired.profile.uid:
        detail = "belongs to an earlier Profile of this name; the garbage collector deletes it"
        return Action.PENDING, detail
    return None


def _has_another_controller(desired: DesiredObject, cached: CachedObject) -> Verdict:
    other = cached.component not in (None, desired.component) and not cached.mislabelled
    # A label that names no controller was edited by hand: it is corrected.
    if other and (not desired.controllers or cached.component in desired.controllers):
        return Action.REFUSED, f"is managed by controller {cached.component}"
    return None


def _has_another_owner(desired: DesiredObject, cached: CachedObject) -> Verdict:
    owned = cached.owner_uid == desired.profile.uid
    if not cached.has_owner or owned or _is_adopted_from_namespace(desired, cached):
        return None
    owner = f"Profile {cached.owner_name}" if cached.owner_uid else "another owner"
    return Action.REFUSED, f"exists and belongs to {owner}; rename or delete it"


def _has_no_owner(desired: DesiredObject, cached: CachedObject) -> Verdict:
    labelled = cached.component == desired.component
    if cached.has_owner or labelled or desired.manifest.adoptable:
        return None
    return Action.REFUSED, "exists and is not managed by profiles-controller; rename or delete it"


def _is_adopted_from_namespace(desired: DesiredObject, cached: CachedObject) -> bool:
    return cached.controlled_by_namespace and desired.manifest.adopt_from_namespace is not None


def _is_create_only(desired: DesiredObject, cached: CachedObject) -> Verdict:
    if not desired.manifest.create_only:
        return None
    # Users edit the content. Without labels and owner the object could not be found or pruned.
    return _is_not_adopted(desired, cached) or (Action.UNCHANGED, "")


def _has_another_immutable_part(desired: DesiredObject, cached: CachedObject) -> Verdict:
    if cached.immutable_digest == desired.immutable_digest:
        return None
    fields = desired.kind.immutable
    return (
        Action.RECREATE,
        f"{' and '.join(fields)} {'is' if len(fields) == 1 else 'are'} immutable",
    )


def _is_not_adopted(desired: DesiredObject, cached: CachedObject) -> Verdict:
    adopted = cached.owner_uid == desired.profile.uid and cached.component is not None
    return None if adopted else (Action.ADOPT, "")


def _is_out_of_sync(desired: DesiredObject, cached: CachedObject) -> Verdict:
    return None if in_sync(desired, cached) else (Action.UPDATE, "")


_WRITE_PREDICATES: Sequence[_Predicate] = (
    _is_paused,
    _is_being_deleted,
    _has_another_controller,
    _has_another_owner,
    _has_no_owner,
)
"""Whether the object may be written, in this order."""
_CONTENT_PREDICATES: Sequence[_Predicate] = (
    _is_create_only,
    _has_another_immutable_part,
    _is_not_adopted,
    _is_out_of_sync,
)
"""Whether the object must be recreated or updated, in this order."""


def in_sync(desired: DesiredObject, cached: CachedObject) -> bool:
    """Whether the object has everything that the manifest states."""
    manifest = desired.manifest
    if not cached_object.includes(cached.labels, desired.labels):
        return False
    if not cached_object.includes(cached.annotations, manifest.annotations):
        return False
    if any(key in manifest.stripped_annotations for key, _ in cached.annotations):
        return False
    finalizers = manifest.finalizers.items()
    if any((name in cached.finalizers) is not required for name, required in finalizers):
        return False
    if cached.content is None:
        return cached.digest == desired.digest
    return compare.contains(
        desired.kind, cached.content, manifest.content
    ) and managed_fields.states_all(desired.body(), cached.applied_fields)


def _is_owned_by(component: str, cached: CachedObject) -> bool:
    """By its labels, or as a legacy object (``Owned.adopt_legacy``)."""
    if cached.component is None:
        return component in cached.legacy_for
    return cached.component == component and not cached.mislabelled


def _deletions(
    delete: Iterable[Key],
    stores: Mapping[str, Store],
    objects: Collection[Key],
    allowed: Collection[str],
) -> Iterator[Change]:
    for key in delete:
        if key in objects or key.namespace not in allowed:
            raise ValueError(
                f"{key} is in Desired.delete, but it is desired or outside the profile"
            )
        cached = stores[key.kind].get(key.namespace, key.name)
        if cached is None:
            continue
        if cached.paused:
            yield Change(Action.UNCHANGED, key, "paused by its annotation")
        elif cached.deleting:
            yield Change(Action.PENDING, key, "is being deleted")
        else:
            yield Change(Action.DELETE, key, "", (cached.uid, cached.resource_version))


def _prunes(
    profile: Profile,
    component: str,
    stores: Mapping[str, Store],
    retain: Collection[Key],
    allowed: Collection[str],
) -> Iterator[Change]:
    for kind, store in stores.items():
        for namespace, name, cached in store.by_owner(profile.namespace, profile.uid):
            key = Key(kind, namespace, name)
            if (
                not _is_owned_by(component, cached)
                or key in retain
                or namespace not in allowed
                or cached.deleting
            ):
                continue
            if cached.paused:
                yield Change(Action.UNCHANGED, key, "paused by its annotation")
            else:
                precondition = (cached.uid, cached.resource_version)
                yield Change(Action.PRUNE, key, "no longer desired", precondition)
