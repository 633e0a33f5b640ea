"""Connections to Postgres: few, short-lived, with a bound on all waiting; and what went wrong.

No error that leaves here holds a statement, a parameter or a password.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import errors, sql

from controllers.gitea.config import GiteaSettings
from controllers.gitea.tenants import DatabaseError, WrongPasswordError

IDLE_SECONDS = 10.0
"""An administrator's connection that nobody used for this long is closed."""
_WRONG_PASSWORD = "password authentication failed"  # noqa: S105 - words of the server
_CLOSING_SECONDS = 2.0

Connection = psycopg.AsyncConnection[tuple[object, ...]]


_KINDS: Sequence[tuple[type[psycopg.Error], str, bool]] = (
    (errors.TooManyConnections, "PostgresBusy", True),
    (errors.ReadOnlySqlTransaction, "PostgresReadOnly", True),
    (errors.QueryCanceled, "PostgresSlow", True),
    (errors.LockNotAvailable, "PostgresSlow", False),
    (errors.InsufficientPrivilege, "PostgresForbidden", False),
    (errors.DuplicateObject, "PostgresRaced", False),
    (errors.DuplicateDatabase, "PostgresRaced", False),
    (errors.UniqueViolation, "PostgresRaced", False),
    (errors.ObjectInUse, "PostgresRaced", False),
)
_WORDS: Sequence[tuple[str, str]] = (
    ("too many clients", "PostgresBusy"),
    ("remaining connection slots", "PostgresBusy"),
    ("too many connections", "PostgresBusy"),
    ("does not support SSL", "PostgresRefusesTLS"),
    ("SSL error", "PostgresRefusesTLS"),
    ("certificate", "PostgresRefusesTLS"),
    ("no encryption", "PostgresRefusesTLS"),
    ("timeout expired", "PostgresSlow"),
)
"""Of a refused connection libpq tells words, and no code."""


def explain(error: psycopg.Error, where: str) -> DatabaseError:
    """The error in our words: the server's first line, without what was asked of it."""
    for kind, reason, everybody in _KINDS:
        if isinstance(error, kind):
            message = f"{where}: {error.diag.message_primary}"
            return DatabaseError(reason, message, everybody=everybody)
    if error.sqlstate:
        said = error.diag.message_primary or error.sqlstate
        return DatabaseError("PostgresFailed", f"{where}: {said}")
    # A connection that is refused, or that broke: what libpq says of it names host, port and login.
    said = " ".join(str(error).split())
    if _WRONG_PASSWORD in said:
        return WrongPasswordError("PostgresRefusedLogin", f"{where}: {said}", everybody=True)
    reason = next((reason for word, reason in _WORDS if word in said), "PostgresUnreachable")
    return DatabaseError(reason, f"{where}: {said}", everybody=True)


@contextlib.contextmanager
def explained(where: str) -> Iterator[None]:
    """Lets nothing of psycopg's out: its errors may quote a statement, and a chain shows them."""
    try:
        yield
    except psycopg.Error as error:
        raise explain(error, where) from None
    except TimeoutError:
        raise DatabaseError("PostgresSlow", f"{where}: no answer in time", everybody=True) from None


@dataclass(kw_only=True)
class Connector:
    """Opens connections to one server, never more at once than it is allowed."""

    settings: GiteaSettings
    opened: int = 0
    """How many connections it has opened so far."""
    _slots: asyncio.Semaphore = field(init=False)
    _logins: asyncio.Semaphore = field(init=False)
    """Apart, as an administrator's connection is held while a login is tried."""
    _idle: list[tuple[float, Connection]] = field(default_factory=list)
    _reaper: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.settings.psql_connections)
        self._logins = asyncio.Semaphore(self.settings.psql_connections)

    @contextlib.asynccontextmanager
    async def administrator(self) -> AsyncIterator[Connection]:
        """The administrator in the maintenance database; kept for the next one for a moment."""
        settings = self.settings
        async with self._slots:
            connection = await self._take() or await self._open(
                settings.psql_admin_uname,
                settings.psql_admin_passwd.get_secret_value(),
                settings.psql_maintenance_db,
            )
            try:
                with explained(self._where):
                    yield connection
            except BaseException:
                await _close(connection)
                raise
            self._idle.append((time.monotonic(), connection))
            if self._reaper is None or self._reaper.done():
                self._reaper = asyncio.create_task(self._reap(), name="idle connections")

    async def try_login(self, user: str, password: str, database: str) -> None:
        """Whether it opens the database. Raises WrongPasswordError, or DatabaseError."""
        async with self._logins:
            await _close(await self._open(user, password, database))

    async def close(self) -> None:
        """Closes what is idle."""
        if self._reaper is not None:
            self._reaper.cancel()
        idle, self._idle = self._idle, []
        for _, connection in idle:
            await _close(connection)

    @property
    def _where(self) -> str:
        return f"Postgres {self.settings.database_host}"

    async def _open(self, user: str, password: str, database: str) -> Connection:
        settings = self.settings
        timeout = settings.psql_connect_timeout
        with explained(self._where):
            async with asyncio.timeout(timeout):
                connection = await psycopg.AsyncConnection.connect(
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
                self.opened += 1
                milliseconds = sql.Literal(round(settings.psql_statement_timeout * 1000))
                await connection.execute(sql.SQL("SET statement_timeout = {}").format(milliseconds))
                return connection

    async def _take(self) -> Connection | None:
        while self._idle:
            _, connection = self._idle.pop()
            if not connection.closed:
                return connection
        return None

    async def _reap(self) -> None:
        while self._idle:
            since, connection = self._idle[0]
            left = since + IDLE_SECONDS - time.monotonic()
            if left > 0:
                await asyncio.sleep(left)
            elif (since, connection) in self._idle:
                self._idle.remove((since, connection))
                await _close(connection)


async def _close(connection: Connection) -> None:
    with contextlib.suppress(psycopg.Error, TimeoutError):
        async with asyncio.timeout(_CLOSING_SECONDS):
            await connection.close()
