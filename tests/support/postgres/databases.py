"""Tenants' databases on a real Postgres server, as the controller creates and tests check them."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
from psycopg import sql

from controllers.gitea import names
from controllers.gitea.postgres.accounts import DatabaseCredentials, DatabaseOwner
from controllers.gitea.postgres.connections import IDLE_SECONDS, Connector
from controllers.gitea.postgres.servers import SYSTEM, PostgresServer
from controllers.runtime.backoff import Backoff
from controllers.runtime.external.system import ExternalSystem
from tests.support.postgres.server import ADMIN, ADMIN_PASSWORD, Postgres

STRONG_PASSWORD = "s" * 43
CHANGES = ("CREATE ", "ALTER ", "GRANT ", "REVOKE ", "COMMENT ", "DROP ")


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def new_owner(profile: str = "", classification: str = "unclassified") -> DatabaseOwner:
    """Return the owner of a database that does not exist yet."""
    profile = profile or f"t-{secrets.token_hex(4)}"
    return DatabaseOwner(
        database=names.database(profile),
        classification=classification,
        profile=profile,
        uid=f"uid-{profile}",
    )


def new_server(
    postgres: Postgres,
    clock: Callable[[], float] | None = None,
    *,
    idle_seconds: float = IDLE_SECONDS,
    **changes: Any,
) -> PostgresServer:
    """Return the server as a new process has it, without jitter. Callers wait for all requests."""
    settings = postgres.settings(**changes)
    clock = clock or Clock()
    system = ExternalSystem(
        SYSTEM,
        wait_seconds=300.0,
        concurrency=settings.psql_connections,
        backoff=Backoff(initial=1.0, maximum=60.0, jitter=lambda: 0.5),
        clock=clock,
        jitter=lambda: 0.0,
    )
    connector = Connector(settings=settings, idle_seconds=idle_seconds)
    return PostgresServer(settings=settings, connector=connector, system=system, clock=clock)


@contextlib.asynccontextmanager
async def running_server(postgres: Postgres, **changes: Any) -> AsyncIterator[PostgresServer]:
    """Provide `new_server`, and close it at the end."""
    server = new_server(postgres, **changes)
    try:
        yield server
    finally:
        await server.close()


async def ensure_in_new_process(
    postgres: Postgres,
    owner: DatabaseOwner,
    credentials: DatabaseCredentials | None = None,
    **changes: Any,
) -> DatabaseCredentials:
    async with running_server(postgres, **changes) as server:
        return await server.ensure_database(owner, credentials)


def opens(postgres: Postgres, credentials: DatabaseCredentials, database: str) -> bool:
    try:
        postgres.login(credentials.user, credentials.password, database).close()
    except psycopg.OperationalError:
        return False
    return True


def as_admin(postgres: Postgres, *statements: sql.Composed) -> None:
    with postgres.login(ADMIN, ADMIN_PASSWORD, "postgres") as connection:
        for statement in statements:
            connection.execute(statement)


def changes_in(log: str) -> list[str]:
    return [line for line in log.splitlines() if any(f" {word}" in line for word in CHANGES)]
