"""The life of volumes with a real binder, volume protection, Azurite and OPA.

There is no kubelet: a test ends the Pods.
"""

import base64
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.support.azure import Azurite, builders
from tests.support.cluster import kubeflow, observe, waiting
from tests.support.cluster.manager_process import ManagerProcess, Start
from tests.support.controlplane import ControlPlane, Json
from tests.support.opa import Opa

pytestmark = pytest.mark.xdist_group("azurite")

CONDITION = "BlobCsiReady"
PLATFORM = "azure-blob-csi-system"
CONFIG_MAP = "/api/v1/namespaces/daaas-system/configmaps/fdi-aaw-configuration"
KEYS = ("unclassified-internal", "unclassified-external", "protected-b-internal")
LAB: Mapping[str, Any] = {"bucketName": "lab", "pvName": "lab-iunc", "spn": "lab-sp"}
CLAIM = "fdi-lab-iunc-unclassified"
WRITES = ("POST", "PUT", "PATCH", "DELETE")
_numbers = itertools.count(1)


@pytest.fixture
def settings(control_plane: ControlPlane, azurite: Azurite) -> dict[str, Any]:
    """One instance and the sources of shared buckets, with their Secret and ConfigMap."""
    for namespace in (PLATFORM, "daaas-system"):
        control_plane.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        )
    account = azurite.key()
    data = {"azurestorageaccountname": account.account, "azurestorageaccountkey": account.key}
    control_plane.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "azure-secret", "namespace": PLATFORM},
            "data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()},
        }
    )
    write_buckets(control_plane)
    standard = {
        "name": "standard",
        "classification": "unclassified",
        "secretRef": "azure-secret",
        "capacity": 10,
    }
    return {**builders.SETTINGS, "instances": [standard], "storage_endpoint": azurite.endpoint}


@pytest.fixture
def name(control_plane: ControlPlane) -> Iterator[str]:
    """The name of a Profile that no other test has."""
    name = f"blob-{next(_numbers)}"
    kubeflow.create_tenant(control_plane, name)
    yield name
    write_buckets(control_plane)


def write_buckets(plane: ControlPlane, **lists: list[Any]) -> None:
    """Replace the documents of the ConfigMap."""
    documents = {f"fdi-{key}.json": lists.get(key.replace("-", "_"), []) for key in KEYS}
    plane.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "fdi-aaw-configuration", "namespace": "daaas-system"},
            "data": {key: json.dumps(listed) for key, listed in documents.items()},
        }
    )


def lab(*readers: str, **fields: Any) -> dict[str, Any]:
    return {**LAB, "readers": list(readers), **fields}


def volume_path(name: str) -> str:
    return f"/api/v1/persistentvolumes/{name}"


def claim_path(name: str, claim: str = CLAIM) -> str:
    return f"/api/v1/namespaces/{name}/persistentvolumeclaims/{claim}"


def shared(name: str) -> str:
    return volume_path(f"{name}-fdi-unclassified-lab-iunc")


def is_bound(plane: ControlPlane, path: str) -> bool:
    found = observe.find(plane, path)
    return bool(found and (found.get("status") or {}).get("phase") == "Bound")


def wait_bound(plane: ControlPlane, name: str, *claims: str) -> None:
    waiting.until(
        lambda: all(is_bound(plane, claim_path(name, claim)) for claim in claims),
        f"{claims} of {name} are bound",
    )


def wait_message(plane: ControlPlane, name: str, *parts: str) -> None:
    waiting.until(
        lambda: all(part in observe.condition_message(plane, name, CONDITION) for part in parts),
        f"the condition of {name} contains {parts}",
    )


def identities(plane: ControlPlane, *paths: str) -> list[tuple[str, str]]:
    bodies = [plane.request("GET", path)["metadata"] for path in paths]
    return [(one["uid"], one["resourceVersion"]) for one in bodies]


def uid(plane: ControlPlane, path: str) -> str:
    found = observe.find(plane, path)
    return str(found["metadata"]["uid"]) if found else ""


def start_pod(plane: ControlPlane, name: str, claim: str = CLAIM) -> str:
    """Create a Pod on a node that does not exist: it mounts the claim until the test ends it."""
    pod: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "notebook-0", "namespace": name},
        "spec": {
            "nodeName": "node",
            "containers": [{"name": "notebook", "image": "notebook"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        },
    }
    plane.apply(pod)
    return f"/api/v1/namespaces/{name}/pods/notebook-0"


def is_deleting(plane: ControlPlane, path: str) -> bool:
    found = observe.find(plane, path)
    return found is not None and "deletionTimestamp" in found["metadata"]


def end_pod(plane: ControlPlane, path: str) -> None:
    plane.request("DELETE", path, {"gracePeriodSeconds": 0})


def written(manager: ManagerProcess) -> float:
    return sum(manager.requests(method=method) for method in WRITES)


def test_volumes_are_created_and_bound_and_a_restart_writes_nothing(
    control_plane: ControlPlane, azurite: Azurite, start: Start, settings: Any, name: str
) -> None:
    write_buckets(control_plane, unclassified_internal=[lab(name)])
    start("blob-csi", settings)
    wait_bound(control_plane, name, "standard", CLAIM)
    wait_message(control_plane, name, "4 objects are in place")
    assert name in azurite.containers()
    assert name == azurite.containers()[name]["profile"]
    paths = (
        claim_path(name), claim_path(name, "standard"), shared(name),
        volume_path(f"{name}-standard"),
    )  # fmt: skip
    before = identities(control_plane, *paths)

    manager = start("blob-csi", settings)
    waiting.until(
        lambda: manager.series("profiles_controller_last_success_timestamp_seconds", profile=name),
        "the profile is reconciled again",
    )
    assert before == identities(control_plane, *paths)
    assert 0 == written(manager)


def test_a_removed_grant_deletes_claim_pod_and_volume(
    control_plane: ControlPlane, start: Start, settings: Any, name: str
) -> None:
    write_buckets(control_plane, unclassified_internal=[lab(name)])
    start("blob-csi", settings)
    wait_bound(control_plane, name, CLAIM)
    pod = start_pod(control_plane, name)
    bystander = {**LAB, "readers": []}
    write_buckets(control_plane, unclassified_internal=[bystander])

    waiting.until(lambda: is_deleting(control_plane, pod), "the pod is being deleted")
    assert is_deleting(control_plane, claim_path(name))
    assert not is_deleting(control_plane, shared(name))
    wait_message(control_plane, name, f"PersistentVolumeClaim {name}/{CLAIM}", "is being deleted")

    end_pod(control_plane, pod)
    waiting.until(lambda: observe.is_deleted(control_plane, shared(name)), "the volume is gone")
    assert observe.is_deleted(control_plane, claim_path(name))
    wait_message(control_plane, name, "2 objects are in place")
    assert is_bound(control_plane, claim_path(name, "standard"))


def test_a_reader_that_becomes_a_writer_gets_a_new_volume_and_claim(
    control_plane: ControlPlane, start: Start, settings: Any, name: str
) -> None:
    write_buckets(control_plane, unclassified_internal=[lab(name)])
    start("blob-csi", settings)
    wait_bound(control_plane, name, CLAIM)
    before = {path: uid(control_plane, path) for path in (shared(name), claim_path(name))}
    write_buckets(control_plane, unclassified_internal=[lab(name, writers=[name])])

    waiting.until(
        lambda: all(uid(control_plane, path) not in ("", was) for path, was in before.items()),
        "both are recreated",
    )
    wait_bound(control_plane, name, CLAIM)
    volume = control_plane.request("GET", shared(name))
    assert ["ReadWriteMany"] == volume["spec"]["accessModes"]


@pytest.mark.parametrize("how", ["claim deleted", "volume deleted"])
def test_a_deleted_claim_or_volume_is_recreated(
    control_plane: ControlPlane, start: Start, settings: Any, name: str, how: str
) -> None:
    write_buckets(control_plane, unclassified_internal=[lab(name)])
    start("blob-csi", settings)
    wait_bound(control_plane, name, CLAIM)
    before = uid(control_plane, shared(name))
    path = claim_path(name) if how == "claim deleted" else shared(name)
    control_plane.request("DELETE", path)
    if how == "volume deleted":  # its protection waits for the claim
        control_plane.request("DELETE", claim_path(name))

    waiting.until(lambda: uid(control_plane, shared(name)) not in ("", before), "recreated")
    wait_bound(control_plane, name, CLAIM)


def test_legacy_volumes_are_adopted_and_not_replaced(
    control_plane: ControlPlane, azurite: Azurite, start: Start, settings: Any, name: str
) -> None:
    profile = control_plane.request("GET", f"{kubeflow.PROFILES}/{name}")
    whose = {"profile": name, "uid": profile["metadata"]["uid"]}
    attributes = {
        "storageAccount": "internal",
        "resourceGroup": "group",
        "AzureStorageAuthType": "spn",
        "AzureStorageSPNClientId": "client-of-lab",
        "AzureStorageSPNTenantId": "tenant",
        "protocol": "fuse2",
    }
    azurite.create(name)
    legacy = [
        *builders.legacy_objects(f"{name}-standard", "standard", container=name, **whose),
        *builders.legacy_objects(
            f"{name}-fdi-unclassified-lab-iunc", CLAIM, container="lab", **whose, **attributes
        ),
    ]
    for body in legacy:
        for key in ("uid", "resourceVersion", "finalizers"):
            body["metadata"].pop(key)
        for key in ("uid", "resourceVersion"):
            body["spec"].get("claimRef", {}).pop(key, None)
        body["metadata"].pop("annotations")
        control_plane.apply(body)
    wait_bound(control_plane, name, "standard", CLAIM)
    paths = (
        claim_path(name), claim_path(name, "standard"), shared(name),
        volume_path(f"{name}-standard"),
    )  # fmt: skip
    before = [one for one, _ in identities(control_plane, *paths)]
    write_buckets(control_plane, unclassified_internal=[lab(name)])

    start("blob-csi", settings)
    wait_message(control_plane, name, "4 objects are in place")
    assert before == [one for one, _ in identities(control_plane, *paths)]
    for path in paths:
        body = control_plane.request("GET", path)
        assert "blob-csi" == body["metadata"]["labels"]["app.kubernetes.io/component"]
        assert "Bound" == body["status"]["phase"]
    assert azurite.containers()[name]["profile"] == name


def test_a_gateway_grants_access_fails_and_removes_access(
    control_plane: ControlPlane, opa: Opa, start: Start, settings: Any, name: str
) -> None:
    document = f"story-{name}"
    listed = {"readers": [name], "writers": [name], "spn": "lab-sp", "name": "gate"}
    opa.put(document, {"lab/raw": listed})
    gateway = {
        "fdi_unclass_opa_endpoint": opa.url(document),
        "fdi_unclass_storage_account": "gateway",
        "fdi_opa_daemon_ticker_millis": 200,
    }
    manager = start("blob-csi", {**settings, **gateway})
    volume, claim = volume_path(f"{name}-fdi-unclassified-gate"), "fdi-gate-unclassified"
    wait_bound(control_plane, name, claim)
    assert "--subdirectory=raw" in control_plane.request("GET", volume)["spec"]["mountOptions"]

    opa.put(document, {"lab/raw": {**listed, "readers": "everybody"}})
    labels = {"controller": "blob-csi", "system": "fdi-unclassified-gateway"}
    waiting.until(
        lambda: manager.total("profiles_controller_external_system_up", **labels) == 0,
        "the metric reports the failure",
    )
    assert "readers is 'everybody'; expected a list" in manager.probe_text("/readyz?verbose")
    assert is_bound(control_plane, claim_path(name, claim))

    opa.put(document, {})
    waiting.until(lambda: observe.is_deleted(control_plane, volume), "the volume is deleted")
    assert observe.is_deleted(control_plane, claim_path(name, claim))


def test_a_deleted_profile_loses_its_volumes_and_keeps_its_container(
    control_plane: ControlPlane, azurite: Azurite, start: Start, settings: Any, name: str
) -> None:
    write_buckets(control_plane, unclassified_internal=[lab(name)])
    start("blob-csi", settings)
    wait_bound(control_plane, name, CLAIM, "standard")
    kubeflow.delete_profile(control_plane, name)
    gone: list[Callable[[], bool]] = [
        lambda path=path: observe.is_deleted(control_plane, path)  # type: ignore[misc]
        for path in (shared(name), volume_path(f"{name}-standard"), claim_path(name))
    ]
    waiting.until(lambda: all(check() for check in gone), "volumes and claims are gone")
    assert name in azurite.containers()
