"""Merged kinds on a real API server: list items of others stay, undesired fields are removed."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from controllers.manifests import Key
from controllers.pipelines import names
from controllers.pipelines.config import PipelinesSettings
from controllers.runtime.objects.kinds import KINDS, Mode
from tests.support.cluster import kubeflow, observe, waiting
from tests.support.cluster.manager_process import Launcher, ManagerProcess
from tests.support.controlplane import ControlPlane, Json
from tests.support.objectstore import namespaces

pytestmark = pytest.mark.xdist_group("pipelines")

TENANT = "kfp-merged"
WANTED: Mapping[str, Any] = {
    "provider": "static",
    "minio_access_key": "minio",
    "minio_secret_key": "minio123",
    "artifacts_proxy_enabled": True,
    "kfp_version": "2.17.0",
    "driver_mode": "sidecar",
    "driver_tokens": True,
}
DEPLOYMENT = Key("Deployment", TENANT, names.PROXY)
SERVICE = Key("Service", TENANT, names.PROXY)
ACCOUNT = Key("ServiceAccount", TENANT, names.AGENT)


def path(key: Key) -> str:
    return KINDS[key.kind].path(key.namespace, key.name)


def versions(plane: ControlPlane) -> dict[Key, str]:
    keys = (DEPLOYMENT, SERVICE, ACCOUNT)
    return {key: plane.request("GET", path(key))["metadata"]["resourceVersion"] for key in keys}


def container(plane: ControlPlane) -> Json:
    """The artifact proxy's."""
    body = plane.request("GET", path(DEPLOYMENT))
    found: Json = body["spec"]["template"]["spec"]["containers"][0]
    return found


def writes(manager: ManagerProcess) -> float:
    """How many requests of the process have changed something, or tried to."""
    verbs = ("POST", "PUT", "PATCH", "DELETE")
    return sum(manager.requests(method=verb) for verb in verbs)


@pytest.fixture
def run(launcher: Launcher) -> Callable[..., contextlib.AbstractContextManager[ManagerProcess]]:
    @contextlib.contextmanager
    def begin(**changes: Any) -> Any:
        wanted = {**WANTED, **changes}
        made = PipelinesSettings.model_validate(wanted)
        kubeconfig = launcher.identity("pipelines-sidecar", "pipelines", pipelines=made)
        variables = {f"PIPELINES_{name.upper()}": str(value) for name, value in wanted.items()}
        manager = launcher.start(
            "pipelines", "--resync", "0.01", kubeconfig=kubeconfig, variables=variables
        ).wait_ready()
        plane = launcher.plane
        waiting.until(lambda: namespaces.is_ready(plane, TENANT), "it is ready")
        yield manager
        assert manager.stop() == 0

    return begin


def add_by_hand(plane: ControlPlane) -> None:
    """What people, policies and distributions add to such objects."""
    own = container(plane)
    more = {"name": "HTTP_PROXY", "value": "http://proxy.example.ca"}
    sidecar = {"name": "logs", "image": "example.ca/logs:1"}
    pod = {"containers": [sidecar, {**own, "env": [more, *own["env"]]}]}
    observe.patch(plane, path(DEPLOYMENT), {"spec": {"template": {"spec": pod}, "replicas": 2}})
    port = {"name": "metrics", "port": 9090, "protocol": "TCP", "targetPort": 9090}
    service = plane.request("GET", path(SERVICE))
    observe.patch(plane, path(SERVICE), {"spec": {"ports": [port, *service["spec"]["ports"]]}})
    account = plane.request("GET", path(ACCOUNT))
    pulls = [{"name": "agent-dockercfg-x7f2q"}]
    secrets = [*pulls, *account["secrets"]]
    observe.patch(plane, path(ACCOUNT), {"secrets": secrets, "imagePullSecrets": pulls})


def test_list_items_of_other_writers_are_preserved(
    control_plane: ControlPlane,
    run: Callable[..., contextlib.AbstractContextManager[ManagerProcess]],
) -> None:
    plane = control_plane
    kubeflow.create_tenant(plane, TENANT)
    with run() as manager:
        add_by_hand(plane)
        observe.wait_for_reconciles(manager, 4)
        before, written = versions(plane), writes(manager)
        observe.wait_for_reconciles(manager, 12)
        assert versions(plane) == before
        assert writes(manager) == written
        (_, own) = plane.request("GET", path(DEPLOYMENT))["spec"]["template"]["spec"]["containers"]
        assert own["env"][0]["name"] == "HTTP_PROXY"
        assert plane.request("GET", path(ACCOUNT))["imagePullSecrets"]

        wrong = [{**one, "value": "wrong"} if "value" in one else one for one in own["env"]]
        pod = {"containers": [{**own, "image": "example.ca/theirs:1", "env": wrong}]}
        observe.patch(plane, path(DEPLOYMENT), {"spec": {"template": {"spec": pod}}})
        waiting.until(
            lambda: container(plane)["image"].startswith("ghcr.io/kubeflow/kfp-frontend:"),
            "the desired fields are restored",
        )
        values = {one["name"]: one.get("value") for one in container(plane)["env"]}
        assert values["FRONTEND_SERVER_NAMESPACE"] == TENANT
        assert values["HTTP_PROXY"] == "wrong"  # theirs


def test_a_field_that_is_no_longer_desired_is_removed_from_an_object_with_other_writers(
    control_plane: ControlPlane,
    run: Callable[..., contextlib.AbstractContextManager[ManagerProcess]],
) -> None:
    plane = control_plane
    if observe.find(plane, f"{kubeflow.PROFILES}/{TENANT}") is None:
        kubeflow.create_tenant(plane, TENANT)

    def annotations() -> Json:
        found = plane.request("GET", path(DEPLOYMENT))["spec"]["template"]["metadata"]
        return dict(found.get("annotations") or {})

    with run(disable_istio_sidecar=True) as manager:
        waiting.until(
            lambda: annotations().get("sidecar.istio.io/inject") == "false", "it is stated"
        )
        theirs = {"metadata": {"annotations": {"restarted": "by hand"}}}
        observe.patch(plane, path(DEPLOYMENT), {"spec": {"template": theirs}})
        observe.wait_for_reconciles(manager, 4)
    with run(disable_istio_sidecar=False) as manager:
        waiting.until(lambda: "sidecar.istio.io/inject" not in annotations(), "it is gone")
        assert annotations()["restarted"] == "by hand"
        observe.wait_for_reconciles(manager, 4)
        before, written = versions(plane), writes(manager)
        observe.wait_for_reconciles(manager, 8)
        assert (versions(plane), writes(manager)) == (before, written)


DEFINITIONS = {
    "Deployment": "io.k8s.api.apps.v1.Deployment",
    "Service": "io.k8s.api.core.v1.Service",
    "ServiceAccount": "io.k8s.api.core.v1.ServiceAccount",
}


@pytest.mark.parametrize("kind", sorted(name for name, kind in KINDS.items() if kind.list_map_keys))
def test_the_api_server_has_the_list_map_keys_of_the_table(
    control_plane: ControlPlane, kind: str
) -> None:
    definitions = control_plane.request("GET", "/openapi/v2")["definitions"]
    assert KINDS[kind].mode is Mode.APPLY
    for where, keys in KINDS[kind].list_map_keys.items():
        found = definitions[DEFINITIONS[kind]]
        for part in where.split("."):
            found = found["items"] if part == "*" else found["properties"][part]
            if reference := found.get("$ref"):
                found = definitions[reference.rpartition("/")[2]]
        assert merge_keys(found) == set(keys), where


def merge_keys(described: Json) -> set[str]:
    return set(described.get("x-kubernetes-list-map-keys") or ())
