"""The older suite's volumes and claims are adopted in place and never replaced."""

import pytest

from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.facts import Facts
from controllers.runtime.apply import plan as apply_plan
from controllers.runtime.apply.changeset import Action
from controllers.runtime.cache.store import Store
from controllers.runtime.objects import cached_object, compare
from controllers.runtime.objects.kinds import KINDS
from tests.support.azure.builders import (
    ALICE,
    LAB,
    PLATFORM,
    PV,
    PVC,
    SHARED,
    decide,
    facts_with,
    legacy_objects,
    observed,
    pruned,
)

LEGACY = {
    "platform": (
        BlobCsiSettings(instances=PLATFORM.instances[:1]),
        Facts(),
        legacy_objects("alice-standard", "standard", container="alice"),
    ),
    "shared": (
        SHARED,
        facts_with(LAB),
        legacy_objects(
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


@pytest.mark.parametrize("case", LEGACY)
def test_legacy_volumes_are_adopted_and_not_replaced(case: str) -> None:
    settings, facts, bodies = LEGACY[case]
    facts = observed(facts, bodies)
    decision = decide(facts, settings)
    assert [] == [*decision.deleted, *decision.findings]
    assert set() == pruned(facts, decision)
    assert [one["metadata"]["name"] for one in bodies] == [one.name for one in decision.manifests]

    memories = {}
    for body in bodies:
        kind = KINDS[body["kind"]]
        records = Store()
        record = cached_object.from_body(kind, body, legacy_for=("blob-csi",))
        records.upsert(body["metadata"].get("namespace", ""), body["metadata"]["name"], record)
        memories[kind.name] = records
    changes, _ = apply_plan.plan(
        decision.manifests, profile=ALICE, component="blob-csi", stores=memories
    )
    assert [Action.ADOPT, Action.ADOPT] == [change.action for change in changes]


@pytest.mark.parametrize("case", LEGACY)
def test_a_legacy_volume_differs_in_mount_options_only(case: str) -> None:
    settings, facts, bodies = LEGACY[case]
    for manifest, body in zip(
        decide(observed(facts, bodies), settings).manifests, bodies, strict=True
    ):
        stated = dict(manifest.content["spec"])
        stated.pop("mountOptions", None)
        assert compare.contains(KINDS[manifest.kind], {"spec": body["spec"]}, {"spec": stated})
