"""What the cache stores of an object instead of the object. Pure.

With mode REPLACE it stores a digest of the normalised content, so that 100,000 objects fit
into the memory of a small pod; with mode APPLY the content, of which only the stated fields count.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from controllers.manifests import (
    COMPONENT_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    Body,
    field_manager,
)
from controllers.profiles import API_GROUP, KIND, PAUSED_ANNOTATION, parse_bool
from controllers.runtime.objects import compare, managed_fields
from controllers.runtime.objects.kinds import Kind, Mode
from controllers.runtime.objects.shared import SharedState

Pairs = tuple[tuple[str, str], ...]
"""Labels or annotations: sorted pairs, interned."""

_OUR_FIELD_MANAGERS = field_manager("")
_MAX_VALUE_LENGTH = 128
_IGNORED_ANNOTATIONS = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})
_interned: dict[Pairs, Pairs] = {}
_digests: dict[tuple[str, bytes], bytes] = {}
"""The digests of recent contents by kind and content: most tenants have the same."""
_MAX_DIGESTS = 256
_MAX_CACHED_CONTENT = 4096


@dataclass(slots=True)
class CachedObject:
    """What the cache stores of one object. Never modified after its construction.

    It is not frozen: one is built for every object and every response, and a frozen dataclass takes
    a fifth more of the time.
    """

    uid: str
    resource_version: int
    labels: Pairs
    annotations: Pairs
    owner_uid: str
    """UID of the Profile that controls it, or empty."""
    owner_name: str
    """Name of that Profile, or empty."""
    has_owner: bool
    """Whether it has any owner reference."""
    controlled_by_namespace: bool
    """Whether its Namespace controls it: another operator created it for the namespace."""
    deleting: bool
    digest: bytes
    """Of the normalised content; empty for a kind with mode APPLY."""
    immutable_digest: bytes
    """Of the immutable fields."""
    content: Body | None
    """The content of a kind with mode APPLY."""
    transformed: Mapping[str, Any] | None
    """What the ``transform`` of each watching controller returned, by controller."""
    legacy_for: tuple[str, ...] = ()
    """The controllers that own it without their labels (``Owned.adopt_legacy``)."""
    finalizers: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    """Of a cluster-scoped object, the Profiles that the map functions return."""
    mislabelled: bool = False
    """Whether it has the label of a controller that never wrote it, and another controller did."""
    shared: Mapping[str, SharedState] | None = None
    """Of an object that controllers share with its owner, its state for each of them."""
    applied_fields: str = ""
    """Of a kind with mode APPLY, the fields that the controller of its labels applied
    (``managed_fields``)."""

    @property
    def component(self) -> str | None:
        """The controller whose labels it has, or None."""
        return _component(self.labels)

    @property
    def paused(self) -> bool:
        """Whether its annotation pauses all writes to it."""
        text = dict(self.annotations).get(PAUSED_ANNOTATION, "") if self.annotations else ""
        return bool(text) and parse_bool(text.strip()) is True

    def equivalent(self, other: CachedObject) -> bool:
        """Whether nothing but status, resourceVersion and the like differs."""
        return (
            self.uid == other.uid
            and self.digest == other.digest
            and self.labels == other.labels
            and self.annotations == other.annotations
            and self.owner_uid == other.owner_uid
            and self.has_owner == other.has_owner
            and self.controlled_by_namespace == other.controlled_by_namespace
            and self.deleting == other.deleting
            and self.finalizers == other.finalizers
            and self.content == other.content
            and self.transformed == other.transformed
            and self.shared == other.shared
        )


@functools.lru_cache(maxsize=4096)
def _component(labels: Pairs) -> str | None:
    found = dict(labels)
    return found.get(COMPONENT_LABEL) if found.get(MANAGED_BY_LABEL) == MANAGED_BY else None


def from_body(
    kind: Kind,
    body: Body,
    transformed: Mapping[str, Any] | None = None,
    legacy_for: tuple[str, ...] = (),
) -> CachedObject:
    """Return what the cache stores of an object that the API server sent."""
    metadata = body["metadata"]
    owner_uid = owner_name = ""
    references = metadata.get("ownerReferences") or ()
    for reference in references:
        if is_profile_reference(reference) and reference.get("controller"):
            owner_uid = sys.intern(reference["uid"])
            owner_name = sys.intern(reference["name"])
    apply = kind.mode is Mode.APPLY
    content = content_of(kind, body)
    labels = pairs(metadata.get("labels"))
    component = _component(labels)
    return CachedObject(
        uid=metadata["uid"],
        resource_version=int(metadata["resourceVersion"]),
        labels=labels,
        annotations=pairs(metadata.get("annotations")),
        owner_uid=owner_uid,
        owner_name=owner_name,
        has_owner=bool(references),
        controlled_by_namespace=any(is_namespace_reference(one, metadata) for one in references),
        deleting="deletionTimestamp" in metadata,
        digest=b"" if apply else digest(kind, content),
        immutable_digest=immutable_digest(kind, content),
        content=content if apply else None,
        transformed=transformed,
        legacy_for=legacy_for,
        finalizers=tuple(map(sys.intern, metadata.get("finalizers") or ())),
        mislabelled=component is not None and _is_mislabelled(metadata, component),
        applied_fields=managed_fields.applied_fields(metadata, field_manager(component))
        if apply and component
        else "",
    )


def _is_mislabelled(metadata: Mapping[str, Any], component: str) -> bool:
    """By the field managers in ``managedFields``; False without any."""
    managers = {str(entry.get("manager")) for entry in metadata.get("managedFields") or ()}
    if field_manager(component) in managers:
        return False
    return any(manager.startswith(_OUR_FIELD_MANAGERS) for manager in managers)


def is_profile_reference(reference: Mapping[str, Any]) -> bool:
    """Whether an owner reference is to a Profile, of any version."""
    group = str(reference.get("apiVersion", "")).partition("/")[0]
    return reference.get("kind") == KIND and group == API_GROUP


def is_namespace_reference(reference: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Whether an owner reference makes the object's Namespace its controller."""
    return (
        reference.get("kind") == "Namespace"
        and reference.get("apiVersion") == "v1"
        and reference.get("name") == metadata.get("namespace")
        and bool(reference.get("controller"))
    )


def pairs(mapping: Mapping[str, str] | None) -> Pairs:
    """Return labels or annotations as the cache stores them: a digest instead of a long value."""
    if not mapping:
        return ()
    result = tuple(
        (sys.intern(key), _shortened(value))
        for key, value in sorted(mapping.items())
        if key not in _IGNORED_ANNOTATIONS
    )
    if len(_interned) > 10_000:  # noqa: PLR2004 - a bound for unusual labels
        _interned.clear()
    return _interned.setdefault(result, result)


def includes(have: Pairs, want: Mapping[str, str]) -> bool:
    """Whether all these labels or annotations are present."""
    if not want:
        return True
    present = dict(have)
    return all(present.get(key) == _shortened(value) for key, value in want.items())


def _shortened(value: str) -> str:
    if len(value) <= _MAX_VALUE_LENGTH:
        return sys.intern(value)
    return "blake2b:" + hashlib.blake2b(value.encode(), digest_size=16).hexdigest()


def content_of(kind: Kind, body: Mapping[str, Any]) -> Body:
    """Return the top-level fields of the object's content."""
    return {field: body[field] for field in kind.content if body.get(field) is not None}


def digest(kind: Kind, content: Mapping[str, Any]) -> bytes:
    """Return sixteen bytes that are equal for equivalent contents."""
    raw = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    if kind.confidential or len(raw) > _MAX_CACHED_CONTENT:
        return _digest(kind, content, raw)
    found = _digests.get((kind.name, raw))
    if found is None:
        if len(_digests) >= _MAX_DIGESTS:
            _digests.clear()
        found = _digests[kind.name, raw] = _digest(kind, content, raw)
    return found


def _digest(kind: Kind, content: Mapping[str, Any], raw: bytes) -> bytes:
    if _may_be_normalised(kind, raw):
        raw = orjson.dumps(compare.normalise(kind, content), option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(raw, digest_size=16).digest()


def _may_be_normalised(kind: Kind, raw: bytes) -> bool:
    """Whether normalising can change it: mostly not, and it costs three times a digest."""
    return (
        bool(kind.quantities)
        or b":null" in raw
        or any(empty in raw for empty in _empty_values(kind.empty_is_absent))
    )


@functools.cache
def _empty_values(paths: tuple[str, ...]) -> tuple[bytes, ...]:
    """Return the JSON of an empty value at each path. An empty selector elsewhere is different."""
    leaves = {path.rpartition(".")[2] for path in paths}
    names = {"" if leaf == "*" else f'"{leaf}"' for leaf in leaves}
    return tuple(f"{name}:{empty}".encode() for name in sorted(names) for empty in ("[]", "{}"))


def immutable_digest(kind: Kind, content: Mapping[str, Any]) -> bytes:
    """Return a digest of the immutable fields; empty when the kind has none."""
    if not kind.immutable:
        return b""
    part = [_at(content, path.split(".")) for path in kind.immutable]
    return hashlib.blake2b(orjson.dumps(part, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


def _at(value: Any, path: Sequence[str]) -> Any:
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
