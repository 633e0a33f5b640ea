"""Many tenants on one real Postgres server: failures stay isolated, and connections are few."""

import asyncio

import psycopg
import pytest
from psycopg import sql

from controllers.gitea.postgres.accounts import DatabaseCredentials
from controllers.runtime.external.errors import ExternalError, Scope
from tests.support.cluster import waiting
from tests.support.postgres.databases import (
    Clock,
    ensure_in_new_process,
    new_owner,
    new_server,
    opens,
    running_server,
)
from tests.support.postgres.server import ADMIN, ADMIN_PASSWORD, Postgres

pytestmark = pytest.mark.xdist_group("postgres")

# Failures that a tenant causes


CHANGES_BY_TENANT = {
    "closed": "ALTER DATABASE {} ALLOW_CONNECTIONS false",
    "without_connections": "ALTER DATABASE {} CONNECTION LIMIT 0",
}


@pytest.mark.parametrize("case", CHANGES_BY_TENANT)
async def test_a_tenant_that_closes_its_database_does_not_affect_other_tenants(
    own_postgres: Postgres, case: str
) -> None:
    clock, owner = Clock(), new_owner()
    server = new_server(own_postgres, clock)
    credentials = await server.ensure_database(owner, None)
    statement = sql.SQL(CHANGES_BY_TENANT[case]).format(sql.Identifier(owner.database))
    own_postgres.do(statement)  # Postgres 18 requires a superuser; before, the owner could

    clock.now = 3601.0
    with pytest.raises(ExternalError, match=owner.database) as error:
        await server.ensure_database(owner, credentials)
    assert error.value.scope is Scope.TENANT
    assert (await server.ensure_database(new_owner(), None)).is_strong
    assert "" == server.status().error
    opened = server.connector.opened
    with pytest.raises(ExternalError):
        await server.ensure_database(owner, credentials)
    assert opened == server.connector.opened  # its own circuit breaker is open
    await server.close()


async def test_a_tenant_that_holds_a_lock_does_not_delay_other_tenants(
    own_postgres: Postgres,
) -> None:
    clock, owner = Clock(), new_owner()
    server = new_server(own_postgres, clock, psql_statement_timeout=5.0)
    credentials = await server.ensure_database(owner, None)
    comment = sql.SQL("COMMENT ON DATABASE {} IS 'mine'").format(sql.Identifier(owner.database))
    with own_postgres.login(credentials.user, credentials.password, owner.database) as connection:
        connection.execute(comment)  # the comment is gone, and cannot be written during
        with connection.transaction():
            connection.execute(comment)
            clock.now = 3601.0
            with pytest.raises(ExternalError, match="lock timeout") as error:
                await server.ensure_database(owner, credentials)
            assert ("PostgresTimeout", Scope.TENANT) == (error.value.reason, error.value.scope)
            assert "" == server.status().error
            assert (await server.ensure_database(new_owner(), None)).is_strong

    clock.now = 4000.0
    assert credentials == await server.ensure_database(owner, credentials)
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
    assert [(owner.comment,)] == own_postgres.query(query, owner.database)
    await server.close()


async def test_a_role_that_is_granted_to_another_is_refused_and_the_other_role_is_not(
    own_postgres: Postgres,
) -> None:
    """Up to Postgres 15 every role can grant itself, and must not block another tenant."""
    giver, taker = new_owner(), new_owner()
    found = [await ensure_in_new_process(own_postgres, each) for each in (giver, taker)]
    roles = [sql.Identifier(each.database) for each in (giver, taker)]
    own_postgres.do(sql.SQL("GRANT {} TO {}").format(*roles))

    assert found[1] == await ensure_in_new_process(own_postgres, taker, found[1])
    with pytest.raises(ExternalError, match=f"is granted to {taker.database}") as refusal:
        await ensure_in_new_process(own_postgres, giver, found[0])
    assert (True, Scope.TENANT) == (refusal.value.action_required, refusal.value.scope)


async def test_functions_of_a_tenant_in_schema_public_are_never_called(
    own_postgres: Postgres,
) -> None:
    """Up to Postgres 14 every role can create there, and Postgres prefers a better operator."""
    credentials = await ensure_in_new_process(own_postgres, owner := new_owner())
    own_postgres.do("GRANT CREATE ON SCHEMA public TO PUBLIC")
    with own_postgres.login(credentials.user, credentials.password, "postgres") as connection:
        connection.execute("""
            CREATE FUNCTION public.caught(oid, integer) RETURNS boolean LANGUAGE plpgsql AS
            $$BEGIN RAISE EXCEPTION 'caught %', current_user; END$$
        """)
        connection.execute("""
            CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = integer, FUNCTION = public.caught)
        """)

    assert credentials == await ensure_in_new_process(own_postgres, owner, credentials)
    with pytest.raises(psycopg.Error, match=f"caught {ADMIN}"):
        await _query_with_default_search_path(own_postgres)


async def _query_with_default_search_path(postgres: Postgres) -> None:
    """Run a query with the default search path, which calls the tenant's operator."""
    with postgres.login(ADMIN, ADMIN_PASSWORD, "postgres") as connection:
        connection.execute("SELECT oid = 0 FROM pg_roles")


# Number of connections


async def test_the_number_of_connections_is_limited(postgres: Postgres) -> None:
    async with running_server(postgres, psql_connections=2) as server:
        maximum = 0

        async def watch() -> None:
            nonlocal maximum
            while True:
                maximum = max(maximum, postgres.proxy.open)
                await asyncio.sleep(0.005)

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(server.ensure_database(new_owner(), None) for _ in range(12)))
        watching.cancel()

    assert 1 <= maximum <= 4


async def test_idle_connections_are_closed(own_postgres: Postgres) -> None:
    server = new_server(own_postgres, idle_seconds=0.2)
    await asyncio.gather(*(server.ensure_database(new_owner(), None) for _ in range(4)))
    assert 1 <= own_postgres.proxy.open
    await asyncio.to_thread(
        waiting.until,
        lambda: own_postgres.proxy.open == 0,
        "all connections are closed",
        seconds=10,
    )
    await server.close()


async def test_a_database_in_sync_is_not_checked_again_before_the_interval_ends(
    postgres: Postgres,
) -> None:
    clock = Clock()
    server = new_server(postgres, clock, psql_verify_minutes=60)
    connector = server.connector
    owner = new_owner()
    credentials = await server.ensure_database(owner, None)
    opened = connector.opened
    for _ in range(100):
        assert credentials == await server.ensure_database(owner, credentials)
        assert credentials == await server.ensure_database(owner, None)  # the Secret was deleted
    assert opened == connector.opened

    clock.now = 3601.0
    assert credentials == await server.ensure_database(owner, credentials)
    assert opened < connector.opened
    await server.close()


async def test_a_changed_password_in_the_secret_is_checked_at_once(postgres: Postgres) -> None:
    async with running_server(postgres) as server:
        owner = new_owner()
        first = await server.ensure_database(owner, None)
        changed = DatabaseCredentials(user=first.user, password="edited by hand")
        second = await server.ensure_database(owner, changed)

    assert second not in (first, changed)
    assert opens(postgres, second, owner.database)
