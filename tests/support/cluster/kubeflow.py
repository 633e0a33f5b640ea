"""Plays Kubeflow's profile-controller and kfam (spec/common.md), as far as the suite meets them.

Everything is written as the administrator of a control plane, the way those two write it: no more
labels, no fewer owner references. Nothing here reacts; a test says when Kubeflow acts.
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


# What a cluster has once Kubeflow is installed


def install(plane: ControlPlane) -> None:
    """The CRDs and the cluster roles that Kubeflow's bindings name; returns when they serve."""
    install_profiles(plane)
    install_crd(plane, "poddefaults")
    install_istio(plane)
    plane.apply(*(cluster_role(role) for role in ROLES))


def install_profiles(plane: ControlPlane) -> None:
    """The Profile CRD alone, for tests of what happens before and after it appears."""
    install_crd(plane, "profiles")


def install_istio(plane: ControlPlane, *versions: str) -> None:
    """Istio's CRD of AuthorizationPolicies, as Istio ships it, or serving these versions only."""
    crd = upstream.istio_crd("authorizationpolicies.security.istio.io")
    if versions:
        kept = [one for one in crd["spec"]["versions"] if one["name"] in versions]
        kept = [{**one, "storage": one is kept[0]} for one in kept]
        crd = {**crd, "spec": {**crd["spec"], "versions": kept}}
    apply_crd(plane, crd)


def install_gitea(plane: ControlPlane) -> None:
    """The CRDs of Istio and Argo CD, as they ship them, of what the gitea controller makes."""
    for plural in ("virtualservices", "serviceentries"):
        apply_crd(plane, upstream.istio_crd(f"{plural}.networking.istio.io"))
    apply_crd(plane, upstream.application_crd())


def install_crd(plane: ControlPlane, name: str) -> None:
    """`tests/support/crds/<name>.yaml`; returns when the API server accepts its objects."""
    apply_crd(plane, yaml.safe_load((CRDS / f"{name}.yaml").read_text()))


def apply_crd(plane: ControlPlane, manifest: Json) -> None:
    """A CRD from anywhere; returns when the API server serves each of its versions."""
    plane.apply(manifest)
    spec = manifest["spec"]
    served = [version["name"] for version in spec["versions"] if version["served"]]
    paths = [f"/apis/{spec['group']}/{version}/{spec['names']['plural']}" for version in served]
    waiting.until(
        lambda: all(is_served(plane, f"{path}?limit=1") for path in paths),
        f"the API server serves {', '.join(paths)}",
    )


def is_served(plane: ControlPlane, path: str) -> bool:
    """Whether a GET succeeds; 404 and 429 are what a CRD answers in its first moments."""
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
    """A Profile (arguments as `create_profile`), its namespace and all that Kubeflow puts there."""
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
    """The Profile as the API server returned it, with the finalizer that Kubeflow sets."""
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
    """A JSON merge patch, such as `{"metadata": {"labels": {"key": None}}}`."""
    return plane.request("PATCH", f"{PROFILES}/{name}", patch, "application/merge-patch+json")


def create_namespace(plane: ControlPlane, profile: Json) -> Json:
    """The bare namespace of a Profile that the API server returned."""
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
    """The controller owner reference that Kubeflow (and an older suite) puts on what it makes."""
    return {
        "apiVersion": VERSION,
        "kind": "Profile",
        "name": profile["metadata"]["name"],
        "uid": profile["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def create_namespace_objects(plane: ControlPlane, profile: Json) -> None:
    """Service accounts, bindings, the Profile's own quota, and where Istio is its policy."""
    plane.apply(*namespace_objects(profile))
    if is_served(plane, f"/apis/{ISTIO}"):
        plane.apply(owner_policy(profile))


def namespace_objects(profile: Json) -> list[Json]:
    """What Kubeflow makes in the namespace, without the policy that needs Istio's CRD."""
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
    """The account and its binding, which bear the same name."""
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
    """The AuthorizationPolicy that lets the owner reach the namespace's services."""
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
    """Deletes it, and drops the finalizer as Kubeflow's profile-controller does.

    The namespace goes after it, where a controller manager runs.
    """
    mark_deleted(plane, name)
    patch_profile(plane, name, {"metadata": {"finalizers": None}})


def delete_profiles(plane: ControlPlane) -> None:
    """Deletes all, as `delete_profile` does."""

    def delete(name: str) -> None:
        try:
            delete_profile(plane, name)
        except StatusError as error:
            if error.status != http.client.NOT_FOUND:  # one without a finalizer goes at once
                raise

    in_parallel(
        delete, [one["metadata"]["name"] for one in plane.request("GET", PROFILES)["items"]]
    )


def mark_deleted(plane: ControlPlane, name: str) -> None:
    """Leaves the Profile with a deletionTimestamp: Kubeflow has not finalized it yet."""
    plane.request("DELETE", f"{PROFILES}/{name}")


# Contributors, as kfam writes them


def add_contributor(plane: ControlPlane, namespace: str, email: str, role: str = "edit") -> Json:
    """The RoleBinding; with Istio's CRD there is a twin AuthorizationPolicy of the same name."""
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
    """One subject, annotations `user` and `role`, no labels, no owner references."""
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
    """The header, from whom Kubeflow believes it; everybody until kubeflow/kubeflow#7032."""
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
    """Profiles with bare namespaces, in the order of `names`: hundreds of tenants a second."""

    def create(name: str) -> Json:
        profile = create_profile(plane, name, owner=owner, labels=labels, annotations=annotations)
        create_namespace(plane, profile)
        return profile

    return in_parallel(create, names)


def create_complete_tenants(plane: ControlPlane, names: Iterable[str]) -> list[Json]:
    """As `create_tenants`, with service accounts and bindings in each namespace."""
    return in_parallel(lambda name: create_tenant(plane, name), names)


def in_parallel(create: Callable[[str], T], names: Iterable[str]) -> list[T]:
    """Each thread keeps its connection; the first error is raised after what was begun."""
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(create, names))
