"""What the tests of blob-csi share: a lab's bucket, and what of it is on the cluster."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from controllers.blob_csi import desired, observations, volumes
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.desired import Decision
from controllers.blob_csi.documents import Answer, Bucket
from controllers.blob_csi.grants import Facts
from controllers.blob_csi.sources import Origin, Source
from controllers.manifests import Body, Manifest
from tests import builders

ALICE = builders.profile("alice")
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
    made = builders.bodies(manifests, dataclasses.replace(ALICE, uid=uid), component="blob-csi")
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
