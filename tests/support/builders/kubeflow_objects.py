"""The objects that Kubeflow creates in every profile's namespace, which no controller may own."""

from collections.abc import Iterator

from controllers.manifests import COMPONENT_LABEL, Body, Key
from tests.support import builders

NAMES = {
    "ServiceAccount": ("default-editor", "default-viewer"),
    "RoleBinding": ("default-editor", "default-viewer", "namespaceAdmin"),
    "ResourceQuota": ("kf-resource-quota",),
    "AuthorizationPolicy": ("ns-owner-access-istio",),
}
"""By kind. Kubeflow's profile-controller creates them; the Profile controls all of them."""
ANNOTATIONS = {"user": builders.OWNER, "role": "admin"}


def keys(namespace: str = "alice") -> set[Key]:
    return {Key(kind, namespace, name) for kind, names in NAMES.items() for name in names}


def bodies(name: str = "alice", uid: str = "uid-alice") -> Iterator[Body]:
    """The objects of one profile, controlled by it, without labels."""
    for key in sorted(keys(name)):
        yield builders.object_body(
            key.kind,
            key.name,
            name,
            uid=f"uid-{key}",
            labels={},
            annotations=ANNOTATIONS if key.kind == "RoleBinding" else {},
            owners=[builders.profile_reference(name, uid)],
        )


def owned_by_a_controller(body: Body) -> bool:
    """Whether a controller has adopted the object."""
    return COMPONENT_LABEL in (body["metadata"].get("labels") or {})
