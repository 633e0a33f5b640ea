"""A PersistentVolume and its claim: as specified, as observed, and the difference. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controllers import quantities
from controllers.blob_csi import names
from controllers.manifests import (
    COMPONENT_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    Body,
    Key,
    Manifest,
)
from controllers.profiles import KIND

VOLUME_KIND, CLAIM_KIND = "PersistentVolume", "PersistentVolumeClaim"
RELEASED_PHASES = ("Released", "Failed")
"""Phases of a volume whose claim was deleted. No other claim can bind to it."""
LOST_PHASE = "Lost"
"""The phase of a claim whose volume was deleted."""

_SUBFOLDER_OPTION = "--subdirectory="
_ENDED_POD_PHASES = ("Succeeded", "Failed")
_TRANSPORT_ATTRIBUTES = frozenset({"AzureStorageAADEndpoint", "protocol"})
"""Attributes that select how data is accessed, not which data. A difference in them never replaces
a volume."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSpec:
    """What a PersistentVolume of one profile and its claim should be."""

    name: str
    claim: str
    namespace: str
    classification: str
    read_only: bool
    capacity: str
    secret: tuple[str, str]
    """Name and namespace of the Secret with the credentials of the storage account."""
    attributes: Mapping[str, str]
    mount_options: tuple[str, ...]

    @property
    def keys(self) -> tuple[Key, Key]:
        """The keys of the volume and of the claim."""
        return volume_key(self.name), claim_key(self.namespace, self.claim)

    @property
    def access_mode(self) -> str:
        """The access mode of both objects."""
        return "ReadOnlyMany" if self.read_only else "ReadWriteMany"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedVolume:
    """The fields of a PersistentVolume on the cluster that decide whether it may change."""

    owner_uid: str = ""
    """The UID of the Profile that controls it; empty if none does."""
    managed: bool = False
    """Whether it has the labels of this suite."""
    driver: str = ""
    phase: str = ""
    """One of RELEASED_PHASES, or empty for every other phase."""
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
class ObservedClaim:
    """The fields of a PersistentVolumeClaim on the cluster that decide whether it may change."""

    owner_uid: str = ""
    """The UID of the Profile that controls it; empty if none does."""
    managed: bool = False
    """Whether it has the labels of this suite, or of the older one."""
    phase: str = ""
    """LOST_PHASE, or empty for every other phase."""
    deleting: bool = False
    access_modes: tuple[str, ...] = ()
    capacity: str = ""
    volume: str = ""
    """``spec.volumeName``."""
    storage_class: str | None = None


def parse_volume(body: Body) -> ObservedVolume:
    """Return the observed fields of a PersistentVolume."""
    metadata, spec = body["metadata"], _mapping(body, "spec")
    csi, claim = _mapping(spec, "csi"), _mapping(spec, "claimRef")
    secret = _mapping(csi, "nodeStageSecretRef")
    return ObservedVolume(
        owner_uid=_owner_field(metadata, "uid"),
        managed=_is_managed(metadata),
        driver=_text(csi, "driver"),
        phase=_phase(body, RELEASED_PHASES),
        deleting="deletionTimestamp" in metadata,
        read_only=bool(csi.get("readOnly")),
        access_modes=tuple(spec.get("accessModes") or ()),
        capacity=_text(_mapping(spec, "capacity"), "storage"),
        secret=(_text(secret, "name"), _text(secret, "namespace")),
        handle=_text(csi, "volumeHandle"),
        attributes=dict(_mapping(csi, "volumeAttributes")),
        subfolder=parse_subfolder(spec.get("mountOptions") or ()),
        claim=(_text(claim, "namespace"), _text(claim, "name")),
    )


def parse_claim(body: Body) -> ObservedClaim:
    """Return the observed fields of a PersistentVolumeClaim."""
    metadata, spec = body["metadata"], _mapping(body, "spec")
    return ObservedClaim(
        owner_uid=_owner_field(metadata, "uid"),
        managed=_is_managed(metadata) or names.is_legacy_claim(metadata),
        phase=_phase(body, (LOST_PHASE,)),
        deleting="deletionTimestamp" in metadata,
        access_modes=tuple(spec.get("accessModes") or ()),
        capacity=_text(_mapping(_mapping(spec, "resources"), "requests"), "storage"),
        volume=_text(spec, "volumeName"),
        storage_class=spec.get("storageClassName"),
    )


def mounted_claims(body: Body) -> tuple[str, ...]:
    """Return the names of the claims that a Pod mounts.

    A Pod without a node and a Pod that has ended mount none: the storage-object-in-use protection
    of Kubernetes ignores them as well.
    """
    spec = _mapping(body, "spec")
    ended = _text(_mapping(body, "status"), "phase") in _ENDED_POD_PHASES
    if ended or not spec.get("nodeName"):
        return ()
    sources = (_mapping(volume, "persistentVolumeClaim") for volume in spec.get("volumes") or ())
    return tuple(sorted({_text(one, "claimName") for one in sources if one}))


def parse_subfolder(mount_options: tuple[str, ...] | list[str]) -> str:
    """Return the folder of the container that is mounted; empty for the whole container."""
    found = [one for one in mount_options if one.startswith(_SUBFOLDER_OPTION)]
    return found[-1].removeprefix(_SUBFOLDER_OPTION) if found else ""


def subfolder_option(subfolder: str) -> str:
    """Return the mount option that mounts one folder of the container."""
    return _SUBFOLDER_OPTION + subfolder


def owner_name(metadata: Mapping[str, Any]) -> str:
    """Return the name of the Profile that controls an object; empty if none does."""
    return _owner_field(metadata, "name")


def volume_key(name: str) -> Key:
    """Return the key of a PersistentVolume."""
    return Key(VOLUME_KIND, "", name)


def claim_key(namespace: str, name: str) -> Key:
    """Return the key of a PersistentVolumeClaim."""
    return Key(CLAIM_KIND, namespace, name)


def name_error(spec: VolumeSpec) -> str | None:
    """Return why the name of the volume or of its claim is invalid, or None if both are valid."""
    for key in spec.keys:
        if not names.is_subdomain(key.name):
            return (
                f"{key.name!r} is not a valid {key.kind} name: it must have at most"
                f" {names.MAX_NAME_LENGTH} characters and consist of lower-case letters, digits,"
                " '-' and '.'; rename the bucket or the instance"
            )
    return None


def differences(spec: VolumeSpec, observed: ObservedVolume) -> Iterator[str]:
    """Yield the fields in which the volume differs and that require a new volume."""
    fields: tuple[tuple[str, object, object], ...] = (
        ("access mode", (spec.access_mode,), observed.access_modes),
        ("csi.readOnly", spec.read_only, observed.read_only),
        ("Secret", spec.secret, observed.secret),
        ("volumeHandle", spec.name, observed.handle),
        ("subfolder", parse_subfolder(spec.mount_options), observed.subfolder),
        ("claim", (spec.namespace, spec.claim), observed.claim),
    )
    yield from (name for name, wanted, actual in fields if wanted != actual)
    for name, value in spec.attributes.items():
        if name not in _TRANSPORT_ATTRIBUTES and observed.attributes.get(name) != value:
            yield name


def transport_differences(spec: VolumeSpec, observed: ObservedVolume) -> list[str]:
    """Return the attributes that differ and that do not require a new volume."""
    return [
        name
        for name, value in spec.attributes.items()
        if name in _TRANSPORT_ATTRIBUTES and observed.attributes.get(name) != value
    ]


def claim_differs(spec: VolumeSpec, observed: ObservedClaim) -> bool:
    """Return whether the claim must be replaced. A different size does not replace it."""
    return (
        observed.volume != spec.name
        or observed.access_modes != (spec.access_mode,)
        or observed.storage_class != ""
    )


def capacity_differs(spec: VolumeSpec, observed: str) -> bool:
    """Return whether the observed capacity differs from the configured one."""
    return quantities.comparable(observed) != quantities.comparable(spec.capacity)


def volume_manifest(spec: VolumeSpec, observed: ObservedVolume | None) -> Manifest:
    """Return the manifest of the PersistentVolume.

    Immutable fields of an existing volume keep their observed value.
    """
    name, namespace = spec.secret
    attributes = dict(spec.attributes)
    for unchanged in transport_differences(spec, observed) if observed else ():
        del attributes[unchanged]
    csi: Body = {
        "driver": names.DRIVER,
        "volumeHandle": spec.name,
        "nodeStageSecretRef": {"name": name, "namespace": namespace},
        "volumeAttributes": attributes,
    }
    if spec.read_only:  # the API server omits false
        csi["readOnly"] = True
    return Manifest(
        kind=VOLUME_KIND,
        name=spec.name,
        labels={
            names.CLASSIFICATION_LABEL: spec.classification,
            names.PROFILE_LABEL: spec.namespace,
        },
        content={
            "spec": {
                "accessModes": [spec.access_mode],
                "capacity": {"storage": observed.capacity if observed else spec.capacity},
                "claimRef": {"name": spec.claim, "namespace": spec.namespace},
                "csi": csi,
                "mountOptions": list(spec.mount_options),
                "persistentVolumeReclaimPolicy": "Retain",
                "volumeMode": "Filesystem",
            }
        },
    )


def claim_manifest(
    spec: VolumeSpec, observed: ObservedClaim | None, volume: ObservedVolume | None
) -> Manifest:
    """Return the manifest of the claim.

    An existing claim keeps its size; a new claim has the size of its existing volume.
    """
    existing = observed or volume
    size = existing.capacity if existing else spec.capacity
    return Manifest(
        kind=CLAIM_KIND,
        name=spec.claim,
        namespace=spec.namespace,
        labels={
            names.CLASSIFICATION_LABEL: spec.classification,
            names.AUTOMOUNT_LABEL: "true",
        },
        content={
            "spec": {
                "accessModes": [spec.access_mode],
                "resources": {"requests": {"storage": size}},
                "storageClassName": "",
                "volumeMode": "Filesystem",
                "volumeName": spec.name,
            }
        },
    )


def _owner_field(metadata: Mapping[str, Any], key: str) -> str:
    controllers = (
        str(one.get(key))
        for one in metadata.get("ownerReferences") or ()
        if one.get("controller") and one.get("kind") == KIND
    )
    return next(controllers, "")


def _is_managed(metadata: Mapping[str, Any]) -> bool:
    labels = metadata.get("labels") or {}
    return labels.get(MANAGED_BY_LABEL) == MANAGED_BY and COMPONENT_LABEL in labels


def _phase(body: Body, relevant: Collection[str]) -> str:
    phase = _text(_mapping(body, "status"), "phase")
    return phase if phase in relevant else ""


def _mapping(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return body.get(key) or {}


def _text(body: Mapping[str, Any], key: str) -> str:
    return str(body.get(key) or "")
