"""Roles and bindings of a tenant in a cluster."""

import functools

from tests.support.cluster import access, kubeflow, observe, waiting
from tests.support.controlplane import ControlPlane, Json

CONDITION = "RbacReady"


def install(plane: ControlPlane) -> None:
    """Creates the ClusterRoles of a platform, each with a permission that no other role has."""
    plane.apply(
        *(
            {
                "apiVersion": f"{kubeflow.RBAC}/v1",
                "kind": "ClusterRole",
                "metadata": {"name": name},
                "rules": [{"apiGroups": [""], "resources": [resource], "verbs": ["get", "list"]}],
            }
            for name, resource in (("ml-pipeline", "secrets"), ("profile-support", "configmaps"))
        )
    )


def path(namespace: str, name: str = "", plural: str = "rolebindings") -> str:
    root = f"/apis/{kubeflow.RBAC}/v1/namespaces/{namespace}/{plural}"
    return f"{root}/{name}" if name else root


def binding(plane: ControlPlane, namespace: str, name: str) -> Json:
    return observe.find(plane, path(namespace, name)) or {}


def bindings(plane: ControlPlane, namespace: str) -> dict[str, Json]:
    items = plane.request("GET", path(namespace))["items"]
    return {item["metadata"]["name"]: item for item in items}


def subjects(plane: ControlPlane, namespace: str, name: str) -> list[str]:
    return [one["name"] for one in binding(plane, namespace, name).get("subjects", [])]


def kfam_list(plane: ControlPlane, namespace: str) -> dict[str, str]:
    """Contributors and their roles, as kfam reads them: it fails for several subjects."""
    found = {}
    for name, one in bindings(plane, namespace).items():
        annotations = one["metadata"].get("annotations", {})
        if "user" in annotations and "role" in annotations:
            assert len(one.get("subjects", [])) == 1, f"kfam fails for all users because of {name}"
            found[one["subjects"][0]["name"]] = annotations["role"]
    return found


def legacy(profile: Json, name: str, *people: Json) -> Json:
    """A RoleBinding as the older suite makes it."""
    metadata = kubeflow.owned_metadata(profile, name)
    return {
        "apiVersion": f"{kubeflow.RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {**metadata, "namespace": profile["metadata"]["name"]},
        "roleRef": {"apiGroup": kubeflow.RBAC, "kind": "ClusterRole", "name": name},
        "subjects": list(people),
    }


def group(name: str) -> Json:
    return {"apiGroup": kubeflow.RBAC, "kind": "Group", "name": name}


def wait_roles_ready(plane: ControlPlane, *profiles: str) -> None:
    for name in profiles:
        waiting.until(
            functools.partial(are_roles_ready, plane, name), f"{name} has its role and bindings"
        )


def are_roles_ready(plane: ControlPlane, profile: str) -> bool:
    return observe.condition_status(plane, profile, CONDITION) == "True"


def wait_for(ability: access.Permission, *, allowed: bool = True) -> None:
    waiting.until(lambda: ability() is allowed, f"{ability} is {'' if allowed else 'not '}allowed")
