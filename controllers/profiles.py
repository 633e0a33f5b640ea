"""An immutable Profile, and parsers of its labels and annotations.

The CRD is Kubeflow's ``profiles.kubeflow.org``. docs/architecture.md lists the facts that the
controllers rely on, under "Facts about Profiles".
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

API_GROUP = "kubeflow.org"
KIND = "Profile"
PAUSED_ANNOTATION = "profiles-controller.statcan.gc.ca/paused"

# As strconv.ParseBool of Go, with which the other programs of the platform read labels.
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
# As large as the object, and not used here.
_IGNORED_ANNOTATIONS = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """``spec.owner``: an RBAC subject. ``namespace`` is empty unless kind is ServiceAccount."""

    kind: str = "User"
    name: str = ""
    api_group: str = "rbac.authorization.k8s.io"
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One entry of ``status.conditions``. The CRD has these three fields only."""

    type: str
    status: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The fields of a Profile that controllers use.

    Status and resourceVersion are not compared, so that a change of the status only enqueues no
    reconcile.
    """

    name: str
    uid: str
    api_version: str = f"{API_GROUP}/v1"
    owner: Owner = Owner()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    deleting: bool = False
    resource_version: str = field(default="", compare=False)
    conditions: tuple[Condition, ...] = field(default=(), compare=False)

    @property
    def namespace(self) -> str:
        """The name of the tenant's namespace, which is the name of the Profile."""
        return self.name


def parse_profile(body: Mapping[str, Any]) -> Profile:
    """Return the Profile of an API object. Missing and null fields are empty.

    Raises ValueError, which names the field, if the object is not a Profile.
    """
    metadata = _mapping(body, "metadata")
    if body.get("kind", KIND) != KIND:
        message = f"kind is {body.get('kind')!r}, expected {KIND!r}"
        raise ValueError(message)
    if not metadata.get("name"):
        message = "metadata.name is missing"
        raise ValueError(message)
    owner = _mapping(_mapping(body, "spec"), "owner")
    return Profile(
        name=sys.intern(str(metadata["name"])),
        uid=sys.intern(str(metadata.get("uid") or "")),
        api_version=sys.intern(str(body.get("apiVersion") or f"{API_GROUP}/v1")),
        owner=Owner(
            kind=str(owner.get("kind") or "User"),
            name=str(owner.get("name") or ""),
            api_group=str(owner.get("apiGroup") or ""),
            namespace=str(owner.get("namespace") or ""),
        ),
        labels=_string_map(metadata, "labels"),
        annotations={
            key: value
            for key, value in _string_map(metadata, "annotations").items()
            if key not in _IGNORED_ANNOTATIONS
        },
        deleting=bool(metadata.get("deletionTimestamp")),
        resource_version=str(metadata.get("resourceVersion") or ""),
        conditions=parse_conditions(body),
    )


def parse_conditions(body: Mapping[str, Any]) -> tuple[Condition, ...]:
    """Return ``status.conditions`` of a Profile in order, without entries that are not mappings."""
    conditions = _mapping(body, "status").get("conditions") or ()
    return tuple(
        Condition(
            type=sys.intern(str(entry.get("type") or "")),
            status=sys.intern(str(entry.get("status") or "")),
            message=sys.intern(str(entry.get("message") or "")),
        )
        for entry in conditions
        if isinstance(entry, Mapping)
    )


def conditions_changed_at(body: Mapping[str, Any]) -> str:
    """Return when the conditions of the Profile last changed, in RFC 3339; "" if unknown.

    A condition has no time of its own. ``metadata.managedFields`` contains the time at which each
    field manager last changed its fields, and the list of conditions is one field.
    """
    times = [
        str(entry.get("time") or "")
        for entry in _mapping(body, "metadata").get("managedFields") or ()
        if isinstance(entry, Mapping)
        and entry.get("subresource") == "status"
        and "f:conditions" in ((entry.get("fieldsV1") or {}).get("f:status") or {})
    ]
    return max(times, default="")


def parse_bool(text: str) -> bool | None:
    """Return the boolean as Go's strconv.ParseBool does; None if the text is not a boolean."""
    if text in _TRUE:
        return True
    return False if text in _FALSE else None


def paused_controllers(profile: Profile) -> frozenset[str] | None:
    """Return the names of the controllers that the Profile pauses; None means all of them.

    The value of the annotation is ``"true"`` for all, or a comma-separated list of names.
    """
    text = profile.annotations.get(PAUSED_ANNOTATION, "").strip()
    flag = parse_bool(text)
    if flag is not None:
        return None if flag else frozenset()
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def is_paused(profile: Profile, controller: str) -> bool:
    """Return whether the Profile's annotation pauses this controller."""
    paused = paused_controllers(profile)
    return paused is None or controller in paused


def _mapping(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = body.get(key) or {}
    if not isinstance(value, Mapping):
        message = f"{key} is {type(value).__name__}, expected a mapping"
        raise ValueError(message)  # noqa: TRY004 - as the other errors of a body
    return value


def _string_map(metadata: Mapping[str, Any], key: str) -> dict[str, str]:
    return {
        sys.intern(str(name)): sys.intern(str(value))
        for name, value in _mapping(metadata, key).items()
    }
