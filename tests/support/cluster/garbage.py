"""Namespace deletion and garbage collection on a control plane without a controller manager.

Kubernetes' published archives have no kube-controller-manager, and a build of it takes minutes. The
demo deletes as it does, on request instead of in the background. Tests use the real one.
"""

import dataclasses
import http.client
from collections.abc import Iterator

from tests.support.controlplane import ControlPlane, Json, StatusError

NAMESPACES = "/api/v1/namespaces"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resource:
    """A kind that the API server serves, such as `/apis/apps/v1` and `deployments`."""

    root: str
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """The path of an object, or of all objects of a namespace or of the cluster."""
        space = f"/namespaces/{namespace}" if namespace else ""
        return f"{self.root}{space}/{self.plural}" + (f"/{name}" if name else "")


def delete_namespace(plane: ControlPlane, name: str) -> None:
    """Deletes the namespace with its objects, as the namespace controller does."""
    namespace = plane.request("DELETE", f"{NAMESPACES}/{name}")
    for resource in resources(plane):
        if resource.namespaced:
            plane.request("DELETE", resource.path(name))
    finalized = {**namespace, "spec": {**namespace["spec"], "finalizers": []}}
    finalized["metadata"].pop("resourceVersion")
    plane.request("PUT", f"{NAMESPACES}/{name}/finalize", finalized)


def delete_dependents(plane: ControlPlane, owner: Json) -> None:
    """Deletes the objects that have an owner reference to `owner`, as the garbage collector does.

    Namespaces are deleted first.
    """
    uid = owner["metadata"]["uid"]
    for namespace in owned_by(plane, uid, NAMESPACES):
        delete_namespace(plane, namespace["metadata"]["name"])
    for resource in resources(plane):
        for body in owned_by(plane, uid, resource.path()):
            metadata = body["metadata"]
            plane.request("DELETE", resource.path(metadata.get("namespace", ""), metadata["name"]))


def owned_by(plane: ControlPlane, uid: str, path: str) -> list[Json]:
    """The objects of a list that have an owner reference with this UID."""
    try:
        items: list[Json] = plane.request("GET", path)["items"]
    except StatusError as error:
        if error.status != http.client.NOT_FOUND:
            raise
        return []
    return [
        item
        for item in items
        if any(one["uid"] == uid for one in item["metadata"].get("ownerReferences", ()))
    ]


def resources(plane: ControlPlane) -> Iterator[Resource]:
    """The kinds whose objects can be listed and deleted as a collection, each in one version.

    A group's preferred version need not have all of its kinds.
    """
    groups = plane.request("GET", "/apis")["groups"]
    versions = (version["groupVersion"] for group in groups for version in group["versions"])
    found: set[tuple[str, str]] = set()
    for root in ("/api/v1", *(f"/apis/{version}" for version in versions)):
        for served in plane.request("GET", root)["resources"]:
            key = (root.rpartition("/")[0], served["name"])
            if key not in found and {"list", "deletecollection"} <= set(served["verbs"]):
                found.add(key)
                yield Resource(root=root, plural=served["name"], namespaced=served["namespaced"])
