"""Objects of blob-csi on a real cluster: settings, Secrets, the ConfigMap, volumes and Pods."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from controllers.blob_csi.config import BlobCsiSettings
from tests.support import builders
from tests.support.azure import ACCOUNTS, Azurite, key_of
from tests.support.azure.account_harness import instance
from tests.support.cluster import kubeflow, observe, service_account, waiting
from tests.support.cluster.manager_process import Launcher, ManagerProcess
from tests.support.controlplane import ControlPlane, Json

CONTROLLER = "blob-csi"
CONDITION = "BlobCsiReady"
SYSTEM_NAMESPACE = "blob-system"
"""The namespace of the Secrets and of the ConfigMap."""
CONFIG_MAP = "shared-buckets"
CONFIG_MAP_KEY = "fdi-unclassified-internal.json"
GOOD, OTHER = ACCOUNTS[:2]
INSTANCES = ("standard", "reader", "other")


def settings(azurite: Azurite, **changes: Any) -> dict[str, Any]:
    """Three instances in two accounts, and one source of shared buckets."""
    return {
        "instances": [
            instance("standard", f"good/{SYSTEM_NAMESPACE}"),
            instance("reader", f"good/{SYSTEM_NAMESPACE}", read_only=True),
            instance("other", f"other/{SYSTEM_NAMESPACE}"),
        ],
        "storage_endpoint": azurite.endpoint,
        "config_map": CONFIG_MAP,
        "config_map_namespace": SYSTEM_NAMESPACE,
        "fdi_global_sp_tenantid": "tenant",
        "fdi_unclass_internal_storage_account": "internal",
        "fdi_unclass_cs_resource_group": "group",
        "spn_client_ids": {"lab-sp": "client-of-lab"},
        **changes,
    }


def launch(
    launcher: Launcher, folder: Path, given: Mapping[str, Any], *arguments: str
) -> ManagerProcess:
    """Start a ready process with these settings, and with the rights that follow from them."""
    name = service_account.name_of(CONTROLLER, given)
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump({CONTROLLER: dict(given)}))
    parsed = {CONTROLLER: BlobCsiSettings.model_validate(given)}
    kubeconfig = launcher.identity(name, CONTROLLER, **parsed)
    command = ("--config", str(file), *arguments)
    return launcher.start(CONTROLLER, *command, kubeconfig=kubeconfig, variables={}).wait_ready()


def user(given: Mapping[str, Any]) -> str:
    """The user name of the process with these settings."""
    return service_account.user(service_account.name_of(CONTROLLER, given))


def install(plane: ControlPlane) -> None:
    """Create the Secrets, and a ConfigMap without buckets."""
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}})
    write_secret(plane, "good", GOOD, key_of(GOOD))
    write_secret(plane, "other", OTHER, key_of(OTHER))
    write_buckets(plane, [])


def write_secret(plane: ControlPlane, name: str, account: str, key: str) -> None:
    texts = {"azurestorageaccountname": account, "azurestorageaccountkey": key}
    plane.apply(builders.secret_body(name, SYSTEM_NAMESPACE, texts))


def bucket(name: str, readers: Iterable[str], writers: Iterable[str] = ()) -> Json:
    return {
        "bucketName": name,
        "pvName": f"{name}-iunc",
        "readers": list(readers),
        "writers": list(writers),
        "spn": "lab-sp",
    }


def write_buckets(plane: ControlPlane, buckets: list[Json]) -> None:
    """Replace the list of shared buckets in the ConfigMap."""
    metadata = {"name": CONFIG_MAP, "namespace": SYSTEM_NAMESPACE}
    data = {CONFIG_MAP_KEY: json.dumps(buckets)}
    plane.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def volume_path(name: str) -> str:
    return f"/api/v1/persistentvolumes/{name}"


def claim_path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}"


def pod_path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def platform_paths(profile: str, instances: Iterable[str] = INSTANCES) -> list[str]:
    """Paths of the platform volumes of a profile and of their claims."""
    return [
        path
        for one in instances
        for path in (volume_path(f"{profile}-{one}"), claim_path(profile, one))
    ]


def existing(plane: ControlPlane, paths: Iterable[str]) -> dict[str, Json]:
    """The objects that exist, by path."""
    bodies = ((path, observe.find(plane, path)) for path in paths)
    return {path: body for path, body in bodies if body is not None}


def uids(plane: ControlPlane, paths: Iterable[str]) -> dict[str, str]:
    return {path: body["metadata"]["uid"] for path, body in existing(plane, paths).items()}


def versions(plane: ControlPlane, paths: Iterable[str]) -> dict[str, str]:
    bodies = existing(plane, paths)
    return {path: body["metadata"]["resourceVersion"] for path, body in bodies.items()}


def are_bound(plane: ControlPlane, paths: Iterable[str]) -> bool:
    """Whether all exist and are bound."""
    expected = list(paths)
    bodies = existing(plane, expected)
    phases = [body.get("status", {}).get("phase") for body in bodies.values()]
    return len(phases) == len(expected) and set(phases) == {"Bound"}


def wait_bound(plane: ControlPlane, paths: Iterable[str]) -> None:
    expected = list(paths)
    waiting.until(lambda: are_bound(plane, expected), f"{expected} are bound", seconds=60)


def wait_gone(plane: ControlPlane, paths: Iterable[str]) -> None:
    expected = list(paths)
    waiting.until(lambda: not existing(plane, expected), f"{expected} are gone", seconds=60)


def wait_condition(plane: ControlPlane, profile: str, status: str = "True", text: str = "") -> None:
    waiting.until(
        lambda: (
            observe.condition_status(plane, profile, CONDITION) == status
            and text in observe.condition_message(plane, profile, CONDITION)
        ),
        f"{CONDITION} of {profile} is {status} {text}",
        seconds=60,
    )


def tenant(plane: ControlPlane, name: str, owner: str = kubeflow.OWNER) -> Json:
    """Create a Profile, and wait until its platform volumes are bound and its condition is True."""
    (profile,) = kubeflow.create_tenants(plane, [name], owner=owner)
    wait_bound(plane, platform_paths(name))
    wait_condition(plane, name)
    return profile


def shared_paths(profile: str, name: str) -> list[str]:
    """Paths of a shared bucket's volume and claim."""
    claim = f"fdi-{name}-iunc-unclassified"
    return [volume_path(f"{profile}-fdi-unclassified-{name}-iunc"), claim_path(profile, claim)]


def pod(namespace: str, name: str, claim: str) -> Json:
    """A Pod on a node without a kubelet: it mounts the claim until the test ends it."""
    source = {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "nodeName": "node-1",
            "automountServiceAccountToken": False,
            "containers": [{"name": "main", "image": "none"}],
            "volumes": [source],
        },
    }


def end_pod(plane: ControlPlane, namespace: str, name: str) -> None:
    """Delete the Pod immediately, as a kubelet does after its containers have stopped."""
    body = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
    plane.request("DELETE", pod_path(namespace, name), body)


def legacy_objects(
    profile: Mapping[str, Any], instance: str, *, secret: str, read_only: bool = False
) -> list[Json]:
    """A volume and its claim as the older suite sends them to the API server."""
    name = profile["metadata"]["name"]
    mode = "ReadOnlyMany" if read_only else "ReadWriteMany"
    labels = {"data.statcan.gc.ca/classification": "unclassified"}
    owners = {"ownerReferences": [kubeflow.owner_reference(dict(profile))]}
    options = [
        "-o allow_other",
        "--file-cache-timeout-in-seconds=120",
        "--use-attr-cache=true",
        "--cancel-list-on-mount-seconds=10",
        "-o attr_timeout=120",
        "-o entry_timeout=120",
        "-o negative_timeout=120",
        "--log-level=LOG_DEBUG",
        "--cache-size-mb=1000",
        *(["-o ro"] if read_only else []),
    ]
    metadata: Json = {
        "name": f"{name}-{instance}",
        "labels": {**labels, "kubeflow-profile": name},
        **owners,
    }
    size = {"storage": "10T"}
    csi = {
        "driver": "blob.csi.azure.com",
        "nodeStageSecretRef": {"name": secret, "namespace": SYSTEM_NAMESPACE},
        "readOnly": read_only,
        "volumeAttributes": {"containerName": name},
        "volumeHandle": f"{name}-{instance}",
    }
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": metadata,
        "spec": {
            "accessModes": [mode],
            "capacity": size,
            "claimRef": {"name": instance, "namespace": name},
            "csi": csi,
            "mountOptions": options,
            "persistentVolumeReclaimPolicy": "Retain",
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": instance,
            "namespace": name,
            "labels": {**labels, "blob.aaw.statcan.gc.ca/automount": "true"},
            **owners,
        },
        "spec": {
            "accessModes": [mode],
            "resources": {"requests": size},
            "storageClassName": "",
            "volumeName": f"{name}-{instance}",
        },
    }
    return [volume, claim]
