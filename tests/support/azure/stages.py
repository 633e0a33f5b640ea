"""What the stories of blob-csi share: settings, Secrets, the ConfigMap, and a tenant's volumes."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from controllers.blob_csi.config import BlobCsiSettings
from tests.support.azure import ACCOUNTS, Azurite, key_of
from tests.support.azure.offices import instance
from tests.support.builders import inputs
from tests.support.cluster import kubeflow, observe, service_account, waiting
from tests.support.cluster.suite import Suite, Suites
from tests.support.controlplane import ControlPlane, Json

BLOB = "blob-csi"
CONDITION = "BlobCsiReady"
SYSTEM = "blob-stories"
"""Namespace of the Secrets and of the ConfigMap."""
CONFIG_MAP = "shared-buckets"
DOCUMENT = "fdi-unclassified-internal.json"
GOOD, OTHER = ACCOUNTS[:2]
VOLUMES = ("standard", "reader", "other")


def settings(azurite: Azurite, **changes: Any) -> dict[str, Any]:
    """Three containers in two accounts, and one ConfigMap of shared buckets."""
    return {
        "instances": [
            instance("standard", f"good/{SYSTEM}"),
            instance("reader", f"good/{SYSTEM}", read_only=True),
            instance("other", f"other/{SYSTEM}"),
        ],
        "storage_endpoint": azurite.endpoint,
        "config_map": CONFIG_MAP,
        "config_map_namespace": SYSTEM,
        "fdi_global_sp_tenantid": "tenant",
        "fdi_unclass_internal_storage_account": "internal",
        "fdi_unclass_cs_resource_group": "group",
        "spn_client_ids": {"lab-sp": "client-of-lab"},
        **changes,
    }


def launch(suites: Suites, folder: Path, given: Mapping[str, Any], *arguments: str) -> Suite:
    """A process with these settings, and exactly the rights that follow from them; ready."""
    name = service_account.name_of(BLOB, given)
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump({BLOB: dict(given)}))
    parsed = {BLOB: BlobCsiSettings.model_validate(given)}
    kubeconfig = suites.identity(name, BLOB, **parsed)
    command = ("--config", str(file), *arguments)
    return suites.start(BLOB, *command, kubeconfig=kubeconfig, variables={}).wait_ready()


def user(given: Mapping[str, Any]) -> str:
    """What the API server calls the process of these settings."""
    return service_account.user(service_account.name_of(BLOB, given))


def install(plane: ControlPlane) -> None:
    """The Secrets and an empty document."""
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})
    write_secret(plane, "good", GOOD, key_of(GOOD))
    write_secret(plane, "other", OTHER, key_of(OTHER))
    grant(plane, [])


def write_secret(plane: ControlPlane, name: str, account: str, key: str) -> None:
    texts = {"azurestorageaccountname": account, "azurestorageaccountkey": key}
    plane.apply(inputs.secret_body(name, SYSTEM, texts))


def bucket(name: str, readers: Iterable[str], writers: Iterable[str] = ()) -> Json:
    return {
        "bucketName": name,
        "pvName": f"{name}-iunc",
        "readers": list(readers),
        "writers": list(writers),
        "spn": "lab-sp",
    }


def grant(plane: ControlPlane, buckets: list[Json]) -> None:
    """What the data owners say from now on."""
    metadata = {"name": CONFIG_MAP, "namespace": SYSTEM}
    data = {DOCUMENT: json.dumps(buckets)}
    plane.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def volume_path(name: str) -> str:
    return f"/api/v1/persistentvolumes/{name}"


def claim_path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}"


def pod_path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def own_paths(profile: str, instances: Iterable[str] = VOLUMES) -> list[str]:
    """Of the volumes and claims of a profile's own containers."""
    return [
        path
        for one in instances
        for path in (volume_path(f"{profile}-{one}"), claim_path(profile, one))
    ]


def found(plane: ControlPlane, paths: Iterable[str]) -> dict[str, Json]:
    """What is there."""
    seen = ((path, observe.find(plane, path)) for path in paths)
    return {path: body for path, body in seen if body is not None}


def uids(plane: ControlPlane, paths: Iterable[str]) -> dict[str, str]:
    return {path: body["metadata"]["uid"] for path, body in found(plane, paths).items()}


def versions(plane: ControlPlane, paths: Iterable[str]) -> dict[str, str]:
    bodies = found(plane, paths)
    return {path: body["metadata"]["resourceVersion"] for path, body in bodies.items()}


def are_bound(plane: ControlPlane, paths: Iterable[str]) -> bool:
    """Whether all are there, and the binder has bound them."""
    wanted = list(paths)
    bodies = found(plane, wanted)
    phases = [body.get("status", {}).get("phase") for body in bodies.values()]
    return len(phases) == len(wanted) and set(phases) == {"Bound"}


def wait_bound(plane: ControlPlane, paths: Iterable[str]) -> None:
    wanted = list(paths)
    waiting.until(lambda: are_bound(plane, wanted), f"{wanted} are bound", seconds=60)


def wait_gone(plane: ControlPlane, paths: Iterable[str]) -> None:
    wanted = list(paths)
    waiting.until(lambda: not found(plane, wanted), f"{wanted} are gone", seconds=60)


def wait_for(plane: ControlPlane, profile: str, status: str = "True", word: str = "") -> None:
    waiting.until(
        lambda: (
            observe.status(plane, profile, CONDITION) == status
            and word in observe.message(plane, profile, CONDITION)
        ),
        f"{CONDITION} of {profile} is {status} {word}",
        seconds=60,
    )


def tenant(plane: ControlPlane, name: str, owner: str = kubeflow.OWNER) -> Json:
    """A Profile whose own volumes are bound, and whose condition says so."""
    (profile,) = kubeflow.create_tenants(plane, [name], owner=owner)
    wait_bound(plane, own_paths(name))
    wait_for(plane, name)
    return profile


def shared_paths(profile: str, name: str) -> list[str]:
    """Of a shared bucket's volume and claim."""
    claim = f"fdi-{name}-iunc-unclassified"
    return [volume_path(f"{profile}-fdi-unclassified-{name}-iunc"), claim_path(profile, claim)]


def pod(namespace: str, name: str, claim: str) -> Json:
    """One that a scheduler has put on a node, and that no kubelet will ever run."""
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


def let_pod_end(plane: ControlPlane, namespace: str, name: str) -> None:
    """What a kubelet does once the containers of a pod that is being deleted have stopped."""
    body = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
    plane.request("DELETE", pod_path(namespace, name), body)


def older_volume(
    profile: Mapping[str, Any], instance: str, *, secret: str, read_only: bool = False
) -> list[Json]:
    """A volume with its claim, as the Go suite sends them: what it does not state is missing."""
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
        "nodeStageSecretRef": {"name": secret, "namespace": SYSTEM},
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
