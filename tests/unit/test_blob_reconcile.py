"""Reconciles of blob-csi on an in-memory cluster: writes, events and conditions.

Azurite, OPA, the volume binder and volume protection are real in `tests/real/test_blob_*.py`.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest

from controllers.blob_csi.accounts.storage_accounts import ReadCache
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.controller import CONTROLLER, collect_garbage
from controllers.blob_csi.facts import Unavailable
from controllers.blob_csi.instances import SecretRef
from controllers.blob_csi.observe import BlobCsiExternal
from controllers.blob_csi.volumes import ObservedVolume
from controllers.manifests import Body, Key
from controllers.profiles import Profile
from controllers.runtime import AnyController, ExternalFactory, ProfileGone
from controllers.runtime.external.system import ComponentStatus
from controllers.runtime.options import Options
from tests.support import builders
from tests.support.azure.builders import PV, PVC, SETTINGS
from tests.support.fakes import FakeCluster, harness, virtual_time

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
REPORTING = ("Event", "Profile")


class FakeAccounts:
    """Storage accounts in which the listed accounts, by profile, are unavailable."""

    def __init__(self) -> None:
        self.results: dict[str, dict[str, Unavailable]] = {}
        self.calls: list[tuple[str, frozenset[str], frozenset[str]]] = []
        self.secrets: set[SecretRef] = set()
        self.contents: list[object] | None = None
        self.collected: list[bool] = []
        self.closed = False

    def update_secrets(self, read: ReadCache) -> bool:
        before = self.contents
        self.contents = [read("Secret", one.namespace, one.name) for one in self.secrets]
        return before not in (None, self.contents)

    async def unavailable(
        self,
        profile: Profile,
        volumes: Mapping[str, ObservedVolume],
        profiles: frozenset[str],
    ) -> Mapping[str, Unavailable]:
        self.calls.append((profile.name, frozenset(volumes), profiles))
        return self.results.get(profile.name, {})

    async def collect_garbage(self, profile_gone: ProfileGone) -> None:
        self.collected.append(profile_gone("alice", "uid-alice"))

    def components(self) -> list[ComponentStatus]:
        return [ComponentStatus(name="storage-account/good", last_success=1.0)]

    async def close(self) -> None:
        self.closed = True


def controller(accounts: FakeAccounts, settings: BlobCsiSettings) -> AnyController:
    accounts.secrets = {one.secret_ref for one in settings.instances}

    def connect(settings: BlobCsiSettings, *, dry_run: bool) -> BlobCsiExternal:
        return BlobCsiExternal(settings, dry_run=dry_run, accounts=accounts)

    return dataclasses.replace(
        CONTROLLER, external=ExternalFactory(connect=connect, collect_garbage=collect_garbage)
    )


def running(
    cluster: FakeCluster | None = None,
    accounts: FakeAccounts | None = None,
    *,
    options: Options | None = None,
    settle: bool = True,
    **changes: Any,
) -> Any:
    settings = BlobCsiSettings.model_validate({**SETTINGS, **changes})
    assembly = (controller(accounts or FakeAccounts(), settings), settings)
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
    return builders.object_body(
        CONFIG_MAP.kind, CONFIG_MAP.name, CONFIG_MAP.namespace, labels={}, owners=[], data=data
    )


def write_document(cluster: FakeCluster, text: str, key: str = KEYS[0]) -> None:
    cluster.objects.edit(CONFIG_MAP, lambda body: body["data"].update({f"fdi-{key}.json": text}))


def volumes(cluster: FakeCluster) -> list[str]:
    return [one["metadata"]["name"] for one in cluster.objects.all_of("PersistentVolume")]


def protect(cluster: FakeCluster, *keys: Key) -> None:
    """Add a finalizer, as volume protection does."""
    for key in keys:
        cluster.objects.edit(
            key, lambda body: body["metadata"].update(finalizers=["test/protection"])
        )


def unprotect(cluster: FakeCluster, key: Key) -> None:
    cluster.objects.edit(key, lambda body: body["metadata"].pop("finalizers"))


def pod(**spec: Any) -> Body:
    claim = {"name": "v", "persistentVolumeClaim": {"claimName": PVC}}
    return builders.object_body(
        POD.kind, POD.name, POD.namespace, labels={}, owners=[], uid="uid-pod",
        spec={"nodeName": "node", "volumes": [claim], **spec}, status={"phase": "Running"},
    )  # fmt: skip


async def test_a_reader_has_a_volume_and_other_profiles_have_none() -> None:
    async with running(tenants(LAB, names=("alice", "bob", "carol"))) as process:
        assert [PV, PV.replace("alice", "bob")] == volumes(process.cluster)
        assert ("True", "2 objects are in place") == process.conditions()[TYPE]
        assert ("True", "0 objects are in place") == process.conditions("carol")[TYPE]


async def test_only_added_and_removed_readers_are_reconciled() -> None:
    cluster = tenants(LAB, names=("alice", "bob", "carol", "dave"))
    accounts = FakeAccounts()
    async with running(cluster, accounts) as process:
        accounts.calls.clear()
        write_document(cluster, json.dumps([{**LAB, "readers": ["bob", "carol"]}]))
        await process.settled()

        assert {"alice", "carol"} == {name for name, *_ in accounts.calls}
        assert [PV.replace("alice", "bob"), PV.replace("alice", "carol")] == volumes(cluster)


async def test_an_equivalent_document_reconciles_no_profile() -> None:
    cluster, accounts = tenants(LAB), FakeAccounts()
    async with running(cluster, accounts) as process:
        accounts.calls.clear()
        write_document(cluster, json.dumps([{**LAB, "readers": ["bob", "alice", "bob"]}], indent=2))
        await process.settled()
        assert [] == accounts.calls


INVALID = {
    "no JSON": "{",
    "html": "<html>",
    "another type": json.dumps({"lab": LAB}),
    "wrong readers": json.dumps([{**LAB, "readers": "alice"}]),
    "a name twice": json.dumps([LAB, {**LAB, "bucketName": "other"}]),
    "no valid name": json.dumps([{**LAB, "pvName": "../x"}]),
    "a constant": "[NaN]",
    "empty": "",
}


@pytest.mark.parametrize("case", INVALID)
async def test_an_invalid_document_deletes_nothing_and_is_reported(case: str) -> None:
    cluster = tenants(LAB)
    async with running(cluster) as process:
        cluster.requests.clear()
        write_document(cluster, INVALID[case])
        await process.settled()

        assert [] == cluster.written(but=REPORTING)
        assert ("True", "2 objects are in place") == process.conditions()[TYPE]
        assert any(reason == "BucketSourceFailing" for _, reason, _ in process.events())
        name = "external/blob-csi/fdi-unclassified-internal.json"
        (check,) = (one for one in process.health.readyz() if one.name == name)
        assert check.note.startswith("ConfigMap daaas-system/")
        text = process.manager.context.metrics.exposition().decode()
        up = 'profiles_controller_external_system_up{controller="blob-csi",system='
        assert f'{up}"fdi-unclassified-internal.json"}} 0.0' in text
        assert f'{up}"fdi-unclassified-external.json"}} 1.0' in text

        write_document(cluster, "[]")
        await process.settled()
        assert [] == volumes(cluster)


@pytest.mark.parametrize("what", ["ConfigMap", "key"])
async def test_a_missing_config_map_or_key_is_not_an_empty_document(what: str) -> None:
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
        await process.resync()
        assert 2 == len(volumes(cluster))
        cluster.objects.put(config_map())
        await process.settled()
        assert [] == volumes(cluster)


async def test_claim_pods_and_volume_are_deleted_one_after_the_other() -> None:
    cluster = tenants(LAB)
    async with running(cluster) as process:
        protect(cluster, VOLUME, CLAIM)
        cluster.objects.put(pod())
        await process.settled()
        cluster.requests.clear()
        write_document(cluster, "[]")

        await virtual_time.until(
            lambda: cluster.objects.get(POD) is None, "the pod is deleted", seconds=5.0
        )
        deleted = [one for one in cluster.written() if one.startswith("DELETE")]
        assert [f"DELETE {CLAIM}", f"DELETE {POD}"] == [one for one in deleted if "alice" in one]
        assert "deletionTimestamp" not in cluster.objects.read(VOLUME)["metadata"]
        await virtual_time.until(
            lambda: "is being deleted" in process.conditions()[TYPE][1],
            "the condition is updated",
            seconds=9.0,
        )

        unprotect(cluster, CLAIM)
        await virtual_time.until(
            lambda: "deletionTimestamp" in cluster.objects.read(VOLUME)["metadata"], "the volume"
        )
        unprotect(cluster, VOLUME)
        await process.settled()
        assert ("True", "0 objects are in place") == process.conditions()[TYPE]
        messages = [
            message for _, reason, message in process.events() if reason == "DeletingVolume"
        ]
        assert any(
            PV in message and "namespace alice has no access" in message for message in messages
        )


@pytest.mark.parametrize("phase", ["Released", "Failed"])
async def test_a_released_or_failed_volume_is_recreated(phase: str) -> None:
    cluster = tenants(LAB)
    async with running(cluster) as process:
        before = cluster.objects.read(VOLUME)["metadata"]["uid"]
        cluster.objects.delete(CLAIM)
        cluster.objects.edit(VOLUME, lambda body: body.update(status={"phase": phase}))
        await process.settled()

        assert before != cluster.objects.read(VOLUME)["metadata"]["uid"]
        assert cluster.objects.get(CLAIM) is not None


async def test_binding_a_volume_reconciles_no_profile() -> None:
    cluster, accounts = tenants(LAB), FakeAccounts()
    async with running(cluster, accounts) as process:
        accounts.calls.clear()
        bound = {"status": {"phase": "Bound"}}
        cluster.objects.edit(VOLUME, lambda body: body.update(bound))
        cluster.objects.edit(CLAIM, lambda body: body.update(bound))
        await process.settled()
        assert [] == accounts.calls


async def test_an_unavailable_container_affects_its_instance_only() -> None:
    cluster, accounts = harness.tenants("alice"), FakeAccounts()
    accounts.results["alice"] = {
        "standard": Unavailable(reason="OwnedByOther", message="owned by another")
    }
    other = {**STANDARD, "name": "other"}
    async with running(cluster, accounts, instances=[STANDARD, other]) as process:
        assert ["alice-other"] == volumes(cluster)
        assert ("False", "owned by another") == process.conditions()[TYPE]
        assert {("alice", frozenset(), frozenset({"alice"}))} == set(accounts.calls[:1])


async def test_an_unreachable_account_is_retried_and_other_volumes_exist() -> None:
    cluster, accounts = tenants(LAB), FakeAccounts()
    unreachable = Unavailable(
        reason="AccountUnreachable", message="good: no response", retry_after=20.0
    )
    accounts.results["alice"] = {"standard": unreachable}
    async with running(cluster, accounts, instances=[STANDARD], settle=False) as process:
        await virtual_time.until(
            lambda: TYPE in process.conditions(), "the condition is updated", seconds=15.0
        )
        assert ("False", "good: no response") == process.conditions()[TYPE]
        assert PV in volumes(cluster)
        assert "alice-standard" not in volumes(cluster)

        accounts.results.clear()
        await virtual_time.until(
            lambda: "alice-standard" in volumes(cluster), "the account is retried"
        )


async def test_a_changed_secret_reconciles_all_profiles() -> None:
    cluster, accounts = tenants(), FakeAccounts()
    async with running(cluster, accounts, instances=[STANDARD]) as process:
        accounts.calls.clear()
        data = {"azurestorageaccountname": "Z29vZA==", "azurestorageaccountkey": "a2V5"}
        secret = builders.object_body(
            "Secret", "azure-secret", "azure-blob-csi-system", labels={}, owners=[], data=data
        )
        cluster.objects.put(secret)
        await process.settled()
        assert {"alice", "bob"} == {name for name, *_ in accounts.calls}
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
        await process.resync()
    assert [] == cluster.written()


async def test_no_claim_is_created_for_a_volume_of_another_owner() -> None:
    cluster = harness.tenants("alice")
    theirs = builders.object_body(
        "PersistentVolume", "alice-standard", "", labels={}, owners=[],
        spec={"csi": {"driver": "nfs.csi.k8s.io"}},
    )  # fmt: skip
    stored = cluster.objects.put(theirs)
    async with running(cluster, instances=[STANDARD]) as process:
        assert stored == cluster.objects.read(Key("PersistentVolume", "", "alice-standard"))
        assert [] == cluster.objects.all_of("PersistentVolumeClaim")
        assert "False" == process.conditions()[TYPE][0]


async def test_a_volume_name_of_two_profiles_stays_with_the_first() -> None:
    """`alice` with instance `b-standard` and `alice-b` with `standard` want one name."""
    cluster = harness.tenants("alice")
    both = [STANDARD, {**STANDARD, "name": "b-standard"}]
    async with running(cluster, instances=both) as process:
        first = cluster.objects.read(Key("PersistentVolume", "", "alice-b-standard"))
        harness.put_tenant(cluster, "alice-b", uid="uid-alice-b")
        await process.settled()
        assert first == cluster.objects.read(Key("PersistentVolume", "", "alice-b-standard"))
        assert "VolumeNotOwned" in {reason for _, reason, _ in process.events()}


async def test_garbage_is_collected_and_the_accounts_are_closed() -> None:
    accounts = FakeAccounts()
    async with running(harness.tenants("alice"), accounts):
        await virtual_time.until(lambda: accounts.collected == [False], "garbage is collected")
    assert accounts.closed


async def test_a_dry_run_plans_and_writes_nothing() -> None:
    cluster = tenants(LAB)
    async with running(cluster, options=Options(listen=None, dry_run=True)) as process:
        report = await process.reconcile("blob-csi")
        assert {f"{VOLUME} create", f"{CLAIM} create"} == set(str(report.changes).splitlines())
        assert [] == cluster.written()
