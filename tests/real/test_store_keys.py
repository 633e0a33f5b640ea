"""A namespace's key in a real SeaweedFS: what is lost or changed comes back, quietly."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from controllers.pipelines.objectstore import policies
from controllers.pipelines.objectstore.managed import ManagedStore
from controllers.pipelines.objectstore.provider import Credentials, Provider
from tests.support.objectstore.accounts import Trouble, World
from tests.support.objectstore.seaweedfs import SeaweedFS


async def test_a_new_tenant_gets_one_key_that_works(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "new")
    key = await world.granted()
    assert [key.access_key] == world.keys
    assert policies.same(world.policy, policies.user_policy(world.connection.bucket, world.name))


async def test_the_steady_state_changes_nothing(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "steady")
    key = await world.granted()
    changes = watch_changes(world.store)
    assert key == await world.ensure()
    await world.store.maintain()
    changes.clear()
    await world.store.maintain()
    assert [] == changes


LOSSES: dict[str, tuple[Sequence[Trouble], bool]] = {
    "the key": ((World.lose_key,), True),
    "the Secret": ((World.lose_secret,), False),
    "both": ((World.lose_key, World.lose_secret), True),
    "the user": ((World.lose_user,), True),
    "user and Secret": ((World.lose_user, World.lose_secret), True),
    "what the Secret says": ((World.edit_secret,), False),
    "what the Secret says, and the key": ((World.edit_secret, World.lose_key), True),
    "the policy": ((World.widen_policy,), True),
    "nothing, but there is a second key": ((World.add_key,), True),
    "nothing, but there are three more": ((World.add_key,) * 3, True),
}


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("loss", LOSSES)
async def test_what_is_lost_comes_back_with_the_same_values(
    seaweedfs: SeaweedFS, loss: str, *, restarted: bool
) -> None:
    """Running pipelines hold the values in their environment: none of them notices."""
    troubles, touches_store = LOSSES[loss]
    world = World.make(seaweedfs, "lost")
    key = await world.granted()
    for trouble in troubles:
        trouble(world)
    if restarted:
        world.restarted()
    changes = watch_changes(world.store)
    assert key == await world.granted()
    assert [key.access_key] == world.keys
    assert policies.same(world.policy, policies.user_policy(world.connection.bucket, world.name))
    assert touches_store == bool(changes), changes


async def test_a_key_of_kfps_own_controller_is_kept(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "taken-over")
    key = world.serve_as_kfp()
    world.put(f"private-artifacts/{world.name}/old")
    assert key == await world.granted()
    assert [key.access_key] == world.keys


async def test_a_key_of_kfps_that_the_store_lost_comes_back(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "taken-over")
    key = world.serve_as_kfp()
    await world.granted()
    world.lose_key()
    world.restarted()
    assert key == await world.granted()


async def test_keys_that_kfp_leaked_are_cut(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "leaked")
    key = world.serve_as_kfp()
    for _ in range(3):
        world.add_key()
    assert key == await world.granted()
    assert [key.access_key] == world.keys


async def test_a_shared_key_in_a_secret_is_never_made_a_tenants_own(seaweedfs: SeaweedFS) -> None:
    """KFP up to 2.4 gave the same pair to every namespace."""
    world = World.make(seaweedfs, "shared")
    shared = Credentials(access_key="SHAREDBYALLTENANTS00", secret_key="known-to-every-namespace")
    world.held = shared
    key = await world.granted()
    assert shared.access_key != key.access_key
    assert not world.can_read(shared)


async def test_another_tenants_key_in_a_secret_is_neither_kept_nor_harmed(
    seaweedfs: SeaweedFS,
) -> None:
    victim = World.make(seaweedfs, "victim")
    stolen = await victim.granted()
    thief = World.make(seaweedfs, "thief")
    own = await thief.granted()
    thief.held = stolen
    assert own == await thief.granted()
    assert [stolen.access_key] == victim.keys


async def test_another_generation_revokes_the_key(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "revoked")
    leaked = await world.granted()
    tenant = world.tenant(generation="2")
    key = await world.granted(tenant)
    assert leaked != key
    assert [key.access_key] == world.keys
    assert key == await world.granted(tenant)


async def test_a_deactivated_key_is_left_to_who_did_it(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "disabled")
    key = await world.granted()
    for status, expected in (("Inactive", "KeyDisabled"), ("Active", None)):
        seaweedfs.iam().update_access_key(
            UserName=world.name, AccessKeyId=key.access_key, Status=status
        )
        world.restarted()
        if expected:
            refusal = await world.refused()
            assert expected == refusal.reason
            assert key.access_key in refusal.message
        else:
            assert key == await world.granted()


async def test_a_user_of_somebody_elses_is_not_taken(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "foreign")
    seaweedfs.iam().create_user(UserName=world.name)
    theirs = world.add_key()
    refusal = await world.refused()
    assert "ForeignUser" == refusal.reason
    assert world.name in refusal.message
    assert [theirs.access_key] == world.keys


async def test_a_profile_called_as_the_administrator_gets_nothing(seaweedfs: SeaweedFS) -> None:
    world = replace(World.make(seaweedfs, "admin"), name="kubeflow-admin")
    before = seaweedfs.keys("kubeflow-admin")
    refusal = await world.refused()
    assert "administrator's own" in refusal.message
    assert before == seaweedfs.keys("kubeflow-admin")
    assert [] == await world.store.sweep(lambda _namespace, _uid: True)


async def test_concurrent_calls_make_one_key(seaweedfs: SeaweedFS) -> None:
    """Of one process, and of two that do not know of each other."""
    world = World.make(seaweedfs, "at-once")
    other = ManagedStore(Provider.SEAWEEDFS, world.connection)
    stores = [world.store, other] * 4
    answers = await asyncio.gather(*(one.ensure(world.tenant(), None) for one in stores))
    assert 1 == len(set(answers))
    assert 1 == len(world.keys)
    await other.close()


async def test_a_dry_run_changes_nothing(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "dry", dry_run=True)
    users = seaweedfs.users()
    answer = await world.ensure()
    await world.store.maintain()
    assert isinstance(answer, Credentials)
    assert users == seaweedfs.users()
    assert set() == world.objects()
    assert world.store.bucket.policy() is None


async def test_no_secret_is_printed(seaweedfs: SeaweedFS) -> None:
    world = World.make(seaweedfs, "secret")
    key = await world.granted()
    assert key.secret_key not in f"{key} {key!r} {world.tenant()!r} {world.connection!r}"
    assert seaweedfs.admin.secret_key not in repr(world.connection)


async def test_where_the_store_chooses_a_keys_values_a_lost_one_is_replaced(
    seaweedfs: SeaweedFS,
) -> None:
    """As Amazon's: played by a SeaweedFS that is given no values."""
    world = World.make(seaweedfs, "aws", Provider.AWS)
    first = await world.granted()
    world.lose_secret()
    assert first == await world.granted()  # this process still knows it
    world.lose_secret()
    world.restarted(Provider.AWS)
    second = await world.granted()
    assert first != second
    assert [second.access_key] == world.keys
    world.lose_key()
    third = await world.granted()
    assert [third.access_key] == world.keys
    world.restarted(Provider.AWS)
    assert third == await world.granted()


def watch_changes(store: ManagedStore) -> list[str]:
    """Names of the requests that change something, from now on."""
    made: list[str] = []

    def record(model: object, **_: object) -> None:
        name = str(getattr(model, "name", ""))
        if not name.startswith(("Get", "List", "Head")):
            made.append(name)

    for client in (store._clients.iam, store._clients.s3):
        client.meta.events.register("before-call", record)
    return made
