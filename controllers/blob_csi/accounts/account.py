"""One storage account: brings each profile's container to its mark, and asks as little as it can.

All containers are listed at once and not looked at again for some time. An account that fails is
left alone for a while, for everybody.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

import structlog

from controllers.blob_csi import names
from controllers.blob_csi.accounts import ownership
from controllers.blob_csi.accounts.ownership import REFUSED, Mark, State, Tenant
from controllers.blob_csi.accounts.troubles import AccountError, Breaker, SparedError
from controllers.blob_csi.grants.resolve import Withheld

logger = structlog.stdlib.get_logger(__name__)

_Answer = TypeVar("_Answer")
_STEPS = 4
"""More than any way from a state to WELL has."""
_ABSENT_SECONDS = 60.0
_ONE_CONTAINER_SECONDS = 5.0


class Store(Protocol):
    """An account over the wire, as ``clients.Client``. Every method raises AccountError."""

    account: str

    async def containers(self) -> dict[str, Mapping[str, str]]: ...
    async def look(self, name: str) -> Mapping[str, str] | None: ...
    async def create(self, name: str, metadata: Mapping[str, str]) -> bool: ...
    def leased(self, name: str) -> AbstractAsyncContextManager[Any]: ...
    async def write(self, name: str, metadata: Mapping[str, str], lease: Any) -> None: ...
    async def delete(self, name: str, lease: Any) -> None: ...
    async def close(self) -> None: ...


class Keeper:
    """One account. ``clock`` gives monotonic seconds; in a dry run nothing is changed."""

    def __init__(
        self,
        store: Store,
        *,
        verify_seconds: float,
        dry_run: bool = False,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Asks nothing yet."""
        self.store = store
        self.account = store.account
        self.breaker = Breaker(clock=clock, chance=chance)
        self.success: float | None = None
        """Unix seconds of the last good answer."""
        self._verify_seconds = verify_seconds
        self._dry_run = dry_run
        self._clock = clock
        self._marks: dict[str, Mark | None] = {}
        self._listed = float("-inf")
        self._listing = asyncio.Lock()

    def knows(self, tenant: Tenant) -> bool:
        """Whether its container was found well, and not too long ago."""
        return self._is_fresh() and self._state(tenant) is State.WELL

    async def settle(
        self, tenant: Tenant, *, create: bool, profiles: frozenset[str]
    ) -> Withheld | None:
        """Why the tenant's container cannot be used; None when it can.

        With ``create`` a missing one is made. ``profiles`` are those that exist.
        """
        if self.knows(tenant):
            return None
        try:
            return await self.asked(lambda: self._settle(tenant, create, profiles))
        except SparedError as error:
            return error.withheld
        except AccountError as error:
            if error.everybody:
                return self.breaker.withheld(error)
            return error.withheld(error.after or _ONE_CONTAINER_SECONDS)

    async def asked(self, work: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """The work's answer, unless the account is to be spared: SparedError, or AccountError."""
        self.breaker.enter()
        try:
            answer = await work()
        except AccountError as error:
            if not error.everybody:
                self._answered()
            elif self.breaker.failed(error):
                told = {"account": self.account, "reason": error.reason, "error": error.message}
                logger.warning("storage account fails", **told)
            raise
        except BaseException:
            self.breaker.abandoned()
            raise
        self._answered()
        return answer

    async def marks(self) -> Mapping[str, Mark | None]:
        """The mark of every container, not older than is allowed. For work that was ``asked``."""
        async with self._listing:  # one lists, for all who wait
            if not self._is_fresh():
                found = await self.store.containers()
                self._marks = {name: ownership.mark_of(one) for name, one in found.items()}
                self._listed = self._clock()
        return self._marks

    async def look(self, name: str) -> Mapping[str, str] | None:
        """The metadata of one container as it is now; None where there is none."""
        metadata = await self.store.look(name)
        self.remember(name, metadata)
        return metadata

    def remember(self, name: str, metadata: Mapping[str, str] | None) -> None:
        """A container is so now; None: it is no more."""
        if metadata is None:
            self._marks.pop(name, None)
        else:
            self._marks[name] = ownership.mark_of(metadata)

    def _answered(self) -> None:
        self.success = time.time()
        if self.breaker.succeeded():
            logger.info("storage account answers again", account=self.account)

    def _is_fresh(self) -> bool:
        return self._clock() - self._listed < self._verify_seconds

    def _state(self, tenant: Tenant) -> State:
        name = _container(tenant)
        exists = name in self._marks
        return ownership.determine_state(tenant, self._marks.get(name), exists=exists)

    async def _settle(
        self,
        tenant: Tenant,
        create: bool,  # noqa: FBT001 - handed on
        profiles: frozenset[str],
    ) -> Withheld | None:
        await self.marks()
        state = self._state(tenant)
        if state is State.WELL:
            return None
        if state is State.ABSENT and create and not self._dry_run and await self._create(tenant):
            return None
        for _ in range(_STEPS):
            await self.look(_container(tenant))
            state = self._state(tenant)
            mark = self._marks.get(_container(tenant))
            if state in REFUSED:
                live = mark is not None and mark.profile in profiles
                return ownership.refusal(state, tenant, mark, account=self.account, is_live=live)
            if state is State.ABSENT and not create:
                return _absent(tenant, self.account)
            if state is State.WELL or self._dry_run:
                return None
            await self._step(state, tenant)
        message = f"container {_container(tenant)} of storage account {self.account} does not rest"
        raise AccountError("ContainerContended", message, everybody=False)

    async def _step(self, state: State, tenant: Tenant) -> None:
        """One step out of this state; somebody else may be quicker."""
        match state:
            case State.ABSENT:
                await self._create(tenant)
            case State.UNMARKED | State.STALE:
                await self._mark(state, tenant)

    async def _create(self, tenant: Tenant) -> bool:
        made = await self.store.create(_container(tenant), tenant.mark.metadata())
        if made:
            self.remember(_container(tenant), tenant.mark.metadata())
            self._log("container made", tenant)
        return made

    async def _mark(self, state: State, tenant: Tenant) -> None:
        name = _container(tenant)
        async with self.store.leased(name) as lease:
            metadata = await self.look(name)
            if self._state(tenant) is state:
                await self.store.write(name, tenant.mark.metadata(metadata), lease)
                self._log("container marked", tenant)

    def _log(self, done: str, tenant: Tenant) -> None:
        told = {"container": _container(tenant), "profile": tenant.profile, "uid": tenant.uid}
        logger.info(done, account=self.account, **told)


def _container(tenant: Tenant) -> str:
    """Its name. Nobody asks for who can have none."""
    return names.container_name(tenant.profile) or ""


def _absent(tenant: Tenant, account: str) -> Withheld:
    message = (
        f"container {_container(tenant)!r} is not in storage account {account}, and its instances"
        " are read-only: expected somebody else to make it"
    )
    return Withheld(reason="ContainerAbsent", message=message, after=_ABSENT_SECONDS)
