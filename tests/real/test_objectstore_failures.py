"""A failure before and after each request, in every situation: never a second key."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controllers.findings import Finding
from controllers.pipelines.objectstore import provider
from controllers.pipelines.objectstore.provider import Provider
from controllers.pipelines.objectstore.spec import Credentials, OldObjects
from controllers.pipelines.objectstore.store import ManagedStore
from controllers.runtime.external.errors import ExternalError
from tests.support.objectstore.accounts import Damage, StoreTenant
from tests.support.objectstore.seaweedfs import SeaweedFS

MAX_REQUESTS = 40
"""More requests than any call makes."""


class Fault:
    """Counts the requests to users, bucket and key checker, and fails one of them."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.at = at
        self.after = after
        self.requests = 0
        self.failed = False

    def inject(self, tenant: StoreTenant) -> None:
        """Restart the tenant's store with the fault."""
        api = tenant.api.account
        account = replace(
            api,
            users=Faulty(api.users, self),
            bucket=Faulty(api.bucket, self),
            checker=Faulty(api.checker, self),
        )
        faulty = replace(tenant.api, account=account)
        tenant.store = ManagedStore(faulty, tenant.config, tenant.provider)

    def call(self, request: Callable[..., Any], *arguments: Any) -> Any:
        fails = self.requests == self.at
        self.requests += 1
        if fails and not self.after:
            self.fail()
        result = request(*arguments)
        if fails:
            self.fail()
        return result

    def fail(self) -> None:
        self.failed = True
        raise provider.unavailable("injected")


class Faulty:
    """A part of the API of which any request can fail."""

    def __init__(self, part: object, fault: Fault) -> None:
        self._part = part
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        request = getattr(self._part, name)
        if name == "record_key":  # it sends no request
            return request
        return lambda *arguments: self._fault.call(request, *arguments)


def earlier_tenant(tenant: StoreTenant) -> None:
    """An earlier Profile of the same name left objects."""
    tenant.put(f"private/{tenant.name}/old")
    tenant.uid = "uid-2"
    tenant.in_secret = None


def generation(tenant: StoreTenant) -> None:
    tenant.uid = "uid-3"  # every key must be replaced


SITUATIONS: dict[str, Sequence[Damage]] = {
    "in sync": (),
    "key deleted": (StoreTenant.delete_key,),
    "Secret deleted": (StoreTenant.delete_secret,),
    "both deleted": (StoreTenant.delete_key, StoreTenant.delete_secret),
    "user deleted": (StoreTenant.delete_user,),
    "Secret edited": (StoreTenant.edit_secret,),
    "Secret edited, key deleted": (StoreTenant.edit_secret, StoreTenant.delete_key),
    "policy widened": (StoreTenant.widen_policy,),
    "extra keys": (StoreTenant.add_key, StoreTenant.add_key),
    "extra keys, Secret deleted": (StoreTenant.add_key, StoreTenant.delete_secret),
    "another Profile": (generation,),
    "another Profile, objects there": (earlier_tenant,),
}


async def attempt(tenant: StoreTenant, decision: OldObjects) -> Credentials | Finding | None:
    """One reconcile, whose result is written to the Secret."""
    try:
        return await tenant.ensure_key(tenant.spec(decision))
    except ExternalError:
        return None


async def reconcile_until_key(tenant: StoreTenant, decision: OldObjects) -> Credentials:
    """Reconcile in a new process until there is a key."""
    tenant.restart()
    for _ in range(20):
        answer = await attempt(tenant, decision)
        assert len(tenant.keys) <= 1
        if isinstance(answer, Credentials):
            tenant.wait_until_known(answer)
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError("no key after twenty reconciles")


async def fail_each_request(
    tenant: StoreTenant, prepare: Callable[[], Any], decision: OldObjects
) -> int:
    """Let each request of a reconcile fail once, and count the keys after it."""
    for at in range(MAX_REQUESTS):
        for after in (False, True):
            await prepare()
            tenant.restart()
            fault = Fault(at, after=after)
            fault.inject(tenant)
            await attempt(tenant, decision)
            if not fault.failed:
                return at
            assert tenant.extra_keys() == [], f"after request {at}"
            tenant.restart()
            await attempt(tenant, decision)
            assert len(tenant.keys) <= 1, f"after request {at} and another call"
    raise AssertionError(f"more than {MAX_REQUESTS} requests")


@pytest.mark.parametrize("situation", SITUATIONS)
async def test_no_failure_of_a_request_leaves_a_second_key(
    seaweedfs: SeaweedFS, situation: str
) -> None:
    tenant = StoreTenant.create(seaweedfs, "fails")
    await tenant.key()

    async def prepare() -> None:
        await reconcile_until_key(tenant, OldObjects.PURGE)
        for damage in SITUATIONS[situation]:
            damage(tenant)
        tenant.ignore_present_keys()

    requests = await fail_each_request(tenant, prepare, OldObjects.PURGE)
    assert requests >= 4
    key = await reconcile_until_key(tenant, OldObjects.PURGE)
    assert [key.access_key] == tenant.keys


@pytest.mark.parametrize("kind", [Provider.SEAWEEDFS, Provider.AWS], ids=lambda one: one.value)
async def test_no_failure_of_the_first_reconcile_leaves_a_second_key(
    seaweedfs: SeaweedFS, kind: Provider
) -> None:
    tenant = StoreTenant.create(seaweedfs, "first", kind)

    async def prepare() -> None:
        if tenant.name in seaweedfs.users():
            tenant.delete_user()
        tenant.api.bucket.delete_record(tenant.name)
        tenant.in_secret = None
        tenant.ignore_present_keys()

    requests = await fail_each_request(tenant, prepare, OldObjects.REFUSE)
    assert requests >= 10


async def test_no_failure_of_a_removal_leaves_anything(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "removal")
    for at in range(MAX_REQUESTS):
        for after in (False, True):
            await reconcile_until_key(tenant, OldObjects.PURGE)
            fault = Fault(at, after=after)
            fault.inject(tenant)
            try:
                await tenant.store.collect_garbage(lambda _namespace, _uid: True)
            except ExternalError:
                tenant.restart()
                await tenant.store.collect_garbage(lambda _namespace, _uid: True)
            assert tenant.name not in seaweedfs.users()
            assert set() == tenant.objects()
            if not fault.failed:
                assert at >= 5
                return


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(sorted(SITUATIONS)), st.integers(0, 14), st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_no_sequence_of_damages_and_failures_leaves_a_second_key(
    seaweedfs: SeaweedFS, steps: list[tuple[str, int, bool]]
) -> None:
    async def run() -> None:
        tenant = StoreTenant.create(seaweedfs, "row")
        await reconcile_until_key(tenant, OldObjects.PURGE)
        for situation, at, after in steps:
            for damage in SITUATIONS[situation]:
                if tenant.name in seaweedfs.users():
                    damage(tenant)
            tenant.ignore_present_keys()
            tenant.restart()
            Fault(at, after=after).inject(tenant)
            await attempt(tenant, OldObjects.PURGE)
            assert tenant.extra_keys() == []
        key = await reconcile_until_key(tenant, OldObjects.PURGE)
        assert [key.access_key] == tenant.keys

    asyncio.run(run())
