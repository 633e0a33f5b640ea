"""The desired volumes of the blob-csi controller, and the steps that replace or remove one."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.blob_csi import desired, names, volumes
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.facts import Facts, Unavailable
from controllers.blob_csi.grants.parse import Bucket
from controllers.blob_csi.grants.sources import Origin, Source
from controllers.findings import Severity
from controllers.manifests import Body, Key
from tests.support import builders
from tests.support.azure.builders import (
    ALICE,
    EXTERNAL,
    INTERNAL,
    LAB,
    PLATFORM,
    PV,
    PVC,
    SHARED,
    bucket,
    decide,
    facts_with,
    in_sync,
    observed,
    pruned,
    settings_with,
)


@pytest.mark.parametrize(
    ("name", "profile", "settings", "facts"),
    [
        ("platform", builders.profile("jane--doe"), PLATFORM, Facts()),
        (
            "shared",
            ALICE,
            SHARED,
            Facts(
                buckets={
                    INTERNAL: (LAB,),
                    EXTERNAL: (bucket(volume="lab-eunc", subfolder="raw/2024"),),
                    Source("protected-b", Origin.INTERNAL): (
                        bucket(volume="lab-iprotb", writers=frozenset({"alice"})),
                    ),
                }
            ),
        ),
    ],
)
def test_volumes_and_claims_match_the_golden_file(
    name: str, profile: Any, settings: BlobCsiSettings, facts: Facts
) -> None:
    manifests = desired.desired(profile, facts, settings).objects
    assert builders.golden("blob-csi", name) == builders.bodies(
        manifests, profile, component="blob-csi"
    )


def test_a_reader_that_writes_has_read_write_access_and_a_writer_alone_has_none() -> None:
    for readers, writers, mode in (
        ({"alice"}, {"alice"}, "ReadWriteMany"),
        ({"alice"}, {"bob"}, "ReadOnlyMany"),
        ({"bob"}, {"alice"}, None),
        ({"bob"}, {"bob"}, None),
        ({"alice, bob"}, {"alice, bob"}, None),
    ):
        facts = facts_with(bucket(readers=frozenset(readers), writers=frozenset(writers)))
        manifests = decide(facts).manifests
        assert [mode] * 2 * bool(mode) == [m.content["spec"]["accessModes"][0] for m in manifests]
        reported = [(one.reason, one.severity) for one in decide(facts).findings]
        alone = "alice" in writers - readers
        assert [("WriterWithoutRead", Severity.NOTICE)] * alone == reported


def test_volumes_in_sync_do_not_change() -> None:
    for settings, facts in ((SHARED, facts_with(LAB)), (PLATFORM, Facts())):
        existing, _ = in_sync(facts, settings)
        assert decide(facts, settings).manifests == decide(existing, settings).manifests
        assert [] == [*decide(existing, settings).deleted, *decide(existing, settings).findings]


CHANGES: dict[str, Bucket] = {
    "access mode": bucket(writers=frozenset({"alice"})),
    "container": bucket(container="other"),
    "secret": bucket(principal="other-sp"),
    "subfolder": bucket(subfolder="raw"),
}
OTHER_SP = settings_with(spn_client_ids={"lab-sp": "1", "other-sp": "2"})


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_source_deletes_claim_pods_and_volume_in_order_and_recreates_them(
    what: str,
) -> None:
    _, bodies = in_sync(facts_with(LAB), OTHER_SP)
    volume, claim = bodies
    facts = observed(facts_with(CHANGES[what]), bodies, pods={PVC: ("notebook-0",)})

    first = decide(facts, OTHER_SP)
    assert ([], [volumes.claim_key("alice", PVC)]) == (first.manifests, first.deleted)
    assert set() == pruned(facts, first)

    claim["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    facts = observed(facts, bodies)
    second = decide(facts, OTHER_SP)
    steps = [volumes.claim_key("alice", PVC), Key("Pod", "alice", "notebook-0")]
    assert ([], steps) == (second.manifests, second.deleted)
    assert set() == pruned(facts, second)

    volume["status"]["phase"] = "Released"
    facts = observed(facts, [volume])
    third = decide(facts, OTHER_SP)
    assert ([], [volumes.volume_key(PV)]) == (third.manifests, third.deleted)
    reported = {(one.reason, one.severity) for one in (*first.findings, *second.findings)}
    assert {("DeletingVolume", Severity.NOTICE)} == reported

    facts = observed(facts, [])
    assert [PV, PVC] == [one.name for one in decide(facts, OTHER_SP).manifests]


def test_a_removed_grant_deletes_claim_pods_and_volume_in_order() -> None:
    _, bodies = in_sync(facts_with(LAB))
    facts = observed(facts_with(), bodies, pods={PVC: ("notebook-0",), "standard": ("other-0",)})
    assert [volumes.claim_key("alice", PVC)] == decide(facts).deleted
    bodies[1]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    facts = observed(facts, bodies)
    steps = [volumes.claim_key("alice", PVC), Key("Pod", "alice", "notebook-0")]
    assert steps == decide(facts).deleted
    assert set() == pruned(facts, decide(facts))
    facts = observed(facts, bodies[:1])
    assert [volumes.volume_key(PV)] == decide(facts).deleted
    (finding,) = decide(facts).findings
    assert "namespace alice has no access any more" in finding.message


def test_a_claim_without_the_owner_reference_that_a_tenant_removed_is_deleted_as_well() -> None:
    _, bodies = in_sync(facts_with(LAB))
    bodies[1]["metadata"] |= {"ownerReferences": [], "labels": {}}
    assert [volumes.claim_key("alice", PVC)] == decide(observed(facts_with(), bodies)).deleted


def test_a_claim_of_the_tenant_for_another_volume_is_not_deleted() -> None:
    _, bodies = in_sync(facts_with(LAB))
    bodies[1]["metadata"]["ownerReferences"] = []
    bodies[1]["spec"]["volumeName"] = "theirs"
    facts = observed(facts_with(), bodies)
    assert [volumes.volume_key(PV)] == decide(facts).deleted


def test_a_claim_with_another_name_is_deleted_before_its_volume() -> None:
    _, bodies = in_sync(facts_with(LAB))
    bodies[0]["spec"]["claimRef"]["name"] = bodies[1]["metadata"]["name"] = "renamed"
    bodies[1]["metadata"] |= {"ownerReferences": [], "labels": {}}
    for facts in (facts_with(LAB), facts_with()):
        decision = decide(observed(facts, bodies))
        assert ([], [volumes.claim_key("alice", "renamed")]) == (
            decision.manifests,
            decision.deleted,
        )


@pytest.mark.parametrize("phase", ["Released", "Failed"])
def test_a_released_or_failed_volume_is_deleted_to_recreate_it(phase: str) -> None:
    facts, bodies = in_sync(facts_with(LAB))
    bodies[0]["status"]["phase"] = phase
    assert [volumes.volume_key(PV)] == decide(observed(facts, bodies[:1])).deleted


def test_a_lost_claim_is_deleted_to_recreate_it() -> None:
    facts, bodies = in_sync(facts_with(LAB))
    bodies[1]["status"]["phase"] = "Lost"
    assert [volumes.claim_key("alice", PVC)] == decide(observed(facts, bodies[1:])).deleted


def test_a_claim_for_another_volume_is_replaced() -> None:
    for change in ({"volumeName": "x"}, {"storageClassName": "fast"}, {"accessModes": ["RWX"]}):
        facts, bodies = in_sync(facts_with(LAB))
        bodies[1]["spec"] |= change
        decision = decide(observed(facts, bodies))
        assert ([], [volumes.claim_key("alice", PVC)]) == (decision.manifests, decision.deleted)


def test_a_changed_capacity_applies_to_new_volumes_only_and_is_reported() -> None:
    facts, _ = in_sync(facts_with(LAB))
    grown = settings_with(fdi_unclass_pv_storage_cap="200Gi")
    decision = decide(facts, grown)
    assert decide(facts).manifests == decision.manifests
    ((reason, severity, message),) = [(f.reason, f.severity, f.message) for f in decision.findings]
    assert ("CapacityNotChanged", Severity.NOTICE) == (reason, severity)
    assert f"PersistentVolume {PV} has capacity 100Gi; the configured 200Gi applies" in message


def test_changed_mount_options_are_updated_in_place() -> None:
    facts, _ = in_sync(facts_with(LAB))
    other = settings_with(mount_options=("-o allow_other",))
    volume, _ = decide(facts, other).manifests
    assert ["-o allow_other", "-o ro", "--use-adls=true"] == volume.content["spec"]["mountOptions"]


def test_an_endpoint_that_is_set_later_does_not_replace_a_volume() -> None:
    facts, _ = in_sync(facts_with(LAB))
    with_endpoint = settings_with(fdi_unclass_azure_storage_aad_endpoint="https://a")
    decision = decide(facts, with_endpoint)
    assert decide(facts).manifests == decision.manifests
    assert ["AttributesNotChanged"] == [one.reason for one in decision.findings]


def test_a_refused_container_creates_and_deletes_nothing() -> None:
    unavailable = {
        "standard": Unavailable(reason="ContainerOwnedByOther", message="owned by another")
    }
    absent = decide(Facts(unavailable=unavailable), PLATFORM)
    assert {"aaw-unclassified-ro", "aaw-protected-b"} == {
        one.name for one in absent.manifests if one.namespace
    }
    assert [("ContainerOwnedByOther", "owned by another")] == [
        (f.reason, f.message) for f in absent.findings
    ]

    _, bodies = in_sync(Facts(), PLATFORM)
    facts = observed(Facts(unavailable=unavailable), bodies)
    decision = decide(facts, PLATFORM)
    assert [] == decision.deleted
    assert set() == pruned(facts, decision)


def test_an_unreachable_account_creates_and_deletes_nothing_and_is_not_a_finding() -> None:
    unreachable = {
        "standard": Unavailable(
            reason="StorageAccountUnreachable", message="no response", retry_after=5.0
        )
    }
    _, bodies = in_sync(Facts(), PLATFORM)
    for facts in (Facts(unavailable=unreachable), observed(Facts(unavailable=unreachable), bodies)):
        decision = decide(facts, PLATFORM)
        assert [] == decision.findings
        assert {"aaw-unclassified-ro", "aaw-protected-b"} == {
            one.name for one in decision.manifests if one.namespace
        }
        assert [] == decision.deleted
        assert set() == pruned(facts, decision)


def test_a_source_without_a_document_removes_nothing_and_others_continue() -> None:
    granted = Facts(
        buckets={INTERNAL: (LAB,), EXTERNAL: (bucket(volume="lab-eunc"),)},
    )
    _, bodies = in_sync(granted)
    internal_alone = observed(Facts(buckets={INTERNAL: ()}), bodies)
    decision = decide(internal_alone)
    assert [volumes.claim_key("alice", PVC)] == decision.deleted
    assert volumes.volume_key("alice-fdi-unclassified-lab-eunc") in decision.retained

    claims = [one for one in bodies if one["kind"] == "PersistentVolumeClaim"]
    for existing in (bodies, claims):
        decision = decide(observed(Facts(), existing))
        assert [] == decision.deleted
        assert set() == pruned(observed(Facts(), existing), decision)


def test_a_disabled_source_removes_nothing() -> None:
    _, bodies = in_sync(facts_with(LAB))
    facts = observed(Facts(), bodies)
    assert [] == decide(facts, BlobCsiSettings(instances=())).deleted


def test_a_volume_of_an_account_without_a_source_is_retained_until_all_sources_are_read() -> None:
    _, bodies = in_sync(facts_with(LAB))
    bodies[0]["spec"]["csi"]["volumeAttributes"]["storageAccount"] = "former"
    assert [] == decide(observed(Facts(buckets={INTERNAL: ()}), bodies)).deleted
    assert [volumes.claim_key("alice", PVC)] == decide(observed(facts_with(), bodies)).deleted


def test_of_two_buckets_with_one_volume_name_the_existing_volume_stays() -> None:
    rival = bucket(container="rival")
    both = Facts(buckets={INTERNAL: (LAB,), EXTERNAL: (rival,)})
    for first, container in (
        (facts_with(LAB), "lab"),
        (facts_with(rival, source=EXTERNAL), "rival"),
    ):
        facts, bodies = in_sync(first)
        decision = decide(observed(both, bodies))
        volume = decision.manifests[0]
        assert container == volume.content["spec"]["csi"]["volumeAttributes"]["containerName"]
        (finding,) = decision.findings
        assert "VolumeNameConflict" == finding.reason
        assert PV in finding.message
        assert set() == pruned(facts, decision)
    assert (
        "lab"
        == decide(both).manifests[0].content["spec"]["csi"]["volumeAttributes"]["containerName"]
    )


def test_an_unknown_service_principal_affects_its_bucket_only() -> None:
    unknown = bucket(volume="other", principal="unknown-sp")
    decision = decide(facts_with(LAB, unknown))
    assert [PV, PVC] == [one.name for one in decision.manifests]
    (finding,) = decision.findings
    assert ("UnknownServicePrincipal", Severity.PROBLEM) == (finding.reason, finding.severity)
    assert "'unknown-sp'" in finding.message


def test_a_name_that_is_too_long_affects_its_volume_only() -> None:
    long = bucket(volume="x" * 231)
    decision = decide(facts_with(LAB, long))
    assert [PV, PVC] == [one.name for one in decision.manifests]
    (finding,) = decision.findings
    assert "InvalidVolumeName" == finding.reason
    assert "at most 253 characters" in finding.message


@pytest.mark.parametrize("case", ["another profile's", "another driver's"])
def test_a_volume_of_another_owner_with_the_desired_name_is_unchanged(case: str) -> None:
    facts, bodies = in_sync(facts_with(LAB))
    if case == "another profile's":
        bodies[0]["metadata"]["ownerReferences"][0]["uid"] = "uid-bob"
    else:
        bodies[0]["spec"]["csi"]["driver"] = "nfs.csi.k8s.io"
    facts = observed(facts, bodies[:1])
    decision = decide(facts)
    assert [] == [*decision.manifests, *decision.deleted]
    assert set() == pruned(facts, decision)
    assert ["VolumeNotOwned"] == [one.reason for one in decision.findings]


def test_volumes_of_other_drivers_are_never_pruned() -> None:
    _, bodies = in_sync(facts_with(LAB))
    bodies[0]["metadata"]["name"] = "alice-archive"
    bodies[0]["spec"]["csi"]["driver"] = "nfs.csi.k8s.io"
    facts = observed(facts_with(), bodies)
    assert [] == decide(facts).deleted
    assert set() == pruned(facts, decide(facts))


def test_pods_that_have_ended_or_have_no_node_mount_no_claim() -> None:
    pod: Body = {
        "metadata": {"name": "notebook-0"},
        "spec": {
            "nodeName": "node",
            "volumes": [
                {"name": "a", "persistentVolumeClaim": {"claimName": "b"}},
                {"name": "c", "emptyDir": {}},
                {"name": "d", "persistentVolumeClaim": {"claimName": "a"}},
            ],
        },
        "status": {"phase": "Running"},
    }
    assert ("a", "b") == volumes.mounted_claims(pod)
    assert () == volumes.mounted_claims({**pod, "status": {"phase": "Succeeded"}})
    assert () == volumes.mounted_claims({**pod, "spec": {**pod["spec"], "nodeName": ""}})
    assert () == volumes.mounted_claims({"metadata": {}})


SHORT = st.sampled_from(["lab", "raw", "x" * 250])
PEOPLE = st.frozensets(st.sampled_from(["alice", "bob", "alice, bob"]))
BUCKETS = st.lists(
    st.builds(
        Bucket,
        container=SHORT,
        volume=SHORT,
        subfolder=st.sampled_from(["", "raw/a"]),
        principal=st.sampled_from(["", "lab-sp", "unknown-sp"]),
        readers=PEOPLE,
        writers=PEOPLE,
    ),
    unique_by=lambda one: one.volume,
)
DOCUMENTS = st.dictionaries(st.sampled_from(list(SHARED.sources)), BUCKETS.map(tuple))


@given(before=DOCUMENTS, now=DOCUMENTS)
def test_any_change_of_grants_leaves_each_object_in_one_list_only(before: Any, now: Any) -> None:
    _, bodies = in_sync(Facts(buckets=before))
    facts = observed(Facts(buckets=now), bodies)
    decision = decide(facts)

    wanted = [one.key for one in decision.manifests]
    assert len(set(wanted)) == len(wanted)
    assert all(names.is_subdomain(key.name) for key in wanted)
    assert not decision.retained.intersection(wanted)
    assert not set(decision.deleted).intersection(wanted)
    # Nothing is pruned: claims go first, and are waited for.
    assert not {key.name for key in decision.deleted if key.kind == "PersistentVolume"}
    assert not pruned(facts, decision)


@given(now=DOCUMENTS)
def test_any_grants_are_in_sync_after_one_reconcile(now: Any) -> None:
    facts, _ = in_sync(Facts(buckets=now))
    again = decide(facts)
    assert again.manifests == decide(Facts(buckets=now)).manifests
    assert [] == again.deleted


def test_a_claim_whose_volume_was_deleted_is_deleted_with_its_pods() -> None:
    _, bodies = in_sync(facts_with(LAB))
    facts = observed(facts_with(), bodies[1:], pods={PVC: ("notebook-0",)})
    claim, pod = volumes.claim_key("alice", PVC), Key("Pod", "alice", "notebook-0")
    assert [claim] == decide(facts).deleted
    bodies[1]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert [claim, pod] == decide(observed(facts, bodies[1:])).deleted
    bodies[1]["metadata"]["labels"] = {}
    assert [] == decide(observed(facts, bodies[1:])).deleted


def test_a_failing_source_is_reported_only_to_the_profiles_that_use_it() -> None:
    facts, bodies = in_sync(facts_with(LAB))
    failing: dict[str, Any] = {"failing": frozenset({INTERNAL})}
    cases = {
        "listed": (dataclasses.replace(facts, **failing), 1),
        "not listed": (facts_with(bucket(readers=frozenset({"bob"})), **failing), 0),
        "not read since the start": (observed(Facts(**failing), bodies), 1),
        "not read, and nothing exists": (Facts(**failing), 0),
    }
    for case, (facts_, count) in cases.items():
        reported = [one for one in decide(facts_).findings if one.reason == "BucketSourceFailing"]
        assert count == len(reported), case
        assert all(one.severity is Severity.NOTICE for one in reported)
