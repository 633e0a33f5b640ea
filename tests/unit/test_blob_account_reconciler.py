"""The reconciler of one storage account: failures never make two profiles share a container."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.blob_csi.accounts import ownership, retention
from controllers.blob_csi.accounts.account import AccountReconciler
from controllers.blob_csi.accounts.ownership import ContainerOwner
from controllers.blob_csi.facts import Unavailable
from controllers.runtime.external.errors import ExternalError, Scope
from controllers.runtime.external.system import ExternalSystem

JANE = ContainerOwner(profile="a-b", uid="uid-jane", owner="jane", cluster="here")
RECREATED = dataclasses.replace(JANE, uid="uid-recreated", owner="eve")
RIVAL = ContainerOwner(
    profile="a--b", uid="uid-rival", owner="rick", cluster="here", has_volume=True
)
OWNERS = (JANE, RECREATED, RIVAL)
NAME = "a-b"
NOW = datetime(2026, 1, 31, tzinfo=UTC)


class FakeAccount:
    """One account that several processes use: containers, leases, and injected failures."""

    account = "account"

    def __init__(self, containers: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self.stored = {name: dict(one) for name, one in (containers or {}).items()}
        self.leased_by: dict[str, object] = {}
        self.failures: Iterator[str] = iter(())
        self.before_lease: Callable[[], Awaitable[object]] | None = None
        self.requests = 0

    def advance(self, failures: Sequence[str] = ()) -> None:
        """Expire all leases; the next requests fail as listed."""
        self.leased_by.clear()
        self.failures = iter(failures)

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        self.requests += 1
        failure = next(self.failures, "")
        error = ExternalError("StorageAccountUnreachable", "injected", scope=Scope.SYSTEM)
        if failure == "before":
            raise error
        yield
        if failure == "after":  # the request succeeded, and the response was lost
            raise error

    async def list_containers(self) -> dict[str, Mapping[str, str]]:
        await asyncio.sleep(0)
        with self.request():
            return {name: dict(one) for name, one in self.stored.items()}

    async def get_metadata(self, name: str) -> Mapping[str, str] | None:
        await asyncio.sleep(0)
        with self.request():
            return dict(self.stored[name]) if name in self.stored else None

    async def create_container(self, name: str, metadata: Mapping[str, str]) -> bool:
        await asyncio.sleep(0)
        with self.request():
            created = name not in self.stored
            self.stored.setdefault(name, dict(metadata))
            return created

    @contextlib.asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[object]:
        before, self.before_lease = self.before_lease, None
        if before is not None:
            await before()
        lease = object()
        with self.request():
            if name in self.leased_by or name not in self.stored:
                raise ExternalError("LeaseAlreadyPresent", "leased", retry_after=1.0)
            self.leased_by[name] = lease
        try:
            yield lease
        finally:
            self.leased_by.pop(name, None)

    async def set_metadata(self, name: str, metadata: Mapping[str, str], lease: object) -> None:
        await asyncio.sleep(0)
        with self.request():
            assert self.leased_by[name] is lease
            self.stored[name] = dict(metadata)

    async def delete_container(self, name: str, lease: object) -> None:
        await asyncio.sleep(0)
        with self.request():
            assert self.leased_by[name] is lease
            del self.stored[name]

    async def close(self) -> None:
        """There is nothing to close."""


class Process:
    """A reconciler whose clock advances past the breaker's delay before each call."""

    def __init__(self, account: FakeAccount) -> None:
        self.now = 0.0
        system = ExternalSystem("account", clock=self._clock, jitter=lambda: 0.5)
        self.account = AccountReconciler(account, system, verify_seconds=1.0, clock=self._clock)

    def _clock(self) -> float:
        return self.now

    async def reconcile(self, owner: ContainerOwner) -> Unavailable | None:
        self.now += 1000.0
        return await self.account.reconcile(owner, create=True, profiles=frozenset())


Round = tuple[Sequence[tuple[int, int]], Sequence[str]]
_PAIRS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=3)
_FAILURES = st.lists(st.sampled_from(["", "", "before", "after"]), max_size=8)
_INITIAL = st.sampled_from(
    [{}, {NAME: {}}, {NAME: {"Team": "x"}}, {NAME: JANE.metadata.to_metadata()}]
)


@given(_INITIAL, st.lists(st.tuples(_PAIRS, _FAILURES), max_size=6))
def test_with_any_failures_exactly_one_profile_gets_the_container(
    initial: Mapping[str, Mapping[str, str]], rounds: Sequence[Round]
) -> None:
    account = FakeAccount(initial)

    async def run() -> set[str]:
        processes = (Process(account), Process(account))
        winners: set[str] = set()
        for pairs, failures in rounds:
            account.advance(failures)
            calls = (processes[process].reconcile(OWNERS[owner]) for process, owner in pairs)
            results = await asyncio.gather(*calls)
            winners |= {
                OWNERS[owner].uid
                for (_, owner), result in zip(pairs, results, strict=True)
                if result is None
            }
        for process in processes:
            for owner in OWNERS:
                account.advance()
                if await process.reconcile(owner) is None:
                    winners.add(owner.uid)
        return winners

    (winner,) = asyncio.run(run())
    metadata = ownership.parse_metadata(account.stored[NAME])
    assert metadata is not None
    assert winner == metadata.uid
    assert initial.get(NAME, {}).get("Team") == account.stored[NAME].get("Team")


@given(st.lists(_FAILURES, max_size=6))
def test_with_any_failures_a_container_is_deleted_after_the_whole_delay(
    rounds: Sequence[Sequence[str]],
) -> None:
    account = FakeAccount({NAME: JANE.metadata.to_metadata()})
    without_failures: list[Sequence[str]] = [[]] * 7

    async def run() -> datetime:
        process, orphaned = Process(account), None
        for number, failures in enumerate([*rounds, *without_failures]):
            time = NOW + timedelta(days=7 * number)
            account.advance(failures)
            process.now += 1000.0
            with contextlib.suppress(ExternalError):
                await collect_garbage_at(process, time)
            if NAME not in account.stored:
                assert orphaned is not None
                assert time - orphaned >= timedelta(days=30)
                return time
            if orphaned is None and "profilegone" in account.stored[NAME]:
                orphaned = time
        raise AssertionError(f"the container still exists: {account.stored}")

    asyncio.run(run())


async def collect_garbage_at(process: Process, time: datetime) -> None:
    await retention.collect_garbage(
        process.account, "here", lambda *_: True, days=30, now=lambda: time
    )


async def test_a_container_in_sync_costs_no_request_and_one_list_serves_all_callers() -> None:
    account = FakeAccount({NAME: JANE.metadata.to_metadata()})
    process = Process(account)
    assert await process.reconcile(JANE) is None
    before = account.requests
    assert process.account.is_in_sync(JANE)
    assert await process.account.reconcile(JANE, create=True, profiles=frozenset()) is None
    assert before == account.requests

    process.now += 1000.0
    await asyncio.gather(
        *(process.account.reconcile(one, create=True, profiles=frozenset()) for one in [JANE] * 10)
    )
    assert before + 1 == account.requests


@pytest.mark.parametrize("owner", [RECREATED, RIVAL])
async def test_a_refused_container_is_read_again_at_each_reconcile(owner: ContainerOwner) -> None:
    account = FakeAccount({NAME: JANE.metadata.to_metadata()})
    process = Process(account)
    for _ in range(2):
        refused = await process.account.reconcile(owner, create=True, profiles=frozenset())
        assert refused is not None
    account.stored[NAME] = {"profile": owner.profile}
    assert await process.account.reconcile(owner, create=True, profiles=frozenset()) is None
    assert owner.metadata == ownership.parse_metadata(account.stored[NAME])


async def test_a_container_that_another_process_adopts_before_the_lease_is_refused() -> None:
    account = FakeAccount({NAME: {}})
    slow, quick = Process(account), Process(account)
    account.before_lease = lambda: quick.reconcile(RIVAL)
    refused = await slow.reconcile(JANE)
    assert refused is not None
    assert "ContainerOwnedByOther" == refused.reason
    assert RIVAL.metadata == ownership.parse_metadata(account.stored[NAME])


async def test_a_profile_that_is_recreated_before_the_lease_keeps_its_container() -> None:
    long_ago = dataclasses.replace(JANE.metadata, gone=NOW - timedelta(days=99))
    recreated = dataclasses.replace(JANE, uid="uid-new")
    for metadata in (JANE.metadata, long_ago):
        account = FakeAccount({NAME: metadata.to_metadata()})
        collecting, reconciling = Process(account), Process(account)
        account.before_lease = lambda one=reconciling: one.reconcile(recreated)
        await retention.collect_garbage(
            collecting.account, "here", lambda _, uid: uid != "uid-new", days=30, now=lambda: NOW
        )
        assert recreated.metadata == ownership.parse_metadata(account.stored[NAME])
