"""The key of a namespace in a real SeaweedFS: what is deleted or changed is repaired."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from controllers.pipelines.objectstore import policies, store
from controllers.pipelines.objectstore.provider import Provider
from controllers.pipelines.objectstore.spec import Credentials
from controllers.pipelines.objectstore.store import ManagedStore
from tests.support.objectstore.accounts import Damage, StoreTenant
from tests.support.objectstore.seaweedfs import SeaweedFS


async def test_a_new_tenant_gets_one_key_that_works(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "new")
    key = await tenant.key()
    assert [key.access_key] == tenant.keys
    assert policies.same(tenant.policy, policies.user_policy(tenant.config.bucket, tenant.name))


async def test_the_steady_state_changes_nothing(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "steady")
    key = await tenant.key()
    changes = watch_changes(tenant)
    assert key == await tenant.ensure_key()
    await tenant.store.reconcile_bucket()
    changes.clear()
    await tenant.store.reconcile_bucket()
    assert [] == changes


DAMAGES: dict[str, tuple[Sequence[Damage], bool]] = {
    "the key": ((StoreTenant.delete_key,), True),
    "the Secret": ((StoreTenant.delete_secret,), False),
    "both": ((StoreTenant.delete_key, StoreTenant.delete_secret), True),
    "the user": ((StoreTenant.delete_user,), True),
    "user and Secret": ((StoreTenant.delete_user, StoreTenant.delete_secret), True),
    "the Secret's content": ((StoreTenant.edit_secret,), False),
    "the Secret's content, and the key": ((StoreTenant.edit_secret, StoreTenant.delete_key), True),
    "the policy": ((StoreTenant.widen_policy,), True),
    "one extra key": ((StoreTenant.add_key,), True),
    "three extra keys": ((StoreTenant.add_key,) * 3, True),
}


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("case", DAMAGES)
async def test_what_is_deleted_is_created_again_with_the_same_values(
    seaweedfs: SeaweedFS, case: str, *, restarted: bool
) -> None:
    """Running pipelines have the values in their environment."""
    damages, writes = DAMAGES[case]
    tenant = StoreTenant.create(seaweedfs, "deleted")
    key = await tenant.key()
    for damage in damages:
        damage(tenant)
    if restarted:
        tenant.restart()
    changes = watch_changes(tenant)
    assert key == await tenant.key()
    assert [key.access_key] == tenant.keys
    assert policies.same(tenant.policy, policies.user_policy(tenant.config.bucket, tenant.name))
    assert writes == bool(changes), changes


async def test_a_key_of_kfps_own_controller_stays_valid(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "taken-over")
    key = tenant.create_as_kfp()
    tenant.put(f"private-artifacts/{tenant.name}/old")
    assert key == await tenant.key()
    assert [key.access_key] == tenant.keys


async def test_a_key_of_kfps_that_the_store_lost_comes_back(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "taken-over")
    key = tenant.create_as_kfp()
    await tenant.key()
    tenant.delete_key()
    tenant.restart()
    assert key == await tenant.key()


async def test_keys_that_kfp_leaked_are_cut(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "leaked")
    key = tenant.create_as_kfp()
    for _ in range(3):
        tenant.add_key()
    assert key == await tenant.key()
    assert [key.access_key] == tenant.keys


async def test_a_shared_key_in_a_secret_is_never_made_a_tenants_own(seaweedfs: SeaweedFS) -> None:
    """KFP up to 2.4 gave the same pair to every namespace."""
    tenant = StoreTenant.create(seaweedfs, "shared")
    shared = Credentials(access_key="SHAREDBYALLTENANTS00", secret_key="known-to-every-namespace")
    tenant.in_secret = shared
    key = await tenant.key()
    assert shared.access_key != key.access_key
    assert not tenant.can_read(shared)


async def test_another_tenants_key_in_a_secret_is_replaced_and_not_deleted(
    seaweedfs: SeaweedFS,
) -> None:
    victim = StoreTenant.create(seaweedfs, "victim")
    stolen = await victim.key()
    thief = StoreTenant.create(seaweedfs, "thief")
    own = await thief.key()
    thief.in_secret = stolen
    assert own == await thief.key()
    assert [stolen.access_key] == victim.keys


async def test_another_generation_revokes_the_key(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "revoked")
    leaked = await tenant.key()
    spec = tenant.spec(generation="2")
    key = await tenant.key(spec)
    assert leaked != key
    assert [key.access_key] == tenant.keys
    assert key == await tenant.key(spec)


async def test_a_deactivated_key_is_not_changed(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "disabled")
    key = await tenant.key()
    for status, expected in (("Inactive", "KeyDisabled"), ("Active", None)):
        seaweedfs.iam().update_access_key(
            UserName=tenant.name, AccessKeyId=key.access_key, Status=status
        )
        tenant.restart()
        if expected:
            refusal = await tenant.finding()
            assert expected == refusal.reason
            assert key.access_key in refusal.message
        else:
            assert key == await tenant.key()


async def test_a_user_of_another_owner_is_not_adopted(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "foreign")
    seaweedfs.iam().create_user(UserName=tenant.name)
    theirs = tenant.add_key()
    refusal = await tenant.finding()
    assert "ForeignUser" == refusal.reason
    assert tenant.name in refusal.message
    assert [theirs.access_key] == tenant.keys


async def test_a_profile_with_the_administrators_name_gets_no_key(seaweedfs: SeaweedFS) -> None:
    tenant = replace(StoreTenant.create(seaweedfs, "admin"), name="kubeflow-admin")
    before = seaweedfs.keys("kubeflow-admin")
    refusal = await tenant.finding()
    assert "administrator's own" in refusal.message
    assert before == seaweedfs.keys("kubeflow-admin")
    assert [] == await tenant.store.collect_garbage(lambda _namespace, _uid: True)


async def test_concurrent_calls_create_one_key(seaweedfs: SeaweedFS) -> None:
    """In one process, and in two that share no memory."""
    tenant = StoreTenant.create(seaweedfs, "at-once")
    other = ManagedStore(store.connect(tenant.config), tenant.config, Provider.SEAWEEDFS)
    stores = [tenant.store, other] * 4
    answers = await asyncio.gather(*(one.ensure_key(tenant.spec(), None) for one in stores))
    assert 1 == len(set(answers))
    assert 1 == len(tenant.keys)
    await other.close()


async def test_a_dry_run_changes_nothing(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "dry", dry_run=True)
    users = seaweedfs.users()
    answer = await tenant.ensure_key()
    await tenant.store.reconcile_bucket()
    assert isinstance(answer, Credentials)
    assert users == seaweedfs.users()
    assert set() == tenant.objects()
    assert tenant.api.bucket.policy() is None


async def test_no_secret_key_is_in_a_repr(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "secret")
    key = await tenant.key()
    assert key.secret_key not in f"{key} {key!r} {tenant.spec()!r} {tenant.config!r}"
    assert seaweedfs.admin.secret_key not in repr(tenant.config)


async def test_where_the_store_chooses_the_values_a_deleted_key_is_replaced(
    seaweedfs: SeaweedFS,
) -> None:
    """As on Amazon: SeaweedFS gets no values from the caller."""
    tenant = StoreTenant.create(seaweedfs, "aws", Provider.AWS)
    first = await tenant.key()
    tenant.delete_secret()
    assert first == await tenant.key()  # this process has issued it
    tenant.delete_secret()
    tenant.restart()
    second = await tenant.key()
    assert first != second
    assert [second.access_key] == tenant.keys
    tenant.delete_key()
    third = await tenant.key()
    assert [third.access_key] == tenant.keys
    tenant.restart()
    assert third == await tenant.key()


def watch_changes(tenant: StoreTenant) -> list[str]:
    """Return a list to which the names of writing requests are added from now on."""
    made: list[str] = []

    def record(model: object, **_: object) -> None:
        name = str(getattr(model, "name", ""))
        if not name.startswith(("Get", "List", "Head")):
            made.append(name)

    for client in (tenant.api.clients.iam, tenant.api.clients.s3):
        client.meta.events.register("before-call", record)
    return made
