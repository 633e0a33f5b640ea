"""The store of Profiles: which changes it reports, and when it is synced."""

from typing import Any

import pytest

from controllers.profiles import Condition, Profile
from controllers.runtime.cache.profiles import ProfileStore
from controllers.runtime.options import Shard
from tests.support import builders


class Store:
    """A store, and the changes that it reported: the name, and whether the Profile exists."""

    def __init__(self, shard: Shard | None = None) -> None:
        self.changes: list[tuple[str, bool]] = []
        self.profiles = ProfileStore(shard or Shard(), self._changed)

    def _changed(self, name: str, profile: Profile | None) -> None:
        self.changes.append((name, profile is not None))

    def upsert(self, name: str = "alice", **fields: Any) -> None:
        self.profiles.upsert(builders.profile(name, **fields))


def test_a_new_profile_is_reported() -> None:
    store = Store()
    store.upsert()

    assert [("alice", True)] == store.changes
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
def test_a_change_that_a_controller_can_act_upon_is_reported(change: dict[str, Any]) -> None:
    store = Store()
    store.upsert()
    store.upsert(version=11, **change)

    assert [("alice", True)] * 2 == store.changes


def test_a_change_of_status_is_stored_and_not_reported() -> None:
    store = Store()
    store.upsert()
    store.upsert(version=11, conditions=[{"type": "A", "status": "True", "message": "m"}])
    profile = store.profiles.get("alice")

    assert [("alice", True)] == store.changes
    assert profile is not None
    assert (Condition(type="A", status="True", message="m"),) == profile.conditions
    assert "11" == profile.resource_version


def test_an_older_event_is_ignored() -> None:
    store = Store()
    store.upsert(version=11, labels={"a": "new"})
    store.upsert(version=10, labels={"a": "old"})
    profile = store.profiles.get("alice")

    assert profile is not None
    assert {"a": "new"} == profile.labels


def test_late_events_of_a_deleted_profile_do_not_replace_the_new_one() -> None:
    store = Store()
    store.upsert(version=10)
    store.upsert(version=31, uid="uid-new")
    store.upsert(version=12)
    store.profiles.delete("alice", "uid-alice")
    profile = store.profiles.get("alice")

    assert profile is not None
    assert "uid-new" == profile.uid


def test_sync_does_not_wait_for_an_invalid_profile() -> None:
    store = Store()
    store.profiles.ignore("uid-bad")
    store.profiles.replace({"bad": "uid-bad"}, "20")

    assert store.profiles.synced


def test_a_deletion_is_reported() -> None:
    store = Store()
    store.upsert()
    store.profiles.delete("alice", "uid-alice")

    assert [("alice", True), ("alice", False)] == store.changes
    assert store.profiles.get("alice") is None


def test_a_late_deletion_event_keeps_the_new_profile_of_the_same_name() -> None:
    store = Store()
    store.upsert(uid="uid-new")
    store.profiles.delete("alice", "uid-before")

    assert [("alice", True)] == store.changes
    assert store.profiles.get("alice") is not None


def test_a_profile_of_another_shard_is_not_stored() -> None:
    shards = [Store(Shard(index=index, count=2)) for index in range(2)]
    for store in shards:
        store.upsert()
        store.profiles.replace({"alice": "uid-alice"}, "10")

    assert [0, 1] == sorted(len(store.profiles) for store in shards)
    assert all(store.profiles.synced for store in shards)


def test_names_can_be_iterated_while_profiles_are_deleted() -> None:
    store = Store()
    for name in ("a", "b"):
        store.upsert(name, uid=f"uid-{name}")
    for name in store.profiles:
        store.profiles.delete(name, f"uid-{name}")

    assert 0 == len(store.profiles)


def test_the_store_is_not_synced_before_a_list() -> None:
    store = Store()
    store.upsert()

    assert not store.profiles.synced


def test_the_store_is_synced_once_it_contains_every_listed_profile() -> None:
    store = Store()
    store.upsert()
    store.profiles.replace({"alice": "uid-alice", "bob": "uid-bob"}, "20")
    assert not store.profiles.synced

    store.upsert("bob", uid="uid-bob")
    assert store.profiles.synced


def test_an_empty_list_is_complete() -> None:
    store = Store()
    store.profiles.replace({}, "20")

    assert store.profiles.synced


def test_sync_does_not_wait_for_a_profile_deleted_after_the_list() -> None:
    store = Store()
    store.profiles.replace({"bob": "uid-bob"}, "20")
    store.profiles.delete("bob", "uid-bob")

    assert store.profiles.synced


def test_sync_does_not_wait_for_a_profile_deleted_during_the_list() -> None:
    store = Store()
    store.upsert("bob", uid="uid-bob", version=10)
    store.profiles.delete("bob", "uid-bob")  # the event arrives before the list
    store.profiles.replace({"bob": "uid-bob"}, "20")

    assert store.profiles.synced


def test_a_profile_that_the_list_does_not_contain_is_deleted() -> None:
    store = Store()
    store.upsert("alice", version=10)
    store.upsert("bob", uid="uid-bob", version=11)
    store.profiles.replace({"bob": "uid-bob"}, "20")

    assert ("alice", False) == store.changes[-1]
    assert ["bob"] == list(store.profiles)


def test_a_profile_that_is_newer_than_the_list_is_kept() -> None:
    store = Store()
    store.upsert(version=30)
    store.profiles.replace({}, "20")

    assert ["alice"] == list(store.profiles)
    assert store.profiles.synced


def test_sync_waits_for_a_profile_recreated_without_an_event() -> None:
    store = Store()
    store.upsert(version=10)
    store.profiles.replace({"alice": "uid-new"}, "20")

    assert ("alice", False) == store.changes[-1]
    assert not store.profiles.synced
    store.upsert(uid="uid-new", version=15)
    assert store.profiles.synced


def test_a_status_written_by_this_process_is_stored_before_its_event() -> None:
    store = Store()
    store.upsert(labels={"a": "b"})
    written = [{"type": "A", "status": "True", "message": "m"}]
    store.profiles.update_status(builders.profile(version=12, conditions=written))
    store.upsert(version=11, labels={"a": "old"})
    profile = store.profiles.get("alice")

    assert [("alice", True)] == store.changes
    assert profile is not None
    assert ("12", 1, {"a": "b"}) == (
        profile.resource_version,
        len(profile.conditions),
        profile.labels,
    )


def test_labels_in_the_response_to_a_status_write_are_reported_with_their_event() -> None:
    store = Store()
    store.upsert(version=10)
    store.profiles.update_status(builders.profile(version=12, labels={"a": "new"}))
    store.upsert(version=11, labels={"a": "new"})
    store.upsert(version=12, labels={"a": "new"})
    profile = store.profiles.get("alice")

    assert [("alice", True)] * 2 == store.changes
    assert profile is not None
    assert {"a": "new"} == profile.labels


@pytest.mark.parametrize("response", [{"version": 9}, {"version": 12, "uid": "uid-before"}])
def test_an_older_response_or_one_of_another_profile_is_ignored(response: dict[str, Any]) -> None:
    store = Store()
    store.upsert(version=10)
    store.profiles.update_status(
        builders.profile(conditions=[{"type": "A", "status": "True", "message": ""}], **response)
    )
    profile = store.profiles.get("alice")

    assert profile is not None
    assert () == profile.conditions


def test_the_status_of_a_deleted_profile_is_not_stored() -> None:
    store = Store()
    store.profiles.update_status(builders.profile(version=12))

    assert 0 == len(store.profiles)


def test_the_names_include_profiles_of_other_shards() -> None:
    shard = Shard(index=0, count=2)
    other = next(uid for uid in map("uid-{}".format, range(99)) if not shard.contains(uid))
    store = Store(shard)
    store.upsert("bob", uid=other)
    assert [] == store.changes
    assert {"bob"} == store.profiles.names

    store.profiles.delete("bob", "uid-before")
    assert {"bob"} == store.profiles.names
    store.profiles.delete("bob", other)
    assert set() == store.profiles.names


def test_a_list_updates_the_names_but_not_those_of_newer_profiles() -> None:
    store = Store()
    store.upsert("alice", uid="uid-a", version=30)
    store.upsert("bob", uid="uid-b", version=10)
    store.profiles.delete("carol", "uid-c")

    store.profiles.replace({"carol": "uid-c", "dave": "uid-d"}, "20")

    assert {"alice", "dave"} == store.profiles.names


def test_unchanged_names_are_the_same_object() -> None:
    store = Store()
    store.upsert(version=10)
    before = store.profiles.names
    store.upsert(version=11, labels={"a": "b"})

    assert before is store.profiles.names
