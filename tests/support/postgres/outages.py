"""What befalls a Postgres server, and its cure: context managers, for tests of what follows."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from tests.support.cluster import waiting
from tests.support.postgres.server import ADMIN, ADMIN_PASSWORD, Postgres, give
from tests.support.postgres.tls_front import Mood


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """`reason` is what it is called; `settings` are those of a process that it befalls."""

    reason: str
    cause: Callable[[Postgres], AbstractContextManager[None]]
    everybody: bool = True
    settings: tuple[tuple[str, object], ...] = ()


def cut(postgres: Postgres) -> None:
    """Ends the administrator's connections, so that the next work needs another."""
    postgres.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", ADMIN)


def _alter(postgres: Postgres, how: LiteralString, *values: object) -> None:
    statement = sql.SQL("ALTER ROLE {} " + how)
    postgres.do(statement.format(sql.Identifier(ADMIN), *map(sql.Literal, values)))


def _altered(how: LiteralString, back: LiteralString) -> Callable[[Postgres], Iterator[None]]:
    def alter(postgres: Postgres) -> Iterator[None]:
        _alter(postgres, how)
        cut(postgres)
        yield
        _alter(postgres, back)
        cut(postgres)

    return alter


def _another_password(postgres: Postgres) -> Iterator[None]:
    _alter(postgres, "PASSWORD {}", "changed-by-somebody")
    cut(postgres)
    yield
    _alter(postgres, "PASSWORD {}", ADMIN_PASSWORD)


def _mood(mood: Mood) -> Callable[[Postgres], Iterator[None]]:
    def be(postgres: Postgres) -> Iterator[None]:
        postgres.front.mood = mood
        cut(postgres)
        yield
        postgres.front.mood = Mood.WELL

    return be


def _away(postgres: Postgres) -> Iterator[None]:
    postgres.pause()
    yield
    postgres.resume()


def _replica(postgres: Postgres) -> Iterator[None]:
    """In recovery, as a hot standby is."""
    postgres.pause()
    signal = postgres.data / "standby.signal"
    signal.touch()
    give(signal)
    postgres.resume()
    assert postgres.ask("SELECT pg_is_in_recovery()") == [(True,)]
    yield
    postgres.pause()
    signal.unlink()
    postgres.resume()


def _full(postgres: Postgres) -> Iterator[None]:
    """The one connection that it has for others than superusers is taken."""
    postgres.pause()
    postgres.resume(
        max_connections=4,
        superuser_reserved_connections=3,
        reserved_connections=0,
        max_wal_senders=0,
    )

    def taken() -> psycopg.Connection | None:
        with contextlib.suppress(psycopg.OperationalError):
            return postgres.login(ADMIN, ADMIN_PASSWORD, "postgres")
        return None

    try:
        # Whoever found the server up may not have let go of the one connection yet.
        connection = waiting.until(taken, "the one connection is free")
        assert connection is not None
        with connection:
            yield
    finally:
        postgres.pause()
        postgres.resume()


def _locked(postgres: Postgres) -> Iterator[None]:
    """What every look begins with cannot be read."""
    with postgres.superuser() as connection, connection.transaction():
        connection.execute("LOCK TABLE pg_shdescription IN ACCESS EXCLUSIVE MODE")
        yield


def _well(_postgres: Postgres) -> Iterator[None]:
    """The settings alone are the trouble."""
    yield


@contextlib.contextmanager
def _cured(cause: Callable[[Postgres], Iterator[None]], postgres: Postgres) -> Iterator[None]:
    """What follows the cause's `yield` is done also when a test failed: others go on with it."""
    steps = cause(postgres)
    next(steps)
    try:
        yield
    finally:
        next(steps, None)


def _trouble(
    reason: str,
    cause: Callable[[Postgres], Iterator[None]],
    *,
    everybody: bool = True,
    **settings: object,
) -> Trouble:
    return Trouble(
        reason=reason,
        cause=functools.partial(_cured, cause),
        everybody=everybody,
        settings=tuple(settings.items()),
    )


_READ_ONLY: LiteralString = "SET default_transaction_read_only = on"

TROUBLES = {
    "away": _trouble("PostgresUnreachable", _away),
    "another_password": _trouble("PostgresRefusedLogin", _another_password),
    "no_login": _trouble("PostgresRefusedLogin", _altered("NOLOGIN", "LOGIN")),
    "no_such_database": _trouble("PostgresRefusedLogin", _well, psql_maintenance_db="nowhere"),
    "no_tls": _trouble("PostgresRefusesTLS", _mood(Mood.REFUSES_TLS)),
    "another_authority": _trouble(
        "PostgresRefusesTLS", _well, psql_sslmode="verify-full", psql_sslrootcert="system"
    ),
    "silent": _trouble("PostgresSlow", _mood(Mood.SILENT), psql_connect_timeout=0.5),
    "slow_statements": _trouble("PostgresSlow", _well, psql_statement_timeout=0.001),
    "locked": _trouble("PostgresSlow", _locked, everybody=False, psql_statement_timeout=2.0),
    "replica": _trouble("PostgresReadOnly", _replica),
    "read_only": _trouble("PostgresReadOnly", _altered(_READ_ONLY, "RESET ALL")),
    "full": _trouble("PostgresBusy", _full),
    "no_connection_of_its_own": _trouble(
        "PostgresBusy", _altered("CONNECTION LIMIT 0", "CONNECTION LIMIT -1")
    ),
    "no_right": _trouble(
        "PostgresForbidden", _altered("NOCREATEROLE", "CREATEROLE"), everybody=False
    ),
}
