"""What is remembered of volumes, claims and pods: what decides whether they may change. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from controllers.blob_csi import names
from controllers.manifests import COMPONENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, Body
from controllers.profiles import KIND

_SUBFOLDER = "--subdirectory="
_ENDED = ("Succeeded", "Failed")
USED_UP = ("Released", "Failed")
"""Phases of a volume whose claim went: no other can have it."""
LOST = "Lost"
"""The phase of a claim whose volume went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A PersistentVolume on the cluster. ``owner`` is the UID of the Profile that controls it."""

    owner: str = ""
    marked: bool = False
    """Whether it carries this suite's labels."""
    driver: str = ""
    phase: str = ""
    """``Released`` or ``Failed``, or empty: whether it is bound yet concerns nobody."""
    deleting: bool = False
    read_only: bool = False
    access_modes: tuple[str, ...] = ()
    capacity: str = ""
    secret: tuple[str, str] = ("", "")
    """Name and namespace of nodeStageSecretRef."""
    handle: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    subfolder: str = ""
    claim: tuple[str, str] = ("", "")
    """Namespace and name of claimRef."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A PersistentVolumeClaim on the cluster. ``owner`` as of Volume."""

    owner: str = ""
    marked: bool = False
    """Whether it carries this suite's labels, or the older one's."""
    phase: str = ""
    """``Lost``, or empty: whether it is bound yet concerns nobody."""
    deleting: bool = False
    access_modes: tuple[str, ...] = ()
    capacity: str = ""
    volume: str = ""
    """The volume that it is bound to, or asks for."""
    storage_class: str | None = None


def volume_of(body: Body) -> Volume:
    """What is remembered of a PersistentVolume as the API server sent it."""
    metadata, spec = body["metadata"], _mapping(body, "spec")
    csi, claim = _mapping(spec, "csi"), _mapping(spec, "claimRef")
    secret = _mapping(csi, "nodeStageSecretRef")
    return Volume(
        owner=_owner(metadata),
        marked=_is_marked(metadata),
        driver=_text(csi, "driver"),
        phase=_phase(body, USED_UP),
        deleting="deletionTimestamp" in metadata,
        read_only=bool(csi.get("readOnly")),
        access_modes=tuple(spec.get("accessModes") or ()),
        capacity=_text(_mapping(spec, "capacity"), "storage"),
        secret=(_text(secret, "name"), _text(secret, "namespace")),
        handle=_text(csi, "volumeHandle"),
        attributes=dict(_mapping(csi, "volumeAttributes")),
        subfolder=subfolder_of(spec.get("mountOptions") or ()),
        claim=(_text(claim, "namespace"), _text(claim, "name")),
    )


def claim_of(body: Body) -> Claim:
    """What is remembered of a PersistentVolumeClaim."""
    metadata, spec = body["metadata"], _mapping(body, "spec")
    return Claim(
        owner=_owner(metadata),
        marked=_is_marked(metadata) or names.is_legacy_claim(metadata),
        phase=_phase(body, (LOST,)),
        deleting="deletionTimestamp" in metadata,
        access_modes=tuple(spec.get("accessModes") or ()),
        capacity=_text(_mapping(_mapping(spec, "resources"), "requests"), "storage"),
        volume=_text(spec, "volumeName"),
        storage_class=spec.get("storageClassName"),
    )


def claims_of_pod(body: Body) -> tuple[str, ...]:
    """The claims that a pod holds: none before it has a node and after it has ended.

    Kubernetes' volume protection sees it that way, too: others do not keep a claim from going.
    """
    spec = _mapping(body, "spec")
    ended = _text(_mapping(body, "status"), "phase") in _ENDED
    if ended or not spec.get("nodeName"):
        return ()
    sources = (_mapping(volume, "persistentVolumeClaim") for volume in spec.get("volumes") or ())
    return tuple(sorted({_text(one, "claimName") for one in sources if one}))


def subfolder_of(mount_options: tuple[str, ...] | list[str]) -> str:
    """The folder of the container that is mounted; empty for all of it."""
    found = [one for one in mount_options if one.startswith(_SUBFOLDER)]
    return found[-1].removeprefix(_SUBFOLDER) if found else ""


def subfolder_option(subfolder: str) -> str:
    """The mount option for it."""
    return _SUBFOLDER + subfolder


def owner_name(metadata: Mapping[str, Any]) -> str:
    """The name of the Profile that controls an object; empty when none does."""
    return _of_owner(metadata, "name")


def _owner(metadata: Mapping[str, Any]) -> str:
    return _of_owner(metadata, "uid")


def _of_owner(metadata: Mapping[str, Any], key: str) -> str:
    controllers = (
        str(one.get(key))
        for one in metadata.get("ownerReferences") or ()
        if one.get("controller") and one.get("kind") == KIND
    )
    return next(controllers, "")


def _is_marked(metadata: Mapping[str, Any]) -> bool:
    labels = metadata.get("labels") or {}
    return labels.get(MANAGED_BY_LABEL) == MANAGED_BY and COMPONENT_LABEL in labels


def _phase(body: Body, told: Collection[str]) -> str:
    phase = _text(_mapping(body, "status"), "phase")
    return phase if phase in told else ""


def _mapping(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return body.get(key) or {}


def _text(body: Mapping[str, Any], key: str) -> str:
    return str(body.get(key) or "")
