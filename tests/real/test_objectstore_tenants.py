"""Deleted tenants, new tenants of the same name, and what happens to the old objects."""

import contextlib
from dataclasses import replace

import pytest

from controllers.pipelines.objectstore import provider
from controllers.pipelines.objectstore.spec import OldObjects
from controllers.runtime.external.errors import ExternalError
from tests.support.objectstore.accounts import StoreTenant
from tests.support.objectstore.seaweedfs import SeaweedFS


def gone(*uids: str) -> "Gone":
    return Gone(uids)


class Gone:
    """The UIDs of deleted Profiles."""

    def __init__(self, uids: tuple[str, ...]) -> None:
        self.uids = uids

    def __call__(self, _namespace: str, uid: str) -> bool:
        return uid in self.uids


async def recreated(seaweedfs: SeaweedFS, prefix: str) -> StoreTenant:
    """A spec who left objects behind, and a new Profile of the same name."""
    tenant = StoreTenant.create(seaweedfs, prefix)
    await tenant.key()
    for folder in ("private", "private-artifacts"):
        tenant.put(f"{folder}/{tenant.name}/deep/old")
        tenant.put(f"{folder}/{tenant.name}0/neighbour")
    tenant.put("shared/old")
    await tenant.store.reconcile_bucket()
    await tenant.store.collect_garbage(gone("uid-1"))
    tenant.uid = "uid-2"
    tenant.in_secret = None
    return tenant


async def test_user_key_and_policy_are_deleted_with_the_profile_and_nothing_else(
    seaweedfs: SeaweedFS,
) -> None:
    tenant = StoreTenant.create(seaweedfs, "going")
    neighbour = replace(tenant, name=f"{tenant.name}0", uid="uid-2", in_secret=None)
    foreign = f"{tenant.name}-foreign"
    seaweedfs.iam().create_user(UserName=foreign)
    key = await tenant.key()
    other = await neighbour.key()
    stays = {tenant.put(f"private/{tenant.name}/kept"), tenant.put("shared/kept")}
    before = seaweedfs.users()
    deleted = await tenant.store.collect_garbage(gone("uid-1"))
    assert [(tenant.name, "uid-1")] == [(one.namespace, one.uid) for one in deleted]
    assert before - {tenant.name} == seaweedfs.users()
    assert [] == tenant.keys
    assert not tenant.can_read(key)
    assert neighbour.can_read(other)
    assert stays | {f"profiles-controller/users/{neighbour.name}"} == tenant.objects()
    assert [] == await tenant.store.collect_garbage(gone("uid-1"))


async def test_the_user_of_a_namespace_without_a_profile_is_not_deleted(
    seaweedfs: SeaweedFS,
) -> None:
    tenant = StoreTenant.create(seaweedfs, "webhook")
    tenant.uid = ""
    key = await tenant.key()
    assert [] == await tenant.store.collect_garbage(lambda _namespace, _uid: True)
    assert [key.access_key] == tenant.keys


async def test_an_account_is_not_deleted_if_the_profile_exists_again(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "back")
    key = await tenant.key()
    answers = [True, False]
    assert [] == await tenant.store.collect_garbage(lambda _namespace, _uid: answers.pop(0))
    assert [key.access_key] == tenant.keys


@pytest.mark.parametrize("collected", [True, False], ids=["collected", "not-collected"])
async def test_a_new_tenant_of_the_same_name_gets_no_key_until_it_is_decided(
    seaweedfs: SeaweedFS, *, collected: bool
) -> None:
    tenant = await recreated(seaweedfs, "recreated")
    if not collected:
        tenant.uid = "uid-1"
        await tenant.key(tenant.spec(OldObjects.ACCEPT))
        tenant.uid, tenant.in_secret = "uid-2", None
    refusal = await tenant.finding()
    assert "OldObjects" == refusal.reason
    assert f"private/{tenant.name}/*" in refusal.message
    assert [] == tenant.keys
    assert "OldObjects" == (await tenant.finding()).reason
    await tenant.key(tenant.spec(OldObjects.ACCEPT))


async def test_a_new_tenant_gets_its_own_key_if_no_object_is_left(
    seaweedfs: SeaweedFS,
) -> None:
    tenant = StoreTenant.create(seaweedfs, "empty")
    old = await tenant.key()
    tenant.uid = "uid-2"
    new = await tenant.key()
    assert old != new
    assert [new.access_key] == tenant.keys
    assert not tenant.can_read(old)


async def test_accepted_objects_belong_to_the_new_tenant(seaweedfs: SeaweedFS) -> None:
    tenant = await recreated(seaweedfs, "accept")
    before = tenant.objects()
    key = await tenant.key(tenant.spec(OldObjects.ACCEPT))
    assert before < tenant.objects()
    found = seaweedfs.s3(key).get_object(
        Bucket=tenant.config.bucket, Key=f"private/{tenant.name}/deep/old"
    )
    assert b"1" == found["Body"].read()
    assert key == await tenant.key()  # the decision is recorded


async def test_archived_objects_are_not_accessible_to_tenants(seaweedfs: SeaweedFS) -> None:
    tenant = await recreated(seaweedfs, "archive")
    before = tenant.objects()
    key = await tenant.key(tenant.spec(OldObjects.ARCHIVE))
    folder = f"profiles-controller/archive/{tenant.name}/before-uid-2/"
    own = {f"{one}/{tenant.name}/deep/old" for one in ("private", "private-artifacts")}
    moved = {f"{folder}{one}" for one in own}
    record = f"profiles-controller/users/{tenant.name}"
    assert (before - own) | moved | {record} == tenant.objects()
    for one in moved:
        assert not seaweedfs.succeeds(
            seaweedfs.s3(key).get_object, Bucket=tenant.config.bucket, Key=one
        )
    tenant.put(f"private/{tenant.name}/new")
    await tenant.key(tenant.spec(OldObjects.ARCHIVE))
    assert f"private/{tenant.name}/new" in tenant.objects()


async def test_purged_objects_are_deleted_in_every_version(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "purge")
    seaweedfs.s3().put_bucket_versioning(
        Bucket=tenant.config.bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    await tenant.key()
    for body in (b"1", b"2"):
        tenant.put(f"private/{tenant.name}/old", body)
    seaweedfs.s3().delete_object(Bucket=tenant.config.bucket, Key=f"private/{tenant.name}/deleted")
    tenant.put(f"private/{tenant.name}0/neighbour")
    tenant.uid, tenant.in_secret = "uid-2", None
    await tenant.finding()
    await tenant.key(tenant.spec(OldObjects.PURGE))
    assert set() == tenant.objects(f"private/{tenant.name}/")
    assert {f"private/{tenant.name}0/neighbour"} == tenant.objects("private/")
    tenant.put(f"private/{tenant.name}/new")
    await tenant.key(tenant.spec(OldObjects.PURGE))
    assert {f"private/{tenant.name}/new"} == tenant.objects(f"private/{tenant.name}/")


@pytest.mark.parametrize("batch", [2, 3, 500])
async def test_only_the_latest_version_is_archived_for_any_batch_size(
    seaweedfs: SeaweedFS, batch: int
) -> None:
    tenant = StoreTenant.create(seaweedfs, "versions")
    seaweedfs.s3().put_bucket_versioning(
        Bucket=tenant.config.bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    await tenant.key()
    for name in ("a", "b", "c"):
        for body in (b"1", b"2", b"3", b"latest"):
            tenant.put(f"private/{tenant.name}/{name}", body)
    deleted = tenant.put(f"private/{tenant.name}/bb")
    seaweedfs.s3().delete_object(Bucket=tenant.config.bucket, Key=deleted)
    tenant.uid, tenant.in_secret = "uid-2", None
    tenant.set_batch_size(batch)
    for _ in range(30):
        with contextlib.suppress(ExternalError):
            await tenant.key(tenant.spec(OldObjects.ARCHIVE))
            break

    folder = f"profiles-controller/archive/{tenant.name}/before-uid-2/private/{tenant.name}/"
    assert {f"{folder}{name}" for name in ("a", "b", "c")} == tenant.objects(folder)
    for name in ("a", "b", "c"):
        found = seaweedfs.s3().get_object(Bucket=tenant.config.bucket, Key=f"{folder}{name}")
        assert b"latest" == found["Body"].read()


@pytest.mark.parametrize("decision", [OldObjects.ARCHIVE, OldObjects.PURGE])
async def test_many_objects_are_cleared_in_batches(
    seaweedfs: SeaweedFS, decision: OldObjects
) -> None:
    tenant = await recreated(seaweedfs, "many")
    tenant.set_batch_size(3)
    for number in range(7):
        tenant.put(f"private/{tenant.name}/many/{number}")
    spec = tenant.spec(decision)
    unfinished = 0
    for _ in range(10):
        try:
            await tenant.key(spec)
        except ExternalError as error:
            unfinished += error.reason == provider.UNFINISHED
        else:
            break
    # The last object of a page remains: its older versions may be on the next page.
    assert unfinished == (3 if decision is OldObjects.ARCHIVE else 2)
    archived = tenant.objects(f"profiles-controller/archive/{tenant.name}/")
    assert len(archived) == (9 if decision is OldObjects.ARCHIVE else 0)
    assert set() == tenant.objects(f"private/{tenant.name}/")


async def test_only_changed_records_are_read_again(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "records")
    await tenant.key()
    read: list[str] = []

    def record(model: object, **_: object) -> None:
        read.append(str(getattr(model, "name", "")))

    tenant.api.clients.s3.meta.events.register("before-call", record)
    for expected in (["ListObjectsV2", "GetObject"], ["ListObjectsV2"]):
        read.clear()
        await tenant.store.collect_garbage(lambda _namespace, _uid: False)
        assert expected == read
