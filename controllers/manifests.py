"""A manifest: one object that a controller wants, its key, and its body on the wire. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from controllers.profiles import KIND, Profile

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "profiles-controller"
COMPONENT_LABEL = "app.kubernetes.io/component"

Body = dict[str, Any]


def field_manager(component: str) -> str:
    """As whom a controller writes, in an object's ``managedFields``."""
    return f"{MANAGED_BY}-{component}"


class Key(NamedTuple):
    """Which object: kind, namespace ("" for cluster-scoped kinds) and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """``Kind namespace/name``, the way every message writes it."""
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One desired object.

    ``content`` holds the top-level fields beside apiVersion, kind and metadata (``spec``, ``data``,
    ``rules`` ...), written as the API server returns them, defaults included: a field that the
    server would add or respell makes the steady state write.
    """

    kind: str
    name: str
    namespace: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    stripped_annotations: tuple[str, ...] = ()
    """Keys that are taken away again, whoever added them; for kinds of mode EXACT."""
    create_only: bool = False
    """Users' edits survive: created when missing, its content never updated."""
    adoptable: bool = False
    """An object of this key that has no owner at all is taken over instead of refused."""
    adopt_from_namespace: tuple[str, ...] | None = None
    """Another operator may have made the object for the namespace: one that the Namespace itself
    controls is taken over in place, and loses the annotations of these keys. Of a create-only
    manifest its content stays. None: such an object is another owner's, and refused."""

    update_only: bool = False
    """Kept in shape where the object is, and never made where it is not."""
    finalizers: Mapping[str, bool] = field(default_factory=dict)
    """Finalizers that the object must have (True) or must not have (False); others stay."""

    @property
    def key(self) -> Key:
        """The object's key."""
        return Key(self.kind, self.namespace, self.name)


def stamped_labels(manifest: Manifest, component: str) -> dict[str, str]:
    """The labels of the object on the server: the manifest's and the two that mark it as ours."""
    return {**manifest.labels, MANAGED_BY_LABEL: MANAGED_BY, COMPONENT_LABEL: component}


def owner_reference(profile: Profile) -> Body:
    """The controller owner reference to the Profile: the garbage collector removes what has it."""
    return {
        "apiVersion": profile.api_version,
        "kind": KIND,
        "name": profile.name,
        "uid": profile.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def to_body(manifest: Manifest, *, api_version: str, profile: Profile, component: str) -> Body:
    """The object as it is sent to the API server, or printed by ``render``."""
    metadata: Body = {"name": manifest.name}
    if manifest.namespace:
        metadata["namespace"] = manifest.namespace
    metadata["labels"] = stamped_labels(manifest, component)
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
