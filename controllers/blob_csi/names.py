"""The names that the blob-csi controller uses on the cluster and in Azure. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

DRIVER = "blob.csi.azure.com"

AZURE_NAMESPACE = "azure-blob-csi-system"
"""Where a Secret is that is named without its namespace."""

CLASSIFICATION_LABEL = "data.statcan.gc.ca/classification"
PROFILE_LABEL = "kubeflow-profile"
AUTOMOUNT_LABEL = "blob.aaw.statcan.gc.ca/automount"

FORMER_DATA_ANNOTATION = "blob-csi.statcan.gc.ca/former-data"
"""On a Profile: ``accept`` gives it the container of an earlier Profile of its name."""

UNCLASSIFIED = "unclassified"
PROTECTED_B = "protected-b"
CLASSIFICATIONS = (UNCLASSIFIED, PROTECTED_B)

SHARED = "fdi"
"""What the names of shared buckets' volumes and claims have after the namespace, or begin with."""

LONGEST = 253
"""Characters in the name of a PersistentVolume or a claim (a DNS subdomain name, RFC 1123)."""

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NAMESPACE = re.compile(_LABEL)
_LONGEST_NAMESPACE = 63
_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9])*")
_CONTAINER_LENGTHS = range(3, 64)
_FILLER = "a"


def container_name(profile: str) -> str | None:
    """The profile's own container in each storage account; None when nothing of the name is left.

    Several profiles can have the same: ``a--b`` and ``a-b`` do. The rules are Azure's ("Naming and
    referencing containers, blobs, and metadata"); how a name is bent to them is an older suite's,
    whose containers hold data.
    """
    kept = re.sub("[^a-zA-Z0-9-]", "", profile)
    name = re.sub("-+", "-", kept).lower()
    if not name.strip("-"):
        return None
    if name.startswith("-"):
        name = _FILLER + name
    name = name[: _CONTAINER_LENGTHS[-1]]
    if name.endswith("-"):
        name = name[:-1] + _FILLER
    return name.ljust(_CONTAINER_LENGTHS[0], _FILLER)


def is_container(text: str) -> bool:
    """Whether Azure takes it as the name of a container."""
    return len(text) in _CONTAINER_LENGTHS and _CONTAINER.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """Whether it can be the name of a PersistentVolume, a claim or a Secret."""
    return len(text) <= LONGEST and _SUBDOMAIN.fullmatch(text) is not None


def is_namespace(text: str) -> bool:
    """Whether it can be the name of a namespace, and so of a profile that has one."""
    return len(text) <= _LONGEST_NAMESPACE and _NAMESPACE.fullmatch(text) is not None


def platform_volume(namespace: str, instance: str) -> str:
    """The PersistentVolume of a profile's own container, also its volumeHandle."""
    return f"{namespace}-{instance.lower()}"


def platform_claim(instance: str) -> str:
    """Its claim."""
    return instance


def shared_volume(namespace: str, classification: str, volume: str) -> str:
    """The PersistentVolume of a shared bucket, also its volumeHandle."""
    return f"{shared_prefix(namespace, classification)}{volume.lower()}"


def shared_prefix(namespace: str, classification: str) -> str:
    """What the names of all volumes of shared buckets of one classification begin with."""
    return f"{namespace}-{SHARED}-{classification}-"


def shared_claim(classification: str, volume: str) -> str:
    """Its claim."""
    return f"{SHARED}-{volume}-{classification}"


def is_shared_claim(name: str, classification: str) -> bool:
    """Whether it may be such a claim."""
    return name.startswith(f"{SHARED}-") and name.endswith(f"-{classification}")


def derived_volume(bucket: str) -> str:
    """What a bucket's volume is called that has no name of its own; ``a/B_c`` gives ``a-b-c``."""
    return re.sub("[^a-z0-9.]+", "-", bucket.lower()).strip("-.")


def principal_key(principal: str) -> str:
    """A service principal as the variable of its client id spells it: ``my-sp`` is ``MY_SP``."""
    return principal.upper().replace("-", "_")


def principal_secret(principal: str) -> str:
    """The Secret that holds a service principal's password."""
    return f"{principal}-secret"


def is_legacy_volume(metadata: Mapping[str, Any]) -> bool:
    """Whether an older suite's PersistentVolume of these labels may be ours to take over.

    Its driver has to be DRIVER as well, which its metadata does not tell.
    """
    return PROFILE_LABEL in (metadata.get("labels") or {})


def is_legacy_claim(metadata: Mapping[str, Any]) -> bool:
    """Whether an older suite's claim of these labels is ours to take over."""
    return bool((metadata.get("labels") or {}).get(AUTOMOUNT_LABEL) == "true")
