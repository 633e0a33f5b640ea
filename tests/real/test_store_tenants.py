"""Tenants that go and come back under an old name, and what is decided about their objects."""

import contextlib
from dataclasses import replace

import pytest

from controllers.pipelines.objectstore.provider import Decision, UnfinishedError
from tests.support.objectstore.accounts import World
from tests.support.objectstore.seaweedfs import SeaweedFS


def gone(*uids: str) -> "Gone":
    return Gone(uids)


class Gone:
    """The Profiles that are known to be gone, by UID."""

    def __init__(self, uids: tuple[str, ...]) -> None:
        self.uids = uids

    def __call__(self, _namespace: str, uid: str) -> bool:
        return uid in self.uids


async def departed(seaweedfs: SeaweedFS, prefix: str) -> World:
    """A tenant who left objects behind, and a new Profile of the same name."""
    world = World.make(seaweedfs, prefix)
    await world.granted()
    for folder in ("private", "private-artifacts"):
        world.put(f"{folder}/{world.name}/deep/old")
        world.put(f"{folder}/{world.name}0/neighbour")
    world.put("shared/old")
    await world.store.maintain()
    await world.store.sweep(gone("uid-1"))
    world.uid = "uid-2"
    world.held = None
    return world


async def test_user_key_and_policy_go_with_the_profile_and_nothing_else(
    seaweedfs: SeaweedFS,
) -> None:
    world = World.make(seaweedfs, "going")
    neighbour = replace(world, name=f"{world.name}0", uid="uid-2", held=None)
    foreign = f"{world.name}-foreign"
    seaweedfs.iam().create_user(UserName=foreign)
    key = await world.granted()
    other = await neighbour.granted()
    stays = {world.put(f"private/{world.name}/kept"), world.put("shared/kept")}
    before = seaweedfs.users()
    swept = await world.store.sweep(gone("uid-1"))
    assert [(world.name, "uid-1")] == [(one.namespace, one.uid) for one in swept]
    assert before - {world.name} == seaweedfs.users()
    assert [] == world.keys
    assert not world.can_read(key)
    assert neighbour.can_read(other)
    assert stays | {f"profiles-controller/users/{neighbour.name}"} == world.objects()
    assert [] == await world.store.sweep(gone("uid-1"))


async def test_a_namespace_without_a_profile_keeps_its_user(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "webhook")
    world.uid = ""
    key = await world.granted()
    assert [] == await world.store.sweep(lambda _namespace, _uid: True)
    assert [key.access_key] == world.keys


async def test_who_came_back_between_two_looks_is_not_removed(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "back")
    key = await world.granted()
    answers = [True, False]
    assert [] == await world.store.sweep(lambda _namespace, _uid: answers.pop(0))
    assert [key.access_key] == world.keys


@pytest.mark.parametrize("swept", [True, False], ids=["swept", "not swept yet"])
async def test_a_new_tenant_under_an_old_name_gets_no_key_until_it_is_decided(
    seaweedfs: SeaweedFS, *, swept: bool
) -> None:
    world = await departed(seaweedfs, "anew")
    if not swept:
        world.uid = "uid-1"
        await world.granted(world.tenant(Decision.ACCEPT))
        world.uid, world.held = "uid-2", None
    refusal = await world.refused()
    assert "OldObjects" == refusal.reason
    assert f"private/{world.name}/*" in refusal.message
    assert [] == world.keys
    assert "OldObjects" == (await world.refused()).reason
    await world.granted(world.tenant(Decision.ACCEPT))


async def test_a_new_tenant_under_an_old_name_that_left_nothing_gets_its_own_key(
    seaweedfs: SeaweedFS,
) -> None:
    world = World.make(seaweedfs, "empty")
    old = await world.granted()
    world.uid = "uid-2"
    new = await world.granted()
    assert old != new
    assert [new.access_key] == world.keys
    assert not world.can_read(old)


async def test_accepted_objects_are_the_new_tenants(seaweedfs: SeaweedFS) -> None:
    world = await departed(seaweedfs, "accept")
    before = world.objects()
    key = await world.granted(world.tenant(Decision.ACCEPT))
    assert before < world.objects()
    found = seaweedfs.s3(key).get_object(
        Bucket=world.connection.bucket, Key=f"private/{world.name}/deep/old"
    )
    assert b"1" == found["Body"].read()
    assert key == await world.granted()  # decided once, for good


async def test_archived_objects_are_moved_out_of_reach(seaweedfs: SeaweedFS) -> None:
    world = await departed(seaweedfs, "archive")
    before = world.objects()
    key = await world.granted(world.tenant(Decision.ARCHIVE))
    folder = f"profiles-controller/archive/{world.name}/before-uid-2/"
    own = {f"{one}/{world.name}/deep/old" for one in ("private", "private-artifacts")}
    moved = {f"{folder}{one}" for one in own}
    record = f"profiles-controller/users/{world.name}"
    assert (before - own) | moved | {record} == world.objects()
    for one in moved:
        assert not seaweedfs.succeeds(
            seaweedfs.s3(key).get_object, Bucket=world.connection.bucket, Key=one
        )
    world.put(f"private/{world.name}/new")
    await world.granted(world.tenant(Decision.ARCHIVE))
    assert f"private/{world.name}/new" in world.objects()


async def test_purged_objects_are_gone_in_every_version(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "purge")
    seaweedfs.s3().put_bucket_versioning(
        Bucket=world.connection.bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    await world.granted()
    for body in (b"1", b"2"):
        world.put(f"private/{world.name}/old", body)
    seaweedfs.s3().delete_object(
        Bucket=world.connection.bucket, Key=f"private/{world.name}/deleted"
    )
    world.put(f"private/{world.name}0/neighbour")
    world.uid, world.held = "uid-2", None
    await world.refused()
    await world.granted(world.tenant(Decision.PURGE))
    assert set() == world.objects(f"private/{world.name}/")
    assert {f"private/{world.name}0/neighbour"} == world.objects("private/")
    world.put(f"private/{world.name}/new")
    await world.granted(world.tenant(Decision.PURGE))
    assert {f"private/{world.name}/new"} == world.objects(f"private/{world.name}/")


@pytest.mark.parametrize("batch", [2, 3, 500])
async def test_the_latest_version_alone_is_archived_however_few_are_looked_at(
    seaweedfs: SeaweedFS, batch: int
) -> None:
    world = World.make(seaweedfs, "versions")
    seaweedfs.s3().put_bucket_versioning(
        Bucket=world.connection.bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    await world.granted()
    for name in ("a", "b", "c"):
        for body in (b"1", b"2", b"3", b"latest"):
            world.put(f"private/{world.name}/{name}", body)
    deleted = world.put(f"private/{world.name}/bb")
    seaweedfs.s3().delete_object(Bucket=world.connection.bucket, Key=deleted)
    world.uid, world.held = "uid-2", None
    world.store.bucket.batch = batch
    for _ in range(30):
        with contextlib.suppress(UnfinishedError):
            await world.granted(world.tenant(Decision.ARCHIVE))
            break

    folder = f"profiles-controller/archive/{world.name}/before-uid-2/private/{world.name}/"
    assert {f"{folder}{name}" for name in ("a", "b", "c")} == world.objects(folder)
    for name in ("a", "b", "c"):
        found = seaweedfs.s3().get_object(Bucket=world.connection.bucket, Key=f"{folder}{name}")
        assert b"latest" == found["Body"].read()


@pytest.mark.parametrize("decision", [Decision.ARCHIVE, Decision.PURGE])
async def test_many_objects_are_cleared_bit_by_bit(
    seaweedfs: SeaweedFS, decision: Decision
) -> None:
    world = await departed(seaweedfs, "many")
    world.store.bucket.batch = 3
    for number in range(7):
        world.put(f"private/{world.name}/many/{number}")
    tenant = world.tenant(decision)
    unfinished = 0
    for _ in range(10):
        try:
            await world.granted(tenant)
        except UnfinishedError:
            unfinished += 1
        else:
            break
    # The last of a page is left to the next, where older versions of it may be.
    assert unfinished == (3 if decision is Decision.ARCHIVE else 2)
    archived = world.objects(f"profiles-controller/archive/{world.name}/")
    assert len(archived) == (9 if decision is Decision.ARCHIVE else 0)
    assert set() == world.objects(f"private/{world.name}/")


async def test_only_records_that_changed_are_read_again(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "records")
    await world.granted()
    read: list[str] = []

    def note(model: object, **_: object) -> None:
        read.append(str(getattr(model, "name", "")))

    world.store._clients.s3.meta.events.register("before-call", note)
    for expected in (["ListObjectsV2", "GetObject"], ["ListObjectsV2"]):
        read.clear()
        await world.store.sweep(lambda _namespace, _uid: False)
        assert expected == read
