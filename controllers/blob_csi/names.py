"""Names of the objects that the blob-csi controller uses, in Kubernetes and in Azure. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

DRIVER = "blob.csi.azure.com"

AZURE_NAMESPACE = "azure-blob-csi-system"
"""The namespace of a Secret whose reference has no namespace."""

CLASSIFICATION_LABEL = "data.statcan.gc.ca/classification"
PROFILE_LABEL = "kubeflow-profile"
AUTOMOUNT_LABEL = "blob.aaw.statcan.gc.ca/automount"

FORMER_DATA_ANNOTATION = "blob-csi.statcan.gc.ca/former-data"
"""On a Profile: ``accept`` gives it the container of an earlier Profile with the same name."""

UNCLASSIFIED = "unclassified"
PROTECTED_B = "protected-b"
CLASSIFICATIONS = (UNCLASSIFIED, PROTECTED_B)

SHARED_PREFIX = "fdi"
"""The first part of a shared bucket's claim name; in its volume name it follows the namespace."""

MAX_NAME_LENGTH = 253
"""Characters in the name of a PersistentVolume or a claim (a DNS subdomain name, RFC 1123)."""

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NAMESPACE = re.compile(_LABEL)
_MAX_NAMESPACE_LENGTH = 63
_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9])*")
_CONTAINER_LENGTHS = range(3, 64)
_FILLER = "a"


def container_name(profile: str) -> str | None:
    """Return the name of the profile's container, or None if no valid character is left.

    The name is the same in each storage account. Two profiles can share one: ``a--b`` and ``a-b``
    do. Azure states the rules in "Naming and referencing containers, blobs, and metadata". The
    conversion is that of the older suite, whose containers hold data.
    """
    valid = re.sub("[^a-zA-Z0-9-]", "", profile)
    name = re.sub("-+", "-", valid).lower()
    if not name.strip("-"):
        return None
    if name.startswith("-"):
        name = _FILLER + name
    name = name[: _CONTAINER_LENGTHS[-1]]
    if name.endswith("-"):
        name = name[:-1] + _FILLER
    return name.ljust(_CONTAINER_LENGTHS[0], _FILLER)


def is_container(text: str) -> bool:
    """Return whether Azure accepts the text as the name of a container."""
    return len(text) in _CONTAINER_LENGTHS and _CONTAINER.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """Return whether the text is a valid name of a PersistentVolume, a claim or a Secret."""
    return len(text) <= MAX_NAME_LENGTH and _SUBDOMAIN.fullmatch(text) is not None


def is_namespace(text: str) -> bool:
    """Return whether the text is a valid name of a namespace."""
    return len(text) <= _MAX_NAMESPACE_LENGTH and _NAMESPACE.fullmatch(text) is not None


def platform_volume_name(namespace: str, instance: str) -> str:
    """Return the name of a platform PersistentVolume, which is also its volumeHandle."""
    return f"{namespace}-{instance.lower()}"


def platform_claim_name(instance: str) -> str:
    """Return the name of the claim of a platform volume."""
    return instance


def shared_volume_name(namespace: str, classification: str, volume: str) -> str:
    """Return the name of a shared bucket's PersistentVolume, which is also its volumeHandle."""
    return f"{shared_volume_prefix(namespace, classification)}{volume.lower()}"


def shared_volume_prefix(namespace: str, classification: str) -> str:
    """Return the first part of the names of all shared volumes of one classification."""
    return f"{namespace}-{SHARED_PREFIX}-{classification}-"


def shared_claim_name(classification: str, volume: str) -> str:
    """Return the name of the claim of a shared bucket's volume."""
    return f"{SHARED_PREFIX}-{volume}-{classification}"


def is_shared_claim_name(name: str, classification: str) -> bool:
    """Return whether the name has the form of a shared bucket's claim name."""
    return name.startswith(f"{SHARED_PREFIX}-") and name.endswith(f"-{classification}")


def default_volume_name(bucket: str) -> str:
    """Return the volume name of a bucket that has no ``name``; ``a/B_c`` gives ``a-b-c``."""
    return re.sub("[^a-z0-9.]+", "-", bucket.lower()).strip("-.")


def client_id_key(principal: str) -> str:
    """Return the prefix of a service principal's client id variable: ``my-sp`` gives ``MY_SP``."""
    return principal.upper().replace("-", "_")


def principal_secret_name(principal: str) -> str:
    """Return the name of the Secret that holds a service principal's password."""
    return f"{principal}-secret"


def is_legacy_volume(metadata: Mapping[str, Any]) -> bool:
    """Return whether a PersistentVolume with this metadata may come from the older suite.

    Its driver must be DRIVER as well, which the metadata does not show.
    """
    return PROFILE_LABEL in (metadata.get("labels") or {})


def is_legacy_claim(metadata: Mapping[str, Any]) -> bool:
    """Return whether a claim with this metadata comes from the older suite."""
    return bool((metadata.get("labels") or {}).get(AUTOMOUNT_LABEL) == "true")
