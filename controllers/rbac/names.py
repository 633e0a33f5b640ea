"""Names of the rbac controller's objects in the cluster. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

API_GROUP = "rbac.authorization.k8s.io"

PIPELINES_ROLE = "profile-pipelines"
"""The Role in each profile namespace with the rights of its members on pipelines."""

ML_PIPELINE = "ml-pipeline"
"""The owner's RoleBinding, and by default the ClusterRole that it binds."""

SUPPORT = "profile-support"
"""The support groups' RoleBinding, and the ClusterRole that it binds."""

EDIT_ROLE = "kubeflow-edit"
"""Kubeflow's ClusterRole that the editor of another namespace gets."""

EDITOR = "default-editor"
"""The ServiceAccount of the notebooks and pipelines in a profile namespace."""

ALLOW_FROM = "rbac.statcan.gc.ca/allow-from"
"""The annotation of a Profile with the namespaces that get access, separated by commas."""

KFAM_ANNOTATIONS = ("user", "role")
"""Kubeflow's access management (kfam) recognises a contributor's RoleBinding by both. Its list call
fails for all users when one of these RoleBindings does not have exactly one subject."""

_LEGACY = frozenset({ML_PIPELINE, SUPPORT})


def binding_from(source: str) -> str:
    """Return the name of the RoleBinding for another namespace; at most 82 characters."""
    return f"allow-{source}-{EDIT_ROLE}"


def is_legacy(metadata: Mapping[str, Any]) -> bool:
    """Whether the older suite created the object: its objects have no labels."""
    return metadata.get("name") in _LEGACY and not metadata.get("labels")
