"""The Profiles that are known: who is told, and when all are."""

from typing import Any

import pytest

from controllers.profiles import Condition, Profile
from controllers.runtime.cache.profiles import Profiles
from controllers.runtime.options import Shard
from tests.support.builders import live_objects


class Store:
    """A store that notes whom it told."""

    def __init__(self, shard: Shard | None = None) -> None:
        self.told: list[tuple[str, bool]] = []
        self.profiles = Profiles(shard or Shard(), self._note)

    def _note(self, name: str, profile: Profile | None) -> None:
        self.told.append((name, profile is not None))

    def see(self, name: str = "alice", **fields: Any) -> None:
        self.profiles.upsert(live_objects.profile(name, **fields))


def test_a_new_profile_is_told() -> None:
    store = Store()
    store.see()

    assert [("alice", True)] == store.told
    assert ["alice"] == list(store.profiles)
    assert 1 == len(store.profiles)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {"a": "b"}},
        {"annotations": {"a": "b"}},
        {"owner": "eve@example.ca"},
        {"uid": "uid-new"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_a_controller_could_act_upon_is_told(change: dict[str, Any]) -> None:
    store = Store()
    store.see()
    store.see(version=11, **change)

    assert [("alice", True)] * 2 == store.told


def test_a_change_of_status_wakes_nobody_and_is_known() -> None:
    store = Store()
    store.see()
    store.see(version=11, conditions=[{"type": "A", "status": "True", "message": "m"}])
    profile = store.profiles.get("alice")

    assert [("alice", True)] == store.told
    assert profile is not None
    assert (Condition(type="A", status="True", message="m"),) == profile.conditions
    assert "11" == profile.resource_version


def test_an_older_event_changes_nothing() -> None:
    store = Store()
    store.see(version=11, labels={"a": "new"})
    store.see(version=10, labels={"a": "old"})
    profile = store.profiles.get("alice")

    assert profile is not None
    assert {"a": "new"} == profile.labels


def test_late_events_of_an_earlier_profile_do_not_replace_the_new_one() -> None:
    store = Store()
    store.see(version=10)
    store.see(version=31, uid="uid-new")
    store.see(version=12)
    store.profiles.remove("alice", "uid-alice")
    profile = store.profiles.get("alice")

    assert profile is not None
    assert "uid-new" == profile.uid


def test_an_unreadable_profile_is_not_waited_for() -> None:
    store = Store()
    store.profiles.ignore("uid-bad")
    store.profiles.census({"bad": "uid-bad"}, "20")

    assert store.profiles.synced


def test_the_end_of_a_profile_is_told() -> None:
    store = Store()
    store.see()
    store.profiles.remove("alice", "uid-alice")

    assert [("alice", True), ("alice", False)] == store.told
    assert store.profiles.get("alice") is None


def test_the_late_end_of_an_earlier_profile_leaves_the_new_one() -> None:
    store = Store()
    store.see(uid="uid-new")
    store.profiles.remove("alice", "uid-before")

    assert [("alice", True)] == store.told
    assert store.profiles.get("alice") is not None


def test_another_shards_profile_is_not_known() -> None:
    shards = [Store(Shard(index=index, count=2)) for index in range(2)]
    for store in shards:
        store.see()
        store.profiles.census({"alice": "uid-alice"}, "10")

    assert [0, 1] == sorted(len(store.profiles) for store in shards)
    assert all(store.profiles.synced for store in shards)


def test_names_may_be_read_while_profiles_come_and_go() -> None:
    store = Store()
    for name in ("a", "b"):
        store.see(name, uid=f"uid-{name}")
    for name in store.profiles:
        store.profiles.remove(name, f"uid-{name}")

    assert 0 == len(store.profiles)


def test_it_is_not_synced_before_a_census() -> None:
    store = Store()
    store.see()

    assert not store.profiles.synced


def test_it_is_synced_once_everybody_on_the_census_is_known() -> None:
    store = Store()
    store.see()
    store.profiles.census({"alice": "uid-alice", "bob": "uid-bob"}, "20")
    assert not store.profiles.synced

    store.see("bob", uid="uid-bob")
    assert store.profiles.synced


def test_an_empty_census_is_complete() -> None:
    store = Store()
    store.profiles.census({}, "20")

    assert store.profiles.synced


def test_who_goes_after_the_census_is_not_waited_for() -> None:
    store = Store()
    store.profiles.census({"bob": "uid-bob"}, "20")
    store.profiles.remove("bob", "uid-bob")

    assert store.profiles.synced


def test_who_went_while_the_census_was_taken_is_not_waited_for() -> None:
    store = Store()
    store.see("bob", uid="uid-bob", version=10)
    store.profiles.remove("bob", "uid-bob")  # the watch is quicker than the list
    store.profiles.census({"bob": "uid-bob"}, "20")

    assert store.profiles.synced


def test_who_is_not_on_the_census_went_while_nobody_watched() -> None:
    store = Store()
    store.see("alice", version=10)
    store.see("bob", uid="uid-bob", version=11)
    store.profiles.census({"bob": "uid-bob"}, "20")

    assert ("alice", False) == store.told[-1]
    assert ["bob"] == list(store.profiles)


def test_who_is_newer_than_the_census_stays() -> None:
    store = Store()
    store.see(version=30)
    store.profiles.census({}, "20")

    assert ["alice"] == list(store.profiles)
    assert store.profiles.synced


def test_who_was_made_anew_while_nobody_watched_is_waited_for() -> None:
    store = Store()
    store.see(version=10)
    store.profiles.census({"alice": "uid-new"}, "20")

    assert ("alice", False) == store.told[-1]
    assert not store.profiles.synced
    store.see(uid="uid-new", version=15)
    assert store.profiles.synced


def test_our_own_status_is_known_before_the_watch_tells() -> None:
    store = Store()
    store.see(labels={"a": "b"})
    written = [{"type": "A", "status": "True", "message": "m"}]
    store.profiles.observe_status(live_objects.profile(version=12, conditions=written))
    store.see(version=11, labels={"a": "old"})
    profile = store.profiles.get("alice")

    assert [("alice", True)] == store.told
    assert profile is not None
    assert ("12", 1, {"a": "b"}) == (
        profile.resource_version,
        len(profile.conditions),
        profile.labels,
    )


def test_labels_that_came_with_the_answer_to_our_own_status_still_wake() -> None:
    store = Store()
    store.see(version=10)
    store.profiles.observe_status(live_objects.profile(version=12, labels={"a": "new"}))
    store.see(version=11, labels={"a": "new"})
    store.see(version=12, labels={"a": "new"})
    profile = store.profiles.get("alice")

    assert [("alice", True)] * 2 == store.told
    assert profile is not None
    assert {"a": "new"} == profile.labels


@pytest.mark.parametrize("answer", [{"version": 9}, {"version": 12, "uid": "uid-before"}])
def test_an_older_answer_or_another_profiles_changes_nothing(answer: dict[str, Any]) -> None:
    store = Store()
    store.see(version=10)
    store.profiles.observe_status(
        live_objects.profile(conditions=[{"type": "A", "status": "True", "message": ""}], **answer)
    )
    profile = store.profiles.get("alice")

    assert profile is not None
    assert () == profile.conditions


def test_the_status_of_a_profile_that_is_gone_is_not_kept() -> None:
    store = Store()
    store.profiles.observe_status(live_objects.profile(version=12))

    assert 0 == len(store.profiles)


def test_everybodys_name_is_known_whatever_the_shard() -> None:
    shard = Shard(index=0, count=2)
    other = next(uid for uid in map("uid-{}".format, range(99)) if not shard.holds(uid))
    store = Store(shard)
    store.see("bob", uid=other)
    assert [] == store.told
    assert {"bob"} == store.profiles.names

    store.profiles.remove("bob", "uid-before")
    assert {"bob"} == store.profiles.names
    store.profiles.remove("bob", other)
    assert set() == store.profiles.names


def test_names_follow_a_census_and_what_came_and_went_since() -> None:
    store = Store()
    store.see("alice", uid="uid-a", version=30)
    store.see("bob", uid="uid-b", version=10)
    store.profiles.remove("carol", "uid-c")

    store.profiles.census({"carol": "uid-c", "dave": "uid-d"}, "20")

    assert {"alice", "dave"} == store.profiles.names


def test_the_same_names_are_the_same_object() -> None:
    store = Store()
    store.see(version=10)
    before = store.profiles.names
    store.see(version=11, labels={"a": "b"})

    assert before is store.profiles.names
