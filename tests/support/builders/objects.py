"""Objects of the API server, manifests and cached objects. By default they are Alice's."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controllers.manifests import (
    COMPONENT_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    Body,
    Manifest,
    to_body,
)
from controllers.profiles import Profile
from controllers.runtime.objects import cached_object as cached_objects
from controllers.runtime.objects.cached_object import CachedObject
from controllers.runtime.objects.kinds import KINDS
from tests.support.builders.profiles import OWNER, profile_reference


def namespace_body(name: str = "alice", *, uid: str = "", owned: bool = True) -> Body:
    """A namespace as Kubeflow creates it. `uid` is the UID of the Profile that owns it."""
    references = [profile_reference(name, uid)] if owned else []
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/part-of": "kubeflow-profile"},
            "annotations": {"owner": OWNER},
            "ownerReferences": references,
        },
    }


def managed_labels(component: str = "samples") -> dict[str, str]:
    """The labels of an object that this controller manages."""
    return {MANAGED_BY_LABEL: MANAGED_BY, COMPONENT_LABEL: component}


def object_body(
    kind: str = "ConfigMap",
    name: str = "settings",
    namespace: str = "alice",
    *,
    uid: str = "uid-object",
    version: int = 20,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    owners: Sequence[Body] | None = None,
    deleting: bool = False,
    **content: Any,
) -> Body:
    """A managed object of Alice's Profile, unless `labels` or `owners` are given."""
    metadata: Body = {
        "name": name,
        "uid": uid,
        "resourceVersion": str(version),
        "labels": dict(managed_labels() if labels is None else labels),
        "annotations": dict(annotations or {}),
        "ownerReferences": [profile_reference()] if owners is None else list(owners),
    }
    if namespace:
        metadata["namespace"] = namespace
    if deleting:
        metadata |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["test/hold"]}
    return {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": metadata, **content}


def resource_quota(
    name: str = "kf-resource-quota", *, namespace: str = "alice", **spec: object
) -> Body:
    """The quota that Kubeflow creates from a Profile's resourceQuotaSpec."""
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def secret_body(name: str, namespace: str, texts: Mapping[str, str]) -> Body:
    """A Secret with encoded data."""
    data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def manifest(
    kind: str = "ConfigMap", name: str = "settings", namespace: str = "alice", **fields: Any
) -> Manifest:
    """A manifest. `content` defaults to the data of a ConfigMap."""
    fields.setdefault("content", {"data": {"key": "value"}} if kind == "ConfigMap" else {})
    return Manifest(kind=kind, name=name, namespace=namespace, **fields)


def bodies(manifests: Iterable[Manifest], profile: Profile, *, component: str) -> list[Body]:
    """The objects that a controller of this name sends for the manifests."""
    return [
        to_body(
            manifest,
            api_version=KINDS[manifest.kind].api_version,
            profile=profile,
            component=component,
        )
        for manifest in manifests
    ]


def cached_object(
    kind: str = "ConfigMap", *, legacy: tuple[str, ...] = (), **fields: Any
) -> CachedObject:
    """The cached object of an `object_body` with these arguments."""
    return cached_objects.from_body(KINDS[kind], object_body(kind, **fields), legacy_for=legacy)


def partial_service() -> dict[str, Any]:
    """A part of the spec of a Service, for a kind that is applied."""
    return {"spec": {"selector": {"app": "sample"}, "ports": [{"name": "http", "port": 80}]}}
