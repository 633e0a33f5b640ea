"""The writes of pipelines: enabled namespaces, a store that fails, driver modes, adoption."""

import base64
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controllers.findings import Finding
from controllers.manifests import Body, Key
from controllers.pipelines import names
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.controller import CONTROLLER, collect_garbage
from controllers.pipelines.objectstore import provider
from controllers.pipelines.objectstore.provider import ObjectStore
from controllers.pipelines.objectstore.spec import Credentials
from controllers.profiles import PAUSED_ANNOTATION
from controllers.runtime.controller import ExternalFactory
from controllers.runtime.external.errors import ExternalError
from controllers.runtime.objects.kinds import KINDS
from tests.support import builders
from tests.support.fakes import FakeCluster, harness, virtual_time
from tests.support.objectstore.in_memory import MemoryStore

pytestmark = pytest.mark.virtual_time

SECRET = Key("Secret", "alice", names.SECRET)
DOWN = provider.unavailable("the store is down").retried_after(60.0)
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
    def connect(_settings: PipelinesSettings, *, dry_run: bool) -> ObjectStore:  # noqa: ARG001
        return store

    controller = dataclasses.replace(
        CONTROLLER, external=ExternalFactory(connect=connect, collect_garbage=collect_garbage)
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


# Enabled namespaces


async def test_the_label_of_the_namespace_enables_pipelines_and_not_the_profiles() -> None:
    cluster, store = harness.tenants(labels=ENABLED), MemoryStore()
    async with running(store, cluster) as process:
        assert there(cluster) == set()
        assert store.calls == []

        relabel(cluster, ENABLED)
        await process.settled()
        assert there(cluster) == ALWAYS
        assert ready(process)[0] == "True"

        relabel(cluster, {names.ENABLED_LABEL: "false"})
        await process.settled()
        assert there(cluster) == set()


async def test_a_restart_reads_the_store_and_writes_nothing() -> None:
    cluster, store = tenants(), MemoryStore()
    async with running(store, cluster):
        pass
    cluster.requests.clear()
    async with running(store, cluster) as process:
        await process.resync()

    assert cluster.written() == []
    assert store.created == 1
    assert store.closed


async def test_without_the_crd_of_poddefaults_the_other_objects_are_created() -> None:
    cluster = tenants()
    cluster.unserved.add(("PodDefault", "v1alpha1"))
    async with running(MemoryStore(), cluster) as process:
        assert there(cluster) == ALWAYS - {"PodDefault access-ml-pipeline"}
        assert ready(process)[0] == "True"

        cluster.unserved.clear()
        await virtual_time.until(lambda: there(cluster) == ALWAYS, "created once it is served")


# The key


async def test_the_key_of_the_store_is_written_and_the_annotations_are_passed_on() -> None:
    annotations = {names.OLD_OBJECTS_ANNOTATION: "accept", names.KEY_GENERATION_ANNOTATION: "3"}
    cluster, store = tenants(annotations=annotations), MemoryStore()
    async with running(store, cluster):
        spec, _ = store.calls[0]

        assert held(cluster) == ("key-1", "hidden-1")
        assert (spec.namespace, spec.uid) == ("alice", "uid-alice")
        assert (spec.old_objects.value, spec.generation) == ("accept", "3")


async def test_an_edited_secret_is_corrected() -> None:
    cluster, store = tenants(), MemoryStore()
    async with running(store, cluster) as process:
        data = {names.ACCESS_KEY: encoded("key-1"), names.SECRET_KEY: encoded("wrong")}
        cluster.objects.edit(SECRET, lambda body: body.update(data=data))
        await process.settled()

        assert (store.calls[1][1]) == Credentials(access_key="key-1", secret_key="wrong")
        assert held(cluster) == ("key-2", "hidden-2")
        assert store.created == 2


async def test_a_deleted_secret_is_created_again() -> None:
    cluster, store = tenants(), MemoryStore()
    async with running(store, cluster) as process:
        cluster.objects.delete(SECRET)
        await process.settled()

        assert held(cluster) == ("key-2", "hidden-2")


@pytest.mark.parametrize("error", [DOWN, provider.rejected("no such policy")])
async def test_while_the_store_fails_the_secret_stays_and_other_objects_are_repaired(
    error: ExternalError,
) -> None:
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
        assert warned is error.action_required

        store.error = None
        await process.resync()
        assert ready(process)[0] == "True"
        assert store.created == 1


async def test_an_edited_secret_stays_while_the_store_fails() -> None:
    cluster, store = tenants(), MemoryStore()
    async with running(store, cluster) as process:
        store.error = DOWN
        edited = cluster.objects.edit(SECRET, lambda body: body["data"].update(accesskey="???"))
        await process.settled()
        assert edited == cluster.objects.read(SECRET)

        store.error = None
        await process.resync()
        assert held(cluster) == ("key-2", "hidden-2")


async def test_only_the_secret_waits_for_a_store_that_fails_from_the_start() -> None:
    cluster, store = tenants(), MemoryStore()
    store.error = DOWN
    async with running(store, cluster):
        assert there(cluster) == ALWAYS - {"Secret mlpipeline-minio-artifact"}

        store.error = None
        await virtual_time.until(lambda: there(cluster) == ALWAYS, "all is there", seconds=120.0)


async def test_a_tenant_that_gets_no_key_loses_only_the_secret() -> None:
    cluster, store = tenants(), MemoryStore()
    async with running(store, cluster) as process:
        store.finding = Finding(reason="ForeignUser", message="user alice is another's")
        await process.resync()

        assert there(cluster) == ALWAYS - {"Secret mlpipeline-minio-artifact"}
        assert ready(process) == ("False", "user alice is another's")
        assert ("Warning", "ForeignUser") in [one[:2] for one in process.events()]


async def test_no_key_is_created_for_a_secret_of_another_owner() -> None:
    cluster, store = tenants(), MemoryStore()
    theirs = cluster.objects.put(
        builders.object_body("Secret", names.SECRET, labels={}, owners=[], data={"a": "YQ=="})
    )
    async with running(store, cluster) as process:
        assert store.calls == []
        assert cluster.objects.read(SECRET) == theirs
        assert ready(process)[0] == "False"
        assert "SecretNotWritable" in [one[1] for one in process.events()]

        cluster.objects.delete(SECRET)
        await process.settled()
        assert held(cluster) == ("key-1", "hidden-1")


BLOCKED: dict[str, tuple[dict[str, Any], str]] = {
    "controlled_by_another_profile": (
        {"owners": [builders.profile_reference("bob", "uid-bob")]},
        "belongs to Profile bob",
    ),
    "of_an_earlier_profile": (
        {"owners": [builders.profile_reference("alice", "uid-before")]},
        "belongs to an earlier Profile",
    ),
    "being_deleted": ({"deleting": True}, "is being deleted"),
    "paused": ({"annotations": {PAUSED_ANNOTATION: "true"}}, "paused by its annotation"),
    "of_another_owner": (
        {"owners": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "u"}], "labels": {}},
        "belongs to another owner",
    ),
    "of_another_controller": (
        {"labels": builders.managed_labels("notebook")},
        "controller notebook",
    ),
}


@pytest.mark.parametrize("case", BLOCKED)
async def test_no_key_is_created_for_a_secret_that_the_plan_would_not_write(case: str) -> None:
    fields, reason = BLOCKED[case]
    cluster, store = tenants(), MemoryStore()
    fields = {"labels": builders.managed_labels("pipelines"), **fields}
    body = builders.object_body("Secret", names.SECRET, data={"a": "YQ=="}, **fields)
    before = cluster.objects.put(body)
    async with running(store, cluster) as process:
        assert store.calls == []
        assert cluster.objects.read(SECRET) == before
        status, message = ready(process)
        assert (status, reason in message, "no key is created" in message) == ("False", True, True)

        await process.resync()
        assert store.calls == []


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"owners": []},
        {"labels": {}},
        {
            "labels": {},
            "owners": [
                {
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "name": "alice",
                    "uid": "uid-of-the-namespace",
                    "controller": True,
                }
            ],
        },
    ],
)
async def test_a_key_is_created_for_a_secret_that_the_plan_would_write(
    fields: dict[str, Any],
) -> None:
    cluster, store = tenants(), MemoryStore()
    fields = {"labels": builders.managed_labels("pipelines"), **fields}
    cluster.objects.put(builders.object_body("Secret", names.SECRET, data={"a": "YQ=="}, **fields))
    async with running(store, cluster):
        assert store.created == 1
        assert held(cluster) == ("key-1", "hidden-1")


async def test_a_key_is_created_as_soon_as_the_secret_can_be_written() -> None:
    cluster, store = tenants(), MemoryStore()
    paused = builders.object_body(
        "Secret",
        names.SECRET,
        labels=builders.managed_labels("pipelines"),
        annotations={PAUSED_ANNOTATION: "true"},
    )
    cluster.objects.put(paused)
    async with running(store, cluster) as process:
        assert store.calls == []

        cluster.objects.edit(SECRET, lambda body: body["metadata"].update(annotations={}))
        await process.settled()
        assert held(cluster) == ("key-1", "hidden-1")


async def test_no_key_is_in_events_conditions_or_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster, store = tenants(), MemoryStore()
    async with running(store, cluster) as process:
        cluster.objects.delete(SECRET)
        await process.settled()
        reported = [*map(str, process.events()), *map(str, process.conditions().values())]

    assert not any("hidden" in text for text in (*reported, *capsys.readouterr()))


async def test_the_bucket_is_reconciled_and_garbage_is_collected() -> None:
    store = MemoryStore()
    async with running(store, tenants()):
        await virtual_time.until(lambda: store.bucket_reconciles > 0, "reconciled")

        assert store.collections


@pytest.mark.parametrize("keep", [True, False])
def test_accounts_of_deleted_profiles_are_deleted_unless_the_setting_says_not(
    *, keep: bool
) -> None:
    config = provider.store_config(PipelinesSettings(keep_departed=keep), dry_run=False)

    assert config.delete_accounts is not keep


# Drivers


@pytest.mark.parametrize("before", MODES)
@pytest.mark.parametrize("after", MODES)
async def test_after_a_change_of_mode_only_the_objects_of_the_new_one_exist(
    before: str, after: str
) -> None:
    cluster, store = tenants(), MemoryStore()
    bystander = builders.object_body("RoleBinding", "default-editor", uid="b", labels={})
    cluster.objects.put(bystander)
    for mode in (before, after):
        settings, objects = MODES[mode]
        async with running(store, cluster, **settings):
            assert there(cluster) == ALWAYS | objects | {"RoleBinding default-editor"}

    assert store.created == 1


async def test_a_token_secret_is_not_written_again_after_kubernetes_added_the_token() -> None:
    cluster = tenants()
    async with running(MemoryStore(), cluster, **MODES["sidecar"][0]) as process:
        key = Key("Secret", "alice", names.token_of(names.AGENT))
        cluster.objects.edit(key, lambda body: body.update(data={"token": encoded("t")}))
        cluster.requests.clear()
        await process.resync()

        assert cluster.written() == []


# Adoption from Metacontroller


def made_by_metacontroller(kind: str, name: str, **content: Any) -> Body:
    reference = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "name": "alice",
        "uid": "uid-of-the-namespace",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    annotations = dict.fromkeys(names.METACONTROLLER_ANNOTATIONS, "{}")
    uid = f"uid-{kind}-{name}"
    fields = {"labels": {}, "annotations": annotations, "owners": [reference], **content}
    return builders.object_body(kind, name, uid=uid, **fields)


async def test_objects_of_metacontroller_are_adopted_in_place() -> None:
    cluster, store = tenants(), MemoryStore()
    store.keys["alice"] = Credentials(access_key="old", secret_key="old-secret")
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
            assert after["metadata"]["ownerReferences"] == [builders.profile_reference()]
            assert not set(names.METACONTROLLER_ANNOTATIONS) & set(
                after["metadata"].get("annotations") or {}
            )
            if body["kind"] == "ConfigMap":
                assert after["data"] == {"edited": "by a user"}
        left = Key("Service", "alice", names.VISUALIZATION)
        assert cluster.objects.read(left)["metadata"]["ownerReferences"][0]["kind"] == "Namespace"
        assert held(cluster) == ("old", "old-secret")
        assert store.created == 0
        assert not [one for one in cluster.written() if one.startswith("DELETE")]

        cluster.requests.clear()
        await process.resync()
        assert cluster.written() == []


def test_helm_releases_are_not_listed() -> None:
    assert KINDS["Secret"].field_selector == "type!=helm.sh/release.v1"
