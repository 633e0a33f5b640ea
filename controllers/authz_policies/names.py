"""Names of the authz-policies controller's objects in the cluster. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

KIND = "AuthorizationPolicy"

BLOCK_TRANSFER = "protected-b-block-transfer"
"""DENY: uploads to and downloads from notebooks with protected-b data."""

OWNER_ACCESS = "namespace-owner-access-istio"
"""ALLOW: access to the workloads of the namespace. The older suite used the same name."""

PROTECTED_B = MappingProxyType({"data.statcan.gc.ca/classification": "protected-b"})
"""The label of pods with protected-b data."""

ROLE_ANNOTATION = "role"
"""kfam's annotation of a contributor's RoleBinding: ``admin``, ``edit`` or ``view``."""

OWNERS_BINDING = "namespaceAdmin"
"""Kubeflow's RoleBinding of the owner, which is updated some time after ``spec.owner``."""

_LEGACY = frozenset({BLOCK_TRANSFER, OWNER_ACCESS})


def is_legacy(metadata: Mapping[str, Any]) -> bool:
    """Whether the older suite created the object: its objects have no labels."""
    return metadata.get("name") in _LEGACY and not metadata.get("labels")
