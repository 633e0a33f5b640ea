"""blob-csi on a cluster in memory: before, then writes, events and condition.

Azurite, a gateway, the binder and volume protection are real in `tests/real/test_blob_*.py`.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest

from controllers.blob_csi import observations
from controllers.blob_csi.accounts import accounts
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.controller import CONTROLLER, Outside, collect_garbage
from controllers.blob_csi.grants.resolve import Withheld
from controllers.blob_csi.instances import SecretRef
from controllers.manifests import Body, Key
from controllers.profiles import Profile
from controllers.runtime.controller import (
    AnyController,
    ExternalFactory,
    ProfileGone,
)
from controllers.runtime.external.system import ComponentStatus
from controllers.runtime.options import Options
from tests.support.azure.buckets import GIVEN, PV, PVC
from tests.support.builders import live_objects
from tests.support.fakes import FakeCluster, event_loop, harness

pytestmark = pytest.mark.virtual_time

CONFIG_MAP = Key("ConfigMap", "daaas-system", "fdi-aaw-configuration")
VOLUME = Key("PersistentVolume", "", PV)
CLAIM = Key("PersistentVolumeClaim", "alice", PVC)
POD = Key("Pod", "alice", "notebook-0")
TYPE = "BlobCsiReady"
STANDARD = {
    "name": "standard",
    "classification": "unclassified",
    "secretRef": "azure-secret",
    "capacity": 10,
}
LAB = {
    "bucketName": "lab",
    "pvName": "lab-iunc",
    "spn": "lab-sp",
    "readers": ["alice", "bob"],
    "writers": ["bob"],
}
KEYS = ("unclassified-internal", "unclassified-external", "protected-b-internal")
FOREGROUND = ("Event", "Profile")


class Containers:
    """Accounts that withhold what a test says, by profile and instance."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[str, Withheld]] = {}
        self.asked: list[tuple[str, frozenset[str], frozenset[str]]] = []
        self.secrets: set[SecretRef] = set()
        self.found: list[object] | None = None
        self.swept: list[bool] = []
        self.closed = False

    def read(self, kept: accounts.Kept) -> bool:
        before, self.found = (
            self.found,
            [kept("Secret", one.namespace, one.name) for one in self.secrets],
        )
        return before not in (None, self.found)

    async def withheld(
        self,
        profile: Profile,
        volumes: Mapping[str, observations.Volume],
        profiles: frozenset[str],
    ) -> Mapping[str, Withheld]:
        self.asked.append((profile.name, frozenset(volumes), profiles))
        return self.answers.get(profile.name, {})

    async def sweep(self, profile_gone: ProfileGone) -> None:
        self.swept.append(profile_gone("alice", "uid-alice"))

    def components(self) -> list[ComponentStatus]:
        return [ComponentStatus(name="account/good", last_success=1.0)]

    async def close(self) -> None:
        self.closed = True


def controller(containers: Containers, settings: BlobCsiSettings) -> AnyController:
    containers.secrets = {one.secret_ref for one in settings.instances}

    def connect(known: BlobCsiSettings, *, dry_run: bool) -> Outside:
        return Outside(known, dry_run=dry_run, accounts=containers)

    return dataclasses.replace(
        CONTROLLER, external=ExternalFactory(connect=connect, collect_garbage=collect_garbage)
    )


def running(
    cluster: FakeCluster | None = None,
    containers: Containers | None = None,
    *,
    options: Options | None = None,
    settle: bool = True,
    **changes: Any,
) -> Any:
    settings = BlobCsiSettings.model_validate({**GIVEN, **changes})
    assembly = (controller(containers or Containers(), settings), settings)
    return harness.running(
        assembly, cluster=cluster or tenants(LAB), options=options, settle=settle
    )


def tenants(*listed: Mapping[str, Any], names: tuple[str, ...] = ("alice", "bob")) -> FakeCluster:
    cluster = FakeCluster()
    for name in names:
        harness.put_tenant(cluster, name, uid=f"uid-{name}")
    cluster.objects.put(config_map(**{KEYS[0]: listed}))
    return cluster


def config_map(**lists: Any) -> Body:
    data = {f"fdi-{key}.json": json.dumps(lists.get(key, [])) for key in KEYS}
    return live_objects.object_body(
        CONFIG_MAP.kind, CONFIG_MAP.name, CONFIG_MAP.namespace, labels={}, owners=[], data=data
    )


def say(cluster: FakeCluster, text: str, key: str = KEYS[0]) -> None:
    cluster.objects.edit(CONFIG_MAP, lambda body: body["data"].update({f"fdi-{key}.json": text}))


def volumes(cluster: FakeCluster) -> list[str]:
    return [one["metadata"]["name"] for one in cluster.objects.all_of("PersistentVolume")]


def hold(cluster: FakeCluster, *keys: Key) -> None:
    """As Kubernetes' protection does."""
    for key in keys:
        cluster.objects.edit(key, lambda body: body["metadata"].update(finalizers=["test/hold"]))


def release(cluster: FakeCluster, key: Key) -> None:
    cluster.objects.edit(key, lambda body: body["metadata"].pop("finalizers"))


def pod(**spec: Any) -> Body:
    claim = {"name": "v", "persistentVolumeClaim": {"claimName": PVC}}
    return live_objects.object_body(
        POD.kind, POD.name, POD.namespace, labels={}, owners=[], uid="uid-pod",
        spec={"nodeName": "node", "volumes": [claim], **spec}, status={"phase": "Running"},
    )  # fmt: skip


async def test_a_reader_has_the_bucket_and_who_is_not_listed_has_nothing() -> None:
    async with running(tenants(LAB, names=("alice", "bob", "carol"))) as process:
        assert [PV, PV.replace("alice", "bob")] == volumes(process.cluster)
        assert ("True", "2 objects are in place") == process.conditions()[TYPE]
        assert ("True", "0 objects are in place") == process.conditions("carol")[TYPE]


async def test_a_new_reader_and_a_former_one_are_woken_and_nobody_else() -> None:
    cluster = tenants(LAB, names=("alice", "bob", "carol", "dave"))
    containers = Containers()
    async with running(cluster, containers) as process:
        containers.asked.clear()
        say(cluster, json.dumps([{**LAB, "readers": ["bob", "carol"]}]))
        await process.settled()

        assert {"alice", "carol"} == {name for name, *_ in containers.asked}
        assert [PV.replace("alice", "bob"), PV.replace("alice", "carol")] == volumes(cluster)


async def test_a_text_that_says_the_same_wakes_nobody() -> None:
    cluster, containers = tenants(LAB), Containers()
    async with running(cluster, containers) as process:
        containers.asked.clear()
        say(cluster, json.dumps([{**LAB, "readers": ["bob", "alice", "bob"]}], indent=2))
        await process.settled()
        assert [] == containers.asked


BAD = {
    "no JSON": "{",
    "html": "<html>",
    "another type": json.dumps({"lab": LAB}),
    "wrong readers": json.dumps([{**LAB, "readers": "alice"}]),
    "a name twice": json.dumps([LAB, {**LAB, "bucketName": "other"}]),
    "no valid name": json.dumps([{**LAB, "pvName": "../x"}]),
    "a constant": "[NaN]",
    "empty": "",
}


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_document_takes_nothing_away_and_is_said(bad: str) -> None:
    cluster = tenants(LAB)
    async with running(cluster) as process:
        cluster.requests.clear()
        say(cluster, BAD[bad])
        await process.settled()

        assert [] == cluster.written(but=FOREGROUND)
        assert ("True", "2 objects are in place") == process.conditions()[TYPE]
        assert any(reason == "SourceFailing" for _, reason, _ in process.events())
        name = "external/blob-csi/fdi-unclassified-internal.json"
        (check,) = (one for one in process.health.readyz() if one.name == name)
        assert check.note.startswith("ConfigMap daaas-system/")
        text = process.manager.world.metrics.exposition().decode()
        up = 'profiles_controller_external_system_up{controller="blob-csi",system='
        assert f'{up}"fdi-unclassified-internal.json"}} 0.0' in text
        assert f'{up}"fdi-unclassified-external.json"}} 1.0' in text

        say(cluster, "[]")
        await process.settled()
        assert [] == volumes(cluster)


@pytest.mark.parametrize("what", ["ConfigMap", "key"])
async def test_what_is_absent_is_no_empty_answer(what: str) -> None:
    cluster = tenants(LAB)
    async with running(cluster) as process:
        if what == "key":
            cluster.objects.edit(
                CONFIG_MAP, lambda body: body["data"].pop("fdi-unclassified-internal.json")
            )
        else:
            cluster.objects.delete(CONFIG_MAP)
        await process.settled()
        assert 2 == len(volumes(cluster))
    async with running(cluster) as process:
        await process.resynced()
        assert 2 == len(volumes(cluster))
        cluster.objects.put(config_map())
        await process.settled()
        assert [] == volumes(cluster)


async def test_a_withdrawal_goes_by_claim_pods_volume_and_each_waits_for_the_one_before() -> None:
    cluster = tenants(LAB)
    async with running(cluster) as process:
        hold(cluster, VOLUME, CLAIM)
        cluster.objects.put(pod())
        await process.settled()
        cluster.requests.clear()
        say(cluster, "[]")

        await event_loop.until(
            lambda: cluster.objects.get(POD) is None, "the pod goes", seconds=5.0
        )
        deleted = [one for one in cluster.written() if one.startswith("DELETE")]
        assert [f"DELETE {CLAIM}", f"DELETE {POD}"] == [one for one in deleted if "alice" in one]
        assert "deletionTimestamp" not in cluster.objects.read(VOLUME)["metadata"]
        await event_loop.until(
            lambda: "is being deleted" in process.conditions()[TYPE][1], "it is said", seconds=9.0
        )

        release(cluster, CLAIM)
        await event_loop.until(
            lambda: "deletionTimestamp" in cluster.objects.read(VOLUME)["metadata"], "the volume"
        )
        release(cluster, VOLUME)
        await process.settled()
        assert ("True", "0 objects are in place") == process.conditions()[TYPE]
        told = [message for _, reason, message in process.events() if reason == "Withdrawing"]
        assert any(PV in message and "nothing gives it to alice" in message for message in told)


@pytest.mark.parametrize("phase", ["Released", "Failed"])
async def test_a_volume_that_is_used_up_is_made_anew(phase: str) -> None:
    cluster = tenants(LAB)
    async with running(cluster) as process:
        before = cluster.objects.read(VOLUME)["metadata"]["uid"]
        cluster.objects.delete(CLAIM)
        cluster.objects.edit(VOLUME, lambda body: body.update(status={"phase": phase}))
        await process.settled()

        assert before != cluster.objects.read(VOLUME)["metadata"]["uid"]
        assert cluster.objects.get(CLAIM) is not None


async def test_what_the_binder_does_wakes_nobody() -> None:
    cluster, containers = tenants(LAB), Containers()
    async with running(cluster, containers) as process:
        containers.asked.clear()
        bound = {"status": {"phase": "Bound"}}
        cluster.objects.edit(VOLUME, lambda body: body.update(bound))
        cluster.objects.edit(CLAIM, lambda body: body.update(bound))
        await process.settled()
        assert [] == containers.asked


async def test_a_container_that_is_withheld_costs_its_instance_alone() -> None:
    cluster, containers = harness.tenants("alice"), Containers()
    containers.answers["alice"] = {"standard": Withheld(reason="Taken", message="is another's")}
    other = {**STANDARD, "name": "other"}
    async with running(cluster, containers, instances=[STANDARD, other]) as process:
        assert ["alice-other"] == volumes(cluster)
        assert ("False", "is another's") == process.conditions()[TYPE]
        assert {("alice", frozenset(), frozenset({"alice"}))} == set(containers.asked[:1])


async def test_an_account_that_is_away_is_asked_again_and_the_rest_is_kept() -> None:
    cluster, containers = tenants(LAB), Containers()
    away = Withheld(reason="AccountAway", message="good: no answer", after=20.0)
    containers.answers["alice"] = {"standard": away}
    async with running(cluster, containers, instances=[STANDARD], settle=False) as process:
        await event_loop.until(lambda: TYPE in process.conditions(), "it is said", seconds=15.0)
        assert ("False", "good: no answer") == process.conditions()[TYPE]
        assert PV in volumes(cluster)
        assert "alice-standard" not in volumes(cluster)

        containers.answers.clear()
        await event_loop.until(lambda: "alice-standard" in volumes(cluster), "asked again")


async def test_a_secret_that_changes_wakes_everybody() -> None:
    cluster, containers = tenants(), Containers()
    async with running(cluster, containers, instances=[STANDARD]) as process:
        containers.asked.clear()
        data = {"azurestorageaccountname": "Z29vZA==", "azurestorageaccountkey": "a2V5"}
        secret = live_objects.object_body(
            "Secret", "azure-secret", "azure-blob-csi-system", labels={}, owners=[], data=data
        )
        cluster.objects.put(secret)
        await process.settled()
        assert {"alice", "bob"} == {name for name, *_ in containers.asked}
        assert all(
            "metadata.name=azure-secret" in one.query["fieldSelector"]
            for one in cluster.requests
            if one.kind == "Secret"
        )


async def test_a_restart_and_the_steady_state_write_nothing() -> None:
    cluster = tenants(LAB)
    async with running(cluster, instances=[STANDARD]):
        pass
    cluster.requests.clear()
    async with running(cluster, instances=[STANDARD]) as process:
        await process.resynced()
    assert [] == cluster.written()


async def test_a_volume_of_anothers_under_our_name_gets_no_claim() -> None:
    cluster = harness.tenants("alice")
    theirs = live_objects.object_body(
        "PersistentVolume", "alice-standard", "", labels={}, owners=[],
        spec={"csi": {"driver": "nfs.csi.k8s.io"}},
    )  # fmt: skip
    stored = cluster.objects.put(theirs)
    async with running(cluster, instances=[STANDARD]) as process:
        assert stored == cluster.objects.read(Key("PersistentVolume", "", "alice-standard"))
        assert [] == cluster.objects.all_of("PersistentVolumeClaim")
        assert "False" == process.conditions()[TYPE][0]


async def test_one_profiles_volume_under_anothers_name_is_left() -> None:
    """`alice` with instance `b-standard` and `alice-b` with `standard` want one name."""
    cluster = harness.tenants("alice")
    both = [STANDARD, {**STANDARD, "name": "b-standard"}]
    async with running(cluster, instances=both) as process:
        first = cluster.objects.read(Key("PersistentVolume", "", "alice-b-standard"))
        harness.put_tenant(cluster, "alice-b", uid="uid-alice-b")
        await process.settled()
        assert first == cluster.objects.read(Key("PersistentVolume", "", "alice-b-standard"))
        assert "ForeignVolume" in {reason for _, reason, _ in process.events()}


async def test_the_chore_sweeps_and_the_end_closes() -> None:
    containers = Containers()
    async with running(harness.tenants("alice"), containers):
        await event_loop.until(lambda: containers.swept == [False], "swept")
    assert containers.closed


async def test_a_dry_run_plans_and_writes_nothing() -> None:
    cluster = tenants(LAB)
    async with running(cluster, options=Options(listen=None, dry_run=True)) as process:
        report = await process.reconcile("blob-csi")
        assert {f"{VOLUME} create", f"{CLAIM} create"} == set(str(report.changes).splitlines())
        assert [] == cluster.written()
