"""What pipelines writes: who takes part, a store in trouble, modes that change, a takeover."""

import base64
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controllers.manifests import Body, Key
from controllers.pipelines import names
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.controller import CONTROLLER, Outside, collect_garbage
from controllers.pipelines.objectstore.provider import (
    Credentials,
    Refusal,
    RejectedError,
    StoreError,
    UnavailableError,
)
from controllers.runtime.controller import ExternalFactory
from controllers.runtime.errors import Terminal
from controllers.runtime.objects.kinds import KINDS
from tests.support.builders import live_objects
from tests.support.fakes import FakeCluster, event_loop, harness
from tests.support.objectstore.in_memory import MemoryStore

pytestmark = pytest.mark.virtual_time

SECRET = Key("Secret", "alice", names.SECRET)
ENABLED = {names.ENABLED_LABEL: "true"}
ALWAYS = {
    "ConfigMap artifact-repositories",
    "ConfigMap kfp-launcher",
    "ConfigMap metadata-grpc-configmap",
    "PodDefault access-ml-pipeline",
    "Secret mlpipeline-minio-artifact",
}
CENTRAL = {"driver_mode": "central", "driver_tokens": True, "driver_without_isolation": True}
MODES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "pod": ({}, set()),
    "sidecar": (
        {"driver_mode": "sidecar", "driver_tokens": True},
        {
            "ServiceAccount ml-pipeline-driver-agent-executor-plugin",
            "RoleBinding ml-pipeline-driver-agent-executor-plugin-binding",
            "Secret ml-pipeline-driver-agent-executor-plugin.service-account-token",
            "Secret default-editor.service-account-token",
        },
    ),
    "central": (
        CENTRAL,
        {
            "Role configmap-reader",
            "Role ml-pipeline-driver-pods-reader",
            "Role ml-pipeline-driver-pvc-editor",
            "Role artifact-secret-reader",
            "RoleBinding configmap-reader-binding",
            "RoleBinding ml-pipeline-driver-pods-reader-binding",
            "RoleBinding ml-pipeline-driver-pvc-editor-binding",
            "RoleBinding artifact-secret-reader-binding",
            "Secret default-editor.service-account-token",
        },
    ),
}


def tenants(**profile: Any) -> FakeCluster:
    cluster = harness.tenants(**profile)
    relabel(cluster, ENABLED)
    return cluster


def relabel(cluster: FakeCluster, labels: dict[str, str]) -> None:
    key = Key("Namespace", "", "alice")
    cluster.objects.edit(key, lambda body: body["metadata"].update(labels=labels))


@contextlib.asynccontextmanager
async def running(
    store: MemoryStore, cluster: FakeCluster, **settings: Any
) -> AsyncIterator[harness.Harness]:
    def connect(made: PipelinesSettings, *, dry_run: bool) -> Outside:
        outside = Outside(PipelinesSettings(provider="none"), dry_run=dry_run)
        outside.settings, outside.store = made, store
        return outside

    controller = dataclasses.replace(
        CONTROLLER,
        external=ExternalFactory(connect=connect, collect_garbage=collect_garbage),
    )
    made = PipelinesSettings.model_validate(settings)
    async with harness.running((controller, made), cluster=cluster) as process:
        yield process


def there(cluster: FakeCluster) -> set[str]:
    kinds = {own.kind for own in CONTROLLER.default_owned()}
    bodies = [body for kind in kinds for body in cluster.objects.all_of(kind, "alice")]
    return {f"{body['kind']} {body['metadata']['name']}" for body in bodies}


def held(cluster: FakeCluster) -> tuple[str, str]:
    data = cluster.objects.read(SECRET)["data"]
    access, secret = (base64.b64decode(data[key]) for key in (names.ACCESS_KEY, names.SECRET_KEY))
    return access.decode(), secret.decode()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def ready(process: harness.Harness) -> tuple[str, str]:
    return process.conditions()["PipelinesReady"]


# Who takes part


async def test_the_namespaces_label_decides_and_not_the_profiles() -> None:
    cluster, store = harness.tenants(labels=ENABLED), MemoryStore()
    async with running(store, cluster) as process:
        assert there(cluster) == set()
        assert store.asked == []

        relabel(cluster, ENABLED)
        await process.settled()
        assert there(cluster) == ALWAYS
        assert ready(process)[0] == "True"

        relabel(cluster, {names.ENABLED_LABEL: "false"})
        await process.settled()
        assert there(cluster) == set()


async def test_a_restart_asks_the_store_and_writes_nothing() -> None:
    cluster, store = tenants(), MemoryStore()
    async with running(store, cluster):
        pass
    cluster.requests.clear()
    async with running(store, cluster) as process:
        await process.resynced()

    assert cluster.written() == []
    assert store.minted == 1
    assert store.closed


async def test_without_the_crd_of_poddefaults_all_else_is_kept() -> None:
    cluster = tenants()
    cluster.unserved.add(("PodDefault", "v1alpha1"))
    async with running(MemoryStore(), cluster) as process:
        assert there(cluster) == ALWAYS - {"PodDefault access-ml-pipeline"}
        assert ready(process)[0] == "True"

        cluster.unserved.clear()
        await event_loop.until(lambda: there(cluster) == ALWAYS, "made once it is served")


# The key


async def test_what_the_store_gives_is_written_and_the_profiles_words_are_passed_on() -> None:
    annotations = {names.OLD_OBJECTS_ANNOTATION: "accept", names.KEY_GENERATION_ANNOTATION: "3"}
    cluster, store = tenants(annotations=annotations), MemoryStore()
    async with running(store, cluster):
        tenant, _ = store.asked[0]

        assert held(cluster) == ("key-1", "hidden-1")
        assert (tenant.namespace, tenant.uid) == ("alice", "uid-alice")
        assert (tenant.decision.value, tenant.generation) == ("accept", "3")


async def test_an_edited_secret_is_shown_to_the_store_and_put_right() -> None:
    cluster, store = tenants(), MemoryStore()
    async with running(store, cluster) as process:
        data = {names.ACCESS_KEY: encoded("key-1"), names.SECRET_KEY: encoded("wrong")}
        cluster.objects.edit(SECRET, lambda body: body.update(data=data))
        await process.settled()

        assert (store.asked[1][1]) == Credentials(access_key="key-1", secret_key="wrong")
        assert held(cluster) == ("key-2", "hidden-2")
        assert store.minted == 2


async def test_a_lost_secret_comes_back() -> None:
    cluster, store = tenants(), MemoryStore()
    async with running(store, cluster) as process:
        cluster.objects.delete(SECRET)
        await process.settled()

        assert held(cluster) == ("key-2", "hidden-2")


@pytest.mark.parametrize(
    "error", [UnavailableError("the store is away", after=60.0), RejectedError("no such bucket")]
)
async def test_a_store_in_trouble_costs_neither_the_secret_nor_repairs(error: StoreError) -> None:
    cluster, store = tenants(), MemoryStore()
    async with running(store, cluster) as process:
        store.error = error
        kept = Key("ConfigMap", "alice", names.LAUNCHER)
        cluster.objects.delete(kept)
        await process.settled()

        assert there(cluster) == ALWAYS
        assert held(cluster) == ("key-1", "hidden-1")
        assert ready(process) == ("False", error.message)
        warned = ("Warning", "ObjectStoreRejected") in [one[:2] for one in process.events()]
        assert warned is (error.after is None)

        store.error = None
        await process.resynced()
        assert ready(process)[0] == "True"
        assert store.minted == 1


async def test_a_secret_that_nobody_can_judge_is_left_as_it_is() -> None:
    cluster, store = tenants(), MemoryStore()
    async with running(store, cluster) as process:
        store.error = UnavailableError("the store is away", after=60.0)
        edited = cluster.objects.edit(SECRET, lambda body: body["data"].update(accesskey="???"))
        await process.settled()
        assert edited == cluster.objects.read(SECRET)

        store.error = None
        await process.resynced()
        assert held(cluster) == ("key-2", "hidden-2")


async def test_a_bucket_that_cannot_be_kept_in_shape_is_told_with_the_probes() -> None:
    outside = Outside(PipelinesSettings(provider="none"), dry_run=False)
    store = MemoryStore()
    outside.store = store
    store.error = RejectedError("no such policy")
    with pytest.raises(Terminal):
        await collect_garbage(outside, lambda _name, _uid: False)
    store.error = None
    assert outside.health() == "bucket and departed users not looked after: no such policy"
    await collect_garbage(outside, lambda _name, _uid: False)
    assert outside.health() == ""


async def test_a_store_that_is_away_from_the_start_is_waited_for_with_the_secret_alone() -> None:
    cluster, store = tenants(), MemoryStore()
    store.error = UnavailableError("the store is away", after=60.0)
    async with running(store, cluster):
        assert there(cluster) == ALWAYS - {"Secret mlpipeline-minio-artifact"}

        store.error = None
        await event_loop.until(lambda: there(cluster) == ALWAYS, "all is there", seconds=120.0)


async def test_a_refused_tenant_loses_the_secret_and_nothing_else() -> None:
    cluster, store = tenants(), MemoryStore()
    async with running(store, cluster) as process:
        store.refusal = Refusal(reason="ForeignUser", message="user alice is another's")
        await process.resynced()

        assert there(cluster) == ALWAYS - {"Secret mlpipeline-minio-artifact"}
        assert ready(process) == ("False", "user alice is another's")
        assert ("Warning", "ForeignUser") in [one[:2] for one in process.events()]


async def test_for_a_secret_that_is_anothers_no_key_is_made() -> None:
    cluster, store = tenants(), MemoryStore()
    theirs = cluster.objects.put(
        live_objects.object_body("Secret", names.SECRET, labels={}, owners=[], data={"a": "YQ=="})
    )
    async with running(store, cluster) as process:
        assert store.asked == []
        assert cluster.objects.read(SECRET) == theirs
        assert ready(process)[0] == "False"
        assert "SecretNotOurs" in [one[1] for one in process.events()]

        cluster.objects.delete(SECRET)
        await process.settled()
        assert held(cluster) == ("key-1", "hidden-1")


async def test_no_key_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    cluster, store = tenants(), MemoryStore()
    async with running(store, cluster) as process:
        cluster.objects.delete(SECRET)
        await process.settled()
        told = [*map(str, process.events()), *map(str, process.conditions().values())]

    assert not any("hidden" in text for text in (*told, *capsys.readouterr()))


@pytest.mark.parametrize("keep", [True, False])
async def test_the_bucket_is_maintained_and_the_departed_swept_unless_they_are_kept(
    *, keep: bool
) -> None:
    store = MemoryStore()
    async with running(store, tenants(), keep_departed=keep):
        await event_loop.until(lambda: store.maintained > 0, "maintained")

        assert bool(store.swept) is not keep


# Drivers


@pytest.mark.parametrize("before", MODES)
@pytest.mark.parametrize("after", MODES)
async def test_a_change_of_mode_leaves_exactly_what_the_new_one_makes(
    before: str, after: str
) -> None:
    cluster, store = tenants(), MemoryStore()
    bystander = live_objects.object_body("RoleBinding", "default-editor", uid="b", labels={})
    cluster.objects.put(bystander)
    for mode in (before, after):
        settings, objects = MODES[mode]
        async with running(store, cluster, **settings):
            assert there(cluster) == ALWAYS | objects | {"RoleBinding default-editor"}

    assert store.minted == 1


async def test_a_token_that_kubernetes_fills_is_never_written_again() -> None:
    cluster = tenants()
    async with running(MemoryStore(), cluster, **MODES["sidecar"][0]) as process:
        key = Key("Secret", "alice", names.token_of(names.AGENT))
        cluster.objects.edit(key, lambda body: body.update(data={"token": encoded("t")}))
        cluster.requests.clear()
        await process.resynced()

        assert cluster.written() == []


# Takeover from Metacontroller


def made_by_metacontroller(kind: str, name: str, **content: Any) -> Body:
    reference = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "name": "alice",
        "uid": "uid-of-the-namespace",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    annotations = dict.fromkeys(names.INHERITED, "{}")
    uid = f"uid-{kind}-{name}"
    fields = {"labels": {}, "annotations": annotations, "owners": [reference], **content}
    return live_objects.object_body(kind, name, uid=uid, **fields)


async def test_a_namespace_full_of_metacontrollers_objects_is_taken_over_in_place() -> None:
    cluster, store = tenants(), MemoryStore()
    store.live["alice"] = Credentials(access_key="old", secret_key="old-secret")
    data = {names.ACCESS_KEY: encoded("old"), names.SECRET_KEY: encoded("old-secret")}
    app = {"app": names.PROXY}
    before = [
        made_by_metacontroller("Secret", names.SECRET, type="Opaque", data=data),
        *(
            made_by_metacontroller("ConfigMap", name, data={"edited": "by a user"})
            for name in (names.LAUNCHER, names.METADATA, names.REPOSITORIES)
        ),
        made_by_metacontroller(
            "Deployment", names.PROXY, labels=app, spec={"selector": {"matchLabels": app}}
        ),
        made_by_metacontroller("Service", names.PROXY, labels=app, spec={"clusterIP": "10.0.0.9"}),
        made_by_metacontroller("Service", names.VISUALIZATION, spec={}),
    ]
    for body in before:
        cluster.objects.put(body)
    settings = {"artifacts_proxy_enabled": True, "kfp_version": "2.17.0"}
    async with running(store, cluster, **settings) as process:
        assert ready(process)[0] == "True"

        for body in before[:-1]:
            key = Key(body["kind"], "alice", body["metadata"]["name"])
            after = cluster.objects.read(key)
            assert after["metadata"]["uid"] == body["metadata"]["uid"]
            assert after["metadata"]["ownerReferences"] == [live_objects.profile_reference()]
            assert not set(names.INHERITED) & set(after["metadata"].get("annotations") or {})
            if body["kind"] == "ConfigMap":
                assert after["data"] == {"edited": "by a user"}
        left = Key("Service", "alice", names.VISUALIZATION)
        assert cluster.objects.read(left)["metadata"]["ownerReferences"][0]["kind"] == "Namespace"
        assert held(cluster) == ("old", "old-secret")
        assert store.minted == 0
        assert not [one for one in cluster.written() if one.startswith("DELETE")]

        cluster.requests.clear()
        await process.resynced()
        assert cluster.written() == []


def test_all_that_is_listed_of_a_cluster_leaves_the_releases_of_helm_out() -> None:
    assert KINDS["Secret"].field_selector == "type!=helm.sh/release.v1"
