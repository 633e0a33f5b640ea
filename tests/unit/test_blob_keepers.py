"""One account under every failure: nobody ever shares a container, and the next look repairs."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.blob_csi.accounts import ownership, retention
from controllers.blob_csi.accounts.account import Keeper
from controllers.blob_csi.accounts.ownership import Tenant
from controllers.blob_csi.accounts.troubles import AccountError, SparedError
from controllers.blob_csi.grants.resolve import Withheld

JANE = Tenant(profile="a-b", uid="uid-jane", owner="jane", cluster="here")
LATER = dataclasses.replace(JANE, uid="uid-later", owner="eve")
RIVAL = Tenant(profile="a--b", uid="uid-rival", owner="rick", cluster="here", pointed=True)
TENANTS = (JANE, LATER, RIVAL)
NAME = "a-b"
NOW = datetime(2026, 1, 31, tzinfo=UTC)


class Account:
    """What two processes see: containers, leases, and which of the next requests fail how."""

    account = "account"

    def __init__(self, containers: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self.stored = {name: dict(one) for name, one in (containers or {}).items()}
        self.leased_by: dict[str, object] = {}
        self.failures: Iterator[str] = iter(())
        self.before_lease: Callable[[], Awaitable[object]] | None = None
        self.asked = 0

    def later(self, failures: Sequence[str] = ()) -> None:
        """Time has passed: leases whose holders never heard of them have ended."""
        self.leased_by.clear()
        self.failures = iter(failures)

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        self.asked += 1
        how = next(self.failures, "")
        error = AccountError("StorageAccountAway", "induced")
        if how == "before":
            raise error
        yield
        if how == "after":  # it was done, and the answer was lost
            raise error

    async def containers(self) -> dict[str, Mapping[str, str]]:
        await asyncio.sleep(0)
        with self.request():
            return {name: dict(one) for name, one in self.stored.items()}

    async def look(self, name: str) -> Mapping[str, str] | None:
        await asyncio.sleep(0)
        with self.request():
            return dict(self.stored[name]) if name in self.stored else None

    async def create(self, name: str, metadata: Mapping[str, str]) -> bool:
        await asyncio.sleep(0)
        with self.request():
            made = name not in self.stored
            self.stored.setdefault(name, dict(metadata))
            return made

    @contextlib.asynccontextmanager
    async def leased(self, name: str) -> AsyncIterator[object]:
        meanwhile, self.before_lease = self.before_lease, None
        if meanwhile is not None:
            await meanwhile()
        lease = object()
        with self.request():
            if name in self.leased_by or name not in self.stored:
                raise AccountError("LeaseAlreadyPresent", "leased", after=1.0, everybody=False)
            self.leased_by[name] = lease
        try:
            yield lease
        finally:
            self.leased_by.pop(name, None)

    async def write(self, name: str, metadata: Mapping[str, str], lease: object) -> None:
        await asyncio.sleep(0)
        with self.request():
            assert self.leased_by[name] is lease
            self.stored[name] = dict(metadata)

    async def delete(self, name: str, lease: object) -> None:
        await asyncio.sleep(0)
        with self.request():
            assert self.leased_by[name] is lease
            del self.stored[name]

    async def close(self) -> None:
        """Holds nothing."""


class Process:
    """A keeper whose time passes quickly: it is never to be spared."""

    def __init__(self, account: Account) -> None:
        self.now = 0.0
        self.keeper = Keeper(account, verify_seconds=1.0, clock=self._clock, chance=lambda: 0.5)

    def _clock(self) -> float:
        return self.now

    async def settle(self, tenant: Tenant) -> Withheld | None:
        self.now += 1000.0
        return await self.keeper.settle(tenant, create=True, profiles=frozenset())


Turn = tuple[Sequence[tuple[int, int]], Sequence[str]]
_PAIRS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=3)
_FAILURES = st.lists(st.sampled_from(["", "", "before", "after"]), max_size=8)
_BEGINNINGS = st.sampled_from([{}, {NAME: {}}, {NAME: {"Team": "x"}}, {NAME: JANE.mark.metadata()}])


@given(_BEGINNINGS, st.lists(st.tuples(_PAIRS, _FAILURES), max_size=6))
def test_whatever_fails_nobody_shares_a_container_and_in_the_end_one_has_it(
    beginning: Mapping[str, Mapping[str, str]], turns: Sequence[Turn]
) -> None:
    account = Account(beginning)

    async def story() -> set[str]:
        processes = (Process(account), Process(account))
        has_it: set[str] = set()
        for pairs, failures in turns:
            account.later(failures)
            asked = (processes[process].settle(TENANTS[who]) for process, who in pairs)
            answers = await asyncio.gather(*asked)
            has_it |= {
                TENANTS[who].uid
                for (_, who), answer in zip(pairs, answers, strict=True)
                if answer is None
            }
        for process in processes:
            for tenant in TENANTS:
                account.later()
                if await process.settle(tenant) is None:
                    has_it.add(tenant.uid)
        return has_it

    (winner,) = asyncio.run(story())
    mark = ownership.mark_of(account.stored[NAME])
    assert mark is not None
    assert winner == mark.uid
    assert beginning.get(NAME, {}).get("Team") == account.stored[NAME].get("Team")


@given(st.lists(_FAILURES, max_size=6))
def test_whatever_fails_a_container_goes_after_the_whole_delay_and_not_before(
    rounds: Sequence[Sequence[str]],
) -> None:
    account = Account({NAME: JANE.mark.metadata()})
    quiet: list[Sequence[str]] = [[]] * 7

    async def story() -> datetime:
        process, orphaned = Process(account), None
        for number, failures in enumerate([*rounds, *quiet]):
            moment = NOW + timedelta(days=7 * number)
            account.later(failures)
            process.now += 1000.0
            with contextlib.suppress(AccountError, SparedError):
                await sweep_at(process, moment)
            if NAME not in account.stored:
                assert orphaned is not None
                assert moment - orphaned >= timedelta(days=30)
                return moment
            if orphaned is None and "profilegone" in account.stored[NAME]:
                orphaned = moment
        raise AssertionError(f"it is still there: {account.stored}")

    asyncio.run(story())


async def sweep_at(process: Process, moment: datetime) -> None:
    await retention.sweep(process.keeper, "here", lambda *_: True, days=30, now=lambda: moment)


async def test_a_known_container_costs_no_request_and_one_look_serves_all() -> None:
    account = Account({NAME: JANE.mark.metadata()})
    process = Process(account)
    assert await process.settle(JANE) is None
    before = account.asked
    assert all(
        [
            process.keeper.knows(JANE),
            await process.keeper.settle(JANE, create=True, profiles=frozenset()) is None,
        ]
    )
    assert before == account.asked

    process.now += 1000.0
    await asyncio.gather(
        *(process.keeper.settle(one, create=True, profiles=frozenset()) for one in [JANE] * 10)
    )
    assert before + 1 == account.asked


@pytest.mark.parametrize("tenant", [LATER, RIVAL])
async def test_who_is_refused_is_looked_at_again_each_time(tenant: Tenant) -> None:
    account = Account({NAME: JANE.mark.metadata()})
    process = Process(account)
    for _ in range(2):
        refused = await process.keeper.settle(tenant, create=True, profiles=frozenset())
        assert refused is not None
    account.stored[NAME] = {"profile": tenant.profile}
    assert await process.keeper.settle(tenant, create=True, profiles=frozenset()) is None
    mark = ownership.mark_of(account.stored[NAME])
    assert mark == tenant.mark


async def test_who_is_quicker_between_a_look_and_the_lease_has_it() -> None:
    account = Account({NAME: {}})
    slow, quick = Process(account), Process(account)
    account.before_lease = lambda: quick.settle(RIVAL)
    refused = await slow.settle(JANE)
    assert refused is not None
    assert "ContainerTaken" == refused.reason
    assert RIVAL.mark == ownership.mark_of(account.stored[NAME])


async def test_who_comes_back_before_the_lease_is_neither_orphaned_nor_deleted() -> None:
    long_ago = dataclasses.replace(JANE.mark, gone=NOW - timedelta(days=99))
    back = dataclasses.replace(JANE, uid="uid-back")
    for mark in (JANE.mark, long_ago):
        account = Account({NAME: mark.metadata()})
        sweeping, working = Process(account), Process(account)
        account.before_lease = lambda one=working: one.settle(back)
        await retention.sweep(
            sweeping.keeper, "here", lambda _, uid: uid != "uid-back", days=30, now=lambda: NOW
        )
        assert back.mark == ownership.mark_of(account.stored[NAME])
