"""Connections to Postgres: short-lived, with a bound on all waiting; and what went wrong with them.

No error that leaves here holds a statement, a parameter or a password.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

import psycopg

from controllers.gitea.config import GiteaSettings
from controllers.gitea.postgres.tenants import DatabaseError, WrongPasswordError

IDLE_SECONDS = 10.0
"""An administrator's connection that nobody used for this long is closed."""
_WRONG_PASSWORD = "password authentication failed"  # noqa: S105 - words of the server
_CLOSING_SECONDS = 2.0
_LOCKS_PART = 10
_SET = "SELECT pg_catalog.set_config(%s, %s, false)"

Connection = psycopg.AsyncConnection[tuple[object, ...]]


_CODES: Sequence[tuple[str, str, bool]] = (
    ("53300", "PostgresBusy", True),
    ("53", "PostgresFailed", True),
    ("25006", "PostgresReadOnly", True),
    ("57014", "PostgresSlow", True),
    ("57", "PostgresUnreachable", True),
    ("08", "PostgresUnreachable", True),
    # A lock is held by somebody else in this database, and so are the next ones.
    ("55P03", "PostgresSlow", False),
    ("42501", "PostgresForbidden", False),
    ("42710", "PostgresRaced", False),
    ("42P04", "PostgresRaced", False),
    ("23505", "PostgresRaced", False),
    ("55006", "PostgresRaced", False),
)
"""Beginnings of SQLSTATE, what we call it, and whether it is everybody's trouble."""
_WORDS: Sequence[tuple[str, str]] = (
    ("too many clients", "PostgresBusy"),
    ("remaining connection slots", "PostgresBusy"),
    ("too many connections", "PostgresBusy"),
    ("does not support SSL", "PostgresRefusesTLS"),
    ("SSL error", "PostgresRefusesTLS"),
    ("certificate", "PostgresRefusesTLS"),
    ("no encryption", "PostgresRefusesTLS"),
    ("timeout expired", "PostgresSlow"),
    ("pg_hba.conf", "PostgresRefusedLogin"),
    ("not permitted to log in", "PostgresRefusedLogin"),
    ("does not exist", "PostgresRefusedLogin"),
    ("not currently accepting connections", "PostgresRefusedLogin"),
)
"""Of a refused connection libpq tells words, and no code."""


def explain(error: psycopg.Error, where: str) -> DatabaseError:
    """The error in our words: the server's first line, without what was asked of it."""
    code = error.sqlstate or ""
    if code:
        found = (known for known in _CODES if code.startswith(known[0]))
        _, reason, everybody = next(found, ("", "PostgresFailed", False))
        said = error.diag.message_primary or f"SQLSTATE {code}"
        return DatabaseError(reason, f"{where}: {said}", everybody=everybody)
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
    """Opens connections to one server. How many at once is for the caller to bound."""

    settings: GiteaSettings
    idle_seconds: float = IDLE_SECONDS
    opened: int = 0
    """How many connections it has opened so far."""
    _idle: list[tuple[float, Connection]] = field(default_factory=list)
    _reaper: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def administrator(self) -> AsyncIterator[Connection]:
        """The administrator in the maintenance database; kept for the next one for a moment."""
        connection = await self._take() or await self._open_administrator()
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
        """Whether it opens the database. Raises WrongPasswordError, or DatabaseError.

        Neither is everybody's: a tenant can close its database, or use all of its connections.
        """
        try:
            connection = await self._open(user, password, database)
        except DatabaseError as error:
            raise type(error)(error.reason, str(error)) from None
        await _close(connection)

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

    async def _open_administrator(self) -> Connection:
        settings = self.settings
        password = settings.psql_admin_passwd.get_secret_value()
        connection = await self._open(
            settings.psql_admin_uname, password, settings.psql_maintenance_db
        )
        milliseconds = round(settings.psql_statement_timeout * 1000)
        session = {
            "statement_timeout": f"{milliseconds}ms",
            # Whoever holds a lock for long must not look like a server that is slow.
            "lock_timeout": f"{max(milliseconds // _LOCKS_PART, 1)}ms",
            # Up to Postgres 14 everybody may create functions and operators in schema public.
            "search_path": "",
        }
        try:
            with explained(self._where):
                for name, value in session.items():
                    await connection.execute(_SET, (name, value))
        except BaseException:
            await _close(connection)
            raise
        return connection

    async def _open(self, user: str, password: str, database: str) -> Connection:
        settings = self.settings
        timeout = settings.psql_connect_timeout
        with explained(self._where):
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

    async def _take(self) -> Connection | None:
        while self._idle:
            _, connection = self._idle.pop()
            if not connection.closed:
                return connection
        return None

    async def _reap(self) -> None:
        while self._idle:
            since, connection = self._idle[0]
            left = since + self.idle_seconds - time.monotonic()
            if left > 0:
                await asyncio.sleep(left)
            elif (since, connection) in self._idle:
                self._idle.remove((since, connection))
                await _close(connection)


async def _close(connection: Connection) -> None:
    with contextlib.suppress(psycopg.Error, TimeoutError):
        async with asyncio.timeout(_CLOSING_SECONDS):
            await connection.close()
