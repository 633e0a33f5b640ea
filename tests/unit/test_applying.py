"""Writes: each asks first whether the object is still what was planned."""

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


def puts(request: Request) -> bool:
    return request.method == "PUT"


class Bench:
    """An applier with informers at work, for one controller."""

    def __init__(self) -> None:
        self.cluster: FakeCluster = harness.tenants()
        self.woken: list[str] = []
        self.informers = new_informers(
            [
                (
                    builders.controller(owned=[Owned(kind=kind) for kind in (*KINDS, *VOLUMES)]),
                    builders.Settings(),
                )
            ],
            self.cluster,
            Callbacks(enqueue=self._wake),
            clock=virtual_time.now,
        )
        self.tasks = [asyncio.create_task(one.run()) for one in self.informers.values()]

    def _wake(self, profile: str, _controller: str | None, _priority: Priority, /) -> None:
        self.woken.append(profile)

    async def ready(self) -> None:
        await virtual_time.until(
            lambda: len(self.cluster.watched()) == len(self.informers), "every watch is up"
        )
        await self.quiet()

    async def quiet(self) -> None:
        await virtual_time.turns()
        await virtual_time.until(lambda: self.cluster.delivered, "every event was taken")

    async def bring(self, *manifests: Manifest, at_once: bool = True) -> list[str]:
        """Plan and apply; the changes as texts."""
        owned = {kind: self.informers[kind] for kind in (*KINDS, *VOLUMES)}
        changes, wants = apply_plan.plan(
            manifests,
            profile=builders.profile(),
            component="samples",
            stores={kind: one.store for kind, one in owned.items()},
        )
        applier = Applier(
            client=self.cluster,
            informers=owned,
            field_manager="profiles-controller-samples",
            concurrent=at_once,
        )
        done = await applier.apply(changes, wants)
        await self.quiet()
        return [str(change) for change in done]

    def put(self, kind: str = "ConfigMap", name: str = "settings", **fields: Any) -> Body:
        """As `specimens.object_body`, by somebody else; nobody is woken by it in this test."""
        body = builders.object_body(kind, name, **fields)
        del body["metadata"]["uid"], body["metadata"]["resourceVersion"]
        return self.cluster.objects.put(body)

    async def arranged(
        self, kind: str = "ConfigMap", name: str = "settings", *, told: bool = False, **f: Any
    ) -> Body:
        """Unless `told`, no event of it is at hand, as for what was there at the start."""
        body = self.put(kind, name, **f)
        await self.quiet()
        if not told:
            self.informers[kind].take_recent(body["metadata"].get("namespace", ""), name)
        self.woken.clear()
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
    assert ["ConfigMap alice/settings create"] == await bench.bring(
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
    assert [] == bench.woken


async def test_what_is_in_place_costs_no_request(bench: Bench) -> None:
    await bench.bring(builders.manifest())
    bench.cluster.requests.clear()

    assert ["ConfigMap alice/settings unchanged"] == await bench.bring(builders.manifest())
    assert [] == bench.cluster.requests


async def test_a_create_that_meets_an_older_suites_object_adopts_it_in_place(bench: Bench) -> None:
    before = await bench.arranged(labels={"theirs": "yes"}, data={"old": "1"})

    assert ["ConfigMap alice/settings adopt"] == await bench.bring(builders.manifest())
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
    ids=["nobodys", "another_profiles", "a_jobs"],
)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_create_that_meets_a_foreign_object_is_refused_and_leaves_it(
    bench: Bench, kind: str, owners: Sequence[Body]
) -> None:
    manifest = {
        "ConfigMap": builders.manifest(),
        "RoleBinding": binding(),
        "Service": service(),
    }[kind]
    before = await bench.arranged(kind, manifest.name, labels={}, owners=owners)
    (change,) = await bench.bring(manifest)

    assert change.startswith(f"{manifest.key} refused (exists and ")
    assert before == bench.cluster.objects.read(manifest.key)


async def test_what_is_adoptable_and_nobodys_is_taken_over(bench: Bench) -> None:
    await bench.arranged(labels={}, owners=(), data={"old": "1"})

    assert ["ConfigMap alice/settings adopt"] == await bench.bring(
        builders.manifest(adoptable=True)
    )
    metadata = bench.cluster.objects.read(KEY)["metadata"]
    assert [builders.profile_reference()] == metadata["ownerReferences"]


async def test_a_create_only_object_without_our_labels_gets_them_and_keeps_its_content(
    bench: Bench,
) -> None:
    await bench.arranged(labels={}, data={"mine": "1"})
    manifest = builders.manifest(create_only=True)

    assert ["ConfigMap alice/settings adopt"] == await bench.bring(manifest)
    assert {"mine": "1"} == bench.cluster.objects.read(KEY)["data"]
    assert ["ConfigMap alice/settings unchanged"] == await bench.bring(manifest)


async def test_a_create_that_took_effect_unheard_is_found_in_place(bench: Bench) -> None:
    bench.cluster.fail_next(Failure.LOST_AFTER, is_write)
    bench.cluster.pause_watches()
    with pytest.raises(ApplyError):
        await bench.bring(builders.manifest())
    assert ["ConfigMap alice/settings unchanged"] == await _again(bench)

    assert 1 == len(bench.cluster.objects.all_of("ConfigMap"))


async def _again(bench: Bench) -> list[str]:
    """A second try, while the watch has told nothing yet."""
    task = asyncio.create_task(bench.bring(builders.manifest()))
    await virtual_time.turns()
    bench.cluster.resume_watches()
    return await task


# Update


async def test_an_update_reads_and_replaces_what_it_read(bench: Bench) -> None:
    before = await bench.arranged(data={"key": "edited", "more": "1"})

    assert ["ConfigMap alice/settings update"] == await bench.bring(builders.manifest())
    assert ["GET ConfigMap alice/settings", "PUT ConfigMap alice/settings"] == bench.requests()
    sent = bench.cluster.writes()[0].body
    assert sent is not None
    assert before["metadata"]["resourceVersion"] == sent["metadata"]["resourceVersion"]
    assert {"key": "value"} == bench.cluster.objects.read(KEY)["data"]
    assert [] == bench.woken


async def test_an_edit_that_was_told_of_is_replaced_without_a_read(bench: Bench) -> None:
    before = await bench.arranged(
        told=True, labels={**builders.managed_labels(), "their": "1"}, data={}
    )

    assert ["ConfigMap alice/settings update"] == await bench.bring(builders.manifest())
    assert ["PUT ConfigMap alice/settings"] == bench.requests()
    sent = bench.cluster.writes()[0].body
    assert sent is not None
    assert before["metadata"]["resourceVersion"] == sent["metadata"]["resourceVersion"]
    after = bench.cluster.objects.read(KEY)
    assert ({"key": "value"}, "1") == (after["data"], after["metadata"]["labels"]["their"])


async def test_an_event_is_good_for_one_update(bench: Bench) -> None:
    await bench.arranged(told=True, data={"key": "edited"})
    await bench.bring(builders.manifest())
    bench.cluster.requests.clear()

    assert await bench.bring(builders.manifest(content={"data": {"key": "another"}}))
    assert ["GET ConfigMap alice/settings", "PUT ConfigMap alice/settings"] == bench.requests()


@pytest.mark.parametrize("gone", [True, False])
async def test_an_event_that_is_outdated_costs_a_read_and_nothing_more(
    bench: Bench, *, gone: bool
) -> None:
    await bench.arranged(told=True, data={"key": "edited"})
    bench.cluster.pause_watches()
    if gone:
        bench.cluster.objects.delete(KEY)
    else:
        bench.cluster.objects.edit(KEY, lambda one: one["metadata"]["labels"].update(new="1"))
    task = asyncio.create_task(bench.bring(builders.manifest()))
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


async def test_a_kind_that_is_applied_is_always_read_first(bench: Bench) -> None:
    await bench.arranged("Service", "web", told=True, spec={"ports": [{"port": 80}]})
    assert None is bench.informers["Service"].take_recent("alice", "web")


async def test_a_storm_of_edits_keeps_the_latest_bodies_only(bench: Bench) -> None:
    for number in range(70):
        bench.put(name=f"settings-{number}")
    await bench.quiet()

    told = [
        number
        for number in range(70)
        if bench.informers["ConfigMap"].take_recent("alice", f"settings-{number}")
    ]
    assert list(range(6, 70)) == told


async def test_an_update_keeps_what_others_added_to_the_metadata(bench: Bench) -> None:
    other = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "uid-pod"}
    body = await bench.arranged(
        labels={**builders.managed_labels(), "theirs": "yes"},
        annotations={"theirs": "yes", "note": "old"},
        owners=[other, builders.profile_reference()],
        data={"key": "edited"},
        immutable=None,
    )
    bench.cluster.objects.edit(KEY, lambda one: one["metadata"].update(finalizers=["a/b"]))
    await bench.quiet()
    await bench.bring(builders.manifest(annotations={"note": "new"}))
    metadata = bench.cluster.objects.read(KEY)["metadata"]

    assert body["metadata"]["uid"] == metadata["uid"]
    assert {**builders.managed_labels(), "theirs": "yes"} == metadata["labels"]
    assert {"theirs": "yes", "note": "new"} == metadata["annotations"]
    assert [other, builders.profile_reference()] == metadata["ownerReferences"]
    assert ["a/b"] == metadata["finalizers"]


async def test_a_barred_annotation_goes_and_others_stay(bench: Bench) -> None:
    await bench.arranged(annotations={"theirs": "yes", "role": "admin"}, data={"key": "value"})

    assert await bench.bring(builders.manifest(stripped_annotations=("user", "role")))
    assert bench.cluster.objects.read(KEY)["metadata"]["annotations"] == {"theirs": "yes"}
    assert [str(one) for one in bench.cluster.writes()] == ["PUT ConfigMap alice/settings"]


async def test_a_field_that_we_do_not_state_goes(bench: Bench) -> None:
    await bench.arranged(data={"key": "value"}, binaryData={"more": "AA=="})
    await bench.bring(builders.manifest())

    assert "binaryData" not in bench.cluster.objects.read(KEY)


async def test_a_conflict_is_read_again_and_written_over_what_is_there_now(bench: Bench) -> None:
    await bench.arranged(data={"key": "edited"})
    bench.cluster.fail_next(Failure.CONFLICT, puts)

    assert ["ConfigMap alice/settings update"] == await bench.bring(builders.manifest())
    assert [
        "GET ConfigMap alice/settings",
        "PUT ConfigMap alice/settings",
        "GET ConfigMap alice/settings",
        "PUT ConfigMap alice/settings",
    ] == bench.requests()


async def test_an_edit_between_read_and_write_is_not_lost(bench: Bench) -> None:
    await bench.arranged(data={"key": "edited"})

    def edit(request: Request) -> bool:
        if puts(request) and len(bench.cluster.writes()) == 1:
            bench.cluster.objects.edit(KEY, lambda one: one["metadata"]["labels"].update(new="1"))
        return False

    bench.cluster.fail_next(Failure.INTERNAL_ERROR, edit)
    await bench.bring(builders.manifest())

    assert "1" == bench.cluster.objects.read(KEY)["metadata"]["labels"]["new"]
    assert 2 == len(bench.cluster.writes())


async def test_what_keeps_changing_is_left_for_later(bench: Bench) -> None:
    await bench.arranged(data={"key": "edited"})
    for _ in range(3):
        bench.cluster.fail_next(Failure.CONFLICT, puts)

    with pytest.raises(ApplyError, match="modified concurrently"):
        await bench.bring(builders.manifest())


async def test_what_became_foreign_since_it_was_planned_is_refused(bench: Bench) -> None:
    await bench.arranged(data={"key": "edited"})
    bench.cluster.pause_watches()
    bob = builders.profile_reference("bob", "uid-bob")
    bench.cluster.objects.edit(KEY, lambda one: one["metadata"].update(ownerReferences=[bob]))
    task = asyncio.create_task(bench.bring(builders.manifest()))
    await virtual_time.turns()
    bench.cluster.resume_watches()

    assert [
        "ConfigMap alice/settings refused (exists and belongs to Profile bob; rename or delete it)"
    ] == await task
    assert [] == bench.cluster.writes()


async def test_what_went_since_it_was_planned_is_made_anew(bench: Bench) -> None:
    await bench.arranged(data={"key": "edited"})
    bench.cluster.pause_watches()
    bench.cluster.objects.delete(KEY)
    task = asyncio.create_task(bench.bring(builders.manifest()))
    await virtual_time.turns()
    bench.cluster.resume_watches()

    assert ["ConfigMap alice/settings create"] == await task
    assert ["GET ConfigMap alice/settings", "POST ConfigMap alice/settings"] == bench.requests()


# Delete


async def test_a_delete_names_the_object_as_it_was_planned(bench: Bench) -> None:
    body = await bench.arranged()

    assert ["ConfigMap alice/settings prune (no longer desired)"] == await bench.bring()
    (request,) = bench.cluster.writes()
    assert {
        "preconditions": {
            "uid": body["metadata"]["uid"],
            "resourceVersion": body["metadata"]["resourceVersion"],
        },
        "propagationPolicy": "Background",
    } == request.body
    assert [] == bench.cluster.objects.all_of("ConfigMap")
    assert [] == bench.woken


async def test_another_object_of_that_name_is_not_deleted(bench: Bench) -> None:
    await bench.arranged()
    bench.cluster.pause_watches()
    bench.cluster.objects.delete(KEY)
    other = bench.put(labels={}, owners=())
    task = asyncio.create_task(bench.bring())
    await virtual_time.turns()
    bench.cluster.resume_watches()
    with pytest.raises(ApplyError, match="uid is"):
        await task
    await bench.quiet()

    assert other == bench.cluster.objects.read(KEY)
    assert [] == await bench.bring()


async def test_deleting_what_is_gone_already_is_no_failure(bench: Bench) -> None:
    await bench.arranged()
    bench.cluster.pause_watches()
    bench.cluster.objects.delete(KEY)
    task = asyncio.create_task(bench.bring())
    await virtual_time.turns()
    bench.cluster.resume_watches()

    assert ["ConfigMap alice/settings prune (no longer desired)"] == await task
    assert [] == await bench.bring()


async def test_what_a_finalizer_holds_is_deleted_once(bench: Bench) -> None:
    await bench.arranged()
    bench.cluster.objects.edit(KEY, lambda one: one["metadata"].update(finalizers=["a/b"]))
    await bench.quiet()
    await bench.bring()

    assert [] == await bench.bring()
    assert ["DELETE ConfigMap alice/settings"] == bench.cluster.written()


@pytest.mark.parametrize("failure", Failure)
async def test_a_delete_that_fails_is_made_by_the_next(bench: Bench, failure: Failure) -> None:
    await bench.arranged()
    bench.cluster.fail_next(failure, is_write)
    with pytest.raises(ApplyError, match="ConfigMap alice/settings prune"):
        await bench.bring()
    await bench.bring()

    assert [] == bench.cluster.objects.all_of("ConfigMap")
    assert [] == await bench.bring()


# Recreate


async def test_an_immutable_field_is_changed_by_deleting_and_creating(bench: Bench) -> None:
    before = await bench.arranged("RoleBinding", "binding", roleRef=ROLE, subjects=[])

    assert ["RoleBinding alice/binding recreate (roleRef is immutable)"] == await bench.bring(
        binding("edit")
    )
    assert [
        "DELETE RoleBinding alice/binding",
        "POST RoleBinding alice/binding",
    ] == bench.requests()
    after = bench.cluster.objects.read(BINDING)
    assert before["metadata"]["uid"] != after["metadata"]["uid"]
    assert "edit" == after["roleRef"]["name"]
    assert [] == bench.woken


@pytest.mark.parametrize("failure", Failure)
@pytest.mark.parametrize("method", ["DELETE", "POST"])
async def test_a_recreate_that_fails_half_way_is_finished_by_the_next(
    bench: Bench, failure: Failure, method: str
) -> None:
    await bench.arranged("RoleBinding", "binding", roleRef=ROLE, subjects=[])
    bench.cluster.fail_next(failure, lambda request: request.method == method)
    for _ in range(3):
        with contextlib.suppress(ApplyError):
            await bench.bring(binding("edit"))

    assert "edit" == bench.cluster.objects.read(BINDING)["roleRef"]["name"]
    assert ["RoleBinding alice/binding unchanged"] == await bench.bring(binding("edit"))


async def test_an_older_suites_object_with_another_immutable_field_is_made_anew(
    bench: Bench,
) -> None:
    await bench.arranged("RoleBinding", "binding", labels={}, roleRef=ROLE, subjects=[])

    assert ["RoleBinding alice/binding recreate (roleRef is immutable)"] == await bench.bring(
        binding("edit")
    )
    assert [
        "POST RoleBinding alice/binding",
        "GET RoleBinding alice/binding",
        "DELETE RoleBinding alice/binding",
        "POST RoleBinding alice/binding",
    ] == bench.requests()


async def test_what_a_finalizer_holds_is_made_anew_when_it_is_gone(bench: Bench) -> None:
    await bench.arranged("RoleBinding", "binding", roleRef=ROLE, subjects=[])
    bench.cluster.objects.edit(BINDING, lambda one: one["metadata"].update(finalizers=["a/b"]))
    await bench.quiet()

    assert [
        "RoleBinding alice/binding pending (is being deleted; will be recreated)"
    ] == await bench.bring(binding("edit"))
    bench.cluster.objects.edit(BINDING, lambda one: one["metadata"].update(finalizers=[]))
    await bench.quiet()
    assert ["RoleBinding alice/binding create"] == await bench.bring(binding("edit"))


# Merge kinds


async def test_a_merge_kind_is_applied_by_our_field_manager(bench: Bench) -> None:
    assert ["Service alice/web create"] == await bench.bring(service())
    (request,) = bench.cluster.writes()

    assert ["GET Service alice/web", "PATCH Service alice/web"] == bench.requests()
    assert {"fieldManager": "profiles-controller-samples", "force": "true"} == request.query
    assert "application/apply-patch+yaml" == request.content_type
    assert ["Service alice/web unchanged"] == await bench.bring(service())


async def test_what_others_write_into_a_merge_kind_stays(bench: Bench) -> None:
    await bench.bring(service())
    bench.cluster.objects.edit(SERVICE, lambda one: one["spec"].update(clusterIP="10.0.0.1"))
    await bench.quiet()
    await bench.bring(service(type="NodePort"))
    spec = bench.cluster.objects.read(SERVICE)["spec"]

    assert ("10.0.0.1", "NodePort") == (spec["clusterIP"], spec["type"])


async def test_a_merge_names_the_object_that_it_read(bench: Bench) -> None:
    await bench.bring(service())
    bench.cluster.requests.clear()
    uid = bench.cluster.objects.read(SERVICE)["metadata"]["uid"]
    await bench.bring(service(type="NodePort"))
    (request,) = bench.cluster.writes()

    assert request.body is not None
    assert uid == request.body["metadata"]["uid"]


async def test_a_merge_never_writes_into_an_object_that_took_the_place_of_ours(
    bench: Bench,
) -> None:
    await bench.bring(service())
    foreign: list[Body] = []

    def swap(request: Request) -> bool:
        if request.method == "PATCH" and not foreign:
            bench.cluster.objects.delete(SERVICE)
            foreign.append(bench.put("Service", "web", labels={}, owners=()))
        return False

    bench.cluster.fail_next(Failure.INTERNAL_ERROR, swap)
    (change,) = await bench.bring(service(type="NodePort"))

    assert "refused" in change
    assert foreign == bench.cluster.objects.all_of("Service")


# Several at once


async def test_all_are_tried_and_the_failed_named(bench: Bench) -> None:
    for name in ("a", "c"):
        text = f"POST ConfigMap alice/{name}"
        bench.cluster.fail_next(Failure.INTERNAL_ERROR, functools.partial(is_request, text))
    with pytest.raises(ApplyError) as caught:
        await bench.bring(*(builders.manifest(name=name) for name in "abcd"))

    assert (
        "ConfigMap alice/a create: 500 InternalError: induced;"
        " ConfigMap alice/c create: 500 InternalError: induced"
    ) == str(caught.value)
    assert ["alice/b", "alice/d"] == harness.names_of(bench.cluster.objects.all_of("ConfigMap"))
    assert [(Action.CREATE, "b"), (Action.CREATE, "d")] == [
        (change.action, change.key.name) for change in caught.value.changes
    ]


@pytest.mark.parametrize(("at_once", "seconds"), [(True, 1.0), (False, 3.0)])
async def test_writes_of_one_profile_go_side_by_side_where_asked(
    bench: Bench,
    at_once: bool,  # noqa: FBT001
    seconds: float,
) -> None:
    bench.cluster.latency = 1.0
    began = virtual_time.now()
    manifests = [builders.manifest(name=name) for name in "abc"]
    await bench.bring(*manifests, at_once=at_once)

    assert seconds == pytest.approx(virtual_time.now() - began, abs=0.3)


@pytest.mark.parametrize("at_once", [True, False])
async def test_what_is_in_no_namespace_is_written_first(
    bench: Bench,
    at_once: bool,  # noqa: FBT001
) -> None:
    bench.cluster.latency = 1.0
    claim = builders.manifest("PersistentVolumeClaim", "data")
    volume = builders.manifest("PersistentVolume", "alice-data", namespace="")
    changes = await bench.bring(claim, volume, at_once=at_once)

    written = [request.kind for request in bench.cluster.writes()]
    assert ["PersistentVolume", "PersistentVolumeClaim"] == written
    assert [
        "PersistentVolumeClaim alice/data create",
        "PersistentVolume alice-data create",
    ] == changes


async def test_a_kind_is_written_in_the_version_that_is_served(bench: Bench) -> None:
    bench.informers["ConfigMap"].reflector.version = "v1beta1"
    await bench.bring(builders.manifest())
    (request,) = bench.cluster.writes()

    assert "/api/v1beta1/namespaces/alice/configmaps" == request.path
    assert request.body is not None
    assert "v1beta1" == request.body["apiVersion"]


async def test_a_cancellation_is_not_swallowed(bench: Bench) -> None:
    bench.cluster.latency = 100.0
    task = asyncio.create_task(bench.bring(builders.manifest()))
    await virtual_time.turns()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0 == len(bench.informers["ConfigMap"].expectations)
