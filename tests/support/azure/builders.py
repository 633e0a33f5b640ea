"""Builders for unit tests of blob-csi: settings, a shared bucket, facts, and stored objects."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from controllers.blob_csi import desired, volumes
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.desired import Decision
from controllers.blob_csi.facts import Facts
from controllers.blob_csi.grants.parse import Bucket, Buckets
from controllers.blob_csi.grants.sources import Origin, Source
from controllers.manifests import Body, Manifest
from tests.support import builders

ALICE = builders.profile("alice")
INTERNAL = Source("unclassified", Origin.INTERNAL)
EXTERNAL = Source("unclassified", Origin.EXTERNAL)
GATEWAY = Source("unclassified", Origin.GATEWAY)
PLATFORM = BlobCsiSettings()
SETTINGS = {
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
    return BlobCsiSettings.model_validate({**SETTINGS, **changes})


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


def facts_with(*buckets: Bucket, source: Source = INTERNAL, **fields: Any) -> Facts:
    """Facts in which each source has a document, and this one has these buckets."""
    documents: dict[Source, Buckets] = dict.fromkeys(SHARED.sources, ())
    return Facts(buckets={**documents, source: buckets}, **fields)


def stored(manifests: Iterable[Manifest], *, uid: str = ALICE.uid) -> list[Body]:
    """The objects as the API server and the volume binder return them."""
    bodies = builders.bodies(manifests, dataclasses.replace(ALICE, uid=uid), component="blob-csi")
    for body in bodies:
        body["status"] = {"phase": "Bound"}
    return bodies


def observed(facts: Facts, bodies: Sequence[Body], **fields: Any) -> Facts:
    """The facts with these objects on the cluster."""
    return dataclasses.replace(
        facts,
        volumes={
            body["metadata"]["name"]: volumes.parse_volume(body)
            for body in bodies
            if body["kind"] == "PersistentVolume"
        },
        claims={
            body["metadata"]["name"]: volumes.parse_claim(body)
            for body in bodies
            if body["kind"] == "PersistentVolumeClaim"
        },
        **fields,
    )


def decide(facts: Facts, settings: BlobCsiSettings = SHARED) -> Decision:
    return desired.decide(ALICE, facts, settings)


def in_sync(facts: Facts, settings: BlobCsiSettings = SHARED) -> tuple[Facts, list[Body]]:
    """The facts with all desired objects on the cluster, and these objects."""
    bodies = stored(decide(facts, settings).manifests)
    return observed(facts, bodies), bodies


def pruned(facts: Facts, decision: Decision) -> set[str]:
    """Names of the objects that will be pruned: neither desired, retained nor deleted."""
    existing = {volumes.volume_key(name) for name in facts.volumes}
    existing |= {volumes.claim_key("alice", name) for name in facts.claims}
    handled = decision.retained | set(decision.deleted) | {m.key for m in decision.manifests}
    return {one.name for one in existing - handled}


def legacy_objects(
    name: str,
    claim: str,
    *,
    container: str,
    profile: str = "alice",
    uid: str = ALICE.uid,
    **attributes: str,
) -> list[Body]:
    """A volume and its claim as the older suite created them and the volume binder bound them.

    They lack the labels of this suite.
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
    claim_body: Body = {
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
    return [volume, claim_body]
