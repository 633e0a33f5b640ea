"""The blob-csi controller: which volumes it wants, and how each comes from here to there."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.blob_csi import desired, names, observations, volumes
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.grants.parse import Bucket
from controllers.blob_csi.grants.resolve import Facts, Withheld
from controllers.blob_csi.grants.sources import Origin, Source
from controllers.findings import Severity
from controllers.manifests import Body, Key
from tests.support.azure.buckets import (
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
    facts,
    in_place,
    left,
    seen,
    settings_with,
)
from tests.support.builders import inputs


@pytest.mark.parametrize(
    ("name", "profile", "settings", "known"),
    [
        ("platform", inputs.profile("jane--doe"), PLATFORM, Facts()),
        (
            "shared",
            ALICE,
            SHARED,
            Facts(
                answers={
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
def test_volumes_and_claims_are_as_their_golden_file(
    name: str, profile: Any, settings: BlobCsiSettings, known: Facts
) -> None:
    manifests = desired.desired(profile, known, settings).objects
    assert inputs.golden("blob-csi", name) == inputs.bodies(
        manifests, profile, component="blob-csi"
    )


def test_who_reads_and_writes_may_write_and_who_only_writes_has_nothing() -> None:
    for readers, writers, mode in (
        ({"alice"}, {"alice"}, "ReadWriteMany"),
        ({"alice"}, {"bob"}, "ReadOnlyMany"),
        ({"bob"}, {"alice"}, None),
        ({"bob"}, {"bob"}, None),
        ({"alice, bob"}, {"alice, bob"}, None),
    ):
        known = facts(bucket(readers=frozenset(readers), writers=frozenset(writers)))
        manifests = decide(known).manifests
        assert [mode] * 2 * bool(mode) == [m.content["spec"]["accessModes"][0] for m in manifests]
        told = [(one.reason, one.severity) for one in decide(known).findings]
        alone = "alice" in writers - readers
        assert [("WriterOnly", Severity.NOTICE)] * alone == told


def test_what_is_in_place_is_wanted_as_it_is() -> None:
    for settings, known in ((SHARED, facts(LAB)), (PLATFORM, Facts())):
        there, _ = in_place(known, settings)
        assert decide(known, settings).manifests == decide(there, settings).manifests
        assert [] == [*decide(there, settings).removed, *decide(there, settings).findings]


CHANGES: dict[str, Bucket] = {
    "access mode": bucket(writers=frozenset({"alice"})),
    "container": bucket(container="other"),
    "secret": bucket(principal="other-sp"),
    "subfolder": bucket(subfolder="raw"),
}
OTHER_SP = settings_with(spn_client_ids={"lab-sp": "1", "other-sp": "2"})


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_source_replaces_in_the_order_claim_pods_volume(what: str) -> None:
    _, bodies = in_place(facts(LAB), OTHER_SP)
    volume, claim = bodies
    known = seen(facts(CHANGES[what]), bodies, pods={PVC: ("notebook-0",)})

    first = decide(known, OTHER_SP)
    assert ([], [volumes.claim_key("alice", PVC)]) == (first.manifests, first.removed)
    assert set() == left(known, first)

    claim["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    known = seen(known, bodies)
    second = decide(known, OTHER_SP)
    steps = [volumes.claim_key("alice", PVC), Key("Pod", "alice", "notebook-0")]
    assert ([], steps) == (second.manifests, second.removed)
    assert set() == left(known, second)

    volume["status"]["phase"] = "Released"
    known = seen(known, [volume])
    third = decide(known, OTHER_SP)
    assert ([], [volumes.volume_key(PV)]) == (third.manifests, third.removed)
    told = {(one.reason, one.severity) for one in (*first.findings, *second.findings)}
    assert {("Withdrawing", Severity.NOTICE)} == told

    known = seen(known, [])
    assert [PV, PVC] == [one.name for one in decide(known, OTHER_SP).manifests]


def test_a_withdrawn_grant_takes_claim_pods_and_volume_in_that_order() -> None:
    _, bodies = in_place(facts(LAB))
    known = seen(facts(), bodies, pods={PVC: ("notebook-0",), "standard": ("other-0",)})
    assert [volumes.claim_key("alice", PVC)] == decide(known).removed
    bodies[1]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    known = seen(known, bodies)
    steps = [volumes.claim_key("alice", PVC), Key("Pod", "alice", "notebook-0")]
    assert steps == decide(known).removed
    assert set() == left(known, decide(known))
    known = seen(known, bodies[:1])
    assert [volumes.volume_key(PV)] == decide(known).removed
    (finding,) = decide(known).findings
    assert "nothing gives it to alice any more" in finding.message


def test_a_claim_that_a_tenant_stripped_of_its_owner_is_withdrawn_all_the_same() -> None:
    _, bodies = in_place(facts(LAB))
    bodies[1]["metadata"] |= {"ownerReferences": [], "labels": {}}
    assert [volumes.claim_key("alice", PVC)] == decide(seen(facts(), bodies)).removed


def test_a_tenants_own_claim_that_holds_no_volume_of_ours_is_left() -> None:
    _, bodies = in_place(facts(LAB))
    bodies[1]["metadata"]["ownerReferences"] = []
    bodies[1]["spec"]["volumeName"] = "theirs"
    known = seen(facts(), bodies)
    assert [volumes.volume_key(PV)] == decide(known).removed


def test_a_claim_under_another_name_goes_before_the_volume_that_it_holds() -> None:
    _, bodies = in_place(facts(LAB))
    bodies[0]["spec"]["claimRef"]["name"] = bodies[1]["metadata"]["name"] = "renamed"
    bodies[1]["metadata"] |= {"ownerReferences": [], "labels": {}}
    for known in (facts(LAB), facts()):
        decision = decide(seen(known, bodies))
        assert ([], [volumes.claim_key("alice", "renamed")]) == (
            decision.manifests,
            decision.removed,
        )


@pytest.mark.parametrize("phase", ["Released", "Failed"])
def test_a_volume_that_is_used_up_is_made_anew(phase: str) -> None:
    known, bodies = in_place(facts(LAB))
    bodies[0]["status"]["phase"] = phase
    assert [volumes.volume_key(PV)] == decide(seen(known, bodies[:1])).removed


def test_a_lost_claim_is_made_anew_with_its_volume() -> None:
    known, bodies = in_place(facts(LAB))
    bodies[1]["status"]["phase"] = "Lost"
    assert [volumes.claim_key("alice", PVC)] == decide(seen(known, bodies[1:])).removed


def test_a_claim_for_another_volume_is_replaced_and_not_patched() -> None:
    for change in ({"volumeName": "x"}, {"storageClassName": "fast"}, {"accessModes": ["RWX"]}):
        known, bodies = in_place(facts(LAB))
        bodies[1]["spec"] |= change
        decision = decide(seen(known, bodies))
        assert ([], [volumes.claim_key("alice", PVC)]) == (decision.manifests, decision.removed)


def test_a_capacity_applies_to_new_volumes_only_and_is_said() -> None:
    known, _ = in_place(facts(LAB))
    grown = settings_with(fdi_unclass_pv_storage_cap="200Gi")
    decision = decide(known, grown)
    assert decide(known).manifests == decision.manifests
    ((reason, severity, message),) = [(f.reason, f.severity, f.message) for f in decision.findings]
    assert ("CapacityKept", Severity.NOTICE) == (reason, severity)
    assert f"PersistentVolume {PV} keeps its capacity 100Gi: 200Gi applies" in message


def test_other_mount_options_are_changed_in_place() -> None:
    known, _ = in_place(facts(LAB))
    other = settings_with(mount_options=("-o allow_other",))
    volume, _ = decide(known, other).manifests
    assert ["-o allow_other", "-o ro", "--use-adls=true"] == volume.content["spec"]["mountOptions"]


def test_an_endpoint_that_is_set_later_replaces_no_volume() -> None:
    known, _ = in_place(facts(LAB))
    with_endpoint = settings_with(fdi_unclass_azure_storage_aad_endpoint="https://a")
    decision = decide(known, with_endpoint)
    assert decide(known).manifests == decision.manifests
    assert ["AttributesKept"] == [one.reason for one in decision.findings]


def test_a_container_that_is_refused_creates_nothing_and_removes_nothing() -> None:
    withheld = {"standard": Withheld(reason="ContainerTaken", message="is another's")}
    absent = decide(Facts(withheld=withheld), PLATFORM)
    assert {"aaw-unclassified-ro", "aaw-protected-b"} == {
        one.name for one in absent.manifests if one.namespace
    }
    assert [("ContainerTaken", "is another's")] == [(f.reason, f.message) for f in absent.findings]

    _, bodies = in_place(Facts(), PLATFORM)
    known = seen(Facts(withheld=withheld), bodies)
    decision = decide(known, PLATFORM)
    assert [] == decision.removed
    assert set() == left(known, decision)


def test_a_container_whose_account_is_away_waits_and_is_no_finding() -> None:
    away = {"standard": Withheld(reason="StorageAccountAway", message="no answer", after=5.0)}
    _, bodies = in_place(Facts(), PLATFORM)
    for known in (Facts(withheld=away), seen(Facts(withheld=away), bodies)):
        decision = decide(known, PLATFORM)
        assert [] == decision.findings
        assert {"aaw-unclassified-ro", "aaw-protected-b"} == {
            one.name for one in decision.manifests if one.namespace
        }
        assert [] == decision.removed
        assert set() == left(known, decision)


def test_a_silent_source_withdraws_nothing_and_the_others_go_on() -> None:
    granted = Facts(
        answers={INTERNAL: (LAB,), EXTERNAL: (bucket(volume="lab-eunc"),)},
    )
    _, bodies = in_place(granted)
    internal_alone = seen(Facts(answers={INTERNAL: ()}), bodies)
    decision = decide(internal_alone)
    assert [volumes.claim_key("alice", PVC)] == decision.removed
    assert volumes.volume_key("alice-fdi-unclassified-lab-eunc") in decision.spared

    claims = [one for one in bodies if one["kind"] == "PersistentVolumeClaim"]
    for there in (bodies, claims):
        nobody = decide(seen(Facts(), there))
        assert [] == nobody.removed
        assert set() == left(seen(Facts(), there), nobody)


def test_a_source_that_is_switched_off_withdraws_nothing() -> None:
    _, bodies = in_place(facts(LAB))
    known = seen(Facts(), bodies)
    assert [] == decide(known, BlobCsiSettings(instances=())).removed


def test_an_account_that_is_no_sources_any_more_waits_for_all_to_speak() -> None:
    _, bodies = in_place(facts(LAB))
    bodies[0]["spec"]["csi"]["volumeAttributes"]["storageAccount"] = "former"
    assert [] == decide(seen(Facts(answers={INTERNAL: ()}), bodies)).removed
    assert [volumes.claim_key("alice", PVC)] == decide(seen(facts(), bodies)).removed


def test_of_two_buckets_of_one_volume_the_one_in_place_stays_and_the_other_is_told() -> None:
    rival = bucket(container="rival")
    both = Facts(answers={INTERNAL: (LAB,), EXTERNAL: (rival,)})
    for first, container in ((facts(LAB), "lab"), (facts(rival, source=EXTERNAL), "rival")):
        known, bodies = in_place(first)
        decision = decide(seen(both, bodies))
        volume = decision.manifests[0]
        assert container == volume.content["spec"]["csi"]["volumeAttributes"]["containerName"]
        (finding,) = decision.findings
        assert "DuplicateVolume" == finding.reason
        assert PV in finding.message
        assert set() == left(known, decision)
    assert (
        "lab"
        == decide(both).manifests[0].content["spec"]["csi"]["volumeAttributes"]["containerName"]
    )


def test_an_unknown_principal_costs_its_bucket_alone() -> None:
    unknown = bucket(volume="other", principal="nobody-sp")
    decision = decide(facts(LAB, unknown))
    assert [PV, PVC] == [one.name for one in decision.manifests]
    (finding,) = decision.findings
    assert ("UnknownPrincipal", Severity.PROBLEM) == (finding.reason, finding.severity)
    assert "'nobody-sp'" in finding.message


def test_a_name_that_is_too_long_costs_its_volume_alone() -> None:
    long = bucket(volume="x" * 231)
    decision = decide(facts(LAB, long))
    assert [PV, PVC] == [one.name for one in decision.manifests]
    (finding,) = decision.findings
    assert "InvalidName" == finding.reason
    assert "expected at most 253" in finding.message


@pytest.mark.parametrize("case", ["another profile's", "another driver's"])
def test_anothers_volume_under_our_name_is_left_without_a_claim(case: str) -> None:
    known, bodies = in_place(facts(LAB))
    if case == "another profile's":
        bodies[0]["metadata"]["ownerReferences"][0]["uid"] = "uid-of-bob"
    else:
        bodies[0]["spec"]["csi"]["driver"] = "nfs.csi.k8s.io"
    known = seen(known, bodies[:1])
    decision = decide(known)
    assert [] == [*decision.manifests, *decision.removed]
    assert set() == left(known, decision)
    assert ["ForeignVolume"] == [one.reason for one in decision.findings]


def test_the_profiles_volumes_of_other_drivers_are_never_pruned() -> None:
    _, bodies = in_place(facts(LAB))
    bodies[0]["metadata"]["name"] = "alice-archive"
    bodies[0]["spec"]["csi"]["driver"] = "nfs.csi.k8s.io"
    known = seen(facts(), bodies)
    assert [] == decide(known).removed
    assert set() == left(known, decide(known))


def test_pods_that_have_ended_or_have_no_node_hold_no_claim() -> None:
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
    assert ("a", "b") == observations.claims_of_pod(pod)
    assert () == observations.claims_of_pod({**pod, "status": {"phase": "Succeeded"}})
    assert () == observations.claims_of_pod({**pod, "spec": {**pod["spec"], "nodeName": ""}})
    assert () == observations.claims_of_pod({"metadata": {}})


SHORT = st.sampled_from(["lab", "raw", "x" * 250])
PEOPLE = st.frozensets(st.sampled_from(["alice", "bob", "alice, bob"]))
GRANTED = st.lists(
    st.builds(
        Bucket,
        container=SHORT,
        volume=SHORT,
        subfolder=st.sampled_from(["", "raw/a"]),
        principal=st.sampled_from(["", "lab-sp", "nobody-sp"]),
        readers=PEOPLE,
        writers=PEOPLE,
    ),
    unique_by=lambda one: one.volume,
)
ANSWERS = st.dictionaries(st.sampled_from(list(SHARED.storages)), GRANTED.map(tuple))


@given(before=ANSWERS, now=ANSWERS)
def test_whatever_is_granted_and_was_nothing_is_wanted_twice_or_both_kept_and_removed(
    before: Any, now: Any
) -> None:
    _, bodies = in_place(Facts(answers=before))
    known = seen(Facts(answers=now), bodies)
    decision = decide(known)

    wanted = [one.key for one in decision.manifests]
    assert len(set(wanted)) == len(wanted)
    assert all(names.is_subdomain(key.name) for key in wanted)
    assert not decision.spared.intersection(wanted)
    assert not set(decision.removed).intersection(wanted)
    # Nothing is pruned: claims go first, and are waited for.
    assert not {key.name for key in decision.removed if key.kind == "PersistentVolume"}
    assert not left(known, decision)


@given(now=ANSWERS)
def test_what_a_source_grants_is_in_place_after_one_turn_and_stays_as_it_is(now: Any) -> None:
    known, _ = in_place(Facts(answers=now))
    again = decide(known)
    assert again.manifests == decide(Facts(answers=now)).manifests
    assert [] == again.removed


def test_a_claim_whose_volume_went_before_it_goes_with_its_pods() -> None:
    _, bodies = in_place(facts(LAB))
    known = seen(facts(), bodies[1:], pods={PVC: ("notebook-0",)})
    claim, pod = volumes.claim_key("alice", PVC), Key("Pod", "alice", "notebook-0")
    assert [claim] == decide(known).removed
    bodies[1]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert [claim, pod] == decide(seen(known, bodies[1:])).removed
    bodies[1]["metadata"]["labels"] = {}
    assert [] == decide(seen(known, bodies[1:])).removed


def test_who_has_something_of_a_failing_source_is_told_and_nobody_else() -> None:
    known, bodies = in_place(facts(LAB))
    failing: dict[str, Any] = {"failing": frozenset({INTERNAL})}
    cases = {
        "listed": (dataclasses.replace(known, **failing), 1),
        "not listed": (facts(bucket(readers=frozenset({"bob"})), **failing), 0),
        "silent since the start": (seen(Facts(**failing), bodies), 1),
        "silent, and nothing there": (Facts(**failing), 0),
    }
    for case, (facts_, count) in cases.items():
        told = [one for one in decide(facts_).findings if one.reason == "SourceFailing"]
        assert count == len(told), case
        assert all(one.severity is Severity.NOTICE for one in told)
