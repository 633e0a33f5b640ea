"""Profiles, as values and as objects of the API server."""

from collections.abc import Mapping, Sequence
from typing import Any

from controllers.manifests import Body
from controllers.profiles import Profile, parse_profile

OWNER = "jane.doe@example.ca"


def profile_body(
    name: str = "alice",
    *,
    uid: str = "",
    version: int = 10,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    owner: str = OWNER,
    conditions: Sequence[Mapping[str, str]] = (),
) -> Body:
    """A Profile as the API server returns it. Its UID is `uid-<name>` by default."""
    metadata = {"name": name, "uid": uid or uid_of(name), "resourceVersion": str(version)}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "Profile",
        "metadata": {**metadata, "labels": labels or {}, "annotations": annotations or {}},
        "spec": {"owner": {"kind": "User", "name": owner}},
        "status": {"conditions": [dict(one) for one in conditions]},
    }


def profile(name: str = "alice", **fields: Any) -> Profile:
    """A Profile as a controller gets it. The arguments are those of `profile_body`."""
    return parse_profile(profile_body(name, **fields))


def profile_reference(name: str = "alice", uid: str = "") -> Body:
    """A controller owner reference to a Profile."""
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "Profile",
        "name": name,
        "uid": uid or uid_of(name),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def uid_of(name: str) -> str:
    """The default UID of a Profile."""
    return f"uid-{name}"
