"""Failures of a Postgres server: context managers that cause one and end it."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from controllers.runtime.external.errors import Scope
from tests.support.cluster import waiting
from tests.support.postgres.server import ADMIN, ADMIN_PASSWORD, Postgres, chown_to_nobody
from tests.support.postgres.tls_proxy import ProxyMode


@dataclass(frozen=True, kw_only=True)
class Outage:
    """`reason` and `scope` are those of the error; `settings` are for a process that has it."""

    reason: str
    cause: Callable[[Postgres], AbstractContextManager[None]]
    scope: Scope = Scope.SYSTEM
    settings: tuple[tuple[str, Any], ...] = ()


def disconnect(postgres: Postgres) -> None:
    """Close the administrator's connections, so that the next request opens another."""
    postgres.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", ADMIN
    )


def _alter(postgres: Postgres, change: LiteralString, *values: object) -> None:
    statement = sql.SQL("ALTER ROLE {} " + change)
    postgres.do(statement.format(sql.Identifier(ADMIN), *map(sql.Literal, values)))


def _altered(change: LiteralString, undo: LiteralString) -> Callable[[Postgres], Iterator[None]]:
    def alter(postgres: Postgres) -> Iterator[None]:
        _alter(postgres, change)
        disconnect(postgres)
        yield
        _alter(postgres, undo)
        disconnect(postgres)

    return alter


def _another_password(postgres: Postgres) -> Iterator[None]:
    _alter(postgres, "PASSWORD {}", "changed-by-somebody")
    disconnect(postgres)
    yield
    _alter(postgres, "PASSWORD {}", ADMIN_PASSWORD)


def _proxy_mode(mode: ProxyMode) -> Callable[[Postgres], Iterator[None]]:
    def change(postgres: Postgres) -> Iterator[None]:
        postgres.proxy.mode = mode
        disconnect(postgres)
        yield
        postgres.proxy.mode = ProxyMode.FORWARD

    return change


def _stopped(postgres: Postgres) -> Iterator[None]:
    postgres.pause()
    yield
    postgres.resume()


def _replica(postgres: Postgres) -> Iterator[None]:
    """In recovery, as a hot standby is."""
    postgres.pause()
    signal = postgres.data / "standby.signal"
    signal.touch()
    chown_to_nobody(signal)
    postgres.resume()
    assert postgres.query("SELECT pg_is_in_recovery()") == [(True,)]
    yield
    postgres.pause()
    signal.unlink()
    postgres.resume()


def _no_free_connection(postgres: Postgres) -> Iterator[None]:
    """The only connection for roles other than superusers is in use."""
    postgres.pause()
    postgres.resume(
        max_connections=4,
        superuser_reserved_connections=3,
        reserved_connections=0,
        max_wal_senders=0,
    )

    def connect() -> psycopg.Connection | None:
        with contextlib.suppress(psycopg.OperationalError):
            return postgres.login(ADMIN, ADMIN_PASSWORD, "postgres")
        return None

    try:
        # The connection of the readiness check may still be open.
        connection = waiting.until(connect, "the only connection is free")
        assert connection is not None
        with connection:
            yield
    finally:
        postgres.pause()
        postgres.resume()


def _locked(postgres: Postgres) -> Iterator[None]:
    """The catalog that every check reads is locked."""
    with postgres.superuser() as connection, connection.transaction():
        connection.execute("LOCK TABLE pg_shdescription IN ACCESS EXCLUSIVE MODE")
        yield


def _unchanged(_postgres: Postgres) -> Iterator[None]:
    """Only the settings cause the failure."""
    yield


@contextlib.contextmanager
def _ended(cause: Callable[[Postgres], Iterator[None]], postgres: Postgres) -> Iterator[None]:
    """Run the part after the cause's `yield` also if a test fails: other tests use the server."""
    steps = cause(postgres)
    next(steps)
    try:
        yield
    finally:
        next(steps, None)


def _outage(
    reason: str,
    cause: Callable[[Postgres], Iterator[None]],
    *,
    scope: Scope = Scope.SYSTEM,
    **settings: object,
) -> Outage:
    return Outage(
        reason=reason,
        cause=functools.partial(_ended, cause),
        scope=scope,
        settings=tuple(settings.items()),
    )


_READ_ONLY: LiteralString = "SET default_transaction_read_only = on"

OUTAGES = {
    "stopped": _outage("PostgresUnreachable", _stopped),
    "another_password": _outage("PostgresLoginFailed", _another_password),
    "no_login": _outage("PostgresLoginFailed", _altered("NOLOGIN", "LOGIN")),
    "no_such_database": _outage("PostgresLoginFailed", _unchanged, psql_maintenance_db="nowhere"),
    "no_tls": _outage("PostgresTLSFailed", _proxy_mode(ProxyMode.REFUSE_TLS)),
    "another_authority": _outage(
        "PostgresTLSFailed", _unchanged, psql_sslmode="verify-full", psql_sslrootcert="system"
    ),
    "no_response": _outage(
        "PostgresTimeout", _proxy_mode(ProxyMode.NO_RESPONSE), psql_connect_timeout=0.5
    ),
    "slow_statements": _outage("PostgresTimeout", _unchanged, psql_statement_timeout=0.001),
    "locked": _outage("PostgresTimeout", _locked, scope=Scope.TENANT, psql_statement_timeout=2.0),
    "replica": _outage("PostgresReadOnly", _replica),
    "read_only": _outage("PostgresReadOnly", _altered(_READ_ONLY, "RESET ALL")),
    "no_free_connection": _outage("PostgresTooManyConnections", _no_free_connection),
    "connection_limit_of_the_administrator": _outage(
        "PostgresTooManyConnections", _altered("CONNECTION LIMIT 0", "CONNECTION LIMIT -1")
    ),
    "no_privilege": _outage(
        "PostgresForbidden", _altered("NOCREATEROLE", "CREATEROLE"), scope=Scope.TENANT
    ),
}
