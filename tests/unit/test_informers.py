"""Informers: what they list, remember and tell, whatever the API server does meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from controllers.manifests import Body, Key
from controllers.profiles import PAUSED_ANNOTATION
from controllers.runtime.cache.lists import PAGE
from controllers.runtime.cache.reflector import Informer, informers_for
from controllers.runtime.cache.subscriptions import interests
from controllers.runtime.controller import AnyController, Owned, Watch, by_namespace, no_profiles
from controllers.runtime.errors import ApiError
from controllers.runtime.workqueue import Priority
from tests.support.builders import live_objects
from tests.support.fakes import Failure, FakeCluster, event_loop

pytestmark = pytest.mark.virtual_time

KEY = Key("ConfigMap", "alice", "settings")
VALUE = {"data": {"key": "value"}}
EDITED = {"data": {"key": "edited"}}

SETTINGS = live_objects.Settings()


class Office:
    """Informers at work, and a note of whom they woke."""

    def __init__(
        self,
        *controllers: AnyController,
        cluster: FakeCluster | None = None,
        holds: Callable[[str], bool] = lambda _uid: True,
    ) -> None:
        self.cluster = cluster or FakeCluster()
        for name in ("alice", "bob"):
            if self.cluster.objects.get(Key("Namespace", "", name)) is None:
                self.cluster.objects.put(live_objects.namespace_body(name, uid=f"uid-{name}"))
        self.woken: list[tuple[str, str | None]] = []
        self.informers = informers_for(
            [(one, SETTINGS) for one in controllers or (live_objects.controller(),)],
            self.cluster,
            self._wake,
            clock=event_loop.now,
            holds=holds,
        )
        self.tasks: list[asyncio.Task[None]] = []

    def _wake(self, profile: str, controller: str | None, priority: Priority, /) -> None:
        assert priority is Priority.NORMAL
        self.woken.append((profile, controller))

    def start(self) -> None:
        self.tasks += [asyncio.create_task(one.run()) for one in self.informers.values()]

    async def synced(self) -> None:
        await event_loop.until(
            lambda: all(one.synced and not one.down_since for one in self.informers.values()),
            "every informer has synced",
        )
        await self.quiet()

    async def quiet(self) -> None:
        """Every watch is up, and what it told was dealt with."""
        await self.quiet_but_for_events()
        await event_loop.until(lambda: self.cluster.delivered, "every event was taken")

    async def quiet_but_for_events(self) -> None:
        """Every watch is up, whatever it has to tell."""
        await event_loop.until(
            lambda: len(self.cluster.watched()) == len(self.informers), "every watch is up"
        )
        await event_loop.turns()

    def __getitem__(self, kind: str) -> Informer:
        return self.informers[kind]

    def put(self, **fields: Any) -> Body:
        """As `specimens.object_body`, put into the cluster; its UID and version are the store's."""
        body = live_objects.object_body(**fields)
        del body["metadata"]["uid"], body["metadata"]["resourceVersion"]
        return self.cluster.objects.put(body)


Make = Callable[..., Office]


@pytest_asyncio.fixture
async def office() -> AsyncIterator[Make]:
    """Makes offices whose informers run until the test ends."""
    made: list[Office] = []

    def make(*controllers: AnyController, **fields: Any) -> Office:
        made.append(Office(*controllers, **fields))
        return made[-1]

    yield make
    tasks = [task for one in made for task in one.tasks]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def open_office(office: Make, *controllers: AnyController, **fields: Any) -> Office:
    """One with Alice's ConfigMap, synced, that has woken nobody yet."""
    one = office(*controllers, **fields)
    one.put(**VALUE)
    one.start()
    await one.synced()
    one.woken.clear()
    one.cluster.requests.clear()
    return one


# The first list


async def test_what_was_there_before_is_remembered_and_wakes_nobody(office: Make) -> None:
    one = office()
    one.put(**VALUE)
    one.start()
    await one.synced()

    assert one["ConfigMap"].get("alice", "settings") is not None
    assert [] == one.woken


async def test_a_list_is_the_beginning_of_the_watch(office: Make) -> None:
    one = office()
    one.put(**VALUE)
    one.start()
    await one.synced()
    one.put(**EDITED)
    await one.quiet()

    assert {"WATCH"} == {request.method for request in one.cluster.requests}
    assert {("alice", "samples")} == set(one.woken)


async def test_a_list_that_breaks_off_is_made_in_pages_and_is_complete(office: Make) -> None:
    one = office()
    for number in range(3):
        one.put(name=f"settings-{number}")
    one.cluster.hold_watches()
    one.start()
    await one.quiet_but_for_events()
    assert not one["ConfigMap"].synced
    for stream in one.cluster._streams:
        stream._waiting.pop()  # the bookmark that ends the list
    one.cluster.lose_watches()
    one.cluster.release_watches()
    await one.synced()

    assert 3 == len(one["ConfigMap"])
    assert {"GET", "WATCH"} == {request.method for request in one.cluster.requests}


async def test_who_may_list_and_not_watch_has_his_list(office: Make) -> None:
    one = office()
    one.put(**VALUE)
    for _ in range(2):
        one.cluster.fail_next(
            Failure.FORBIDDEN,
            lambda request: request.method == "WATCH" and request.kind == "ConfigMap",
        )
    one.start()
    await event_loop.until(lambda: one["ConfigMap"].synced, "the list is complete")

    assert 1 == len(one["ConfigMap"])


async def test_a_list_shows_also_what_was_just_written(office: Make) -> None:
    """Its version is that of an answer, and yet no echo to be left out."""
    one = await open_office(office)
    informer = one["ConfigMap"]
    written = one.put(name="second", **VALUE)
    informer.settle("alice", "second", written)
    one.cluster.expire_watches()
    await one.quiet()

    assert ["second", "settings"] == sorted(informer.named("alice"))
    assert [] == one.woken


async def test_a_list_comes_in_pages_where_there_are_no_streams(office: Make) -> None:
    one = office()
    one.cluster.streams_lists = False
    one.cluster.page_size = 2
    for number in range(5):
        one.put(name=f"settings-{number}")
    one.start()
    await one.synced()
    pages = [
        request
        for request in one.cluster.requests
        if request.method == "GET" and request.kind == "ConfigMap"
    ]

    assert 5 == len(one["ConfigMap"])
    assert ["continue" in page.query for page in pages] == [False, True, True]
    assert {str(PAGE)} == {page.query["limit"] for page in pages}


async def test_a_list_whose_pages_expire_begins_anew(office: Make) -> None:
    one = office()
    one.cluster.streams_lists = False
    one.cluster.page_size = 2
    for number in range(3):
        one.put(name=f"settings-{number}")
    one.cluster.fail_next(Failure.BROKEN, lambda request: "continue" in request.query)
    one.start()
    await one.synced()

    assert 3 == len(one["ConfigMap"])


async def test_the_server_selects_what_carries_the_labels_of_these_controllers(
    office: Make,
) -> None:
    one = office(live_objects.controller("one"), live_objects.controller("other"))
    one.put(name="ours", labels=live_objects.marks("one"))
    one.put(name="foreign", labels={})
    one.start()
    await one.synced()
    selectors = {
        request.query.get("labelSelector")
        for request in one.cluster.requests
        if request.kind == "ConfigMap"
    }

    marks = "app.kubernetes.io/managed-by=profiles-controller,app.kubernetes.io/component"
    assert {f"{marks} in (one,other)"} == selectors
    assert ["ours"] == list(one["ConfigMap"].named("alice"))


async def test_an_older_suites_objects_make_it_list_without_a_selector_and_keep_only_those(
    office: Make,
) -> None:
    legacy = Owned(kind="ConfigMap", adopt_legacy=lambda metadata: metadata["name"] == "older")
    one = office(live_objects.controller(owned=[legacy]))
    one.put(name="older", labels={})
    one.put(name="foreign", labels={})
    one.put(name="ours")
    one.start()
    await one.synced()

    assert ["older", "ours"] == sorted(one["ConfigMap"].named("alice"))
    assert ("samples",) == one["ConfigMap"].named("alice")["older"].legacy
    assert all("labelSelector" not in request.query for request in one.cluster.requests)


async def test_what_has_one_name_everywhere_is_all_that_it_lists(office: Make) -> None:
    watched = Watch(
        kind="ConfigMap", transform=lambda body: body["metadata"]["name"], map=no_profiles
    )
    named = Owned(kind="ConfigMap", names=("named",))
    one = office(live_objects.controller(owned=[named], watches=[watched]))
    one.put(name="named")
    one.put(name="another")
    one.start()
    await one.synced()

    assert ["named"] == list(one["ConfigMap"].named("alice"))
    asked = [request for request in one.cluster.requests if request.kind == "ConfigMap"]
    assert {"metadata.name=named"} == {request.query["fieldSelector"] for request in asked}


def test_all_is_listed_where_somebody_wants_another_name_or_any() -> None:
    def name(*controllers: AnyController) -> str:
        return interests([(one, SETTINGS) for one in controllers])["ConfigMap"].name

    one, same, other, any_name, both = (
        live_objects.controller(called, owned=[Owned(kind="ConfigMap", names=names)])
        for called, names in (
            ("one", ("a",)),
            ("same", ("a",)),
            ("other", ("b",)),
            ("any", ()),
            ("both", ("a", "b")),
        )
    )
    watched = Watch(kind="ConfigMap", transform=lambda _body: None, map=no_profiles)
    watcher = live_objects.controller("watcher", owned=[], watches=[watched])

    assert ["a", "a"] == [name(one), name(one, same)]
    assert [""] * 4 == [name(one, each) for each in (other, any_name, both, watcher)]
    assert name(both) == ""


def test_two_controllers_share_an_informer_of_their_kinds_and_namespaces() -> None:
    found = interests([(live_objects.controller(name), SETTINGS) for name in ("one", "other")])

    assert ["ConfigMap", "Namespace"] == sorted(found)
    assert ["one", "other"] == sorted(found["ConfigMap"].owners)


async def test_it_is_not_synced_before_its_list_is_complete(office: Make) -> None:
    one = office()
    one.cluster.down = True
    one.start()
    await asyncio.sleep(3.0)

    assert not one["ConfigMap"].synced
    assert "API server unreachable" in one["ConfigMap"].health()
    one.cluster.down = False
    await one.synced()
    assert "" == one["ConfigMap"].health()


# What wakes, and whom


CHANGES: dict[str, Callable[[Body], Any]] = {
    "content": lambda body: body.update(EDITED),
    "label": lambda body: body["metadata"]["labels"].update(theirs="yes"),
    "annotation": lambda body: body["metadata"]["annotations"].update({PAUSED_ANNOTATION: "true"}),
    "owner": lambda body: body["metadata"].update(ownerReferences=[]),
    "marks": lambda body: body["metadata"].update(labels={}),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_an_edit_wakes_the_profile_for_the_controller_of_the_object(
    office: Make, change: str
) -> None:
    one = await open_office(office, live_objects.controller(), live_objects.controller("others"))
    one.cluster.objects.edit(KEY, CHANGES[change])
    await one.quiet()

    assert {("alice", "samples")} == set(one.woken)


async def test_a_deletion_wakes(office: Make) -> None:
    one = await open_office(office)
    one.cluster.objects.delete(KEY)
    await one.quiet()

    assert {("alice", "samples")} == set(one.woken)
    assert one["ConfigMap"].get("alice", "settings") is None


async def test_an_object_that_appears_wakes(office: Make) -> None:
    one = await open_office(office)
    one.put(name="more")
    await one.quiet()

    assert {("alice", "samples")} == set(one.woken)


async def test_a_change_of_status_wakes_nobody(office: Make) -> None:
    one = await open_office(office)
    one.cluster.objects.edit(KEY, lambda body: body.update(status={"used": 1}))
    await one.quiet()

    assert [] == one.woken


async def test_an_object_that_moves_to_another_profile_wakes_both(office: Make) -> None:
    one = await open_office(office)
    bob = live_objects.profile_reference("bob", "uid-bob")
    one.cluster.objects.edit(KEY, lambda body: body["metadata"].update(ownerReferences=[bob]))
    await one.quiet()

    assert {("alice", "samples"), ("bob", "samples")} == set(one.woken)


async def test_a_namespace_wakes_its_profile_for_every_controller(office: Make) -> None:
    one = await open_office(office)
    one.cluster.objects.put(live_objects.namespace_body("carol", uid="uid-carol"))
    await one.quiet()
    assert [("carol", None)] == one.woken

    one.woken.clear()
    one.cluster.objects.delete(Key("Namespace", "", "carol"))
    await one.quiet()
    assert [("carol", None)] == one.woken


def watcher(name: str = "samples") -> AnyController:
    """Owns nothing, and reads the key `word` of every ConfigMap that has one."""
    watch = Watch(
        kind="ConfigMap",
        transform=lambda body: (body.get("data") or {}).get("word"),
        map=by_namespace,
    )
    return live_objects.controller(name, owned=[], watches=[watch])


async def test_what_is_watched_wakes_only_when_what_was_kept_of_it_changes(office: Make) -> None:
    one = await open_office(office, watcher())
    word = one.put(name="said", labels={}, owners=[], data={"word": "a"})
    await one.quiet()
    assert {("alice", "samples")} == set(one.woken)

    one.woken.clear()
    one.cluster.objects.put({**word, "data": {"word": "a", "more": "b"}})
    await one.quiet()
    assert [] == one.woken

    one.cluster.objects.put({**word, "data": {"word": "b"}})
    await one.quiet()
    assert {("alice", "samples")} == set(one.woken)
    record = one["ConfigMap"].get("alice", "said")
    assert record is not None
    assert {"samples": "b"} == record.kept


async def test_what_is_watched_wakes_when_it_goes_or_is_of_no_interest_any_more(
    office: Make,
) -> None:
    one = await open_office(office, watcher())
    for name in ("one", "other"):
        one.put(name=name, labels={}, owners=[], data={"word": "a"})
    await one.quiet()
    one.woken.clear()
    one.cluster.objects.delete(Key("ConfigMap", "alice", "one"))
    one.cluster.objects.edit(Key("ConfigMap", "alice", "other"), lambda body: body.pop("data"))
    await one.quiet()

    assert [("alice", "samples")] * 2 == one.woken
    assert {} == one["ConfigMap"].named("alice")


async def test_an_object_of_a_watcher_does_not_wake_the_owner_of_its_kind(office: Make) -> None:
    one = await open_office(office, live_objects.controller("owner"), watcher("reader"))
    one.put(name="said", labels={}, owners=[], data={"word": "a"})
    await one.quiet()

    assert [("alice", "reader")] == one.woken


async def test_another_shards_objects_are_not_remembered(office: Make) -> None:
    one = office(holds=lambda uid: uid == "uid-bob")
    one.put(name="alices")
    one.put(name="bobs", namespace="bob", owners=[live_objects.profile_reference("bob", "uid-bob")])
    one.start()
    await one.synced()

    assert 1 == len(one["ConfigMap"])
    assert one["ConfigMap"].get("bob", "bobs") is not None
    assert one["Namespace"].get("", "alice") is None
    one.put(name="alices", **EDITED)
    await one.quiet()
    assert [] == one.woken


async def test_owned_objects_are_found_by_the_profiles_uid_wherever_they_are(
    office: Make,
) -> None:
    one = await open_office(office)
    one.put(name="elsewhere", namespace="bob")
    one.put(name="bobs", namespace="bob", owners=[live_objects.profile_reference("bob", "uid-bob")])
    await one.quiet()
    informer = one["ConfigMap"]

    found = sorted((space, name) for space, name, _ in informer.owned("alice", "uid-alice"))
    assert [("alice", "settings"), ("bob", "elsewhere")] == found
    one.cluster.objects.delete(Key("ConfigMap", "bob", "elsewhere"))
    await one.quiet()
    assert ["settings"] == [name for _, name, _ in informer.owned("alice", "uid-alice")]


async def test_objects_are_counted_by_controller(office: Make) -> None:
    one = await open_office(office)
    one.put(name="more")
    await one.quiet()
    assert 2 == one["ConfigMap"].count("samples")

    one.cluster.objects.delete(KEY)
    await one.quiet()
    assert 1 == one["ConfigMap"].count("samples")
    assert 0 == one["ConfigMap"].count("others")


# Our own writes


def expect(one: Office, content: dict[str, Any]) -> None:
    digest = live_objects.record(**content).digest
    one["ConfigMap"].expect("alice", "settings", (digest, "uid-alice", "samples"))


async def test_the_echo_of_a_write_wakes_nobody_when_the_answer_comes_first(office: Make) -> None:
    one = await open_office(office)
    one.cluster.hold_watches()
    expect(one, EDITED)
    answer = one.cluster.objects.edit(KEY, lambda body: body.update(EDITED))
    one["ConfigMap"].settle("alice", "settings", answer)
    one.cluster.release_watches()
    await one.quiet()

    assert [] == one.woken


async def test_an_edit_right_after_our_write_wakes_though_its_echo_was_left_out(
    office: Make,
) -> None:
    one = await open_office(office)
    one.cluster.hold_watches()
    written = {"data": {"key": "written"}}
    expect(one, written)
    answer = one.cluster.objects.edit(KEY, lambda body: body.update(written))
    one["ConfigMap"].settle("alice", "settings", answer)
    one.cluster.objects.edit(KEY, lambda body: body.update(EDITED))
    one.cluster.release_watches()
    await one.quiet()

    assert {("alice", "samples")} == set(one.woken)


async def test_the_echo_of_a_write_wakes_nobody_when_the_event_comes_first(office: Make) -> None:
    one = await open_office(office)
    expect(one, EDITED)
    answer = one.cluster.objects.edit(KEY, lambda body: body.update(EDITED))
    await one.quiet()
    one["ConfigMap"].settle("alice", "settings", answer)

    assert [] == one.woken


@pytest.mark.parametrize("change", ["content", "label", "annotation", "owner", "marks"])
async def test_a_foreign_edit_between_the_echo_and_the_answer_wakes(
    office: Make, change: str
) -> None:
    one = await open_office(office)
    written = {"data": {"key": "written"}}
    expect(one, written)
    answer = one.cluster.objects.edit(KEY, lambda body: body.update(written))
    one.cluster.objects.edit(KEY, CHANGES[change])
    await one.quiet()
    one["ConfigMap"].settle("alice", "settings", answer)

    assert {("alice", "samples")} == set(one.woken)


async def test_an_object_that_is_deleted_between_the_echo_and_the_answer_stays_gone(
    office: Make,
) -> None:
    one = await open_office(office)
    expect(one, EDITED)
    answer = one.cluster.objects.edit(KEY, lambda body: body.update(EDITED))
    one.cluster.objects.delete(KEY)
    await one.quiet()
    one["ConfigMap"].settle("alice", "settings", answer)

    assert {("alice", "samples")} == set(one.woken)
    assert one["ConfigMap"].get("alice", "settings") is None
    assert {} == one["ConfigMap"]._buried


async def test_a_foreign_edit_after_the_answer_wakes(office: Make) -> None:
    one = await open_office(office)
    expect(one, EDITED)
    answer = one.cluster.objects.edit(KEY, lambda body: body.update(EDITED))
    one["ConfigMap"].settle("alice", "settings", answer)
    one.cluster.objects.edit(KEY, lambda body: body.update(VALUE))
    await one.quiet()

    assert {("alice", "samples")} == set(one.woken)


async def test_an_edit_after_a_write_that_failed_wakes(office: Make) -> None:
    one = await open_office(office)
    expect(one, EDITED)
    one["ConfigMap"].settle("alice", "settings", None)
    one.cluster.objects.edit(KEY, lambda body: body.update(EDITED))
    await one.quiet()

    assert {("alice", "samples")} == set(one.woken)


@pytest.mark.parametrize("first", ["answer", "event"])
async def test_the_end_of_what_we_deleted_wakes_nobody(office: Make, first: str) -> None:
    one = await open_office(office)
    informer = one["ConfigMap"]
    uid = one.cluster.objects.read(KEY)["metadata"]["uid"]
    informer.expect("alice", "settings", None)
    if first == "answer":
        one.cluster.hold_watches()
    one.cluster.objects.delete(KEY)
    if first == "event":
        await one.quiet()
    informer.bury("alice", "settings", uid)
    one.cluster.release_watches()
    await one.quiet()

    assert [] == one.woken
    assert informer.get("alice", "settings") is None
    assert {} == informer._buried


async def test_late_events_of_what_we_deleted_do_not_bring_it_back(office: Make) -> None:
    one = await open_office(office)
    informer = one["ConfigMap"]
    uid = one.cluster.objects.read(KEY)["metadata"]["uid"]
    one.cluster.hold_watches()
    one.cluster.objects.edit(KEY, lambda body: body.update(EDITED))
    informer.expect("alice", "settings", None)
    one.cluster.objects.delete(KEY)
    informer.bury("alice", "settings", uid)
    one.cluster.release_watches()
    await one.quiet()

    assert [] == one.woken
    assert informer.get("alice", "settings") is None


async def test_what_is_made_anew_after_we_deleted_it_is_known_at_once(office: Make) -> None:
    one = await open_office(office)
    informer = one["ConfigMap"]
    uid = one.cluster.objects.read(KEY)["metadata"]["uid"]
    one.cluster.hold_watches()
    informer.expect("alice", "settings", None)
    one.cluster.objects.delete(KEY)
    informer.bury("alice", "settings", uid)
    expect(one, EDITED)
    informer.settle("alice", "settings", one.put(**EDITED))
    one.cluster.release_watches()
    await one.quiet()
    record = informer.get("alice", "settings")

    assert [] == one.woken
    assert record is not None
    assert uid != record.uid


async def test_a_late_answer_to_a_deletion_does_not_bring_back_what_has_gone(
    office: Make,
) -> None:
    one = await open_office(office)
    informer = one["ConfigMap"]
    body = one.cluster.objects.read(KEY)
    informer.expect("alice", "settings", None)
    one.cluster.objects.delete(KEY)
    await one.quiet()
    going = {**body["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}

    assert informer.settle("alice", "settings", {**body, "metadata": going}) is None
    assert informer.get("alice", "settings") is None
    assert {} == informer._buried


async def test_the_late_end_of_an_object_leaves_the_new_one_of_its_name(office: Make) -> None:
    one = await open_office(office)
    informer = one["ConfigMap"]
    one.cluster.hold_watches()
    one.cluster.objects.delete(KEY)
    expect(one, EDITED)
    answer = one.put(**EDITED)
    informer.settle("alice", "settings", answer)
    one.cluster.release_watches()
    await one.quiet()
    record = informer.get("alice", "settings")

    assert record is not None
    assert answer["metadata"]["uid"] == record.uid


async def test_a_finalizer_that_holds_what_we_deleted_is_no_news_and_its_end_is(
    office: Make,
) -> None:
    one = await open_office(office)
    informer = one["ConfigMap"]
    one.cluster.objects.edit(KEY, lambda body: body["metadata"].update(finalizers=["a/b"]))
    await one.quiet()
    one.woken.clear()
    informer.expect("alice", "settings", None)
    answer = one.cluster.objects.delete(KEY)
    await one.quiet()
    informer.settle("alice", "settings", answer)
    record = informer.get("alice", "settings")
    assert [] == one.woken
    assert record is not None
    assert record.deleting

    one.cluster.objects.edit(KEY, lambda body: body["metadata"].update(finalizers=[]))
    await one.quiet()
    assert {("alice", "samples")} == set(one.woken)


# What the API server may do meanwhile


async def test_a_watch_that_ended_in_order_goes_on_where_it_ended(office: Make) -> None:
    one = await open_office(office)
    one.cluster.end_watches()
    one.put(**EDITED)
    await one.quiet()

    assert {("alice", "samples")} == set(one.woken)
    assert {"WATCH"} == {request.method for request in one.cluster.requests}


async def test_a_watch_that_broke_goes_on_and_nothing_is_lost(office: Make) -> None:
    one = await open_office(office)
    one.cluster.lose_watches()
    one.put(**EDITED)
    one.cluster.objects.put(live_objects.namespace_body("carol", uid="uid-carol"))
    await one.quiet()

    assert {("alice", "samples"), ("carol", None)} == set(one.woken)
    assert {"WATCH"} == {request.method for request in one.cluster.requests}


async def test_a_bookmark_moves_the_watch_on_and_wakes_nobody(office: Make) -> None:
    one = await open_office(office)
    one.cluster.objects.put(live_objects.profile_body(version=0))
    one.cluster.send_bookmarks()
    await one.quiet()
    one.cluster.compact()
    one.cluster.lose_watches()
    await one.quiet()

    assert [] == one.woken
    assert {"WATCH"} == {request.method for request in one.cluster.requests}


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("how", ["answer", "event"])
async def test_a_watch_that_expired_lists_again_and_tells_what_changed(
    office: Make, how: str, *, streams: bool
) -> None:
    one = await open_office(office)
    one.cluster.streams_lists = streams
    one.put(name="stays")
    await one.quiet()
    one.woken.clear()
    if how == "answer":
        one.cluster.lose_watches()
    else:
        one.cluster.expire_watches()
    one.cluster.objects.delete(KEY)
    one.put(name="new", namespace="bob", owners=[live_objects.profile_reference("bob", "uid-bob")])
    one.cluster.compact()
    await one.quiet()

    assert {("alice", "samples"), ("bob", "samples")} == set(one.woken)
    assert ["stays"] == list(one["ConfigMap"].named("alice"))
    lists = [one for one in one.cluster.requests if "sendInitialEvents" in one.query]
    assert {"ConfigMap", "Namespace"} == {one.kind for one in lists}
    assert streams is not any(request.method == "GET" for request in one.cluster.requests)


async def test_what_we_wrote_while_it_was_listed_again_is_not_swept_away(office: Make) -> None:
    one = await open_office(office)
    informer = one["ConfigMap"]
    one.cluster.streams_lists = False
    one.cluster.page_size = 1
    one.cluster.latency = 1.0
    one.put(name="second")
    await one.quiet()
    one.woken.clear()
    one.cluster.objects.put(live_objects.profile_body(version=0))
    one.cluster.compact()
    one.cluster.lose_watches()
    await event_loop.until(lambda: one.cluster._pages, "the list is under way")
    informer.expect(
        "alice",
        "third",
        (live_objects.record(data={"key": "value"}).digest, "uid-alice", "samples"),
    )
    informer.settle("alice", "third", one.put(name="third", **VALUE))
    await one.quiet()

    assert ["second", "settings", "third"] == sorted(informer.named("alice"))
    assert [] == one.woken


@pytest.mark.parametrize("code", [401, 403, 429, 500, 503])
async def test_an_error_answer_is_tried_again_with_backoff_and_said(
    office: Make, code: int
) -> None:
    one = await open_office(office)
    informer = one["ConfigMap"]
    one.cluster.lose_watches(ApiError(code=code, reason="Reason", message="words"))
    await event_loop.until(lambda: informer.down_since is not None, "the watch is down")
    assert f"{code} Reason: words" == informer.health()

    await one.quiet()
    assert "" == informer.health()
    assert informer.down_since is None
    assert informer.refusal is None


@pytest.mark.parametrize(("seconds", "calls"), [(1.0, []), (30.0, [True])])
async def test_only_an_outage_calls_for_hurry_and_no_hiccup(
    office: Make, seconds: float, calls: list[bool]
) -> None:
    one = await open_office(office)
    recovered: list[bool] = []
    one["ConfigMap"].recovered = lambda: recovered.append(True)
    one.cluster.down = True
    one.cluster.lose_watches()
    await asyncio.sleep(seconds)
    one.cluster.down = False
    await one.quiet()

    assert calls == recovered


async def test_an_object_that_left_the_selector_and_came_back_before_the_answer_is_known(
    office: Make,
) -> None:
    one = await open_office(office)
    informer = one["ConfigMap"]
    expect(one, EDITED)
    before = one.cluster.objects.read(KEY)
    informer._take({"type": "DELETED", "object": before})
    answer = one.cluster.objects.edit(KEY, lambda body: body.update(EDITED))
    await one.quiet()
    informer.settle("alice", "settings", answer)

    assert informer.get("alice", "settings") is not None


async def test_a_server_that_is_away_is_not_asked_too_often(office: Make) -> None:
    one = await open_office(office)
    one.cluster.down = True
    one.cluster.lose_watches()
    await asyncio.sleep(60.0)
    tries = [request for request in one.cluster.requests if request.kind == "ConfigMap"]

    assert 10 <= len(tries) <= 25
    assert one["ConfigMap"].down_since == pytest.approx(event_loop.now() - 60.0, abs=1.0)


async def test_a_kind_that_is_not_served_is_waited_for(office: Make) -> None:
    one = office()
    one.cluster.unserved.add(("ConfigMap", "v1"))
    one.start()
    await event_loop.until(lambda: one["ConfigMap"].absent, "it is found absent")
    assert "the cluster serves no configmaps" in one["ConfigMap"].health()
    assert not one["ConfigMap"].synced

    one.put(**VALUE)
    one.cluster.unserved.clear()
    await one.synced()
    assert not one["ConfigMap"].absent
    assert one["ConfigMap"].get("alice", "settings") is not None


async def test_a_kind_is_read_in_the_first_version_that_is_served(office: Make) -> None:
    profiles = Watch(kind="Profile", transform=lambda _body: 1, map=no_profiles)
    one = office(live_objects.controller(watches=[profiles]))
    one.cluster.unserved.add(("Profile", "v1"))
    one.cluster.objects.put(live_objects.profile_body(version=0))
    one.start()
    await one.synced()

    assert "v1beta1" == one["Profile"].version
    assert 1 == len(one["Profile"])


async def test_a_kind_that_moves_to_another_version_is_followed_and_not_missed(
    office: Make,
) -> None:
    profiles = Watch(kind="Profile", transform=lambda _body: 1, map=no_profiles)
    one = office(live_objects.controller(watches=[profiles]))
    one.cluster.objects.put(live_objects.profile_body(version=0))
    one.start()
    await one.synced()
    one.cluster.unserved.add(("Profile", "v1"))
    one.cluster.end_watches()
    await event_loop.until(lambda: one["Profile"].version == "v1beta1", "the other version is read")

    assert not one["Profile"].absent
    assert 1 == len(one["Profile"])
