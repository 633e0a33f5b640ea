"""Informers list, watch and cache objects, and enqueue Profiles when objects change."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from controllers.manifests import Body, Key
from controllers.profiles import PAUSED_ANNOTATION
from controllers.runtime.cache.expectations import PendingWrite
from controllers.runtime.cache.informer import Callbacks, Informer, new_informers
from controllers.runtime.cache.reflector import PAGE_SIZE
from controllers.runtime.cache.subscriptions import subscriptions
from controllers.runtime.controller import AnyController, Owned, Watch, by_namespace, no_profiles
from controllers.runtime.errors import ApiError
from controllers.runtime.workqueue import Priority
from tests.support import builders
from tests.support.fakes import Failure, FakeCluster, virtual_time

pytestmark = pytest.mark.virtual_time

KEY = Key("ConfigMap", "alice", "settings")
VALUE = {"data": {"key": "value"}}
EDITED = {"data": {"key": "edited"}}

SETTINGS = builders.Settings()


class Cache:
    """Running informers, and the Profiles and controllers that they enqueued."""

    def __init__(
        self,
        *controllers: AnyController,
        cluster: FakeCluster | None = None,
        in_shard: Callable[[str], bool] = lambda _uid: True,
    ) -> None:
        self.cluster = cluster or FakeCluster()
        for name in ("alice", "bob"):
            if self.cluster.objects.get(Key("Namespace", "", name)) is None:
                self.cluster.objects.put(builders.namespace_body(name, uid=f"uid-{name}"))
        self.enqueued: list[tuple[str, str | None]] = []
        self.recoveries = 0
        self.informers = new_informers(
            [(one, SETTINGS) for one in controllers or (builders.controller(),)],
            self.cluster,
            Callbacks(enqueue=self._enqueue, recovered=self._recovered),
            clock=virtual_time.now,
            in_shard=in_shard,
        )
        self.tasks: list[asyncio.Task[None]] = []

    def _recovered(self) -> None:
        self.recoveries += 1

    def _enqueue(self, profile: str, controller: str | None, priority: Priority, /) -> None:
        assert priority is Priority.NORMAL
        self.enqueued.append((profile, controller))

    def start(self) -> None:
        self.tasks += [asyncio.create_task(one.run()) for one in self.informers.values()]

    async def synced(self) -> None:
        await virtual_time.until(
            lambda: all(
                one.synced and not one.reflector.down_since for one in self.informers.values()
            ),
            "every informer has synced",
        )
        await self.quiet()

    async def quiet(self) -> None:
        """Wait until every watch is up and every event is handled."""
        await self.watching()
        await virtual_time.until(lambda: self.cluster.delivered, "every event is handled")

    async def watching(self) -> None:
        """Wait until every watch is up."""
        await virtual_time.until(
            lambda: len(self.cluster.watched()) == len(self.informers), "every watch is up"
        )
        await virtual_time.turns()

    def __getitem__(self, kind: str) -> Informer:
        return self.informers[kind]

    def put(self, **fields: Any) -> Body:
        """Store a `builders.object_body`; the cluster sets its UID and resourceVersion."""
        body = builders.object_body(**fields)
        del body["metadata"]["uid"], body["metadata"]["resourceVersion"]
        return self.cluster.objects.put(body)


Make = Callable[..., Cache]


@pytest_asyncio.fixture
async def new_cache() -> AsyncIterator[Make]:
    """Creates caches whose informers run until the test ends."""
    created: list[Cache] = []

    def create(*controllers: AnyController, **fields: Any) -> Cache:
        created.append(Cache(*controllers, **fields))
        return created[-1]

    yield create
    tasks = [task for one in created for task in one.tasks]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def synced_cache(new_cache: Make, *controllers: AnyController, **fields: Any) -> Cache:
    """A synced cache that contains Alice's ConfigMap and has enqueued nothing."""
    cache = new_cache(*controllers, **fields)
    cache.put(**VALUE)
    cache.start()
    await cache.synced()
    cache.enqueued.clear()
    cache.cluster.requests.clear()
    return cache


# The first list


async def test_existing_objects_are_cached_and_enqueue_nothing(new_cache: Make) -> None:
    cache = new_cache()
    cache.put(**VALUE)
    cache.start()
    await cache.synced()

    assert cache["ConfigMap"].store.get("alice", "settings") is not None
    assert [] == cache.enqueued


async def test_the_watch_begins_with_a_list(new_cache: Make) -> None:
    cache = new_cache()
    cache.put(**VALUE)
    cache.start()
    await cache.synced()
    cache.put(**EDITED)
    await cache.quiet()

    assert {"WATCH"} == {request.method for request in cache.cluster.requests}
    assert {("alice", "samples")} == set(cache.enqueued)


async def test_an_interrupted_list_is_repeated_in_pages(new_cache: Make) -> None:
    cache = new_cache()
    for number in range(3):
        cache.put(name=f"settings-{number}")
    cache.cluster.pause_watches()
    cache.start()
    await cache.watching()
    assert not cache["ConfigMap"].synced
    cache.cluster.interrupt_lists()
    cache.cluster.resume_watches()
    await cache.synced()

    assert 3 == len(cache["ConfigMap"].store)
    assert {"GET", "WATCH"} == {request.method for request in cache.cluster.requests}


async def test_the_list_completes_where_only_list_is_allowed(new_cache: Make) -> None:
    cache = new_cache()
    cache.put(**VALUE)
    for _ in range(2):
        cache.cluster.fail_next(
            Failure.FORBIDDEN,
            lambda request: request.method == "WATCH" and request.kind == "ConfigMap",
        )
    cache.start()
    await virtual_time.until(lambda: cache["ConfigMap"].synced, "the list is complete")

    assert 1 == len(cache["ConfigMap"].store)


async def test_a_list_also_reports_what_was_just_written(new_cache: Make) -> None:
    """Its version is that of a write of this process, but a list must report every object."""
    cache = await synced_cache(new_cache)
    informer = cache["ConfigMap"]
    written = cache.put(name="second", **VALUE)
    informer.settle("alice", "second", written)
    cache.cluster.expire_watches()
    await cache.quiet()

    assert ["second", "settings"] == sorted(informer.store.by_namespace("alice"))
    assert [] == cache.enqueued


async def test_a_server_without_streaming_lists_is_listed_in_pages(new_cache: Make) -> None:
    cache = new_cache()
    cache.cluster.streams_lists = False
    cache.cluster.page_size = 2
    for number in range(5):
        cache.put(name=f"settings-{number}")
    cache.start()
    await cache.synced()
    pages = [
        request
        for request in cache.cluster.requests
        if request.method == "GET" and request.kind == "ConfigMap"
    ]

    assert 5 == len(cache["ConfigMap"].store)
    assert ["continue" in page.query for page in pages] == [False, True, True]
    assert {str(PAGE_SIZE)} == {page.query["limit"] for page in pages}


async def test_a_list_whose_pages_expire_is_repeated(new_cache: Make) -> None:
    cache = new_cache()
    cache.cluster.streams_lists = False
    cache.cluster.page_size = 2
    for number in range(3):
        cache.put(name=f"settings-{number}")
    cache.cluster.fail_next(Failure.INTERNAL_ERROR, lambda request: "continue" in request.query)
    cache.start()
    await cache.synced()

    assert 3 == len(cache["ConfigMap"].store)


async def test_the_server_selects_objects_by_the_labels_of_the_controllers(
    new_cache: Make,
) -> None:
    cache = new_cache(builders.controller("one"), builders.controller("other"))
    cache.put(name="ours", labels=builders.managed_labels("one"))
    cache.put(name="foreign", labels={})
    cache.start()
    await cache.synced()
    selectors = {
        request.query.get("labelSelector")
        for request in cache.cluster.requests
        if request.kind == "ConfigMap"
    }

    marks = "app.kubernetes.io/managed-by=profiles-controller,app.kubernetes.io/component"
    assert {f"{marks} in (one,other)"} == selectors
    assert ["ours"] == list(cache["ConfigMap"].store.by_namespace("alice"))


async def test_legacy_objects_are_listed_without_a_selector_and_others_are_not_cached(
    new_cache: Make,
) -> None:
    legacy = Owned(kind="ConfigMap", adopt_legacy=lambda metadata: metadata["name"] == "older")
    cache = new_cache(builders.controller(owned=[legacy]))
    cache.put(name="older", labels={})
    cache.put(name="foreign", labels={})
    cache.put(name="ours")
    cache.start()
    await cache.synced()

    assert ["older", "ours"] == sorted(cache["ConfigMap"].store.by_namespace("alice"))
    assert ("samples",) == cache["ConfigMap"].store.by_namespace("alice")["older"].legacy_for
    assert all("labelSelector" not in request.query for request in cache.cluster.requests)


async def test_only_one_name_is_listed_where_no_other_is_needed(new_cache: Make) -> None:
    watched = Watch(
        kind="ConfigMap", transform=lambda body: body["metadata"]["name"], map=no_profiles
    )
    named = Owned(kind="ConfigMap", names=("named",))
    cache = new_cache(builders.controller(owned=[named], watches=[watched]))
    cache.put(name="named")
    cache.put(name="another")
    cache.start()
    await cache.synced()

    assert ["named"] == list(cache["ConfigMap"].store.by_namespace("alice"))
    requests = [request for request in cache.cluster.requests if request.kind == "ConfigMap"]
    assert {"metadata.name=named"} == {request.query["fieldSelector"] for request in requests}


def test_every_name_is_listed_where_a_controller_needs_another_or_any() -> None:
    def name(*controllers: AnyController) -> str:
        return subscriptions([(one, SETTINGS) for one in controllers])["ConfigMap"].name

    one, same, other, any_name, both = (
        builders.controller(called, owned=[Owned(kind="ConfigMap", names=names)])
        for called, names in (
            ("one", ("a",)),
            ("same", ("a",)),
            ("other", ("b",)),
            ("any", ()),
            ("both", ("a", "b")),
        )
    )
    watched = Watch(kind="ConfigMap", transform=lambda _body: None, map=no_profiles)
    watcher = builders.controller("watcher", owned=[], watches=[watched])

    assert ["a", "a"] == [name(one), name(one, same)]
    assert [""] * 4 == [name(one, each) for each in (other, any_name, both, watcher)]
    assert name(both) == ""


def test_two_controllers_share_the_informers_of_their_kinds_and_of_namespaces() -> None:
    found = subscriptions([(builders.controller(name), SETTINGS) for name in ("one", "other")])

    assert ["ConfigMap", "Namespace"] == sorted(found)
    assert ["one", "other"] == sorted(found["ConfigMap"].owners)


async def test_an_informer_is_not_synced_before_its_list_is_complete(new_cache: Make) -> None:
    cache = new_cache()
    cache.cluster.unreachable = True
    cache.start()
    await asyncio.sleep(3.0)

    assert not cache["ConfigMap"].synced
    assert "API server unreachable" in cache["ConfigMap"].reflector.health()
    cache.cluster.unreachable = False
    await cache.synced()
    assert "" == cache["ConfigMap"].reflector.health()


# Which changes enqueue which Profiles


CHANGES: dict[str, Callable[[Body], Any]] = {
    "content": lambda body: body.update(EDITED),
    "label": lambda body: body["metadata"]["labels"].update(theirs="yes"),
    "annotation": lambda body: body["metadata"]["annotations"].update({PAUSED_ANNOTATION: "true"}),
    "owner": lambda body: body["metadata"].update(ownerReferences=[]),
    "controller labels": lambda body: body["metadata"].update(labels={}),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_an_edit_enqueues_the_profile_for_the_controller_of_the_object(
    new_cache: Make, change: str
) -> None:
    cache = await synced_cache(new_cache, builders.controller(), builders.controller("others"))
    cache.cluster.objects.edit(KEY, CHANGES[change])
    await cache.quiet()

    assert {("alice", "samples")} == set(cache.enqueued)


async def test_a_deletion_enqueues(new_cache: Make) -> None:
    cache = await synced_cache(new_cache)
    cache.cluster.objects.delete(KEY)
    await cache.quiet()

    assert {("alice", "samples")} == set(cache.enqueued)
    assert cache["ConfigMap"].store.get("alice", "settings") is None


async def test_a_new_object_enqueues(new_cache: Make) -> None:
    cache = await synced_cache(new_cache)
    cache.put(name="more")
    await cache.quiet()

    assert {("alice", "samples")} == set(cache.enqueued)


async def test_a_change_of_status_enqueues_nothing(new_cache: Make) -> None:
    cache = await synced_cache(new_cache)
    cache.cluster.objects.edit(KEY, lambda body: body.update(status={"used": 1}))
    await cache.quiet()

    assert [] == cache.enqueued


async def test_an_object_that_moves_to_another_profile_enqueues_both(new_cache: Make) -> None:
    cache = await synced_cache(new_cache)
    bob = builders.profile_reference("bob", "uid-bob")
    cache.cluster.objects.edit(KEY, lambda body: body["metadata"].update(ownerReferences=[bob]))
    await cache.quiet()

    assert {("alice", "samples"), ("bob", "samples")} == set(cache.enqueued)


async def test_a_namespace_enqueues_its_profile_for_every_controller(new_cache: Make) -> None:
    cache = await synced_cache(new_cache)
    cache.cluster.objects.put(builders.namespace_body("carol", uid="uid-carol"))
    await cache.quiet()
    assert [("carol", None)] == cache.enqueued

    cache.enqueued.clear()
    cache.cluster.objects.delete(Key("Namespace", "", "carol"))
    await cache.quiet()
    assert [("carol", None)] == cache.enqueued


def watcher(name: str = "samples") -> AnyController:
    """Owns nothing, and watches the key `word` of every ConfigMap that has one."""
    watch = Watch(
        kind="ConfigMap",
        transform=lambda body: (body.get("data") or {}).get("word"),
        map=by_namespace,
    )
    return builders.controller(name, owned=[], watches=[watch])


async def test_a_watched_object_enqueues_only_when_its_transformed_value_changes(
    new_cache: Make,
) -> None:
    cache = await synced_cache(new_cache, watcher())
    word = cache.put(name="words", labels={}, owners=[], data={"word": "a"})
    await cache.quiet()
    assert {("alice", "samples")} == set(cache.enqueued)

    cache.enqueued.clear()
    cache.cluster.objects.put({**word, "data": {"word": "a", "more": "b"}})
    await cache.quiet()
    assert [] == cache.enqueued

    cache.cluster.objects.put({**word, "data": {"word": "b"}})
    await cache.quiet()
    assert {("alice", "samples")} == set(cache.enqueued)
    record = cache["ConfigMap"].store.get("alice", "words")
    assert record is not None
    assert {"samples": "b"} == record.transformed


async def test_a_watched_object_enqueues_when_it_is_deleted_or_its_value_is_gone(
    new_cache: Make,
) -> None:
    cache = await synced_cache(new_cache, watcher())
    for name in ("one", "other"):
        cache.put(name=name, labels={}, owners=[], data={"word": "a"})
    await cache.quiet()
    cache.enqueued.clear()
    cache.cluster.objects.delete(Key("ConfigMap", "alice", "one"))
    cache.cluster.objects.edit(Key("ConfigMap", "alice", "other"), lambda body: body.pop("data"))
    await cache.quiet()

    assert [("alice", "samples")] * 2 == cache.enqueued
    assert {} == cache["ConfigMap"].store.by_namespace("alice")


async def test_a_watched_object_does_not_enqueue_for_the_owner_of_its_kind(new_cache: Make) -> None:
    cache = await synced_cache(new_cache, builders.controller("owner"), watcher("reader"))
    cache.put(name="words", labels={}, owners=[], data={"word": "a"})
    await cache.quiet()

    assert [("alice", "reader")] == cache.enqueued


async def test_objects_of_another_shard_are_not_cached(new_cache: Make) -> None:
    cache = new_cache(in_shard=lambda uid: uid == "uid-bob")
    cache.put(name="alices")
    cache.put(name="bobs", namespace="bob", owners=[builders.profile_reference("bob", "uid-bob")])
    cache.start()
    await cache.synced()

    assert 1 == len(cache["ConfigMap"].store)
    assert cache["ConfigMap"].store.get("bob", "bobs") is not None
    assert cache["Namespace"].store.get("", "alice") is None
    cache.put(name="alices", **EDITED)
    await cache.quiet()
    assert [] == cache.enqueued


async def test_objects_are_found_by_the_uid_of_their_profile_in_any_namespace(
    new_cache: Make,
) -> None:
    cache = await synced_cache(new_cache)
    cache.put(name="elsewhere", namespace="bob")
    cache.put(name="bobs", namespace="bob", owners=[builders.profile_reference("bob", "uid-bob")])
    await cache.quiet()
    informer = cache["ConfigMap"]

    found = sorted(
        (space, name) for space, name, _ in informer.store.by_owner("alice", "uid-alice")
    )
    assert [("alice", "settings"), ("bob", "elsewhere")] == found
    cache.cluster.objects.delete(Key("ConfigMap", "bob", "elsewhere"))
    await cache.quiet()
    assert ["settings"] == [name for _, name, _ in informer.store.by_owner("alice", "uid-alice")]


async def test_objects_are_counted_by_controller(new_cache: Make) -> None:
    cache = await synced_cache(new_cache)
    cache.put(name="more")
    await cache.quiet()
    assert 2 == cache["ConfigMap"].count("samples")

    cache.cluster.objects.delete(KEY)
    await cache.quiet()
    assert 1 == cache["ConfigMap"].count("samples")
    assert 0 == cache["ConfigMap"].count("others")


# Writes of this process


def expect(cache: Cache, content: dict[str, Any]) -> None:
    digest = builders.cached_object(**content).digest
    cache["ConfigMap"].expect("alice", "settings", PendingWrite(digest, "uid-alice", "samples"))


async def test_a_self_originated_event_after_the_response_enqueues_nothing(new_cache: Make) -> None:
    cache = await synced_cache(new_cache)
    cache.cluster.pause_watches()
    expect(cache, EDITED)
    response = cache.cluster.objects.edit(KEY, lambda body: body.update(EDITED))
    cache["ConfigMap"].settle("alice", "settings", response)
    cache.cluster.resume_watches()
    await cache.quiet()

    assert [] == cache.enqueued


async def test_an_edit_after_a_skipped_self_originated_event_enqueues(
    new_cache: Make,
) -> None:
    cache = await synced_cache(new_cache)
    cache.cluster.pause_watches()
    written = {"data": {"key": "written"}}
    expect(cache, written)
    response = cache.cluster.objects.edit(KEY, lambda body: body.update(written))
    cache["ConfigMap"].settle("alice", "settings", response)
    cache.cluster.objects.edit(KEY, lambda body: body.update(EDITED))
    cache.cluster.resume_watches()
    await cache.quiet()

    assert {("alice", "samples")} == set(cache.enqueued)


async def test_a_self_originated_event_before_the_response_enqueues_nothing(
    new_cache: Make,
) -> None:
    cache = await synced_cache(new_cache)
    expect(cache, EDITED)
    response = cache.cluster.objects.edit(KEY, lambda body: body.update(EDITED))
    await cache.quiet()
    cache["ConfigMap"].settle("alice", "settings", response)

    assert [] == cache.enqueued


@pytest.mark.parametrize("change", CHANGES)
async def test_an_edit_between_a_self_originated_event_and_the_response_enqueues(
    new_cache: Make, change: str
) -> None:
    cache = await synced_cache(new_cache)
    written = {"data": {"key": "written"}}
    expect(cache, written)
    response = cache.cluster.objects.edit(KEY, lambda body: body.update(written))
    cache.cluster.objects.edit(KEY, CHANGES[change])
    await cache.quiet()
    cache["ConfigMap"].settle("alice", "settings", response)

    assert {("alice", "samples")} == set(cache.enqueued)


async def test_an_object_deleted_between_a_self_originated_event_and_the_response_stays_deleted(
    new_cache: Make,
) -> None:
    cache = await synced_cache(new_cache)
    expect(cache, EDITED)
    response = cache.cluster.objects.edit(KEY, lambda body: body.update(EDITED))
    cache.cluster.objects.delete(KEY)
    await cache.quiet()
    cache["ConfigMap"].settle("alice", "settings", response)

    assert {("alice", "samples")} == set(cache.enqueued)
    assert cache["ConfigMap"].store.get("alice", "settings") is None
    assert 0 == len(cache["ConfigMap"].expectations)


async def test_an_edit_after_the_response_enqueues(new_cache: Make) -> None:
    cache = await synced_cache(new_cache)
    expect(cache, EDITED)
    response = cache.cluster.objects.edit(KEY, lambda body: body.update(EDITED))
    cache["ConfigMap"].settle("alice", "settings", response)
    cache.cluster.objects.edit(KEY, lambda body: body.update(VALUE))
    await cache.quiet()

    assert {("alice", "samples")} == set(cache.enqueued)


async def test_an_edit_after_a_failed_write_enqueues(new_cache: Make) -> None:
    cache = await synced_cache(new_cache)
    expect(cache, EDITED)
    cache["ConfigMap"].settle("alice", "settings", None)
    cache.cluster.objects.edit(KEY, lambda body: body.update(EDITED))
    await cache.quiet()

    assert {("alice", "samples")} == set(cache.enqueued)


@pytest.mark.parametrize("first", ["response", "event"])
async def test_the_event_of_our_own_deletion_enqueues_nothing(new_cache: Make, first: str) -> None:
    cache = await synced_cache(new_cache)
    informer = cache["ConfigMap"]
    uid = cache.cluster.objects.read(KEY)["metadata"]["uid"]
    informer.expect("alice", "settings", None)
    if first == "response":
        cache.cluster.pause_watches()
    cache.cluster.objects.delete(KEY)
    if first == "event":
        await cache.quiet()
    informer.settle_deletion("alice", "settings", uid)
    cache.cluster.resume_watches()
    await cache.quiet()

    assert [] == cache.enqueued
    assert informer.store.get("alice", "settings") is None
    assert 0 == len(informer.expectations)


async def test_late_events_do_not_restore_an_object_that_we_deleted(new_cache: Make) -> None:
    cache = await synced_cache(new_cache)
    informer = cache["ConfigMap"]
    uid = cache.cluster.objects.read(KEY)["metadata"]["uid"]
    cache.cluster.pause_watches()
    cache.cluster.objects.edit(KEY, lambda body: body.update(EDITED))
    informer.expect("alice", "settings", None)
    cache.cluster.objects.delete(KEY)
    informer.settle_deletion("alice", "settings", uid)
    cache.cluster.resume_watches()
    await cache.quiet()

    assert [] == cache.enqueued
    assert informer.store.get("alice", "settings") is None


async def test_an_object_recreated_after_our_deletion_is_cached_at_once(new_cache: Make) -> None:
    cache = await synced_cache(new_cache)
    informer = cache["ConfigMap"]
    uid = cache.cluster.objects.read(KEY)["metadata"]["uid"]
    cache.cluster.pause_watches()
    informer.expect("alice", "settings", None)
    cache.cluster.objects.delete(KEY)
    informer.settle_deletion("alice", "settings", uid)
    expect(cache, EDITED)
    informer.settle("alice", "settings", cache.put(**EDITED))
    cache.cluster.resume_watches()
    await cache.quiet()
    record = informer.store.get("alice", "settings")

    assert [] == cache.enqueued
    assert record is not None
    assert uid != record.uid


async def test_a_late_response_to_a_deletion_does_not_restore_the_object(
    new_cache: Make,
) -> None:
    cache = await synced_cache(new_cache)
    informer = cache["ConfigMap"]
    body = cache.cluster.objects.read(KEY)
    informer.expect("alice", "settings", None)
    cache.cluster.objects.delete(KEY)
    await cache.quiet()
    going = {**body["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}

    assert informer.settle("alice", "settings", {**body, "metadata": going}) is None
    assert informer.store.get("alice", "settings") is None
    assert 0 == len(informer.expectations)


async def test_a_late_deletion_event_keeps_the_new_object_of_the_same_name(new_cache: Make) -> None:
    cache = await synced_cache(new_cache)
    informer = cache["ConfigMap"]
    cache.cluster.pause_watches()
    cache.cluster.objects.delete(KEY)
    expect(cache, EDITED)
    response = cache.put(**EDITED)
    informer.settle("alice", "settings", response)
    cache.cluster.resume_watches()
    await cache.quiet()
    record = informer.store.get("alice", "settings")

    assert record is not None
    assert response["metadata"]["uid"] == record.uid


async def test_our_deletion_delayed_by_a_finalizer_enqueues_only_when_the_object_is_gone(
    new_cache: Make,
) -> None:
    cache = await synced_cache(new_cache)
    informer = cache["ConfigMap"]
    cache.cluster.objects.edit(KEY, lambda body: body["metadata"].update(finalizers=["a/b"]))
    await cache.quiet()
    cache.enqueued.clear()
    informer.expect("alice", "settings", None)
    response = cache.cluster.objects.delete(KEY)
    await cache.quiet()
    informer.settle("alice", "settings", response)
    record = informer.store.get("alice", "settings")
    assert [] == cache.enqueued
    assert record is not None
    assert record.deleting

    cache.cluster.objects.edit(KEY, lambda body: body["metadata"].update(finalizers=[]))
    await cache.quiet()
    assert {("alice", "samples")} == set(cache.enqueued)


# Interruptions


async def test_a_watch_that_the_server_ended_continues_from_its_version(new_cache: Make) -> None:
    cache = await synced_cache(new_cache)
    cache.cluster.end_watches()
    cache.put(**EDITED)
    await cache.quiet()

    assert {("alice", "samples")} == set(cache.enqueued)
    assert {"WATCH"} == {request.method for request in cache.cluster.requests}


async def test_an_interrupted_watch_continues_and_misses_nothing(new_cache: Make) -> None:
    cache = await synced_cache(new_cache)
    cache.cluster.break_watches()
    cache.put(**EDITED)
    cache.cluster.objects.put(builders.namespace_body("carol", uid="uid-carol"))
    await cache.quiet()

    assert {("alice", "samples"), ("carol", None)} == set(cache.enqueued)
    assert {"WATCH"} == {request.method for request in cache.cluster.requests}


async def test_a_bookmark_advances_the_watch_and_enqueues_nothing(new_cache: Make) -> None:
    cache = await synced_cache(new_cache)
    cache.cluster.objects.put(builders.profile_body(version=0))
    cache.cluster.send_bookmarks()
    await cache.quiet()
    cache.cluster.compact()
    cache.cluster.break_watches()
    await cache.quiet()

    assert [] == cache.enqueued
    assert {"WATCH"} == {request.method for request in cache.cluster.requests}


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("how", ["response", "event"])
async def test_an_expired_watch_lists_again_and_enqueues_what_changed(
    new_cache: Make, how: str, *, streams: bool
) -> None:
    cache = await synced_cache(new_cache)
    cache.cluster.streams_lists = streams
    cache.put(name="stays")
    await cache.quiet()
    cache.enqueued.clear()
    if how == "response":
        cache.cluster.break_watches()
    else:
        cache.cluster.expire_watches()
    cache.cluster.objects.delete(KEY)
    cache.put(name="new", namespace="bob", owners=[builders.profile_reference("bob", "uid-bob")])
    cache.cluster.compact()
    await cache.quiet()

    assert {("alice", "samples"), ("bob", "samples")} == set(cache.enqueued)
    assert ["stays"] == list(cache["ConfigMap"].store.by_namespace("alice"))
    lists = [one for one in cache.cluster.requests if "sendInitialEvents" in one.query]
    assert {"ConfigMap", "Namespace"} == {one.kind for one in lists}
    assert streams is not any(request.method == "GET" for request in cache.cluster.requests)


async def test_objects_written_during_a_relist_are_kept(new_cache: Make) -> None:
    cache = await synced_cache(new_cache)
    informer = cache["ConfigMap"]
    cache.cluster.streams_lists = False
    cache.cluster.page_size = 1
    cache.cluster.latency = 1.0
    cache.put(name="second")
    await cache.quiet()
    cache.enqueued.clear()
    cache.cluster.objects.put(builders.profile_body(version=0))
    cache.cluster.compact()
    cache.cluster.break_watches()
    await virtual_time.until(lambda: cache.cluster.lists_in_progress, "the list is in progress")
    informer.expect(
        "alice",
        "third",
        PendingWrite(builders.cached_object(data={"key": "value"}).digest, "uid-alice", "samples"),
    )
    informer.settle("alice", "third", cache.put(name="third", **VALUE))
    await cache.quiet()

    assert ["second", "settings", "third"] == sorted(informer.store.by_namespace("alice"))
    assert [] == cache.enqueued


@pytest.mark.parametrize("code", [401, 403, 429, 500, 503])
async def test_an_error_response_is_retried_and_reported(new_cache: Make, code: int) -> None:
    cache = await synced_cache(new_cache)
    informer = cache["ConfigMap"]
    cache.cluster.break_watches(ApiError(code=code, reason="Reason", message="details"))
    await virtual_time.until(lambda: informer.reflector.down_since is not None, "the watch is down")
    assert f"{code} Reason: details" == informer.reflector.health()

    await cache.quiet()
    assert "" == informer.reflector.health()
    assert informer.reflector.down_since is None
    assert informer.reflector.refusal is None


@pytest.mark.parametrize(("seconds", "recoveries"), [(1.0, 0), (30.0, 2)])
async def test_only_an_outage_is_reported_as_recovered(
    new_cache: Make, seconds: float, recoveries: int
) -> None:
    cache = await synced_cache(new_cache)
    cache.cluster.unreachable = True
    cache.cluster.break_watches()
    await asyncio.sleep(seconds)
    cache.cluster.unreachable = False
    await cache.quiet()

    assert recoveries == cache.recoveries


async def test_an_object_that_left_the_selector_and_returned_before_the_response_is_cached(
    new_cache: Make,
) -> None:
    cache = await synced_cache(new_cache)
    informer = cache["ConfigMap"]
    expect(cache, EDITED)
    before = cache.cluster.objects.read(KEY)
    informer.delete(before)
    response = cache.cluster.objects.edit(KEY, lambda body: body.update(EDITED))
    await cache.quiet()
    informer.settle("alice", "settings", response)

    assert informer.store.get("alice", "settings") is not None


async def test_an_unreachable_server_is_retried_with_backoff(new_cache: Make) -> None:
    cache = await synced_cache(new_cache)
    cache.cluster.unreachable = True
    cache.cluster.break_watches()
    await asyncio.sleep(60.0)
    tries = [request for request in cache.cluster.requests if request.kind == "ConfigMap"]

    assert 10 <= len(tries) <= 25
    assert cache["ConfigMap"].reflector.down_since == pytest.approx(
        virtual_time.now() - 60.0, abs=1.0
    )


async def test_a_kind_that_is_not_served_is_listed_once_it_is(new_cache: Make) -> None:
    cache = new_cache()
    cache.cluster.unserved.add(("ConfigMap", "v1"))
    cache.start()
    await virtual_time.until(
        lambda: cache["ConfigMap"].reflector.not_served, "the kind is known to be absent"
    )
    assert "the cluster serves no configmaps" in cache["ConfigMap"].reflector.health()
    assert not cache["ConfigMap"].synced

    cache.put(**VALUE)
    cache.cluster.unserved.clear()
    await cache.synced()
    assert not cache["ConfigMap"].reflector.not_served
    assert cache["ConfigMap"].store.get("alice", "settings") is not None


async def test_a_kind_is_listed_in_the_first_served_version(new_cache: Make) -> None:
    profiles = Watch(kind="Profile", transform=lambda _body: 1, map=no_profiles)
    cache = new_cache(builders.controller(watches=[profiles]))
    cache.cluster.unserved.add(("Profile", "v1"))
    cache.cluster.objects.put(builders.profile_body(version=0))
    cache.start()
    await cache.synced()

    assert "v1beta1" == cache["Profile"].version
    assert 1 == len(cache["Profile"].store)


async def test_a_kind_that_moves_to_another_version_is_listed_in_it(
    new_cache: Make,
) -> None:
    profiles = Watch(kind="Profile", transform=lambda _body: 1, map=no_profiles)
    cache = new_cache(builders.controller(watches=[profiles]))
    cache.cluster.objects.put(builders.profile_body(version=0))
    cache.start()
    await cache.synced()
    cache.cluster.unserved.add(("Profile", "v1"))
    cache.cluster.end_watches()
    await virtual_time.until(
        lambda: cache["Profile"].version == "v1beta1", "the other version is listed"
    )

    assert not cache["Profile"].reflector.not_served
    assert 1 == len(cache["Profile"].store)
