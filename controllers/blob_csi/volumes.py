"""One volume with its claim: what it should be, and its two objects. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from controllers import quantities
from controllers.blob_csi import names, observations
from controllers.manifests import Body, Key, Manifest

_KEPT_ATTRIBUTES = frozenset({"AzureStorageAADEndpoint", "protocol"})
"""How data is reached, and not which: a volume that differs in them alone stays as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A PersistentVolume of one profile and its claim, as they should be."""

    name: str
    claim: str
    namespace: str
    classification: str
    read_only: bool
    capacity: str
    secret: tuple[str, str]
    """Name and namespace of the Secret that opens the storage account."""
    attributes: Mapping[str, str]
    mount_options: tuple[str, ...]

    @property
    def keys(self) -> tuple[Key, Key]:
        """Of the volume and of the claim."""
        return volume_key(self.name), claim_key(self.namespace, self.claim)

    @property
    def access_mode(self) -> str:
        """The one access mode of both objects."""
        return "ReadOnlyMany" if self.read_only else "ReadWriteMany"


def volume_key(name: str) -> Key:
    """The key of a PersistentVolume."""
    return Key("PersistentVolume", "", name)


def claim_key(namespace: str, name: str) -> Key:
    """The key of a PersistentVolumeClaim."""
    return Key("PersistentVolumeClaim", namespace, name)


def name_refusal(volume: Volume) -> str | None:
    """Why the API server would refuse the volume or its claim; None when it would not."""
    for key in volume.keys:
        if not names.is_subdomain(key.name):
            return (
                f"{key.kind} {key.name!r} has no valid name: expected at most {names.LONGEST}"
                " lower-case letters, digits, '-' and '.'"
            )
    return None


def differences(want: Volume, have: observations.Volume) -> Iterator[str]:
    """In what of its source a volume on the cluster differs: each makes another volume of it."""
    facts: tuple[tuple[str, object, object], ...] = (
        ("access mode", (want.access_mode,), have.access_modes),
        ("csi.readOnly", want.read_only, have.read_only),
        ("Secret", want.secret, have.secret),
        ("volumeHandle", want.name, have.handle),
        ("subfolder", observations.subfolder_of(want.mount_options), have.subfolder),
        ("claim", (want.namespace, want.claim), have.claim),
    )
    yield from (what for what, wanted, had in facts if wanted != had)
    for name, value in want.attributes.items():
        if name not in _KEPT_ATTRIBUTES and have.attributes.get(name) != value:
            yield name


def kept_attributes(want: Volume, have: observations.Volume) -> list[str]:
    """The attributes in which it differs and may."""
    return [
        name
        for name, value in want.attributes.items()
        if name in _KEPT_ATTRIBUTES and have.attributes.get(name) != value
    ]


def claim_differs(want: Volume, have: observations.Claim) -> bool:
    """Whether the claim is for something else. Its size does not count."""
    return (
        have.volume != want.name
        or have.access_modes != (want.access_mode,)
        or have.storage_class != ""
    )


def is_resized(want: Volume, have: str) -> bool:
    """Whether a capacity on the cluster is another one than what is configured."""
    return quantities.canonical(have) != quantities.canonical(want.capacity)


def volume_manifest(want: Volume, have: observations.Volume | None) -> Manifest:
    """The PersistentVolume; of one that exists, what cannot change is stated as it is."""
    name, namespace = want.secret
    attributes = dict(want.attributes)
    for kept in kept_attributes(want, have) if have else ():
        del attributes[kept]
    csi: Body = {
        "driver": names.DRIVER,
        "volumeHandle": want.name,
        "nodeStageSecretRef": {"name": name, "namespace": namespace},
        "volumeAttributes": attributes,
    }
    if want.read_only:  # the API server leaves false out
        csi["readOnly"] = True
    return Manifest(
        kind="PersistentVolume",
        name=want.name,
        labels={
            names.CLASSIFICATION_LABEL: want.classification,
            names.PROFILE_LABEL: want.namespace,
        },
        content={
            "spec": {
                "accessModes": [want.access_mode],
                "capacity": {"storage": have.capacity if have else want.capacity},
                "claimRef": {"name": want.claim, "namespace": want.namespace},
                "csi": csi,
                "mountOptions": list(want.mount_options),
                "persistentVolumeReclaimPolicy": "Retain",
                "volumeMode": "Filesystem",
            }
        },
    )


def claim_manifest(
    want: Volume, have: observations.Claim | None, volume: observations.Volume | None
) -> Manifest:
    """The claim, of the size that it has, or that its volume has."""
    there = have or volume
    return Manifest(
        kind="PersistentVolumeClaim",
        name=want.claim,
        namespace=want.namespace,
        labels={
            names.CLASSIFICATION_LABEL: want.classification,
            names.AUTOMOUNT_LABEL: "true",
        },
        content={
            "spec": {
                "accessModes": [want.access_mode],
                "resources": {"requests": {"storage": there.capacity if there else want.capacity}},
                "storageClassName": "",
                "volumeMode": "Filesystem",
                "volumeName": want.name,
            }
        },
    )
