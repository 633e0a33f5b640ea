"""Many tenants on one real Postgres: nobody's trouble is another's, and connections are few."""

import asyncio

import psycopg
import pytest
from psycopg import sql

from controllers.gitea.postgres.accounts import Account
from controllers.gitea.postgres.connections import Connector
from controllers.gitea.postgres.servers import Server
from controllers.gitea.postgres.tenants import DatabaseError
from tests.support.cluster import waiting
from tests.support.postgres.databases import Clock, ensured, opens, server_of, serving, tenant
from tests.support.postgres.server import ADMIN, ADMIN_PASSWORD, Postgres

pytestmark = pytest.mark.xdist_group("postgres")

# What a tenant does to its own is its own trouble


OWN = {
    "closed": "ALTER DATABASE {} ALLOW_CONNECTIONS false",
    "without_connections": "ALTER DATABASE {} CONNECTION LIMIT 0",
}


@pytest.mark.parametrize("case", OWN)
async def test_a_tenant_that_shuts_its_database_keeps_nobody_else_from_theirs(
    own_postgres: Postgres, case: str
) -> None:
    clock, whose = Clock(), tenant()
    server = server_of(own_postgres, clock)
    account = await server.ensure(whose, None)
    statement = sql.SQL(OWN[case]).format(sql.Identifier(whose.name))
    own_postgres.do(statement)  # 18 lets a superuser alone; a database's owner could before

    clock.now = 3601.0
    with pytest.raises(DatabaseError, match=whose.name) as error:
        await server.ensure(whose, account)
    assert not error.value.everybody
    assert (await server.ensure(tenant(), None)).is_sound
    assert "" == server.status().error
    asked = server.connector.opened
    with pytest.raises(DatabaseError):
        await server.ensure(whose, account)
    assert asked == server.connector.opened  # it waits, for itself
    await server.close()


async def test_a_tenant_that_holds_a_lock_keeps_nobody_else_waiting(
    own_postgres: Postgres,
) -> None:
    clock, whose = Clock(), tenant()
    server = server_of(own_postgres, clock, psql_statement_timeout=5.0)
    account = await server.ensure(whose, None)
    comment = sql.SQL("COMMENT ON DATABASE {} IS 'mine'").format(sql.Identifier(whose.name))
    with own_postgres.login(account.user, account.password, whose.name) as connection:
        connection.execute(comment)  # our mark is gone, and cannot be written while
        with connection.transaction():
            connection.execute(comment)
            clock.now = 3601.0
            with pytest.raises(DatabaseError, match="lock timeout") as error:
                await server.ensure(whose, account)
            assert ("PostgresSlow", False) == (error.value.reason, error.value.everybody)
            assert "" == server.status().error
            assert (await server.ensure(tenant(), None)).is_sound

    clock.now = 4000.0
    assert account == await server.ensure(whose, account)
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
    assert [(whose.mark,)] == own_postgres.ask(query, whose.name)
    await server.close()


async def test_a_tenant_whose_role_is_granted_to_another_is_refused_and_the_other_is_not(
    own_postgres: Postgres,
) -> None:
    """Up to Postgres 15 every role can grant itself, and must not get another into trouble."""
    giver, taker = tenant(), tenant()
    accounts = [await ensured(own_postgres, each) for each in (giver, taker)]
    roles = [sql.Identifier(each.name) for each in (giver, taker)]
    own_postgres.do(sql.SQL("GRANT {} TO {}").format(*roles))

    assert accounts[1] == await ensured(own_postgres, taker, accounts[1])
    with pytest.raises(DatabaseError, match=f"is granted to {taker.name}") as refusal:
        await ensured(own_postgres, giver, accounts[0])
    assert (True, False) == (refusal.value.lasting, refusal.value.everybody)


async def test_what_a_tenant_puts_into_schema_public_is_never_called(
    own_postgres: Postgres,
) -> None:
    """Up to Postgres 14 everybody may create there; an operator that fits better would be taken."""
    account = await ensured(own_postgres, whose := tenant())
    own_postgres.do("GRANT CREATE ON SCHEMA public TO PUBLIC")
    with own_postgres.login(account.user, account.password, "postgres") as connection:
        connection.execute("""
            CREATE FUNCTION public.caught(oid, integer) RETURNS boolean LANGUAGE plpgsql AS
            $$BEGIN RAISE EXCEPTION 'caught %', current_user; END$$
        """)
        connection.execute("""
            CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = integer, FUNCTION = public.caught)
        """)

    assert account == await ensured(own_postgres, whose, account)
    with pytest.raises(psycopg.Error, match=f"caught {ADMIN}"):
        await _as_before(own_postgres)


async def _as_before(postgres: Postgres) -> None:
    """With the search path that a session begins with, it would be."""
    with postgres.login(ADMIN, ADMIN_PASSWORD, "postgres") as connection:
        connection.execute("SELECT oid = 0 FROM pg_roles")


# How many connections, and how often


async def test_there_are_never_more_connections_than_allowed(postgres: Postgres) -> None:
    async with serving(postgres, psql_connections=2) as server:
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, postgres.front.open)
                await asyncio.sleep(0.005)

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(server.ensure(tenant(), None) for _ in range(12)))
        watching.cancel()

    assert 1 <= most <= 4


async def test_no_connection_is_kept_for_longer_than_a_moment(own_postgres: Postgres) -> None:
    settings = own_postgres.settings()
    connector = Connector(settings=settings, idle_seconds=0.2)
    server = Server(settings=settings, connector=connector)
    await asyncio.gather(*(server.ensure(tenant(), None) for _ in range(4)))
    assert 1 <= own_postgres.front.open
    await asyncio.to_thread(
        waiting.until, lambda: own_postgres.front.open == 0, "all are closed", seconds=10
    )
    await server.close()


async def test_what_was_found_well_is_not_looked_at_again_for_a_while(postgres: Postgres) -> None:
    now = 0.0
    settings = postgres.settings(psql_verify_minutes=60)
    connector = Connector(settings=settings)
    server = Server(settings=settings, connector=connector, clock=lambda: now)
    whose = tenant()
    account = await server.ensure(whose, None)
    opened = connector.opened
    for _ in range(100):
        assert account == await server.ensure(whose, account)
        assert account == await server.ensure(whose, None)  # a Secret that was deleted
    assert opened == connector.opened

    now = 3601.0
    assert account == await server.ensure(whose, account)
    assert opened < connector.opened
    await server.close()


async def test_the_secret_of_another_password_is_looked_into_at_once(postgres: Postgres) -> None:
    async with serving(postgres) as server:
        whose = tenant()
        first = await server.ensure(whose, None)
        changed = Account(user=first.user, password="edited by hand")
        second = await server.ensure(whose, changed)

    assert second not in (first, changed)
    assert opens(postgres, second, whose.name)
