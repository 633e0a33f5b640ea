"""A frozen, read-only view of a Profile, and the readers of what people write on one.

The Profile's shape is Kubeflow's ``profiles.kubeflow.org``; what is relied on is listed in
docs/architecture.md under "Facts about Profiles".
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

API_GROUP = "kubeflow.org"
KIND = "Profile"
PAUSED_ANNOTATION = "profiles-controller.statcan.gc.ca/paused"

# strconv.ParseBool of Go: what the platform's other programs accept in a label.
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
# Written by tools, as large as the object, and never read here.
_UNREAD_ANNOTATIONS = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """``spec.owner``: an RBAC subject. ``namespace`` is empty unless kind is ServiceAccount."""

    kind: str = "User"
    name: str = ""
    api_group: str = "rbac.authorization.k8s.io"
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One entry of ``status.conditions``: the CRD keeps these three fields and no other."""

    type: str
    status: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a controller may know of a Profile.

    Two views are equal when nothing changed that a controller could act upon; status and
    resourceVersion are left out, so that a status-only change wakes nobody.
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
        """The tenant's namespace: always the Profile's own name."""
        return self.name


def parse_profile(body: Mapping[str, Any]) -> Profile:
    """A Profile from its API body. Missing and null fields count as empty.

    Raises ValueError, naming the field, when the body is not a Profile at all.
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
        labels=_texts(metadata, "labels"),
        annotations={
            key: value
            for key, value in _texts(metadata, "annotations").items()
            if key not in _UNREAD_ANNOTATIONS
        },
        deleting=bool(metadata.get("deletionTimestamp")),
        resource_version=str(metadata.get("resourceVersion") or ""),
        conditions=parse_conditions(body),
    )


def parse_conditions(body: Mapping[str, Any]) -> tuple[Condition, ...]:
    """``status.conditions`` of a Profile, in order; entries that are no conditions are dropped."""
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


def conditions_changed(body: Mapping[str, Any]) -> str:
    """When any condition of the Profile last changed, in RFC 3339; "" where nobody can know.

    A condition has no time of its own. ``metadata.managedFields`` says when each writer last
    changed what it holds of the status, and the list of conditions is held as a whole.
    """
    times = [
        str(entry.get("time") or "")
        for entry in _mapping(body, "metadata").get("managedFields") or ()
        if isinstance(entry, Mapping)
        and entry.get("subresource") == "status"
        and "f:conditions" in ((entry.get("fieldsV1") or {}).get("f:status") or {})
    ]
    return max(times, default="")


def read_boolean(text: str) -> bool | None:
    """A boolean as Go's strconv.ParseBool reads it, or None when it is not one."""
    if text in _TRUE:
        return True
    return False if text in _FALSE else None


def paused_controllers(profile: Profile) -> frozenset[str] | None:
    """The names of the controllers that the Profile pauses; None means all of them.

    The annotation is ``"true"`` for all, or a comma-separated list of names.
    """
    text = profile.annotations.get(PAUSED_ANNOTATION, "").strip()
    flag = read_boolean(text)
    if flag is not None:
        return None if flag else frozenset()
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def is_paused(profile: Profile, controller: str) -> bool:
    """Whether the Profile's annotation stops this controller's writes."""
    paused = paused_controllers(profile)
    return paused is None or controller in paused


def _mapping(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = body.get(key) or {}
    if not isinstance(value, Mapping):
        message = f"{key} is {type(value).__name__}, expected a mapping"
        raise ValueError(message)  # noqa: TRY004 - a body's fault, as all others here
    return value


def _texts(metadata: Mapping[str, Any], key: str) -> dict[str, str]:
    return {
        sys.intern(str(name)): sys.intern(str(value))
        for name, value in _mapping(metadata, key).items()
    }
