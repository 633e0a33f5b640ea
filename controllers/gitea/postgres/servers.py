"""The Postgres server as ``gather`` meets it: an account that works, and as few looks as possible.

A database that was found well is not looked at again for some time, unless the Secret changed. A
server that does not answer is asked for nobody until a moment has passed. What fails for one tenant
keeps that tenant waiting, and nobody else: tenants own their databases and can lock them.
"""

from __future__ import annotations

import asyncio
import functools
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from controllers.gitea.config import GiteaSettings
from controllers.gitea.postgres import databases
from controllers.gitea.postgres.accounts import Account
from controllers.gitea.postgres.connections import Connection, Connector
from controllers.gitea.postgres.databases import Lack
from controllers.gitea.postgres.patience import FIRST_PAUSE, Patience
from controllers.gitea.postgres.tenants import DatabaseError, Tenant, WrongPasswordError
from controllers.runtime.controller import ProfileGone
from controllers.runtime.external.system import ComponentStatus

logger = structlog.stdlib.get_logger(__name__)

LONGEST_PAUSE, LONGEST_PAUSE_OF_TENANT = 60.0, 300.0
_RANDOM_BYTES = 32
_FRESH = (0.75, 1.0)
"""The part of the interval after which one is looked at again: they come back one by one."""
_CONNECTIONS_OF_WORK = 5
_STATEMENTS_OF_WORK = 2
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """An account that worked, and until when that counts."""

    tenant: Tenant
    account: Account
    until: float


@dataclass(kw_only=True)
class Server:
    """One Postgres server, for the whole process. ``clock`` gives monotonic seconds."""

    settings: GiteaSettings
    connector: Connector
    clock: Callable[[], float] = time.monotonic
    _known: dict[str, _Known] = field(default_factory=dict)
    _turns: asyncio.Semaphore = field(init=False)
    """Whoever has a turn opens one connection as administrator and one login at most."""
    _patience: Patience = field(init=False)
    _patience_with: dict[str, Patience] = field(default_factory=dict)
    _success: float | None = None
    """Unix seconds of the last work that was done."""

    def __post_init__(self) -> None:
        self._turns = asyncio.Semaphore(self.settings.psql_connections)
        self._patience = Patience(clock=self.clock, longest=LONGEST_PAUSE)

    async def ensure(self, tenant: Tenant, held: Account | None) -> Account:
        """The account that works, ``held`` where it does; makes and mends what that takes.

        Raises DatabaseError.
        """
        known = self._known.get(tenant.name)
        if known is not None and known.tenant == tenant:
            if self.clock() < known.until and held in (None, known.account):
                return known.account
            # Our own password whose Secret was never written, or was deleted since.
            held = held or known.account
        account = await self._ask(tenant.name, functools.partial(self._provide, tenant, held))
        seconds = self.settings.psql_verify_minutes * 60 * random.uniform(*_FRESH)  # noqa: S311
        until = self.clock() + seconds
        self._known[tenant.name] = _Known(tenant=tenant, account=account, until=until)
        return account

    async def sweep(self, profile_gone: ProfileGone) -> None:
        """Forgets Profiles that are gone, and drops their databases where data shall go with them.

        Finds out whether a server that was in trouble is well again, too: nobody else may ask. A
        database that cannot be dropped keeps none of the others. Raises DatabaseError.
        """
        for name, known in list(self._known.items()):
            if profile_gone(known.tenant.profile, known.tenant.uid):
                del self._known[name]
        if not self.settings.delete_data and self._patience.trouble is None:
            return
        tenants = await self._ask("", self._marked)
        if self.settings.delete_data:
            await self._drop_all(tenants, profile_gone)

    def status(self) -> ComponentStatus:
        """How the server is, for everybody; from any thread."""
        trouble = self._patience.trouble
        said = str(trouble) if trouble is not None else ""
        return ComponentStatus(
            name=self.settings.database_host, error=said, last_success=self._success
        )

    async def close(self) -> None:
        """Closes its connections."""
        await self.connector.close()

    def retry_seconds(self, name: str) -> float:
        """When to ask again for this database; spread, so that not all come at once."""
        own = self._patience_with.get(name)
        left = max(self._patience.seconds, own.seconds if own else 0.0, FIRST_PAUSE)
        return left * random.uniform(1.0, 1.2)  # noqa: S311 - no secret

    @property
    def bound(self) -> float:
        """Seconds after which work is given up, whatever it waits for."""
        settings = self.settings
        connecting = settings.psql_connect_timeout * _CONNECTIONS_OF_WORK
        return connecting + settings.psql_statement_timeout * _STATEMENTS_OF_WORK

    async def _ask(self, name: str, work: Callable[[], Awaitable[_T]]) -> _T:
        """The work's answer in its turn, unless it failed a moment ago, here or for everybody."""
        own = self._patience_with.get(name)
        async with self._turns:
            self._patience.enter()
            if own is not None:
                own.enter()
            try:
                async with asyncio.timeout(self.bound):
                    answer = await work()
            except TimeoutError:
                where = self.settings.database_host
                error = DatabaseError("PostgresSlow", f"Postgres {where}: no answer in time")
                self._stumble(name, error)
                raise error from None
            except DatabaseError as error:
                self._stumble(name, error)
                raise
        self._patience_with.pop(name, None)
        if self._patience.trouble is not None:
            logger.info("Postgres answers again", host=self.settings.database_host)
        self._patience.succeeded()
        self._success = time.time()
        return answer

    def _stumble(self, name: str, error: DatabaseError) -> None:
        if error.everybody:
            before = self._patience.trouble
            if before is None or before.reason != error.reason:
                logger.warning("Postgres is in trouble", reason=error.reason, error=str(error))
            self._patience.failed(error)
            return
        patience = Patience(clock=self.clock, longest=LONGEST_PAUSE_OF_TENANT)
        self._patience_with.setdefault(name, patience).failed(error)

    async def _marked(self) -> list[Tenant]:
        async with self.connector.administrator() as connection:
            return await databases.marked(connection, self.settings.classification)

    async def _drop_all(self, tenants: Sequence[Tenant], profile_gone: ProfileGone) -> None:
        failures = []
        for tenant in tenants:
            if not profile_gone(tenant.profile, tenant.uid):
                continue
            try:
                await self._ask(tenant.name, functools.partial(self._drop, tenant, profile_gone))
            except DatabaseError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    async def _drop(self, tenant: Tenant, profile_gone: ProfileGone) -> None:
        async with self.connector.administrator() as connection:
            if profile_gone(tenant.profile, tenant.uid):
                await databases.drop(connection, tenant)
                logger.info("database dropped", database=tenant.name, uid=tenant.uid)

    async def _provide(self, tenant: Tenant, held: Account | None) -> Account:
        logins = self._logins(tenant.name, held)
        password = held.password if held is not None and held.is_sound else _password()
        async with self.connector.administrator() as connection:
            missing = await self._mended(connection, tenant, password)
            if Lack.ROLE not in missing:
                kept = await self._first(tenant, logins, held.password) if held else None
                if kept is not None:
                    return kept
                await databases.set_password(connection, tenant, password)
                logger.info("password set", database=tenant.name)
            account = await self._first(tenant, logins, password)
        if account is None:
            where = f"Postgres {self.settings.database_host}"
            message = f"{where}: role {tenant.name} has a new password, and is refused with it"
            raise DatabaseError("PostgresRefusedLogin", message)
        return account

    async def _mended(self, connection: Connection, tenant: Tenant, password: str) -> list[Lack]:
        """What was missing or wrong, and no longer is. A role that is made gets the password."""
        observed = await databases.observe(connection, tenant.name)
        accept = self.settings.former_data == "accept"
        why = databases.refusal(observed, tenant, accept_former=accept)
        if why:
            raise DatabaseError("DatabaseRefused", why, lasting=True)
        missing = databases.lacks(observed, tenant)
        for lack in missing:
            await databases.mend(connection, tenant, lack, password)
        if missing:
            said = [each.value for each in missing]
            logger.info("database mended", database=tenant.name, lacks=said)
        return missing

    async def _first(self, tenant: Tenant, logins: list[str], password: str) -> Account | None:
        """The first of the logins that opens the database with this password."""
        for login in logins:
            try:
                await self.connector.try_login(login, password, tenant.name)
            except WrongPasswordError:
                continue
            return Account(user=login, password=password)
        return None

    def _logins(self, role: str, held: Account | None) -> list[str]:
        """How the role may log in, the likeliest first: plain, or as role@host.

        Azure's single server wants the latter. Where no setting says it, a Secret does, and where
        that is wrong or not there, the administrator's own login.
        """
        settings = self.settings
        _, _, host = settings.psql_admin_uname.partition("@")
        with_host = settings.psql_login_with_host
        if with_host or (with_host is None and host):
            usual = f"{role}@{host or settings.psql_hostname.partition('.')[0]}"
        else:
            usual = role
        if with_host is not None or held is None:
            return [usual]
        _, sign, theirs = held.user.partition("@")
        return list(dict.fromkeys((f"{role}{sign}{theirs}", usual)))


def _password() -> str:
    """32 random bytes, spelled URL-safe."""
    return secrets.token_urlsafe(_RANDOM_BYTES)
