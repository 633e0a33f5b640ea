"""The control plane itself: what every other test on real parts relies on."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.cluster import kubeflow, waiting
from tests.support.controlplane import Client, ControlPlane, StatusError

Planes = Callable[..., ControlPlane]


def client_of(plane: ControlPlane, kubeconfig: Path) -> Client:
    token = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"]
    return Client(url=plane.url, ca_file=plane.ca_file, token=token)


def test_the_api_server_answers_with_the_locked_version(control_plane: ControlPlane) -> None:
    version = control_plane.request("GET", "/version")

    assert version["gitVersion"].startswith("v1.")
    assert "apiserver_request_total" in control_plane.metrics()


def test_the_profile_crd_keeps_what_kubeflows_keeps(control_plane: ControlPlane) -> None:
    manifest = kubeflow.profile_manifest("pruned")
    manifest["spec"]["unknown"] = "dropped"
    created = control_plane.request("POST", kubeflow.PROFILES, manifest)
    condition = {"type": "QuotasReady", "status": "True", "message": "done"}
    status = {"status": {"conditions": [{**condition, "reason": "dropped"}]}}

    patched = control_plane.request(
        "PATCH", f"{kubeflow.PROFILES}/pruned/status", status, "application/merge-patch+json"
    )
    beta = control_plane.get("Profile", "pruned", version="kubeflow.org/v1beta1")

    assert created["spec"] == {"owner": kubeflow.user(kubeflow.OWNER)}
    assert patched["status"]["conditions"] == [condition]
    assert beta["spec"] == created["spec"]


def test_a_service_account_may_do_what_it_is_bound_to_and_nothing_else(
    control_plane: ControlPlane,
) -> None:
    kubeconfig = control_plane.service_account_kubeconfig("identities", "reader")
    client = client_of(control_plane, kubeconfig)
    with pytest.raises(StatusError, match="identities:reader") as denied:
        client.request("GET", kubeflow.PROFILES)

    control_plane.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "reader"},
            "rules": [
                {"apiGroups": ["kubeflow.org"], "resources": ["profiles"], "verbs": ["list"]}
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "reader"},
            "roleRef": {**kubeflow.role_reference("view"), "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "namespace": "identities", "name": "reader"}],
        },
    )

    def lists() -> bool:
        try:
            return bool(client.request("GET", kubeflow.PROFILES)["kind"])
        except StatusError:
            return False

    assert denied.value.status == 403
    assert waiting.until(lists, "the binding is in force")
    with pytest.raises(StatusError):
        client.request("POST", kubeflow.PROFILES, kubeflow.profile_manifest("forbidden"))
    client.close()


def test_applying_twice_replaces_the_object(control_plane: ControlPlane) -> None:
    def settings(**data: str) -> dict[str, object]:
        metadata = {"name": "applied", "namespace": "default"}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}

    control_plane.apply(settings(old="1"))
    control_plane.apply(settings(new="2"))

    assert control_plane.get("ConfigMap", "applied", "default")["data"] == {"new": "2"}


def test_the_audit_log_names_user_verb_and_resource(control_plane: ControlPlane) -> None:
    kubeconfig = control_plane.service_account_kubeconfig("identities", "audited")
    client = client_of(control_plane, kubeconfig)
    with pytest.raises(StatusError):
        client.request("GET", "/api/v1/nodes")
    client.close()

    mine = [
        (event["verb"], event["objectRef"]["resource"])
        for event in control_plane.audit_events()
        if event["user"].get("username") == "system:serviceaccount:identities:audited"
    ]

    assert mine == [("list", "nodes")]


def test_a_namespace_goes_with_its_profile(control_plane: ControlPlane) -> None:
    kubeflow.create_tenant(control_plane, "leaving", resource_quota={"hard": {"requests.cpu": "4"}})
    kubeflow.add_contributor(control_plane, "leaving", "john@example.ca")
    bindings = control_plane.request(
        "GET", "/apis/rbac.authorization.k8s.io/v1/namespaces/leaving/rolebindings"
    )

    kubeflow.delete_profile(control_plane, "leaving")

    assert sorted(item["metadata"]["name"] for item in bindings["items"]) == [
        "default-editor",
        "default-viewer",
        "namespaceAdmin",
        "user-john-example-ca-clusterrole-edit",
    ]
    waiting.until(
        lambda: not kubeflow.is_served(control_plane, "/api/v1/namespaces/leaving"),
        "the namespace is gone",
    )


def test_a_killed_api_server_comes_back_with_its_data(fresh_control_plane: Planes) -> None:
    plane = fresh_control_plane()
    plane.service_account_kubeconfig("kept", "account")

    plane.kill_apiserver()
    with pytest.raises(OSError, match="refused"):
        plane.get("Namespace", "kept")
    plane.start_apiserver()

    assert plane.get("Namespace", "kept")["status"]["phase"] == "Active"
    assert plane.get("ServiceAccount", "account", "kept")["metadata"]["name"] == "account"


def test_many_tenants_are_made_at_once(fresh_control_plane: Planes) -> None:
    plane = fresh_control_plane()
    kubeflow.install(plane)
    names = [f"tenant-{number:03}" for number in range(200)]

    profiles = kubeflow.create_tenants(plane, names)

    namespaces = plane.request("GET", "/api/v1/namespaces")["items"]
    owners = {
        item["metadata"]["name"]: item["metadata"]["ownerReferences"][0]["uid"]
        for item in namespaces
        if "ownerReferences" in item["metadata"]
    }
    assert {
        profile["metadata"]["name"]: profile["metadata"]["uid"] for profile in profiles
    } == owners
    assert names == [profile["metadata"]["name"] for profile in profiles]


def test_a_control_plane_ends_with_a_killed_starter(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from tests.support.controlplane import ControlPlane\n"
        "plane = ControlPlane.start(pathlib.Path(sys.argv[1]))\n"
        "print(plane.process_group, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        group = int(starter.stdout.readline())
        starter.send_signal(signal.SIGKILL)

    def profile_gone() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    waiting.until(profile_gone, f"process group {group} is gone")
