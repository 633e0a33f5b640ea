"""The applier: each write requires that the object is unchanged since the plan."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from controllers.manifests import Body, Key, Manifest
from controllers.runtime.apply import plan as apply_plan
from controllers.runtime.apply.apply import Applier
from controllers.runtime.apply.changeset import Action, ApplyError
from controllers.runtime.cache.informer import Callbacks, new_informers
from controllers.runtime.controller import Owned
from controllers.runtime.workqueue import Priority
from tests.support import builders
from tests.support.fakes import Failure, FakeCluster, Request, harness, virtual_time

pytestmark = pytest.mark.virtual_time

KINDS = ("ConfigMap", "RoleBinding", "Service")
VOLUMES = ("PersistentVolume", "PersistentVolumeClaim")
KEY = Key("ConfigMap", "alice", "settings")
BINDING = Key("RoleBinding", "alice", "binding")
SERVICE = Key("Service", "alice", "web")
ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
COLLECTION = "/api/v1/namespaces/alice/configmaps"


def is_write(request: Request) -> bool:
    return request.method not in ("GET", "WATCH")


def is_request(text: str, request: Request) -> bool:
    return str(request) == text


def is_put(request: Request) -> bool:
    return request.method == "PUT"


class Bench:
    """An applier with running informers, for one controller."""

    def __init__(self) -> None:
        self.cluster: FakeCluster = harness.tenants()
        self.enqueued: list[str] = []
        self.informers = new_informers(
            [
                (
                    builders.controller(owned=[Owned(kind=kind) for kind in (*KINDS, *VOLUMES)]),
                    builders.Settings(),
                )
            ],
            self.cluster,
            Callbacks(enqueue=self._enqueue),
            clock=virtual_time.now,
        )
        self.tasks = [asyncio.create_task(one.run()) for one in self.informers.values()]

    def _enqueue(self, profile: str, _controller: str | None, _priority: Priority, /) -> None:
        self.enqueued.append(profile)

    async def ready(self) -> None:
        await virtual_time.until(
            lambda: len(self.cluster.watched()) == len(self.informers), "every watch is open"
        )
        await self.settle()

    async def settle(self) -> None:
        await virtual_time.turns()
        await virtual_time.until(lambda: self.cluster.delivered, "every event is delivered")

    async def apply(self, *manifests: Manifest, concurrent: bool = True) -> list[str]:
        """Plan and apply the manifests, and return the changes as texts."""
        owned = {kind: self.informers[kind] for kind in (*KINDS, *VOLUMES)}
        changes, desired = apply_plan.plan(
            manifests,
            profile=builders.profile(),
            component="samples",
            stores={kind: one.store for kind, one in owned.items()},
        )
        applier = Applier(
            client=self.cluster,
            informers=owned,
            field_manager="profiles-controller-samples",
            concurrent=concurrent,
        )
        done = await applier.apply(changes, desired)
        await self.settle()
        return [str(change) for change in done]

    def put(self, kind: str = "ConfigMap", name: str = "settings", **fields: Any) -> Body:
        """Write the body of `builders.object_body` as another client."""
        body = builders.object_body(kind, name, **fields)
        del body["metadata"]["uid"], body["metadata"]["resourceVersion"]
        return self.cluster.objects.put(body)

    async def existing(
        self, kind: str = "ConfigMap", name: str = "settings", *, reported: bool = False, **f: Any
    ) -> Body:
        """Without `reported`, the informer has no event of it, as for a listed object."""
        body = self.put(kind, name, **f)
        await self.settle()
        if not reported:
            self.informers[kind].take_recent(body["metadata"].get("namespace", ""), name)
        self.enqueued.clear()
        self.cluster.requests.clear()
        return body

    def requests(self) -> list[str]:
        return [str(one) for one in self.cluster.requests if one.method != "WATCH"]


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    await made.ready()
    made.cluster.requests.clear()
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


def binding(name: str = "view") -> Manifest:
    content = {"roleRef": ROLE | {"name": name}, "subjects": []}
    return builders.manifest("RoleBinding", "binding", content=content)


def service(**spec: Any) -> Manifest:
    content = {"spec": {**builders.partial_service()["spec"], **spec}}
    return builders.manifest("Service", "web", content=content)


# Create


async def test_a_create_sends_the_whole_object_once(bench: Bench) -> None:
    assert ["ConfigMap alice/settings create"] == await bench.apply(
        builders.manifest(labels={"tier": "low"}, annotations={"note": "a"})
    )
    (request,) = bench.cluster.writes()

    assert request == Request(
        method="POST",
        path=COLLECTION,
        query={"fieldManager": "profiles-controller-samples"},
        body={
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "settings",
                "namespace": "alice",
                "labels": {"tier": "low", **builders.managed_labels()},
                "annotations": {"note": "a"},
                "ownerReferences": [builders.profile_reference()],
            },
            "data": {"key": "value"},
        },
    )
    assert [] == bench.enqueued


async def test_an_object_in_sync_causes_no_request(bench: Bench) -> None:
    await bench.apply(builders.manifest())
    bench.cluster.requests.clear()

    assert ["ConfigMap alice/settings unchanged"] == await bench.apply(builders.manifest())
    assert [] == bench.cluster.requests


async def test_a_create_adopts_an_existing_object_of_the_older_suite_in_place(bench: Bench) -> None:
    before = await bench.existing(labels={"theirs": "yes"}, data={"old": "1"})

    assert ["ConfigMap alice/settings adopt"] == await bench.apply(builders.manifest())
    after = bench.cluster.objects.read(KEY)
    assert before["metadata"]["uid"] == after["metadata"]["uid"]
    assert {"theirs": "yes", **builders.managed_labels()} == after["metadata"]["labels"]
    assert {"key": "value"} == after["data"]
    assert [
        "POST ConfigMap alice/settings",
        "GET ConfigMap alice/settings",
        "PUT ConfigMap alice/settings",
    ] == bench.requests()


@pytest.mark.parametrize(
    "owners",
    [(), (builders.profile_reference("bob", "uid-bob"),), ({"kind": "Job", "uid": "uid-job"},)],
    ids=["no_owner", "another_profile", "job"],
)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_create_is_refused_if_a_foreign_object_exists_and_does_not_change_it(
    bench: Bench, kind: str, owners: Sequence[Body]
) -> None:
    manifest = {
        "ConfigMap": builders.manifest(),
        "RoleBinding": binding(),
        "Service": service(),
    }[kind]
    before = await bench.existing(kind, manifest.name, labels={}, owners=owners)
    (change,) = await bench.apply(manifest)

    assert change.startswith(f"{manifest.key} refused (exists and ")
    assert before == bench.cluster.objects.read(manifest.key)


async def test_an_adoptable_object_without_owner_is_adopted(bench: Bench) -> None:
    await bench.existing(labels={}, owners=(), data={"old": "1"})

    assert ["ConfigMap alice/settings adopt"] == await bench.apply(
        builders.manifest(adoptable=True)
    )
    metadata = bench.cluster.objects.read(KEY)["metadata"]
    assert [builders.profile_reference()] == metadata["ownerReferences"]


async def test_adoption_of_a_create_only_object_adds_labels_and_does_not_change_its_content(
    bench: Bench,
) -> None:
    await bench.existing(labels={}, data={"mine": "1"})
    manifest = builders.manifest(create_only=True)

    assert ["ConfigMap alice/settings adopt"] == await bench.apply(manifest)
    assert {"mine": "1"} == bench.cluster.objects.read(KEY)["data"]
    assert ["ConfigMap alice/settings unchanged"] == await bench.apply(manifest)


async def test_a_create_whose_response_was_lost_is_found_in_sync(bench: Bench) -> None:
    bench.cluster.fail_next(Failure.LOST_AFTER, is_write)
    bench.cluster.pause_watches()
    with pytest.raises(ApplyError):
        await bench.apply(builders.manifest())
    assert ["ConfigMap alice/settings unchanged"] == await apply_again(bench)

    assert 1 == len(bench.cluster.objects.all_of("ConfigMap"))


async def apply_again(bench: Bench) -> list[str]:
    """A second apply, before the watch reports anything."""
    task = asyncio.create_task(bench.apply(builders.manifest()))
    await virtual_time.turns()
    bench.cluster.resume_watches()
    return await task


# Update


async def test_an_update_reads_the_object_and_replaces_it(bench: Bench) -> None:
    before = await bench.existing(data={"key": "edited", "more": "1"})

    assert ["ConfigMap alice/settings update"] == await bench.apply(builders.manifest())
    assert ["GET ConfigMap alice/settings", "PUT ConfigMap alice/settings"] == bench.requests()
    sent = bench.cluster.writes()[0].body
    assert sent is not None
    assert before["metadata"]["resourceVersion"] == sent["metadata"]["resourceVersion"]
    assert {"key": "value"} == bench.cluster.objects.read(KEY)["data"]
    assert [] == bench.enqueued


async def test_an_edit_reported_by_a_recent_event_is_replaced_without_a_read(bench: Bench) -> None:
    before = await bench.existing(
        reported=True, labels={**builders.managed_labels(), "their": "1"}, data={}
    )

    assert ["ConfigMap alice/settings update"] == await bench.apply(builders.manifest())
    assert ["PUT ConfigMap alice/settings"] == bench.requests()
    sent = bench.cluster.writes()[0].body
    assert sent is not None
    assert before["metadata"]["resourceVersion"] == sent["metadata"]["resourceVersion"]
    after = bench.cluster.objects.read(KEY)
    assert ({"key": "value"}, "1") == (after["data"], after["metadata"]["labels"]["their"])


async def test_the_body_of_an_event_is_used_for_one_update(bench: Bench) -> None:
    await bench.existing(reported=True, data={"key": "edited"})
    await bench.apply(builders.manifest())
    bench.cluster.requests.clear()

    assert await bench.apply(builders.manifest(content={"data": {"key": "another"}}))
    assert ["GET ConfigMap alice/settings", "PUT ConfigMap alice/settings"] == bench.requests()


@pytest.mark.parametrize("gone", [True, False])
async def test_an_outdated_event_causes_one_read_before_the_write(
    bench: Bench, *, gone: bool
) -> None:
    await bench.existing(reported=True, data={"key": "edited"})
    bench.cluster.pause_watches()
    if gone:
        bench.cluster.objects.delete(KEY)
    else:
        bench.cluster.objects.edit(KEY, lambda one: one["metadata"]["labels"].update(new="1"))
    task = asyncio.create_task(bench.apply(builders.manifest()))
    await virtual_time.turns()
    bench.cluster.resume_watches()
    await task

    last = "POST" if gone else "PUT"
    assert [
        "PUT ConfigMap alice/settings",
        "GET ConfigMap alice/settings",
        f"{last} ConfigMap alice/settings",
    ] == bench.requests()
    after = bench.cluster.objects.read(KEY)
    assert {"key": "value"} == after["data"]
    assert gone or "1" == after["metadata"]["labels"]["new"]


async def test_the_body_of_an_event_is_not_stored_for_a_kind_with_server_side_apply(
    bench: Bench,
) -> None:
    await bench.existing("Service", "web", reported=True, spec={"ports": [{"port": 80}]})
    assert None is bench.informers["Service"].take_recent("alice", "web")


async def test_only_the_bodies_of_the_latest_events_are_stored(bench: Bench) -> None:
    for number in range(70):
        bench.put(name=f"settings-{number}")
    await bench.settle()

    reported = [
        number
        for number in range(70)
        if bench.informers["ConfigMap"].take_recent("alice", f"settings-{number}")
    ]
    assert list(range(6, 70)) == reported


async def test_an_update_retains_metadata_of_other_writers(bench: Bench) -> None:
    other = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "uid-pod"}
    body = await bench.existing(
        labels={**builders.managed_labels(), "theirs": "yes"},
        annotations={"theirs": "yes", "note": "old"},
        owners=[other, builders.profile_reference()],
        data={"key": "edited"},
        immutable=None,
    )
    bench.cluster.objects.edit(KEY, lambda one: one["metadata"].update(finalizers=["a/b"]))
    await bench.settle()
    await bench.apply(builders.manifest(annotations={"note": "new"}))
    metadata = bench.cluster.objects.read(KEY)["metadata"]

    assert body["metadata"]["uid"] == metadata["uid"]
    assert {**builders.managed_labels(), "theirs": "yes"} == metadata["labels"]
    assert {"theirs": "yes", "note": "new"} == metadata["annotations"]
    assert [other, builders.profile_reference()] == metadata["ownerReferences"]
    assert ["a/b"] == metadata["finalizers"]


async def test_a_stripped_annotation_is_removed_and_others_are_retained(bench: Bench) -> None:
    await bench.existing(annotations={"theirs": "yes", "role": "admin"}, data={"key": "value"})

    assert await bench.apply(builders.manifest(stripped_annotations=("user", "role")))
    assert bench.cluster.objects.read(KEY)["metadata"]["annotations"] == {"theirs": "yes"}
    assert [str(one) for one in bench.cluster.writes()] == ["PUT ConfigMap alice/settings"]


async def test_an_update_removes_a_field_that_is_not_desired(bench: Bench) -> None:
    await bench.existing(data={"key": "value"}, binaryData={"more": "AA=="})
    await bench.apply(builders.manifest())

    assert "binaryData" not in bench.cluster.objects.read(KEY)


async def test_after_a_conflict_the_object_is_read_and_written_again(bench: Bench) -> None:
    await bench.existing(data={"key": "edited"})
    bench.cluster.fail_next(Failure.CONFLICT, is_put)

    assert ["ConfigMap alice/settings update"] == await bench.apply(builders.manifest())
    assert [
        "GET ConfigMap alice/settings",
        "PUT ConfigMap alice/settings",
        "GET ConfigMap alice/settings",
        "PUT ConfigMap alice/settings",
    ] == bench.requests()


async def test_an_edit_between_read_and_write_is_not_lost(bench: Bench) -> None:
    await bench.existing(data={"key": "edited"})

    def edit(request: Request) -> bool:
        if is_put(request) and len(bench.cluster.writes()) == 1:
            bench.cluster.objects.edit(KEY, lambda one: one["metadata"]["labels"].update(new="1"))
        return False

    bench.cluster.fail_next(Failure.INTERNAL_ERROR, edit)
    await bench.apply(builders.manifest())

    assert "1" == bench.cluster.objects.read(KEY)["metadata"]["labels"]["new"]
    assert 2 == len(bench.cluster.writes())


async def test_repeated_conflicts_fail_the_apply(bench: Bench) -> None:
    await bench.existing(data={"key": "edited"})
    for _ in range(3):
        bench.cluster.fail_next(Failure.CONFLICT, is_put)

    with pytest.raises(ApplyError, match="modified concurrently"):
        await bench.apply(builders.manifest())


async def test_an_object_that_became_foreign_after_the_plan_is_refused(bench: Bench) -> None:
    await bench.existing(data={"key": "edited"})
    bench.cluster.pause_watches()
    bob = builders.profile_reference("bob", "uid-bob")
    bench.cluster.objects.edit(KEY, lambda one: one["metadata"].update(ownerReferences=[bob]))
    task = asyncio.create_task(bench.apply(builders.manifest()))
    await virtual_time.turns()
    bench.cluster.resume_watches()

    assert [
        "ConfigMap alice/settings refused (exists and belongs to Profile bob; rename or delete it)"
    ] == await task
    assert [] == bench.cluster.writes()


async def test_an_object_deleted_after_the_plan_is_created(bench: Bench) -> None:
    await bench.existing(data={"key": "edited"})
    bench.cluster.pause_watches()
    bench.cluster.objects.delete(KEY)
    task = asyncio.create_task(bench.apply(builders.manifest()))
    await virtual_time.turns()
    bench.cluster.resume_watches()

    assert ["ConfigMap alice/settings create"] == await task
    assert ["GET ConfigMap alice/settings", "POST ConfigMap alice/settings"] == bench.requests()


# Delete


async def test_a_delete_has_the_planned_uid_and_version_as_preconditions(bench: Bench) -> None:
    body = await bench.existing()

    assert ["ConfigMap alice/settings prune (no longer desired)"] == await bench.apply()
    (request,) = bench.cluster.writes()
    assert {
        "preconditions": {
            "uid": body["metadata"]["uid"],
            "resourceVersion": body["metadata"]["resourceVersion"],
        },
        "propagationPolicy": "Background",
    } == request.body
    assert [] == bench.cluster.objects.all_of("ConfigMap")
    assert [] == bench.enqueued


async def test_another_object_of_the_same_name_is_not_deleted(bench: Bench) -> None:
    await bench.existing()
    bench.cluster.pause_watches()
    bench.cluster.objects.delete(KEY)
    other = bench.put(labels={}, owners=())
    task = asyncio.create_task(bench.apply())
    await virtual_time.turns()
    bench.cluster.resume_watches()
    with pytest.raises(ApplyError, match="uid is"):
        await task
    await bench.settle()

    assert other == bench.cluster.objects.read(KEY)
    assert [] == await bench.apply()


async def test_deleting_an_object_that_does_not_exist_succeeds(bench: Bench) -> None:
    await bench.existing()
    bench.cluster.pause_watches()
    bench.cluster.objects.delete(KEY)
    task = asyncio.create_task(bench.apply())
    await virtual_time.turns()
    bench.cluster.resume_watches()

    assert ["ConfigMap alice/settings prune (no longer desired)"] == await task
    assert [] == await bench.apply()


async def test_an_object_with_a_finalizer_is_deleted_once(bench: Bench) -> None:
    await bench.existing()
    bench.cluster.objects.edit(KEY, lambda one: one["metadata"].update(finalizers=["a/b"]))
    await bench.settle()
    await bench.apply()

    assert [] == await bench.apply()
    assert ["DELETE ConfigMap alice/settings"] == bench.cluster.written()


@pytest.mark.parametrize("failure", Failure)
async def test_a_failed_delete_is_retried_by_the_next_apply(bench: Bench, failure: Failure) -> None:
    await bench.existing()
    bench.cluster.fail_next(failure, is_write)
    with pytest.raises(ApplyError, match="ConfigMap alice/settings prune"):
        await bench.apply()
    await bench.apply()

    assert [] == bench.cluster.objects.all_of("ConfigMap")
    assert [] == await bench.apply()


# Recreate


async def test_a_changed_immutable_field_deletes_and_creates_the_object(bench: Bench) -> None:
    before = await bench.existing("RoleBinding", "binding", roleRef=ROLE, subjects=[])

    assert ["RoleBinding alice/binding recreate (roleRef is immutable)"] == await bench.apply(
        binding("edit")
    )
    assert [
        "DELETE RoleBinding alice/binding",
        "POST RoleBinding alice/binding",
    ] == bench.requests()
    after = bench.cluster.objects.read(BINDING)
    assert before["metadata"]["uid"] != after["metadata"]["uid"]
    assert "edit" == after["roleRef"]["name"]
    assert [] == bench.enqueued


@pytest.mark.parametrize("failure", Failure)
@pytest.mark.parametrize("method", ["DELETE", "POST"])
async def test_a_partly_failed_recreate_is_completed_by_the_next_apply(
    bench: Bench, failure: Failure, method: str
) -> None:
    await bench.existing("RoleBinding", "binding", roleRef=ROLE, subjects=[])
    bench.cluster.fail_next(failure, lambda request: request.method == method)
    for _ in range(3):
        with contextlib.suppress(ApplyError):
            await bench.apply(binding("edit"))

    assert "edit" == bench.cluster.objects.read(BINDING)["roleRef"]["name"]
    assert ["RoleBinding alice/binding unchanged"] == await bench.apply(binding("edit"))


async def test_an_object_of_the_older_suite_with_another_immutable_field_is_recreated(
    bench: Bench,
) -> None:
    await bench.existing("RoleBinding", "binding", labels={}, roleRef=ROLE, subjects=[])

    assert ["RoleBinding alice/binding recreate (roleRef is immutable)"] == await bench.apply(
        binding("edit")
    )
    assert [
        "POST RoleBinding alice/binding",
        "GET RoleBinding alice/binding",
        "DELETE RoleBinding alice/binding",
        "POST RoleBinding alice/binding",
    ] == bench.requests()


async def test_an_object_with_a_finalizer_is_created_after_its_deletion_completes(
    bench: Bench,
) -> None:
    await bench.existing("RoleBinding", "binding", roleRef=ROLE, subjects=[])
    bench.cluster.objects.edit(BINDING, lambda one: one["metadata"].update(finalizers=["a/b"]))
    await bench.settle()

    assert [
        "RoleBinding alice/binding pending (is being deleted; will be recreated)"
    ] == await bench.apply(binding("edit"))
    bench.cluster.objects.edit(BINDING, lambda one: one["metadata"].update(finalizers=[]))
    await bench.settle()
    assert ["RoleBinding alice/binding create"] == await bench.apply(binding("edit"))


# Merge kinds


async def test_a_kind_with_mode_apply_is_applied_by_the_field_manager(bench: Bench) -> None:
    assert ["Service alice/web create"] == await bench.apply(service())
    (request,) = bench.cluster.writes()

    assert ["GET Service alice/web", "PATCH Service alice/web"] == bench.requests()
    assert {"fieldManager": "profiles-controller-samples", "force": "true"} == request.query
    assert "application/apply-patch+yaml" == request.content_type
    assert ["Service alice/web unchanged"] == await bench.apply(service())


async def test_fields_of_other_writers_in_a_merge_kind_are_retained(bench: Bench) -> None:
    await bench.apply(service())
    bench.cluster.objects.edit(SERVICE, lambda one: one["spec"].update(clusterIP="10.0.0.1"))
    await bench.settle()
    await bench.apply(service(type="NodePort"))
    spec = bench.cluster.objects.read(SERVICE)["spec"]

    assert ("10.0.0.1", "NodePort") == (spec["clusterIP"], spec["type"])


async def test_an_apply_has_the_uid_of_the_object_that_was_read(bench: Bench) -> None:
    await bench.apply(service())
    bench.cluster.requests.clear()
    uid = bench.cluster.objects.read(SERVICE)["metadata"]["uid"]
    await bench.apply(service(type="NodePort"))
    (request,) = bench.cluster.writes()

    assert request.body is not None
    assert uid == request.body["metadata"]["uid"]


async def test_an_apply_does_not_change_an_object_that_replaced_ours(
    bench: Bench,
) -> None:
    await bench.apply(service())
    replacements: list[Body] = []

    def swap(request: Request) -> bool:
        if request.method == "PATCH" and not replacements:
            bench.cluster.objects.delete(SERVICE)
            replacements.append(bench.put("Service", "web", labels={}, owners=()))
        return False

    bench.cluster.fail_next(Failure.INTERNAL_ERROR, swap)
    (change,) = await bench.apply(service(type="NodePort"))

    assert "refused" in change
    assert replacements == bench.cluster.objects.all_of("Service")


# Several changes


async def test_every_change_is_attempted_and_the_error_names_the_failed_ones(bench: Bench) -> None:
    for name in ("a", "c"):
        text = f"POST ConfigMap alice/{name}"
        bench.cluster.fail_next(Failure.INTERNAL_ERROR, functools.partial(is_request, text))
    with pytest.raises(ApplyError) as caught:
        await bench.apply(*(builders.manifest(name=name) for name in "abcd"))

    assert (
        "ConfigMap alice/a create: 500 InternalError: induced;"
        " ConfigMap alice/c create: 500 InternalError: induced"
    ) == str(caught.value)
    assert ["alice/b", "alice/d"] == harness.names_of(bench.cluster.objects.all_of("ConfigMap"))
    assert [(Action.CREATE, "b"), (Action.CREATE, "d")] == [
        (change.action, change.key.name) for change in caught.value.changes
    ]


@pytest.mark.parametrize(("concurrent", "seconds"), [(True, 1.0), (False, 3.0)])
async def test_writes_of_one_profile_are_concurrent_only_if_enabled(
    bench: Bench,
    concurrent: bool,  # noqa: FBT001
    seconds: float,
) -> None:
    bench.cluster.latency = 1.0
    began = virtual_time.now()
    manifests = [builders.manifest(name=name) for name in "abc"]
    await bench.apply(*manifests, concurrent=concurrent)

    assert seconds == pytest.approx(virtual_time.now() - began, abs=0.3)


@pytest.mark.parametrize("concurrent", [True, False])
async def test_cluster_scoped_objects_are_written_first(
    bench: Bench,
    concurrent: bool,  # noqa: FBT001
) -> None:
    bench.cluster.latency = 1.0
    claim = builders.manifest("PersistentVolumeClaim", "data")
    volume = builders.manifest("PersistentVolume", "alice-data", namespace="")
    changes = await bench.apply(claim, volume, concurrent=concurrent)

    written = [request.kind for request in bench.cluster.writes()]
    assert ["PersistentVolume", "PersistentVolumeClaim"] == written
    assert [
        "PersistentVolumeClaim alice/data create",
        "PersistentVolume alice-data create",
    ] == changes


async def test_a_kind_is_written_in_the_version_that_is_served(bench: Bench) -> None:
    bench.informers["ConfigMap"].reflector.version = "v1beta1"
    await bench.apply(builders.manifest())
    (request,) = bench.cluster.writes()

    assert "/api/v1beta1/namespaces/alice/configmaps" == request.path
    assert request.body is not None
    assert "v1beta1" == request.body["apiVersion"]


async def test_a_cancellation_is_not_swallowed(bench: Bench) -> None:
    bench.cluster.latency = 100.0
    task = asyncio.create_task(bench.apply(builders.manifest()))
    await virtual_time.turns()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0 == len(bench.informers["ConfigMap"].expectations)
