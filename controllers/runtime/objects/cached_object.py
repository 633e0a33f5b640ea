"""What is remembered of an object instead of the object. Pure.

An exact kind is remembered by a digest of its normalised content, so that 100,000 objects fit into
the memory of a small pod; a merge kind by its content, since only the fields that we state count.
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
from controllers.profiles import API_GROUP, KIND, PAUSED_ANNOTATION, read_boolean
from controllers.runtime.objects import compare, managed_fields
from controllers.runtime.objects.kinds import Kind, Mode

Texts = tuple[tuple[str, str], ...]
"""A mapping of labels or annotations: sorted pairs, shared between objects that have the same."""

_OURS = field_manager("")
_LONG = 128
_UNREAD = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})
_shared: dict[Texts, Texts] = {}
_digests: dict[tuple[str, bytes], bytes] = {}
"""Of the contents that were seen last: most tenants have the same, and hold one digest together."""
_MOST_DIGESTS = 256
_LARGE = 4096


@dataclass(slots=True)
class Record:
    """What is remembered of one object on the server. Never changed once it is made.

    It is not frozen because it is made for every object and every answer, and then takes a fifth
    of the time.
    """

    uid: str
    version: int
    labels: Texts
    annotations: Texts
    owner: str
    """UID of the Profile that controls it, else ""."""
    owner_name: str
    """Name of that Profile, else ""."""
    owned: bool
    """Whether it has any owner at all."""
    handed_down: bool
    """Whether the Namespace that it is in controls it: another operator made it for that."""
    deleting: bool
    digest: bytes
    fixed: bytes
    content: Body | None
    kept: Mapping[str, Any] | None
    """What each watching controller's projection kept, by controller."""
    legacy: tuple[str, ...] = ()
    """The controllers that count it as theirs without their labels (``Owned.legacy``)."""
    finalizers: tuple[str, ...] = ()
    concerns: tuple[str, ...] = ()
    """Of an object without a namespace, the Profiles that it wakes where it is watched."""
    relabelled: bool = False
    """Whether it carries the label of a controller that never wrote it, and another of ours did."""
    applied: str = ""
    """Of a merge kind, the fields that the controller of its labels owns (``fieldsets``)."""

    @property
    def component(self) -> str | None:
        """The controller whose labels it carries, or None when it does not carry ours."""
        return _component(self.labels)

    @property
    def paused(self) -> bool:
        """Whether its own annotation stops our writes."""
        text = dict(self.annotations).get(PAUSED_ANNOTATION, "") if self.annotations else ""
        return bool(text) and read_boolean(text.strip()) is True

    def same(self, other: Record) -> bool:
        """Whether nothing but status, resourceVersion and the like differs."""
        return (
            self.uid == other.uid
            and self.digest == other.digest
            and self.labels == other.labels
            and self.annotations == other.annotations
            and self.owner == other.owner
            and self.owned == other.owned
            and self.handed_down == other.handed_down
            and self.deleting == other.deleting
            and self.finalizers == other.finalizers
            and self.content == other.content
            and self.kept == other.kept
        )


@functools.lru_cache(maxsize=4096)
def _component(labels: Texts) -> str | None:
    found = dict(labels)
    return found.get(COMPONENT_LABEL) if found.get(MANAGED_BY_LABEL) == MANAGED_BY else None


def project(
    kind: Kind,
    body: Body,
    kept: Mapping[str, Any] | None = None,
    legacy: tuple[str, ...] = (),
) -> Record:
    """The record of an object as the API server sent it."""
    metadata = body["metadata"]
    owner = owner_name = ""
    references = metadata.get("ownerReferences") or ()
    for reference in references:
        if is_profile_reference(reference) and reference.get("controller"):
            owner = sys.intern(reference["uid"])
            owner_name = sys.intern(reference["name"])
    merge = kind.mode is Mode.APPLY
    content = content_of(kind, body)
    labels = texts(metadata.get("labels"))
    component = _component(labels)
    return Record(
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        labels=labels,
        annotations=texts(metadata.get("annotations")),
        owner=owner,
        owner_name=owner_name,
        owned=bool(references),
        handed_down=any(is_namespace_reference(one, metadata) for one in references),
        deleting="deletionTimestamp" in metadata,
        digest=b"" if merge else digest(kind, content),
        fixed=fixed(kind, content),
        content=content if merge else None,
        kept=kept,
        legacy=legacy,
        finalizers=tuple(map(sys.intern, metadata.get("finalizers") or ())),
        relabelled=component is not None and _is_relabelled(metadata, component),
        applied=managed_fields.applied(metadata, field_manager(component))
        if merge and component
        else "",
    )


def _is_relabelled(metadata: Mapping[str, Any], component: str) -> bool:
    """By who wrote it (``managedFields``); where that is not told, nobody has."""
    managers = {str(entry.get("manager")) for entry in metadata.get("managedFields") or ()}
    if field_manager(component) in managers:
        return False
    return any(manager.startswith(_OURS) for manager in managers)


def is_profile_reference(reference: Mapping[str, Any]) -> bool:
    """Whether an owner reference points to a Profile, of whichever version."""
    group = str(reference.get("apiVersion", "")).partition("/")[0]
    return reference.get("kind") == KIND and group == API_GROUP


def is_namespace_reference(reference: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Whether an owner reference makes the object's own Namespace its controller."""
    return (
        reference.get("kind") == "Namespace"
        and reference.get("apiVersion") == "v1"
        and reference.get("name") == metadata.get("namespace")
        and bool(reference.get("controller"))
    )


def texts(mapping: Mapping[str, str] | None) -> Texts:
    """Labels or annotations as they are remembered: long values by their digest."""
    if not mapping:
        return ()
    pairs = tuple(
        (sys.intern(key), _short(value))
        for key, value in sorted(mapping.items())
        if key not in _UNREAD
    )
    if len(_shared) > 10_000:  # noqa: PLR2004 - unusual labels must not pile up for ever
        _shared.clear()
    return _shared.setdefault(pairs, pairs)


def includes(have: Texts, want: Mapping[str, str]) -> bool:
    """Whether all these labels or annotations are there, whatever else is."""
    if not want:
        return True
    present = dict(have)
    return all(present.get(key) == _short(value) for key, value in want.items())


def _short(value: str) -> str:
    if len(value) <= _LONG:
        return sys.intern(value)
    return "blake2b:" + hashlib.blake2b(value.encode(), digest_size=16).hexdigest()


def content_of(kind: Kind, body: Mapping[str, Any]) -> Body:
    """The top-level fields that make up the object beside its metadata."""
    return {field: body[field] for field in kind.content if body.get(field) is not None}


def digest(kind: Kind, content: Mapping[str, Any]) -> bytes:
    """Sixteen bytes that are equal for contents that mean the same."""
    raw = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    if kind.confidential or len(raw) > _LARGE:
        return _digest(kind, content, raw)
    found = _digests.get((kind.name, raw))
    if found is None:
        if len(_digests) >= _MOST_DIGESTS:
            _digests.clear()
        found = _digests[kind.name, raw] = _digest(kind, content, raw)
    return found


def _digest(kind: Kind, content: Mapping[str, Any], raw: bytes) -> bytes:
    if _may_be_respelled(kind, raw):
        raw = orjson.dumps(compare.normalise(kind, content), option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(raw, digest_size=16).digest()


def _may_be_respelled(kind: Kind, raw: bytes) -> bool:
    """Whether normalising could change it: mostly it cannot, and it costs three times a digest."""
    return (
        bool(kind.quantities)
        or b":null" in raw
        or any(mark in raw for mark in _marks_of_empties(kind.empties))
    )


@functools.cache
def _marks_of_empties(paths: tuple[str, ...]) -> tuple[bytes, ...]:
    """How an empty value at one of the paths reads: an empty selector elsewhere is none of them."""
    leaves = {path.rpartition(".")[2] for path in paths}
    names = {"" if leaf == "*" else f'"{leaf}"' for leaf in leaves}
    return tuple(f"{name}:{empty}".encode() for name in sorted(names) for empty in ("[]", "{}"))


def fixed(kind: Kind, content: Mapping[str, Any]) -> bytes:
    """A digest of the immutable part alone; empty where the kind has none."""
    if not kind.immutable:
        return b""
    part = [_at(content, path.split(".")) for path in kind.immutable]
    return hashlib.blake2b(orjson.dumps(part, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


def _at(value: Any, path: Sequence[str]) -> Any:
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
