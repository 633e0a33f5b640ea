"""The pipelines controller as a process with its own rights, on a real API server."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from controllers.pipelines import names
from controllers.pipelines.config import PipelinesSettings
from controllers.rbac.config import RbacSettings
from controllers.runtime.objects.kinds import KINDS
from tests.support.cluster import kubeflow, manager_process, observe, waiting
from tests.support.cluster.manager_process import Launcher, ManagerProcess
from tests.support.controlplane import ControlPlane, Json

pytestmark = pytest.mark.xdist_group("pipelines")

CONDITION = "PipelinesReady"
STATIC = {
    "PIPELINES_PROVIDER": "static",
    "MINIO_ACCESS_KEY": "minio",
    "MINIO_SECRET_KEY": "minio123",
}
PROXY = {"ARTIFACTS_PROXY_ENABLED": "true", "KFP_VERSION": "2.17.0"}
CENTRAL = {
    "PIPELINES_DRIVER_MODE": "central",
    "PIPELINES_DRIVER_TOKENS": "true",
    "PIPELINES_DRIVER_WITHOUT_ISOLATION": "true",
}
SIDECAR = {"PIPELINES_DRIVER_MODE": "sidecar", "PIPELINES_DRIVER_TOKENS": "true"}
OWNED = (
    "ConfigMap", "Secret", "Deployment", "Service", "ServiceAccount", "Role", "RoleBinding",
    "PodDefault",
)  # fmt: skip
ALWAYS = 5
MODES: dict[str, tuple[dict[str, str], int]] = {
    "pod": ({}, 0),
    "sidecar": (SIDECAR, 4),
    "central": (CENTRAL, 9),
}


def settings(variables: Mapping[str, str]) -> PipelinesSettings:
    named = {key.removeprefix("PIPELINES_").lower(): value for key, value in variables.items()}
    return PipelinesSettings.model_validate(named)


def start(
    made: Launcher, name: str, variables: Mapping[str, str], *arguments: str
) -> ManagerProcess:
    """Start a process with these variables and exactly the rights that they require."""
    kubeconfig = made.identity(name, "pipelines", pipelines=settings(variables))
    return made.start(
        "pipelines", *arguments, kubeconfig=kubeconfig, variables=variables
    ).wait_ready()


def is_ready(plane: ControlPlane, name: str) -> bool:
    return observe.condition_status(plane, name, CONDITION) == "True"


def ours(plane: ControlPlane, namespace: str) -> dict[str, Json]:
    """What carries our labels, by kind and name."""
    selector = "labelSelector=app.kubernetes.io/component%3Dpipelines"
    found: dict[str, Json] = {}
    for kind in OWNED:
        answer = plane.request("GET", f"{KINDS[kind].path(namespace)}?{selector}")
        found |= {f"{kind} {item['metadata']['name']}": item for item in answer["items"]}
    return found


def versions(objects: Mapping[str, Json]) -> dict[str, tuple[str, str]]:
    return {
        name: (body["metadata"]["uid"], body["metadata"]["resourceVersion"])
        for name, body in objects.items()
    }


def wait_ready(plane: ControlPlane, name: str, objects: int) -> dict[str, Json]:
    waiting.until(
        lambda: is_ready(plane, name) and len(ours(plane, name)) == objects,
        f"{name} has {objects} objects and is ready",
    )
    return ours(plane, name)


def path(kind: str, namespace: str, name: str) -> str:
    return KINDS[kind].path(namespace, name)


@pytest.mark.parametrize("mode", MODES)
def test_fields_that_the_api_server_adds_cause_no_write(
    control_plane: ControlPlane, launcher: Launcher, mode: str
) -> None:
    variables, extra = MODES[mode]
    variables = {**STATIC, **PROXY, **variables}
    tenant = f"kfp-quiet-{mode}"
    kubeflow.create_tenant(control_plane, tenant)
    manager = start(launcher, f"pipelines-{mode}", variables, "--resync", "0.01")
    before = wait_ready(control_plane, tenant, ALWAYS + 2 + extra)

    observe.wait_for_reconciles(manager, 6)
    assert versions(ours(control_plane, tenant)) == versions(before)
    manager.stop()

    diff = manager_process.run(
        "diff", "pipelines", tenant, "--kubeconfig", str(launcher.identity(f"pipelines-{mode}")),
        seconds=60.0, **variables,
    )  # fmt: skip
    assert (diff.returncode, diff.stderr) == (0, "")


def test_a_change_of_mode_deletes_exactly_the_objects_of_the_other_mode(
    control_plane: ControlPlane, launcher: Launcher
) -> None:
    kubeflow.create_tenant(control_plane, "kfp-modes")
    token = observe.find(control_plane, path("Secret", "kfp-modes", names.SECRET))
    assert token is None
    kept: dict[str, Any] = {}
    for mode in ("sidecar", "central", "pod", "central", "sidecar", "pod"):
        variables, extra = MODES[mode]
        manager = start(launcher, f"pipelines-{mode}", {**STATIC, **variables})
        objects = wait_ready(control_plane, "kfp-modes", ALWAYS + extra)
        manager.stop()
        always = {
            name: uid
            for name, (uid, _) in versions(objects).items()
            if name.startswith(("ConfigMap", "PodDefault", f"Secret {names.SECRET}"))
        }
        assert always == (kept := kept or always)
    account = path("ServiceAccount", "kfp-modes", names.EDITOR)
    assert observe.find(control_plane, account) is not None


def test_edits_of_config_maps_stay_and_other_objects_are_corrected(
    control_plane: ControlPlane, launcher: Launcher
) -> None:
    plane = control_plane
    kubeflow.create_tenant(plane, "kfp-edited")
    manager = start(launcher, "pipelines-pod", {**STATIC, **PROXY})
    before = wait_ready(plane, "kfp-edited", ALWAYS + 2)

    launcher_path = path("ConfigMap", "kfp-edited", names.LAUNCHER)
    observe.patch(plane, launcher_path, {"data": {"defaultPipelineRoot": "minio://of-ours"}})
    secret = path("Secret", "kfp-edited", names.SECRET)
    wrong = base64.b64encode(b"wrong").decode()
    observe.patch(plane, secret, {"data": {names.ACCESS_KEY: wrong}})
    pods = path("PodDefault", "kfp-edited", names.POD_DEFAULT)
    observe.patch(plane, pods, {"spec": {"desc": "wrong"}})
    service = path("Service", "kfp-edited", names.PROXY)
    observe.patch(plane, service, {"spec": {"selector": {"app": "wrong"}}})
    observe.delete(plane, path("Deployment", "kfp-edited", names.PROXY))
    metadata = path("ConfigMap", "kfp-edited", names.METADATA)
    observe.delete(plane, metadata)

    waiting.until(
        lambda: (
            plane.request("GET", secret)["data"] == before[f"Secret {names.SECRET}"]["data"]
            and plane.request("GET", pods)["spec"]["desc"] != "wrong"
            and plane.request("GET", service)["spec"]["selector"] == {"app": names.PROXY}
            and len(ours(plane, "kfp-edited")) == ALWAYS + 2
        ),
        "all is as it was",
    )
    found = plane.request("GET", launcher_path)
    assert found["data"]["defaultPipelineRoot"] == "minio://of-ours"
    manager.stop()


def test_the_label_of_the_namespace_enables_pipelines(
    control_plane: ControlPlane, launcher: Launcher
) -> None:
    kubeflow.create_tenant(control_plane, "kfp-label")
    manager = start(launcher, "pipelines-pod", STATIC)
    wait_ready(control_plane, "kfp-label", ALWAYS)

    namespace = "/api/v1/namespaces/kfp-label"
    observe.patch(control_plane, namespace, {"metadata": {"labels": {names.ENABLED_LABEL: None}}})
    wait_ready(control_plane, "kfp-label", 0)

    labels = {"metadata": {"labels": {names.ENABLED_LABEL: "true"}}}
    observe.patch(control_plane, namespace, labels)
    wait_ready(control_plane, "kfp-label", ALWAYS)
    manager.stop()


def test_no_key_is_logged(control_plane: ControlPlane, launcher: Launcher) -> None:
    kubeflow.create_tenant(control_plane, "kfp-silent")
    manager = start(launcher, "pipelines-pod", STATIC, "--log-level", "debug")
    wait_ready(control_plane, "kfp-silent", ALWAYS)
    manager.stop()

    log = manager.text()
    for secret in ("minio123", base64.b64encode(b"minio123").decode()):
        assert secret not in log


# Takeover


def of_metacontroller(namespace: Json, kind: str, name: str, **content: Any) -> Json:
    reference = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "name": namespace["metadata"]["name"],
        "uid": namespace["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = {
        "name": name,
        "namespace": namespace["metadata"]["name"],
        "annotations": dict.fromkeys(
            names.METACONTROLLER_ANNOTATIONS, "kubeflow-pipelines-profile-controller"
        ),
        "ownerReferences": [reference],
    }
    return {
        "apiVersion": KINDS[kind].api_version,
        "kind": kind,
        "metadata": metadata,
        **content,
    }


def older_deployment(namespace: Json) -> Json:
    """The artifact proxy as an older KFP made it."""
    app = {"app": names.PROXY}
    container = {"name": names.PROXY, "image": "gcr.io/ml-pipeline/frontend:1.8.5"}
    spec = {
        "selector": {"matchLabels": app},
        "template": {"metadata": {"labels": app}, "spec": {"containers": [container]}},
    }
    return of_metacontroller(namespace, "Deployment", names.PROXY, spec=spec)


def test_objects_of_metacontroller_are_adopted_while_the_garbage_collector_runs(
    fresh_launcher: Callable[..., Launcher],
) -> None:
    made = fresh_launcher(controller_manager=True)
    plane = made.plane
    kubeflow.create_tenant(plane, "kfp-taken")
    namespace = plane.request("GET", "/api/v1/namespaces/kfp-taken")
    keys = {names.ACCESS_KEY: "minio", names.SECRET_KEY: "minio123"}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()}
    service = {"ports": [{"name": "http", "port": 80}], "selector": {"app": names.PROXY}}
    before = [
        of_metacontroller(namespace, "Secret", names.SECRET, data=data),
        *(
            of_metacontroller(namespace, "ConfigMap", name, data={"of": "a user"})
            for name in (names.LAUNCHER, names.METADATA, names.REPOSITORIES)
        ),
        older_deployment(namespace),
        of_metacontroller(namespace, "Service", names.PROXY, spec=service),
        of_metacontroller(namespace, "Service", names.VISUALIZATION, spec=service),
    ]
    plane.apply(*before)
    uids = {
        (one["kind"], one["metadata"]["name"]): plane.request(
            "GET", path(one["kind"], "kfp-taken", one["metadata"]["name"])
        )["metadata"]["uid"]
        for one in before
    }
    manager = start(made, "pipelines-pod", {**STATIC, **PROXY})
    wait_ready(plane, "kfp-taken", ALWAYS + 2)
    profile = plane.request("GET", f"{kubeflow.PROFILES}/kfp-taken")

    # A stray that the garbage collector has to remove shows that it has looked meanwhile.
    gone = {**namespace, "metadata": {"name": "kfp-taken", "uid": "0000-gone"}}
    stray = of_metacontroller(gone, "ConfigMap", "stray")
    plane.apply(stray)
    waiting.until(
        lambda: observe.find(plane, path("ConfigMap", "kfp-taken", "stray")) is None,
        "the garbage collector has looked",
        seconds=60,
    )
    for (kind, name), uid in uids.items():
        after = plane.request("GET", path(kind, "kfp-taken", name))
        assert after["metadata"]["uid"] == uid
        owners = [one["uid"] for one in after["metadata"]["ownerReferences"]]
        if name == names.VISUALIZATION:
            assert owners == [namespace["metadata"]["uid"]]
            continue
        assert owners == [profile["metadata"]["uid"]]
        assert not set(names.METACONTROLLER_ANNOTATIONS) & set(
            after["metadata"].get("annotations") or {}
        )
        if kind == "ConfigMap":
            assert after["data"] == {"of": "a user"}
    secret = plane.request("GET", path("Secret", "kfp-taken", names.SECRET))
    assert secret["data"] == data
    proxy = plane.request("GET", path("Deployment", "kfp-taken", names.PROXY))
    (container,) = proxy["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "ghcr.io/kubeflow/kfp-frontend:2.17.0"
    deleted = [
        event
        for event in plane.audit_events()
        if event["verb"] == "delete"
        and event["user"].get("username", "").endswith(":pipelines-pod")
    ]
    assert deleted == []
    manager.stop()


# The SDK's way in


def reviewed(plane: ControlPlane, namespace: str, pod_default: Json) -> Json:
    """Whom KFP's API server sees behind the token that the PodDefault mounts."""
    (source,) = pod_default["spec"]["volumes"][0]["projected"]["sources"]
    wanted = source["serviceAccountToken"]
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": [wanted["audience"]],
            "expirationSeconds": wanted["expirationSeconds"],
        },
    }
    accounts = path("ServiceAccount", namespace, names.EDITOR)
    token = plane.request("POST", f"{accounts}/token", request)["status"]["token"]
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": ["pipelines.kubeflow.org"]},
    }
    answer = plane.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
    assert answer["status"]["authenticated"]
    assert answer["status"]["audiences"] == ["pipelines.kubeflow.org"]
    user: Json = answer["status"]["user"]
    return user


def is_let_in(plane: ControlPlane, user: Json, namespace: str, verb: str, resource: str) -> bool:
    """What KFP's API server asks before it answers."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user["username"],
            "groups": user["groups"],
            "resourceAttributes": {
                "group": "pipelines.kubeflow.org",
                "namespace": namespace,
                "verb": verb,
                "resource": resource,
            },
        },
    }
    answer = plane.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


ASKED = (("create", "runs"), ("get", "pipelines"), ("readArtifact", "runs"), ("list", "jobs"))


def test_a_notebook_may_use_its_own_pipelines_and_others_only_with_a_role(
    fresh_launcher: Callable[..., Launcher],
) -> None:
    made = fresh_launcher()
    plane = made.plane
    rules = [
        {
            "apiGroups": ["pipelines.kubeflow.org"],
            "resources": [resource],
            "verbs": [verb],
        }
        for verb, resource in ASKED
    ]
    plane.apply({**kubeflow.cluster_role("edit"), "rules": rules})
    kubeflow.create_tenant(plane, "kfp-sdk")
    kubeflow.create_tenant(plane, "kfp-other")
    start(made, "pipelines-pod", STATIC)
    objects = wait_ready(plane, "kfp-sdk", ALWAYS)
    user = reviewed(plane, "kfp-sdk", objects[f"PodDefault {names.POD_DEFAULT}"])

    def allowed(namespace: str) -> set[bool]:
        return {is_let_in(plane, user, namespace, *what) for what in ASKED}

    waiting.until(lambda: allowed("kfp-sdk") == {True}, "its own namespace lets it in")
    assert allowed("kfp-other") == {False}
    assert not is_let_in(plane, user, "kfp-sdk", "delete", "runs")

    allow = {"rbac.statcan.gc.ca/allow-from": "kfp-sdk"}
    kubeflow.patch_profile(plane, "kfp-other", {"metadata": {"annotations": allow}})
    sharing = RbacSettings(cross_namespace_access=True)
    kubeconfig = made.identity("rbac", "rbac", rbac=sharing)
    variables = {"RBAC_CROSS_NAMESPACE_ACCESS": "true"}
    made.start("rbac", kubeconfig=kubeconfig, variables=variables).wait_ready()
    waiting.until(lambda: allowed("kfp-other") == {True}, "the other lets it in as well")
