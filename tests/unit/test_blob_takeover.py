"""An older suite's volumes and claims: taken over as they are, and never replaced."""

import pytest

from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.grants.resolve import Facts
from controllers.runtime.apply import plan as apply_plan
from controllers.runtime.apply.changeset import Action
from controllers.runtime.cache.store import Store
from controllers.runtime.objects import cached_object, compare
from controllers.runtime.objects.kinds import KINDS
from tests.support.azure.buckets import (
    ALICE,
    LAB,
    PLATFORM,
    PV,
    PVC,
    SHARED,
    decide,
    facts,
    left,
    older_suites,
    seen,
)

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
        records = Store()
        record = cached_object.project(kind, body, legacy=("blob-csi",))
        records.upsert(body["metadata"].get("namespace", ""), body["metadata"]["name"], record)
        memories[kind.name] = records
    changes, _ = apply_plan.plan(
        decision.manifests, profile=ALICE, component="blob-csi", memories=memories
    )
    assert [Action.ADOPT, Action.ADOPT] == [change.action for change in changes]


@pytest.mark.parametrize("case", OLDER)
def test_what_is_stated_of_an_older_suites_volume_differs_in_mount_options_alone(case: str) -> None:
    settings, known, bodies = OLDER[case]
    for manifest, body in zip(decide(seen(known, bodies), settings).manifests, bodies, strict=True):
        stated = dict(manifest.content["spec"])
        stated.pop("mountOptions", None)
        assert compare.contains(KINDS[manifest.kind], {"spec": body["spec"]}, {"spec": stated})
