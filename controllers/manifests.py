"""A manifest: one desired object, its key, and its body in a request. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from controllers.profiles import KIND, Profile

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "profiles-controller"
COMPONENT_LABEL = "app.kubernetes.io/component"

Body = dict[str, Any]


def field_manager(component: str) -> str:
    """Return the field manager of a controller's writes, as ``managedFields`` records it."""
    return f"{MANAGED_BY}-{component}"


class Key(NamedTuple):
    """The key of an object: kind, namespace ("" for cluster-scoped kinds) and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return ``Kind namespace/name``, as all messages write it."""
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One desired object.

    ``content`` contains the top-level fields besides apiVersion, kind and metadata (``spec``,
    ``data``, ``rules`` ...) as the API server returns them, including defaults: a field that the
    server adds or reformats causes a write in every reconcile.
    """

    kind: str
    name: str
    namespace: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    stripped_annotations: tuple[str, ...] = ()
    """Keys of annotations that are removed from the object. Not for kinds of ``Mode.APPLY``."""
    create_only: bool = False
    """The object is created if it is missing. Its content is never updated: users edit it."""
    adoptable: bool = False
    """An existing object without an owner is adopted instead of refused."""
    adopt_from_namespace: tuple[str, ...] | None = None
    """Adopt an existing object that the Namespace controls, which another operator creates, and
    remove the annotations with these keys. The content of a create-only manifest is retained. None:
    such an object belongs to another owner and is refused."""
    update_only: bool = False
    """The object is updated if it exists, and never created."""
    finalizers: Mapping[str, bool] = field(default_factory=dict)
    """Finalizers that the object must have (True) or must not have (False). Others are retained."""

    @property
    def key(self) -> Key:
        """The key of the object."""
        return Key(self.kind, self.namespace, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """Items and fields that one object of another owner should have.

    The object is patched and never created, adopted, labelled or deleted. An item that
    another client added first is never removed. Items that the controller added are removed when
    they are no longer desired.
    """

    kind: str
    name: str
    namespace: str
    items: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Dotted path of a list -> the items that it should contain."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Dotted path -> the value that is set if the field is absent."""

    @property
    def key(self) -> Key:
        """The key of the object."""
        return Key(self.kind, self.namespace, self.name)


def object_labels(manifest: Manifest, component: str) -> dict[str, str]:
    """Return the labels of the stored object: those of the manifest and two of the controller."""
    return {**manifest.labels, MANAGED_BY_LABEL: MANAGED_BY, COMPONENT_LABEL: component}


def owner_reference(profile: Profile) -> Body:
    """Return the controller owner reference to the Profile, for Kubernetes garbage collection."""
    return {
        "apiVersion": profile.api_version,
        "kind": KIND,
        "name": profile.name,
        "uid": profile.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def to_body(manifest: Manifest, *, api_version: str, profile: Profile, component: str) -> Body:
    """Return the object as it is sent to the API server and printed by ``render``."""
    metadata: Body = {"name": manifest.name}
    if manifest.namespace:
        metadata["namespace"] = manifest.namespace
    metadata["labels"] = object_labels(manifest, component)
    if manifest.annotations:
        metadata["annotations"] = dict(manifest.annotations)
    finalizers = [name for name, needed in manifest.finalizers.items() if needed]
    if finalizers:
        metadata["finalizers"] = finalizers
    metadata["ownerReferences"] = [owner_reference(profile)]
    return {
        "apiVersion": api_version,
        "kind": manifest.kind,
        "metadata": metadata,
        **manifest.content,
    }
