"""Creates the objects of Kubeflow's profile-controller and of kfam.

The objects have exactly the labels and owner references that those programs set. Nothing here
watches: a test decides when Kubeflow acts.
"""

import concurrent.futures
import http.client
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tests.support.cluster import waiting
from tests.support.controlplane import ControlPlane, Json, StatusError
from tests.support.crds import upstream

T = TypeVar("T")
CRDS = Path(__file__).parents[1] / "crds"
VERSION = "kubeflow.org/v1"
PROFILES = f"/apis/{VERSION}/profiles"
FINALIZER = "profile-finalizer"
OWNER = "jane.doe@example.ca"
ROLES = ("admin", "edit", "view")
RBAC = "rbac.authorization.k8s.io"
NAMESPACE_LABELS: Mapping[str, str] = {
    "istio-injection": "enabled",
    "app.kubernetes.io/part-of": "kubeflow-profile",
    "pipelines.kubeflow.org/enabled": "true",
    "katib.kubeflow.org/metrics-collector-injection": "enabled",
    "serving.kubeflow.org/inferenceservice": "enabled",
}
GATEWAY = "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account"
PIPELINES_UI = "cluster.local/ns/kubeflow/sa/ml-pipeline-ui"
NOTEBOOK_CONTROLLER = "cluster.local/ns/kubeflow/sa/notebook-controller-service-account"
ISTIO = "security.istio.io/v1"
WRITERS = 12


# The installation


def install(plane: ControlPlane) -> None:
    """Installs the CRDs and the ClusterRoles of Kubeflow, and waits until the CRDs are served."""
    install_profiles(plane)
    install_crd(plane, "poddefaults")
    install_istio(plane)
    plane.apply(*(cluster_role(role) for role in ROLES))


def install_profiles(plane: ControlPlane) -> None:
    """Installs the Profile CRD only."""
    install_crd(plane, "profiles")


def install_istio(plane: ControlPlane, *versions: str) -> None:
    """Installs Istio's CRD of AuthorizationPolicies, with these versions only if given."""
    crd = upstream.istio_crd("authorizationpolicies.security.istio.io")
    if versions:
        kept = [one for one in crd["spec"]["versions"] if one["name"] in versions]
        kept = [{**one, "storage": one is kept[0]} for one in kept]
        crd = {**crd, "spec": {**crd["spec"], "versions": kept}}
    apply_crd(plane, crd)


def install_gitea(plane: ControlPlane) -> None:
    """Installs the CRDs of Istio and Argo CD whose objects the gitea controller creates."""
    for plural in ("virtualservices", "serviceentries"):
        apply_crd(plane, upstream.istio_crd(f"{plural}.networking.istio.io"))
    apply_crd(plane, upstream.application_crd())


def install_crd(plane: ControlPlane, name: str) -> None:
    """`tests/support/crds/<name>.yaml`, installed, once the API server serves it."""
    apply_crd(plane, yaml.safe_load((CRDS / f"{name}.yaml").read_text()))


def apply_crd(plane: ControlPlane, manifest: Json) -> None:
    """Applies a CRD, and waits until the API server serves each of its versions."""
    plane.apply(manifest)
    spec = manifest["spec"]
    served = [version["name"] for version in spec["versions"] if version["served"]]
    paths = [f"/apis/{spec['group']}/{version}/{spec['names']['plural']}" for version in served]
    waiting.until(
        lambda: all(is_served(plane, f"{path}?limit=1") for path in paths),
        f"the API server serves {', '.join(paths)}",
    )


def is_served(plane: ControlPlane, path: str) -> bool:
    """Whether a GET succeeds. A new CRD returns 404, 429 or 503 at first."""
    try:
        plane.request("GET", path)
    except StatusError as error:
        if error.status not in {404, 429, 503}:
            raise
        return False
    return True


def cluster_role(role: str) -> Json:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"kubeflow-{role}"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}],
    }


# A tenant


def create_tenant(plane: ControlPlane, name: str, **profile: Any) -> Json:
    """Creates a Profile, its namespace and the objects of Kubeflow in it.

    The arguments are those of `create_profile`.
    """
    created = create_profile(plane, name, **profile)
    create_namespace(plane, created)
    create_namespace_objects(plane, created)
    return created


def create_profile(
    plane: ControlPlane,
    name: str,
    *,
    owner: str = OWNER,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    resource_quota: Json | None = None,
) -> Json:
    """Creates a Profile with the finalizer of Kubeflow, and returns it."""
    manifest = profile_manifest(
        name, owner=owner, labels=labels, annotations=annotations, resource_quota=resource_quota
    )
    return plane.request("POST", PROFILES, manifest)


def profile_manifest(
    name: str,
    *,
    owner: str = OWNER,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    resource_quota: Json | None = None,
) -> Json:
    spec: Json = {"owner": user(owner)}
    if resource_quota is not None:
        spec["resourceQuotaSpec"] = resource_quota
    metadata = {
        "name": name,
        "labels": dict(labels or {}),
        "annotations": dict(annotations or {}),
        "finalizers": [FINALIZER],
    }
    return {"apiVersion": VERSION, "kind": "Profile", "metadata": metadata, "spec": spec}


def patch_profile(plane: ControlPlane, name: str, patch: Json) -> Json:
    """Sends a JSON merge patch, such as `{"metadata": {"labels": {"key": None}}}`."""
    return plane.request("PATCH", f"{PROFILES}/{name}", patch, "application/merge-patch+json")


def create_namespace(plane: ControlPlane, profile: Json) -> Json:
    """Creates the namespace of a Profile that the API server returned, without objects."""
    return plane.request("POST", "/api/v1/namespaces", namespace_manifest(profile))


def namespace_manifest(profile: Json) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": profile["metadata"]["name"],
            "annotations": {"owner": profile["spec"]["owner"]["name"]},
            "labels": dict(NAMESPACE_LABELS),
            "ownerReferences": [owner_reference(profile)],
        },
    }


def owner_reference(profile: Json) -> Json:
    """The controller owner reference that Kubeflow and the older suite set."""
    return {
        "apiVersion": VERSION,
        "kind": "Profile",
        "name": profile["metadata"]["name"],
        "uid": profile["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def create_namespace_objects(plane: ControlPlane, profile: Json) -> None:
    """Creates service accounts, bindings and the quota, and the policy if Istio's CRD is served."""
    plane.apply(*namespace_objects(profile))
    if is_served(plane, f"/apis/{ISTIO}"):
        plane.apply(owner_policy(profile))


def namespace_objects(profile: Json) -> list[Json]:
    """The objects of Kubeflow in the namespace, without the policy of Istio's kind."""
    name, owner = profile["metadata"]["name"], profile["spec"]["owner"]
    objects = [
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": owned_metadata(
                profile, "namespaceAdmin", annotations={"user": owner["name"], "role": "admin"}
            ),
            "roleRef": role_reference("admin"),
            "subjects": [owner],
        },
        *service_account(profile, "default-editor", "edit"),
        *service_account(profile, "default-viewer", "view"),
    ]
    if quota := profile["spec"].get("resourceQuotaSpec"):
        metadata = owned_metadata(profile, "kf-resource-quota")
        objects.append(
            {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": quota}
        )
    for manifest in objects:
        manifest["metadata"]["namespace"] = name
    return objects


def service_account(profile: Json, name: str, role: str) -> tuple[Json, Json]:
    """A ServiceAccount and its binding, which have the same name."""
    namespace = profile["metadata"]["name"]
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": owned_metadata(profile, name),
    }
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": owned_metadata(profile, name),
        "roleRef": role_reference(role),
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    return account, binding


def owner_policy(profile: Json) -> Json:
    """The AuthorizationPolicy that allows the owner to reach the namespace's services."""
    owner = profile["spec"]["owner"]["name"]
    return {
        "apiVersion": ISTIO,
        "kind": "AuthorizationPolicy",
        "metadata": owned_metadata(
            profile, "ns-owner-access-istio", annotations={"user": owner, "role": "admin"}
        ),
        "spec": {
            "action": "ALLOW",
            "rules": [
                gateway_rule(owner),
                {
                    "when": [
                        {"key": "source.namespace", "values": [profile["metadata"]["name"]]},
                    ]
                },
                {"to": [{"operation": {"paths": ["/healthz", "/metrics", "/wait-for-drain"]}}]},
                {
                    "from": [{"source": {"principals": [NOTEBOOK_CONTROLLER]}}],
                    "to": [{"operation": {"methods": ["GET"], "paths": ["*/api/kernels"]}}],
                },
            ],
        },
    }


def owned_metadata(
    profile: Json, name: str, *, annotations: Mapping[str, str] | None = None
) -> Json:
    metadata: Json = {
        "name": name,
        "namespace": profile["metadata"]["name"],
        "ownerReferences": [owner_reference(profile)],
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    return metadata


def delete_profile(plane: ControlPlane, name: str) -> None:
    """Deletes a Profile and removes the finalizer, as Kubeflow's profile-controller does.

    The garbage collector of a controller manager deletes the namespace.
    """
    mark_deleted(plane, name)
    patch_profile(plane, name, {"metadata": {"finalizers": None}})


def delete_profiles(plane: ControlPlane) -> None:
    """Deletes all Profiles, as `delete_profile` does."""

    def delete(name: str) -> None:
        try:
            delete_profile(plane, name)
        except StatusError as error:
            if error.status != http.client.NOT_FOUND:  # it had no finalizer
                raise

    in_parallel(
        delete, [one["metadata"]["name"] for one in plane.request("GET", PROFILES)["items"]]
    )


def mark_deleted(plane: ControlPlane, name: str) -> None:
    """Deletes the Profile without removing the finalizer: it has a deletionTimestamp then."""
    plane.request("DELETE", f"{PROFILES}/{name}")


# Contributors, as kfam writes them


def add_contributor(plane: ControlPlane, namespace: str, email: str, role: str = "edit") -> Json:
    """Creates a RoleBinding, and an AuthorizationPolicy if Istio's CRD is served."""
    binding = contributor_binding(namespace, email, role)
    plane.apply(binding)
    if is_served(plane, f"/apis/{ISTIO}"):
        plane.apply(contributor_policy(namespace, email, role))
    return binding


def remove_contributor(plane: ControlPlane, namespace: str, email: str, role: str = "edit") -> None:
    name = contributor_name(email, role)
    plane.request("DELETE", f"/apis/{RBAC}/v1/namespaces/{namespace}/rolebindings/{name}")
    if is_served(plane, f"/apis/{ISTIO}"):
        policies = f"/apis/{ISTIO}/namespaces/{namespace}/authorizationpolicies"
        plane.request("DELETE", f"{policies}/{name}")


def contributor_name(email: str, role: str) -> str:
    """Such as `user-jane-x-ca-clusterrole-edit`."""
    return f"user-{re.sub(r'[^a-z0-9]+', '-', email.lower())}-clusterrole-{role}"


def contributor_binding(namespace: str, email: str, role: str = "edit") -> Json:
    """The RoleBinding of kfam: one subject, annotations `user` and `role`, no labels, no owner."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": contributor_metadata(namespace, email, role),
        "roleRef": role_reference(role),
        "subjects": [user(email)],
    }


def contributor_policy(namespace: str, email: str, role: str = "edit") -> Json:
    return {
        "apiVersion": ISTIO,
        "kind": "AuthorizationPolicy",
        "metadata": contributor_metadata(namespace, email, role),
        "spec": {"rules": [gateway_rule(email)]},
    }


def contributor_metadata(namespace: str, email: str, role: str) -> Json:
    return {
        "name": contributor_name(email, role),
        "namespace": namespace,
        "annotations": {"user": email, "role": role},
    }


def user(name: str) -> Json:
    """An RBAC subject."""
    return {"apiGroup": RBAC, "kind": "User", "name": name}


def role_reference(role: str) -> Json:
    return {"apiGroup": RBAC, "kind": "ClusterRole", "name": f"kubeflow-{role}"}


def gateway_rule(name: str) -> Json:
    """Allows requests with the user's header from the gateway and the pipelines UI."""
    source = {"source": {"principals": [GATEWAY, PIPELINES_UI]}}
    return {"from": [source], "when": [header_condition(name)]}


def header_condition(name: str) -> Json:
    return {"key": "request.headers[kubeflow-userid]", "values": [name]}


# Many at once


def create_tenants(
    plane: ControlPlane,
    names: Iterable[str],
    *,
    owner: str = OWNER,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> list[Json]:
    """Creates Profiles with namespaces without objects, hundreds per second."""

    def create(name: str) -> Json:
        profile = create_profile(plane, name, owner=owner, labels=labels, annotations=annotations)
        create_namespace(plane, profile)
        return profile

    return in_parallel(create, names)


def create_complete_tenants(plane: ControlPlane, names: Iterable[str]) -> list[Json]:
    """Creates Profiles with namespaces and the objects of Kubeflow."""
    return in_parallel(lambda name: create_tenant(plane, name), names)


def in_parallel(create: Callable[[str], T], names: Iterable[str]) -> list[T]:
    """Calls `create` for each name in threads. Raises the first error at the end."""
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(create, names))
