"""What the tests of blob-csi share: a lab's bucket, and what of it is on the cluster."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from controllers.blob_csi import desired, observations, volumes
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.desired import Decision
from controllers.blob_csi.grants.parse import Answer, Bucket
from controllers.blob_csi.grants.resolve import Facts
from controllers.blob_csi.grants.sources import Origin, Source
from controllers.manifests import Body, Manifest
from tests.support.builders import inputs

ALICE = inputs.profile("alice")
INTERNAL = Source("unclassified", Origin.INTERNAL)
EXTERNAL = Source("unclassified", Origin.EXTERNAL)
GATEWAY = Source("unclassified", Origin.GATEWAY)
PLATFORM = BlobCsiSettings()
GIVEN = {
    "instances": [],
    "fdi_global_sp_tenantid": "tenant",
    "fdi_unclass_internal_storage_account": "internal",
    "fdi_unclass_external_storage_account": "external",
    "fdi_unclass_cs_resource_group": "group",
    "fdi_unclass_pv_storage_cap": "100Gi",
    "fdi_protected_b_internal_storage_account": "protected",
    "fdi_protected_b_cs_resource_group": "group-b",
    "fdi_protected_b_azure_storage_aad_endpoint": "https://login.example.ca",
    "spn_client_ids": {"lab-sp": "client-of-lab"},
}


def settings_with(**changes: Any) -> BlobCsiSettings:
    return BlobCsiSettings.model_validate({**GIVEN, **changes})


SHARED = settings_with()
LAB = Bucket(
    container="lab",
    volume="lab-iunc",
    principal="lab-sp",
    readers=frozenset({"alice", "bob"}),
    writers=frozenset({"bob"}),
)
PV = "alice-fdi-unclassified-lab-iunc"
PVC = "fdi-lab-iunc-unclassified"


def bucket(**fields: Any) -> Bucket:
    return dataclasses.replace(LAB, **fields)


def facts(*buckets: Bucket, source: Source = INTERNAL, **fields: Any) -> Facts:
    others: dict[Source, Answer] = dict.fromkeys(SHARED.storages, ())
    return Facts(answers={**others, source: buckets}, **fields)


def stored(manifests: Iterable[Manifest], *, uid: str = ALICE.uid) -> list[Body]:
    """What the API server and the binder make of them."""
    made = inputs.bodies(manifests, dataclasses.replace(ALICE, uid=uid), component="blob-csi")
    for body in made:
        body["status"] = {"phase": "Bound"}
    return made


def seen(known: Facts, bodies: Sequence[Body], **fields: Any) -> Facts:
    """The facts, with these objects on the cluster."""
    return dataclasses.replace(
        known,
        volumes={
            body["metadata"]["name"]: observations.volume_of(body)
            for body in bodies
            if body["kind"] == "PersistentVolume"
        },
        claims={
            body["metadata"]["name"]: observations.claim_of(body)
            for body in bodies
            if body["kind"] == "PersistentVolumeClaim"
        },
        **fields,
    )


def decide(known: Facts, settings: BlobCsiSettings = SHARED) -> Decision:
    return desired.decide(ALICE, known, settings)


def in_place(known: Facts, settings: BlobCsiSettings = SHARED) -> tuple[Facts, list[Body]]:
    bodies = stored(decide(known, settings).manifests)
    return seen(known, bodies), bodies


def left(known: Facts, decision: Decision) -> set[str]:
    """What is on the cluster and will be pruned: neither wanted nor spared, nor removed."""
    there = {volumes.volume_key(name) for name in known.volumes}
    there |= {volumes.claim_key("alice", name) for name in known.claims}
    accounted = decision.spared | set(decision.removed) | {m.key for m in decision.manifests}
    return {one.name for one in there - accounted}


def older_suites(
    name: str,
    claim: str,
    *,
    container: str,
    profile: str = "alice",
    uid: str = ALICE.uid,
    **attributes: str,
) -> list[Body]:
    """A volume and its claim as the Go suite made them and the API server and binder left them.

    Its objects carry neither our labels nor what the API server fills in when it is not stated.
    """
    shared = bool(attributes)
    options = [
        *(option.replace("LOG_WARNING", "LOG_DEBUG") for option in PLATFORM.mount_options),
        *(["-o ro", "--use-adls=true"] if shared else []),
    ]
    mode = "ReadOnlyMany" if shared else "ReadWriteMany"
    secret = "lab-sp-secret" if shared else "azure-secret"
    owner = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "Profile",
        "name": profile,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    classification = {"data.statcan.gc.ca/classification": "unclassified"}
    size = "100Gi" if shared else "10T"
    csi: Body = {
        "driver": "blob.csi.azure.com",
        "nodeStageSecretRef": {"name": secret, "namespace": "azure-blob-csi-system"},
        "volumeAttributes": {"containerName": container, **attributes},
        "volumeHandle": name,
    }
    if shared:
        csi["readOnly"] = True
    volume: Body = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": "7",
            "labels": {**classification, "kubeflow-profile": profile},
            "annotations": {"pv.kubernetes.io/bound-by-controller": "yes"},
            "finalizers": ["kubernetes.io/pv-protection"],
            "ownerReferences": [owner],
        },
        "spec": {
            "accessModes": [mode],
            "capacity": {"storage": size},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": claim,
                "namespace": profile,
                "resourceVersion": "5",
                "uid": f"uid-{claim}",
            },
            "csi": csi,
            "mountOptions": options,
            "persistentVolumeReclaimPolicy": "Retain",
            "volumeMode": "Filesystem",
        },
        "status": {"phase": "Bound"},
    }
    made_claim: Body = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": claim,
            "namespace": profile,
            "uid": f"uid-{claim}",
            "resourceVersion": "6",
            "labels": {**classification, "blob.aaw.statcan.gc.ca/automount": "true"},
            "annotations": {"pv.kubernetes.io/bind-completed": "yes"},
            "finalizers": ["kubernetes.io/pvc-protection"],
            "ownerReferences": [owner],
        },
        "spec": {
            "accessModes": [mode],
            "resources": {"requests": {"storage": size}},
            "storageClassName": "",
            "volumeMode": "Filesystem",
            "volumeName": name,
        },
        "status": {"phase": "Bound"},
    }
    return [volume, made_claim]
