"""The Postgres server: working credentials for a profile, with as few connections as possible.

A database that is in sync is not checked again for some time, unless its Secret changes. Failures
of the server and of one tenant's database are limited by the circuit breakers of ExternalSystem.
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
from controllers.gitea.postgres.accounts import DatabaseCredentials, DatabaseOwner
from controllers.gitea.postgres.connections import TIMEOUT, Connection, Connector
from controllers.gitea.postgres.databases import DatabaseState, Drift
from controllers.runtime.controller import ProfileGone
from controllers.runtime.external.errors import ExternalError, Scope
from controllers.runtime.external.system import ComponentStatus, ExternalSystem

logger = structlog.stdlib.get_logger(__name__)

SYSTEM = "postgres"
"""The name of the server in metrics and alerts."""
_PASSWORD_BYTES = 32
_RECHECK_FRACTION = 0.25
"""A database is checked again up to this part of the interval early, to spread the checks."""
_MAX_CONNECTIONS_PER_REQUEST = 5
_MAX_STATEMENT_WAITS_PER_REQUEST = 2
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verified:
    """Credentials that opened the database. ``until`` is in monotonic seconds."""

    owner: DatabaseOwner
    credentials: DatabaseCredentials
    until: float


@dataclass(kw_only=True)
class PostgresServer:
    """One Postgres server. ``clock`` returns monotonic seconds, ``jitter`` a number from 0 to 1."""

    settings: GiteaSettings
    connector: Connector
    system: ExternalSystem
    """Limits concurrent requests. Each opens at most one administrator's connection and one login
    at a time."""
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    _verified: dict[str, _Verified] = field(default_factory=dict)

    async def ensure_database(
        self, owner: DatabaseOwner, credentials: DatabaseCredentials | None
    ) -> DatabaseCredentials:
        """Return credentials that open the owner's database, and create or repair what is missing.

        ``credentials`` are those of the Secret; they are returned if they work. Raises
        ExternalError.
        """
        if verified := self._recently_verified(owner, credentials):
            return verified
        return await self.system.call(
            functools.partial(self._limited, self._check, owner, credentials),
            tenant=owner.database,
            request=(owner, credentials),
        )

    async def collect_garbage(self, profile_gone: ProfileGone) -> None:
        """Forget deleted Profiles. Drop their databases if ``delete_data`` is set.

        Also sends a request to a server that failed, because no reconcile may be due. A database
        that cannot be dropped does not stop the others from being dropped. Raises ExternalError.
        """
        for database, verified in list(self._verified.items()):
            if profile_gone(verified.owner.profile, verified.owner.uid):
                del self._verified[database]
        if not self.settings.delete_data and not self.system.status().error:
            return
        owners = await self.system.run(functools.partial(self._limited, self._owners))
        if self.settings.delete_data:
            await self._drop_all(owners, profile_gone)

    def status(self) -> ComponentStatus:
        """Return the status of the server, from any thread."""
        return self.system.status()

    async def close(self) -> None:
        """End requests in flight and close all connections."""
        try:
            await self.system.close()
        finally:
            await self.connector.close()

    @property
    def request_timeout(self) -> float:
        """Seconds after which a request fails, whatever it waits for."""
        settings = self.settings
        connecting = settings.psql_connect_timeout * _MAX_CONNECTIONS_PER_REQUEST
        return connecting + settings.psql_statement_timeout * _MAX_STATEMENT_WAITS_PER_REQUEST

    def _recently_verified(
        self, owner: DatabaseOwner, credentials: DatabaseCredentials | None
    ) -> DatabaseCredentials | None:
        """Return the credentials that need no check; None if a check is due."""
        verified = self._verified.get(owner.database)
        if (
            verified is None
            or verified.owner != owner
            or self.clock() >= verified.until
            or credentials not in (None, verified.credentials)
        ):
            return None
        return verified.credentials

    async def _limited(self, request: Callable[..., Awaitable[_T]], *arguments: object) -> _T:
        """Limit the time of a request: the server can stop responding on an open connection."""
        try:
            async with asyncio.timeout(self.request_timeout):
                return await request(*arguments)
        except TimeoutError:
            message = (
                f"Postgres {self.settings.server_address}: no response within"
                f" {self.request_timeout:g} s; {TIMEOUT.action}"
            )
            raise ExternalError(TIMEOUT.reason, message, scope=Scope.SYSTEM) from None

    # The requests

    async def _check(
        self, owner: DatabaseOwner, credentials: DatabaseCredentials | None
    ) -> DatabaseCredentials:
        # An earlier request that no caller waited for may have done it.
        if verified := self._recently_verified(owner, credentials):
            return verified
        previous = self._verified.get(owner.database)
        if credentials is None and previous is not None and previous.owner == owner:
            # The Secret was not written yet, or it was deleted.
            credentials = previous.credentials
        working = await self._provision(owner, credentials)
        seconds = self.settings.psql_verify_minutes * 60
        until = self.clock() + seconds * (1.0 - _RECHECK_FRACTION * self.jitter())
        self._verified[owner.database] = _Verified(owner=owner, credentials=working, until=until)
        return working

    async def _provision(
        self, owner: DatabaseOwner, credentials: DatabaseCredentials | None
    ) -> DatabaseCredentials:
        logins = self._login_names(owner.database, credentials)
        strong = credentials is not None and credentials.is_strong
        password = credentials.password if credentials and strong else _generate_password()
        async with self.connector.administrator() as connection:
            drift = await self._bring_in_sync(connection, owner, password)
            if Drift.ROLE_MISSING not in drift:
                if credentials and (
                    working := await self._accepted(owner, logins, credentials.password)
                ):
                    return working
                await databases.set_password(connection, owner, password)
                logger.info("password changed", database=owner.database)
            if working := await self._accepted(owner, logins, password):
                return working
        raise ExternalError(
            "PostgresLoginFailed",
            f"Postgres {self.settings.server_address}: the server rejects the password that was"
            f" set for role {owner.database}; check pg_hba.conf and psql_login_with_host",
        )

    async def _bring_in_sync(
        self, connection: Connection, owner: DatabaseOwner, password: str
    ) -> Sequence[Drift]:
        """Repair role and database. A new role gets ``password``. Return what was repaired."""
        assessment = databases.assess(
            await databases.observe(connection, owner.database),
            owner,
            accept_former=self.settings.former_data == "accept",
        )
        match assessment.state:
            case DatabaseState.CONFLICT:
                raise databases.conflict_error(assessment.conflict)
            case DatabaseState.DRIFTED:
                await databases.repair(connection, owner, assessment.drift, password)
                drift = [each.value for each in assessment.drift]
                logger.info("database repaired", database=owner.database, drift=drift)
            case DatabaseState.IN_SYNC:
                pass
        return assessment.drift

    async def _accepted(
        self, owner: DatabaseOwner, logins: Sequence[str], password: str
    ) -> DatabaseCredentials | None:
        """Return the first login name with which the password opens the database."""
        for user in logins:
            credentials = DatabaseCredentials(user=user, password=password)
            if await self.connector.accepts(credentials, owner.database):
                return credentials
        return None

    async def _owners(self) -> list[DatabaseOwner]:
        async with self.connector.administrator() as connection:
            return await databases.owners(connection, self.settings.classification)

    async def _drop_all(self, owners: Sequence[DatabaseOwner], profile_gone: ProfileGone) -> None:
        errors = []
        for owner in owners:
            if not profile_gone(owner.profile, owner.uid):
                continue
            request = functools.partial(self._limited, self._drop, owner, profile_gone)
            try:
                await self.system.run(request, tenant=owner.database)
            except ExternalError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    async def _drop(self, owner: DatabaseOwner, profile_gone: ProfileGone) -> None:
        async with self.connector.administrator() as connection:
            # Checked again: the request may have waited.
            if profile_gone(owner.profile, owner.uid):
                await databases.drop(connection, owner)
                logger.info("database dropped", database=owner.database, uid=owner.uid)

    def _login_names(self, role: str, credentials: DatabaseCredentials | None) -> list[str]:
        """Return the login names to test, the most likely first: ``role`` or ``role@host``.

        Azure single server requires the latter. If no setting decides, the Secret does, and then
        the login name of the administrator.
        """
        settings = self.settings
        _, _, host = settings.psql_admin_uname.partition("@")
        with_host = settings.psql_login_with_host
        if with_host or (with_host is None and host):
            default = f"{role}@{host or settings.psql_hostname.partition('.')[0]}"
        else:
            default = role
        if with_host is not None or credentials is None:
            return [default]
        _, separator, host_in_secret = credentials.user.partition("@")
        return list(dict.fromkeys((f"{role}{separator}{host_in_secret}", default)))


def connect(settings: GiteaSettings) -> PostgresServer:
    """Return the server of these settings. It opens no connection yet."""
    system = ExternalSystem(SYSTEM, concurrency=settings.psql_connections)
    return PostgresServer(settings=settings, connector=Connector(settings=settings), system=system)


def _generate_password() -> str:
    """Return 32 random bytes in URL-safe base64."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)
