"""The Postgres server as ``gather`` meets it: an account that works, and as few looks as possible.

A database that was found well is not looked at again for some time, unless the Secret changed. A
server that does not answer is asked for nobody until a moment has passed.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import structlog

from controllers.gitea import databases
from controllers.gitea.accounts import Account
from controllers.gitea.config import GiteaSettings
from controllers.gitea.connections import Connection, Connector
from controllers.gitea.databases import Lack
from controllers.gitea.tenants import DatabaseError, Tenant, WrongPasswordError

logger = structlog.stdlib.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
"""Seconds for which a server that failed is left alone, doubled from one to the other."""
_RANDOM_BYTES = 32
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """An account that worked, and when it was last seen to."""

    tenant: Tenant
    account: Account
    at: float


@dataclass(kw_only=True)
class Server:
    """One Postgres server, for the whole process. ``clock`` gives monotonic seconds."""

    settings: GiteaSettings
    connector: Connector
    clock: Callable[[], float] = time.monotonic
    _known: dict[str, _Known] = field(default_factory=dict)
    _trouble: DatabaseError | None = None
    _until: float = 0.0
    _pause: float = 0.0

    async def ensure(self, tenant: Tenant, held: Account | None) -> Account:
        """The account that works, ``held`` where it does; makes and mends what that takes.

        Raises DatabaseError.
        """
        known = self._known.get(tenant.name)
        if known is not None and known.tenant == tenant:
            fresh = self.clock() - known.at < self.settings.psql_verify_minutes * 60
            if fresh and held in (None, known.account):
                return known.account
            # Our own password whose Secret was never written, or was deleted since.
            held = held or known.account
        seconds = self.settings.psql_connect_timeout * 3 + self.settings.psql_statement_timeout
        account = await self._asked(self._provide(tenant, held), seconds=seconds)
        self._known[tenant.name] = _Known(tenant=tenant, account=account, at=self.clock())
        return account

    async def sweep(self, is_gone: Callable[[str, str], bool]) -> None:
        """Drops the databases whose Profiles are gone. Raises DatabaseError."""

        async def work() -> None:
            async with self.connector.administrator() as connection:
                tenants = await databases.marked(connection, self.settings.classification)
                for tenant in tenants:
                    if is_gone(tenant.profile, tenant.uid):
                        await databases.drop(connection, tenant)
                        self._known.pop(tenant.name, None)
                        logger.info("database dropped", database=tenant.name, uid=tenant.uid)

        await self._asked(work(), seconds=None)

    def forget(self, name: str) -> None:
        """Nobody asks for this database any more."""
        self._known.pop(name, None)

    def health(self) -> str:
        """What keeps everybody from the server; empty when nothing does."""
        return str(self._trouble) if self._trouble is not None else ""

    async def close(self) -> None:
        """Closes its connections."""
        await self.connector.close()

    @property
    def retry_seconds(self) -> float:
        """When to ask again; spread, so that not all profiles come at once."""
        left = max(self._until - self.clock(), FIRST_PAUSE)
        return left * random.uniform(1.0, 1.2)  # noqa: S311 - no secret

    def _user(self, role: str, held: Account | None) -> str:
        """The login: plain, or with the host's first part as Azure's single server has it."""
        with_host = self.settings.psql_login_with_host
        if with_host is None:
            example = held.user if held is not None else self.settings.psql_admin_uname
            with_host = "@" in example
            if with_host and held is not None:
                return f"{role}@{held.user.partition('@')[2]}"
        return f"{role}@{self.settings.psql_hostname.partition('.')[0]}" if with_host else role

    async def _asked(self, work: Coroutine[Any, Any, _T], *, seconds: float | None) -> _T:
        """The work's answer, unless the server failed everybody a moment ago."""
        if self._trouble is not None and self.clock() < self._until:
            work.close()
            raise self._trouble
        try:
            async with asyncio.timeout(seconds):
                answer = await work
        except TimeoutError:
            host = self.settings.database_host
            error = DatabaseError("PostgresSlow", f"Postgres {host}: no answer in time")
            self._stumble(error)
            raise error from None
        except DatabaseError as error:
            if error.everybody:
                self._stumble(error)
            raise
        if self._trouble is not None:
            logger.info("Postgres answers again", host=self.settings.database_host)
        self._trouble, self._pause = None, 0.0
        return answer

    def _stumble(self, error: DatabaseError) -> None:
        self._pause = min(max(FIRST_PAUSE, self._pause * 2), LONGEST_PAUSE)
        if self._trouble is None or self._trouble.reason != error.reason:
            logger.warning("Postgres is in trouble", reason=error.reason, error=str(error))
        self._trouble, self._until = error, self.clock() + self._pause

    async def _provide(self, tenant: Tenant, held: Account | None) -> Account:
        fallback = held.password if held is not None and held.is_sound else _password()
        account = Account(user=self._user(tenant.name, held), password=fallback)
        async with self.connector.administrator() as connection:
            missing = await self._examined(connection, tenant)
            for lack in missing:
                await databases.mend(connection, tenant, lack, account.password)
            if missing:
                said = [each.value for each in missing]
                logger.info("database mended", database=tenant.name, lacks=said)
            if Lack.ROLE in missing:
                return account
            if held is not None:
                kept = replace(account, password=held.password)
                if await self._opens(tenant, kept):
                    return kept
            await databases.set_password(connection, tenant, account.password)
            logger.info("password set", database=tenant.name)
            return account

    async def _opens(self, tenant: Tenant, account: Account) -> bool:
        try:
            await self.connector.try_login(account.user, account.password, tenant.name)
        except WrongPasswordError:
            return False
        return True

    async def _examined(self, connection: Connection, tenant: Tenant) -> list[Lack]:
        observed = await databases.observe(connection, tenant.name)
        accept = self.settings.former_data == "accept"
        why = databases.refusal(observed, tenant, accept_former=accept)
        if why:
            raise DatabaseError("DatabaseRefused", why, lasting=True)
        return databases.lacks(observed, tenant)


def _password() -> str:
    """32 random bytes, spelled URL-safe."""
    return secrets.token_urlsafe(_RANDOM_BYTES)
