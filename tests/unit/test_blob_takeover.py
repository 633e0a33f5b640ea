"""An older suite's volumes and claims: taken over as they are, and never replaced."""

import pytest

from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.grants import Facts
from controllers.manifests import Body
from controllers.runtime import comparisons, projections, reconciling
from controllers.runtime.changes import Action
from controllers.runtime.kinds import KINDS
from controllers.runtime.memories import Records
from tests.blobs import ALICE, LAB, PLATFORM, PV, PVC, SHARED, decide, facts, left, seen


def older_suites(name: str, claim: str, *, container: str, **attributes: str) -> list[Body]:
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
        "name": "alice",
        "uid": ALICE.uid,
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
            "labels": {**classification, "kubeflow-profile": "alice"},
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
                "namespace": "alice",
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
            "namespace": "alice",
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


OLDER = {
    "platform": (
        BlobCsiSettings(instances=PLATFORM.instances[:1]),
        Facts(),
        older_suites("alice-standard", "standard", container="alice"),
    ),
    "shared": (
        SHARED,
        facts(LAB),
        older_suites(
            PV,
            PVC,
            container="lab",
            storageAccount="internal",
            resourceGroup="group",
            AzureStorageAuthType="spn",
            AzureStorageSPNClientId="client-of-lab",
            AzureStorageSPNTenantId="tenant",
            protocol="fuse2",
        ),
    ),
}


@pytest.mark.parametrize("case", OLDER)
def test_an_older_suites_volumes_are_adopted_and_none_is_replaced(case: str) -> None:
    settings, known, bodies = OLDER[case]
    known = seen(known, bodies)
    decision = decide(known, settings)
    assert [] == [*decision.removed, *decision.findings]
    assert set() == left(known, decision)
    assert [one["metadata"]["name"] for one in bodies] == [one.name for one in decision.manifests]

    memories = {}
    for body in bodies:
        kind = KINDS[body["kind"]]
        records = Records()
        record = projections.project(kind, body, legacy=("blob-csi",))
        records.remember(body["metadata"].get("namespace", ""), body["metadata"]["name"], record)
        memories[kind.name] = records
    changes, _ = reconciling.plan(
        decision.manifests, profile=ALICE, component="blob-csi", memories=memories
    )
    assert [Action.ADOPT, Action.ADOPT] == [change.action for change in changes]


@pytest.mark.parametrize("case", OLDER)
def test_what_is_stated_of_an_older_suites_volume_differs_in_mount_options_alone(case: str) -> None:
    settings, known, bodies = OLDER[case]
    for manifest, body in zip(decide(seen(known, bodies), settings).manifests, bodies, strict=True):
        stated = dict(manifest.content["spec"])
        stated.pop("mountOptions", None)
        assert comparisons.contains(KINDS[manifest.kind], {"spec": body["spec"]}, {"spec": stated})
