"""The names that the rbac controller uses on the cluster. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

API_GROUP = "rbac.authorization.k8s.io"

PIPELINES_ROLE = "profile-pipelines"
"""The Role of a profile namespace that says what its members may do with pipelines."""

ML_PIPELINE = "ml-pipeline"
"""The owner's RoleBinding, and the ClusterRole that it binds unless configured otherwise."""

SUPPORT = "profile-support"
"""The support groups' RoleBinding, and the ClusterRole that it binds."""

EDIT_ROLE = "kubeflow-edit"
"""The ClusterRole of Kubeflow that another namespace's editor is given."""

EDITOR = "default-editor"
"""The ServiceAccount of a profile namespace that its notebooks and pipelines run as."""

ALLOW_FROM = "rbac.statcan.gc.ca/allow-from"
"""The Profile's annotation that lists namespaces to let in, separated by commas."""

KFAM_ANNOTATIONS = ("user", "role")
"""By both of these Kubeflow's access management (kfam) tells a contributor's RoleBinding. Its list
call fails for everybody when one of those has more or fewer than one subject."""

_LEGACY = frozenset({ML_PIPELINE, SUPPORT})


def binding_from(source: str) -> str:
    """The RoleBinding that lets another namespace in; at most 82 characters."""
    return f"allow-{source}-{EDIT_ROLE}"


def is_legacy(metadata: Mapping[str, Any]) -> bool:
    """Whether an object is the older suite's, which labelled none, and so ours to take over."""
    return metadata.get("name") in _LEGACY and not metadata.get("labels")
