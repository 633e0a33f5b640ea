"""Connections to Postgres: short-lived, with a timeout on each wait, and the reasons of failures.

docs/designs/0006-postgres-connections.md states why there is no connection pool. No error that
leaves this module contains a statement, a parameter or a password.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg

from controllers.gitea.config import GiteaSettings
from controllers.gitea.postgres.accounts import DatabaseCredentials
from controllers.runtime.external.errors import ExternalError, Scope

IDLE_SECONDS = 10.0
"""After this time an unused connection of the administrator is closed."""
_CLOSE_SECONDS = 2.0
_LOCK_TIMEOUT_DIVISOR = 10
_SET = "SELECT pg_catalog.set_config(%s, %s, false)"
_WRONG_PASSWORD = "password authentication failed"  # noqa: S105 - a message of Postgres

Connection = psycopg.AsyncConnection[tuple[object, ...]]


class _Cause(NamedTuple):
    reason: str
    action: str
    """What a person can do."""


UNREACHABLE = _Cause(
    reason="PostgresUnreachable",
    action="check that the server runs, psql_hostname and psql_port",
)
TIMEOUT = _Cause(
    reason="PostgresTimeout",
    action="check the load, the locks and the network of the server",
)
TOO_MANY_CONNECTIONS = _Cause(
    reason="PostgresTooManyConnections",
    action="raise the connection limit of the server, or lower psql_connections",
)
READ_ONLY = _Cause(
    reason="PostgresReadOnly",
    action="set psql_hostname to the primary, or allow writes",
)
LOGIN_FAILED = _Cause(
    reason="PostgresLoginFailed",
    action="check psql_admin_uname, psql_admin_passwd, psql_maintenance_db and pg_hba.conf",
)
TLS_FAILED = _Cause(
    reason="PostgresTLSFailed",
    action="check psql_sslmode, psql_sslrootcert and the certificate of the server",
)
FORBIDDEN = _Cause(
    reason="PostgresForbidden",
    action="grant the administrator CREATEROLE and CREATEDB, and ADMIN OPTION on adopted roles",
)
CONFLICT = _Cause(
    reason="PostgresConflict",
    action="the role or the database was changed concurrently; will retry",
)
FAILED = _Cause(
    reason="PostgresError",
    action="check the log of the server; will retry",
)

# By prefix of SQLSTATE; the first match counts.
_BY_SQLSTATE: Sequence[tuple[str, _Cause, Scope]] = (
    ("53300", TOO_MANY_CONNECTIONS, Scope.SYSTEM),
    ("53", FAILED, Scope.SYSTEM),
    ("25006", READ_ONLY, Scope.SYSTEM),
    ("57014", TIMEOUT, Scope.SYSTEM),
    ("57", UNREACHABLE, Scope.SYSTEM),
    ("08", UNREACHABLE, Scope.SYSTEM),
    # A tenant can hold a lock on its own database only.
    ("55P03", TIMEOUT, Scope.TENANT),
    ("42501", FORBIDDEN, Scope.TENANT),
    ("42710", CONFLICT, Scope.TENANT),
    ("42P04", CONFLICT, Scope.TENANT),
    ("23505", CONFLICT, Scope.TENANT),
    ("55006", CONFLICT, Scope.TENANT),
)
# For a refused connection libpq reports a message and no SQLSTATE. By part of the message.
_BY_MESSAGE: Sequence[tuple[str, _Cause]] = (
    ("too many clients", TOO_MANY_CONNECTIONS),
    ("remaining connection slots", TOO_MANY_CONNECTIONS),
    ("too many connections", TOO_MANY_CONNECTIONS),
    ("does not support SSL", TLS_FAILED),
    ("SSL error", TLS_FAILED),
    ("certificate", TLS_FAILED),
    ("no encryption", TLS_FAILED),
    ("timeout expired", TIMEOUT),
    (_WRONG_PASSWORD, LOGIN_FAILED),
    ("pg_hba.conf", LOGIN_FAILED),
    ("not permitted to log in", LOGIN_FAILED),
    ("does not exist", LOGIN_FAILED),
    ("not currently accepting connections", LOGIN_FAILED),
)


class _Failure(NamedTuple):
    cause: _Cause
    scope: Scope
    text: str


def _failure(error: psycopg.Error | TimeoutError) -> _Failure:
    """Return the cause of an error, and the server's message without the statement."""
    if isinstance(error, TimeoutError):
        return _Failure(TIMEOUT, Scope.SYSTEM, "no response within the timeout")
    if code := error.sqlstate:
        text = error.diag.message_primary or f"SQLSTATE {code}"
        found = (each for each in _BY_SQLSTATE if code.startswith(each[0]))
        _, cause, scope = next(found, ("", FAILED, Scope.TENANT))
        return _Failure(cause, scope, text)
    # libpq's message contains host, port and login name, but no password.
    text = " ".join(str(error).split())
    cause = next((cause for part, cause in _BY_MESSAGE if part in text), UNREACHABLE)
    return _Failure(cause, Scope.SYSTEM, text)


@dataclass(kw_only=True)
class Connector:
    """Opens connections to one server. The caller limits how many are open at once."""

    settings: GiteaSettings
    idle_seconds: float = IDLE_SECONDS
    opened: int = 0
    """The number of connections opened so far."""
    _idle: list[tuple[float, Connection]] = field(default_factory=list)
    _idle_closer: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def administrator(self) -> AsyncIterator[Connection]:
        """Provide a connection of the administrator to the maintenance database.

        It stays open for ``idle_seconds`` for the next caller. Raises ExternalError.
        """
        connection = self._take_idle() or await self._open_administrator()
        try:
            with self._translated():
                yield connection
        except BaseException:
            await _close(connection)
            raise
        self._idle.append((time.monotonic(), connection))
        if self._idle_closer is None or self._idle_closer.done():
            self._idle_closer = asyncio.create_task(self._close_idle(), name="idle connections")

    async def accepts(self, credentials: DatabaseCredentials, database: str) -> bool:
        """Return whether the credentials open the database; False for a wrong user or password.

        Raises ExternalError with scope TENANT for any other failure: a tenant can close its
        database, or use all of its connections.
        """
        try:
            connection = await self._open(credentials.user, credentials.password, database)
        except (psycopg.Error, TimeoutError) as error:
            failure = _failure(error)
            if _WRONG_PASSWORD in failure.text:
                return False
            message = (
                f"Postgres {self.settings.server_address}: {failure.text}; check database"
                f" {database} and its role"
            )
            raise ExternalError(failure.cause.reason, message) from None
        await _close(connection)
        return True

    async def close(self) -> None:
        """Close idle connections."""
        if self._idle_closer is not None:
            self._idle_closer.cancel()
        idle, self._idle = self._idle, []
        for _, connection in idle:
            await _close(connection)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise each error of the driver as ExternalError, without the original in tracebacks."""
        try:
            yield
        except (psycopg.Error, TimeoutError) as error:
            cause, scope, text = _failure(error)
            message = f"Postgres {self.settings.server_address}: {text}; {cause.action}"
            raise ExternalError(cause.reason, message, scope=scope) from None

    async def _open_administrator(self) -> Connection:
        settings = self.settings
        password = settings.psql_admin_passwd.get_secret_value()
        with self._translated():
            connection = await self._open(
                settings.psql_admin_uname, password, settings.psql_maintenance_db
            )
        milliseconds = round(settings.psql_statement_timeout * 1000)
        session = {
            "statement_timeout": f"{milliseconds}ms",
            # Shorter, so that a lock that a tenant holds is not reported as a slow server.
            "lock_timeout": f"{max(milliseconds // _LOCK_TIMEOUT_DIVISOR, 1)}ms",
            # Up to Postgres 14 every role can create functions and operators in schema public.
            "search_path": "",
        }
        try:
            with self._translated():
                for name, value in session.items():
                    await connection.execute(_SET, (name, value))
        except BaseException:
            await _close(connection)
            raise
        return connection

    async def _open(self, user: str, password: str, database: str) -> Connection:
        settings = self.settings
        timeout = settings.psql_connect_timeout
        async with asyncio.timeout(timeout):
            self.opened += 1
            return await psycopg.AsyncConnection.connect(
                host=settings.psql_hostname,
                port=settings.psql_port,
                user=user,
                password=password,
                dbname=database,
                sslmode=settings.psql_sslmode,
                connect_timeout=max(2, round(timeout)),
                application_name="profiles-controller-gitea",
                gssencmode="disable",
                autocommit=True,
                sslrootcert=settings.psql_sslrootcert,
            )

    def _take_idle(self) -> Connection | None:
        while self._idle:
            _, connection = self._idle.pop()
            if not connection.closed:
                return connection
        return None

    async def _close_idle(self) -> None:
        while self._idle:
            since, connection = self._idle[0]
            remaining = since + self.idle_seconds - time.monotonic()
            if remaining > 0:
                await asyncio.sleep(remaining)
            elif (since, connection) in self._idle:
                self._idle.remove((since, connection))
                await _close(connection)


async def _close(connection: Connection) -> None:
    with contextlib.suppress(psycopg.Error, TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await connection.close()
