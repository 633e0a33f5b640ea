"""Tenants' databases on a real Postgres, as gitea makes them and as its tests see them."""

import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Any

import psycopg
from psycopg import sql

from controllers.gitea import names
from controllers.gitea.postgres.accounts import Account
from controllers.gitea.postgres.connections import Connector
from controllers.gitea.postgres.servers import Server
from controllers.gitea.postgres.tenants import Tenant
from tests.support.postgres.server import ADMIN, ADMIN_PASSWORD, Postgres

SOUND = "s" * 43
CHANGES = ("CREATE ", "ALTER ", "GRANT ", "REVOKE ", "COMMENT ", "DROP ")


def tenant(profile: str = "", classification: str = "unclassified", uid: str = "") -> Tenant:
    profile = profile or f"t-{secrets.token_hex(4)}"
    return Tenant(
        name=names.identifier(profile),
        classification=classification,
        profile=profile,
        uid=uid or f"uid-{profile}",
    )


@contextlib.asynccontextmanager
async def serving(postgres: Postgres, **changes: Any) -> AsyncIterator[Server]:
    """A process of the suite, that remembers nothing of another."""
    settings = postgres.settings(**changes)
    server = Server(settings=settings, connector=Connector(settings=settings))
    try:
        yield server
    finally:
        await server.close()


async def ensured(
    postgres: Postgres, whose: Tenant, held: Account | None = None, **changes: Any
) -> Account:
    async with serving(postgres, **changes) as server:
        return await server.ensure(whose, held)


def opens(postgres: Postgres, account: Account, database: str) -> bool:
    try:
        postgres.login(account.user, account.password, database).close()
    except psycopg.OperationalError:
        return False
    return True


def as_admin(postgres: Postgres, *statements: sql.Composed) -> None:
    with postgres.login(ADMIN, ADMIN_PASSWORD, "postgres") as connection:
        for statement in statements:
            connection.execute(statement)


def changes_in(log: str) -> list[str]:
    return [line for line in log.splitlines() if any(f" {word}" in line for word in CHANGES)]


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def server_of(postgres: Postgres, clock: Clock, **changes: Any) -> Server:
    settings = postgres.settings(**changes)
    return Server(settings=settings, connector=Connector(settings=settings), clock=clock)
