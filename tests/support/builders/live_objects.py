"""Objects as they stand on a cluster, and small controllers, with defaults."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controllers.desired import Desired
from controllers.findings import Finding
from controllers.manifests import COMPONENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, Body, Key, Manifest
from controllers.profiles import Profile, parse_profile
from controllers.runtime.controller import (
    AnyController,
    CacheReader,
    Controller,
    External,
    ExternalFactory,
    Owned,
    ProfileGone,
    Watch,
    always,
    no_facts,
)
from controllers.runtime.objects import cached_object
from controllers.runtime.objects.cached_object import CachedObject
from controllers.runtime.objects.kinds import KINDS

OWNER = "jane.doe@example.ca"


def profile_body(
    name: str = "alice",
    *,
    uid: str = "uid-alice",
    version: int = 10,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    owner: str = OWNER,
    conditions: Sequence[Mapping[str, str]] = (),
) -> Body:
    metadata = {"name": name, "uid": uid, "resourceVersion": str(version)}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "Profile",
        "metadata": {**metadata, "labels": labels or {}, "annotations": annotations or {}},
        "spec": {"owner": {"kind": "User", "name": owner}},
        "status": {"conditions": [dict(one) for one in conditions]},
    }


def profile(name: str = "alice", **fields: Any) -> Profile:
    """Arguments as for `profile_body`."""
    return parse_profile(profile_body(name, **fields))


def profile_reference(name: str = "alice", uid: str = "uid-alice") -> Body:
    """A controller owner reference to a Profile."""
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "Profile",
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def namespace_body(name: str = "alice", *, uid: str = "uid-alice", owned: bool = True) -> Body:
    """A namespace as Kubeflow makes it; `uid` is the owning Profile's."""
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


def marks(component: str = "samples") -> dict[str, str]:
    """The labels that mark an object as a controller's."""
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
    """One object on the server: ours and Alice's, unless `labels` or `owners` say otherwise."""
    metadata: Body = {
        "name": name,
        "uid": uid,
        "resourceVersion": str(version),
        "labels": dict(marks() if labels is None else labels),
        "annotations": dict(annotations or {}),
        "ownerReferences": [profile_reference()] if owners is None else list(owners),
    }
    if namespace:
        metadata["namespace"] = namespace
    if deleting:
        metadata |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["test/hold"]}
    return {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": metadata, **content}


def manifest(
    kind: str = "ConfigMap", name: str = "settings", namespace: str = "alice", **fields: Any
) -> Manifest:
    """`content` defaults to a ConfigMap's."""
    fields.setdefault("content", {"data": {"key": "value"}} if kind == "ConfigMap" else {})
    return Manifest(kind=kind, name=name, namespace=namespace, **fields)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a sample controller wants: `manifests` of every profile."""

    manifests: Callable[[Profile], Sequence[Manifest]] = lambda profile: [
        manifest(namespace=profile.namespace)
    ]


def nothing(_profile: Profile, _facts: Any, _settings: Any) -> Any:
    return ()


def no_error(_profile: Profile, _facts: Any, _settings: Any) -> Exception | None:
    return None


def controller(
    name: str = "samples",
    *,
    owned: Sequence[Owned] = (Owned(kind="ConfigMap"),),
    watches: Sequence[Watch] = (),
    findings: Callable[[Profile, Any, Any], Sequence[Finding]] = nothing,
    retain: Callable[[Profile, Any, Any], Collection[Key]] = nothing,
    delete: Callable[[Profile, Any, Any], Collection[Key]] = nothing,
    error: Callable[[Profile, Any, Any], Exception | None] = no_error,
    observe: Callable[[Profile, CacheReader, Any, Any], Awaitable[Any]] = no_facts,
    desired: Callable[[Profile, Any, Any], Desired] | None = None,
    settings: type[Any] = Settings,
    **fields: Any,
) -> AnyController:
    """A controller of one ConfigMap, unless its settings list other manifests.

    Each function returns one field of `Desired`; `desired` replaces all of them.
    """

    def by_parts(profile: Profile, facts: Any, given: Settings) -> Desired:
        return Desired(
            objects=given.manifests(profile),
            findings=findings(profile, facts, given),
            retain=frozenset(retain(profile, facts, given)),
            delete=tuple(delete(profile, facts, given)),
            error=error(profile, facts, given),
        )

    return Controller(
        name=name,
        summary="A sample.",
        settings=settings,
        facts=None,
        observe=observe,
        desired=desired or by_parts,
        owned=always(*owned),
        watches=always(*watches),
        **fields,
    )


def external(
    system: External, collect_garbage: Callable[[Any, ProfileGone], Awaitable[None]] | None = None
) -> ExternalFactory[Any, Any]:
    """What connects to this system, whatever the settings."""

    def connect(_settings: object, *, dry_run: bool) -> External:
        assert dry_run in (True, False)
        return system

    return ExternalFactory(connect=connect, collect_garbage=collect_garbage)


def record(kind: str = "ConfigMap", *, legacy: tuple[str, ...] = (), **fields: Any) -> CachedObject:
    """What an informer remembers of `object_body`, with the same arguments."""
    return cached_object.from_body(KINDS[kind], object_body(kind, **fields), legacy_for=legacy)


def merged_content() -> dict[str, Any]:
    """A Service's spec, as far as a sample states it."""
    return {"spec": {"selector": {"app": "sample"}, "ports": [{"name": "http", "port": 80}]}}
