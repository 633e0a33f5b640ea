"""The names that the authz-policies controller uses on the cluster. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

KIND = "AuthorizationPolicy"

BLOCK_TRANSFER = "protected-b-block-transfer"
"""DENY: no upload to and no download from notebooks that hold protected-b data."""

OWNER_ACCESS = "namespace-owner-access-istio"
"""ALLOW: who may reach the workloads of the namespace, by the older suite's name."""

PROTECTED_B = MappingProxyType({"data.statcan.gc.ca/classification": "protected-b"})
"""The label of pods that hold protected-b data."""

ROLE_ANNOTATION = "role"
"""What kfam says of a contributor's RoleBinding: ``admin``, ``edit`` or ``view``."""

OWNERS_BINDING = "namespaceAdmin"
"""Kubeflow's RoleBinding of the owner, which follows ``spec.owner`` some time later."""

_LEGACY = frozenset({BLOCK_TRANSFER, OWNER_ACCESS})


def is_legacy(metadata: Mapping[str, Any]) -> bool:
    """Whether an object is the older suite's, which labelled none, and so ours to take over."""
    return metadata.get("name") in _LEGACY and not metadata.get("labels")
