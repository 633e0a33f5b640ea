"""A profile's role and database on a real Postgres: TLS, and an administrator as clouds give."""

import asyncio
import contextlib
import io
import itertools
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
import structlog
from psycopg import sql

from controllers.gitea import names
from controllers.gitea.accounts import Account
from controllers.gitea.connections import Connector
from controllers.gitea.servers import Server
from controllers.gitea.tenants import DatabaseError, Tenant
from tests.postgres import ADMIN, ADMIN_PASSWORD, Postgres
from tests.tlsfronts import Mood

pytestmark = pytest.mark.xdist_group("postgres")

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


# Each of the three missing or wrong, in every combination

ROLES = {
    "no_role": None,
    "role": "LOGIN",
    "role_without_login": "NOLOGIN",
    "role_with_powers": "LOGIN CREATEDB CREATEROLE",
}
DATABASES = ("no_database", "database", "private_database", "administrators_database")
SECRETS = {
    "no_secret": None,
    "secret": ("kept:pass word#;1", "kept:pass word#;1"),
    "wrong_secret": ("another", SOUND),
    "odd_wrong_secret": ("another", "odd and wrong"),
}
COMBINATIONS = [
    (role, database, secret)
    for role, database, secret in itertools.product(ROLES, DATABASES, SECRETS)
    # No database belongs to a role that is not there.
    if role != "no_role" or database in ("no_database", "administrators_database")
]


@pytest.mark.parametrize(("role", "database", "secret"), COMBINATIONS)
async def test_every_combination_converges_and_is_silent_then(
    postgres: Postgres, role: str, database: str, secret: str
) -> None:
    whose = tenant()
    name = sql.Identifier(whose.name)
    of_role, of_secret = SECRETS[secret] or ("another", None)
    held = Account(user=whose.name, password=of_secret) if of_secret else None
    how = ROLES[role]
    if how is not None:
        literal = sql.Literal(of_role)
        as_admin(
            postgres,
            sql.SQL("CREATE ROLE {} {} PASSWORD {}").format(name, sql.SQL(how), literal),
        )
    if database == "administrators_database":
        as_admin(postgres, sql.SQL("CREATE DATABASE {}").format(name))
    elif database != "no_database":
        as_admin(
            postgres,
            sql.SQL("GRANT {} TO CURRENT_USER").format(name),
            sql.SQL("CREATE DATABASE {0} OWNER {0}").format(name),
        )
    if database == "private_database":
        as_admin(postgres, sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))

    account = await ensured(postgres, whose, held)

    assert opens(postgres, account, whose.name)
    if held is not None and (how is not None and secret == "secret"):
        assert held == account
    if secret == "wrong_secret":
        assert SOUND == account.password
    if secret == "odd_wrong_secret":
        assert account.is_sound
    query = """SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding)
        FROM pg_database WHERE datname = %s"""
    assert [(whose.name, "UTF8")] == postgres.ask(query, whose.name)
    query = (
        "SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = %s"
    )
    assert [(True, False, False, False)] == postgres.ask(query, whose.name)
    other = await ensured(postgres, tenant())
    assert not opens(postgres, other, whose.name)

    before = len(postgres.log())
    assert account == await ensured(postgres, whose, account)
    assert [] == changes_in(postgres.log()[before:])


# Names


def test_no_two_profiles_have_the_same_name() -> None:
    longest = "a" * 63
    profiles = [longest, longest[:-1] + "b", longest[:-1], "a-b", "a--b", "gitea", "a" * 57]
    found = [names.identifier(profile) for profile in profiles]

    assert len(set(found)) == len(profiles)
    assert all(len(each.encode()) <= 63 for each in found)
    assert "gitea_a_b" in found


async def test_the_longest_name_is_not_cut(postgres: Postgres) -> None:
    one, other = tenant("l" + "-x" * 31), tenant("l" + "-x" * 30 + "-y")
    accounts = [await ensured(postgres, each) for each in (one, other)]

    assert opens(postgres, accounts[0], one.name)
    assert not opens(postgres, accounts[0], other.name)


# Isolation


async def test_a_tenant_reaches_nothing_of_another(postgres: Postgres) -> None:
    ours, theirs = tenant(), tenant()
    account, other = await ensured(postgres, ours), await ensured(postgres, theirs)
    with postgres.login(other.user, other.password, theirs.name) as connection:
        connection.execute("CREATE TABLE private (line text)")

    assert not opens(postgres, account, theirs.name)
    name = sql.Identifier(theirs.name)
    with postgres.login(account.user, account.password, ours.name) as connection:
        for attempt in (
            sql.SQL("SET ROLE {}").format(name),
            sql.SQL("ALTER ROLE {} PASSWORD 'x'").format(name),
            sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(name),
            sql.SQL("GRANT CONNECT ON DATABASE {} TO CURRENT_USER").format(name),
            sql.SQL("DROP DATABASE {}").format(name),
            sql.SQL("GRANT {} TO CURRENT_USER").format(name),
            sql.SQL("CREATE DATABASE stolen"),
            sql.SQL("CREATE ROLE helper"),
            sql.SQL("SELECT * FROM pg_authid"),
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(attempt)


_MARK = "COMMENT ON ROLE {0} IS 'profiles-controller gitea"
REFUSALS = {
    "marked_for_another_classification": (f"{_MARK} protected-b {{1}} {{2}}'", "protected-b's"),
    "a_former_profiles": (f"{_MARK} unclassified {{1}} uid-former'", "former Profile"),
    "another_profiles": (f"{_MARK} unclassified bob uid-bob'", "profile bob's"),
    "a_superuser": ("ALTER ROLE {0} SUPERUSER", "super"),
    "a_member_of_another_role": ("GRANT pg_read_all_data TO {0}", "pg_read_all_data"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_what_is_not_the_tenants_is_refused_and_left(postgres: Postgres, case: str) -> None:
    whose = tenant()
    account = await ensured(postgres, whose)
    statement, said = REFUSALS[case]
    text = statement.format("{}", whose.profile, whose.uid)
    postgres.do(sql.SQL(text).format(sql.Identifier(whose.name)))
    before = len(postgres.log())

    with pytest.raises(DatabaseError, match=said) as refusal:
        await ensured(postgres, whose, None)

    assert refusal.value.lasting
    assert "DatabaseRefused" == refusal.value.reason
    assert [] == changes_in(postgres.log()[before:])
    assert opens(postgres, account, whose.name)


async def test_a_former_profiles_database_is_taken_over_where_that_is_accepted(
    postgres: Postgres,
) -> None:
    former = tenant()
    account = await ensured(postgres, former)
    heir = tenant(former.profile, uid="uid-of-the-heir")

    assert account == await ensured(postgres, heir, account, former_data="accept")
    assert account == await ensured(postgres, heir, account)


async def test_data_goes_with_the_profile_where_that_is_asked_for(postgres: Postgres) -> None:
    stays, goes = tenant(), tenant()
    account = await ensured(postgres, stays)
    gone = await ensured(postgres, goes)
    with postgres.login(gone.user, gone.password, goes.name):
        async with serving(postgres, delete_data=True) as server:
            await server.sweep(lambda name, uid: (name, uid) == (goes.profile, goes.uid))

    assert opens(postgres, account, stays.name)
    assert [] == postgres.ask("SELECT 1 FROM pg_database WHERE datname = %s", goes.name)
    assert [] == postgres.ask("SELECT 1 FROM pg_roles WHERE rolname = %s", goes.name)


# How often


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


# What goes wrong


async def failure(postgres: Postgres, **changes: Any) -> DatabaseError:
    with pytest.raises(DatabaseError) as error:
        await ensured(postgres, tenant(), **changes)
    return error.value


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """One that a test may stop."""
    server = Postgres.start()
    yield server
    server.stop()


@pytest.fixture
def spoken() -> Iterator[io.StringIO]:
    """All that is logged."""
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    logging.getLogger().addHandler(handler)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(heard))
    yield heard
    structlog.reset_defaults()
    logging.getLogger().removeHandler(handler)


async def test_each_failure_says_what_it_is_and_no_password(
    own_postgres: Postgres, spoken: io.StringIO
) -> None:
    postgres = own_postgres
    found: dict[str, DatabaseError] = {}
    found["PostgresRefusedLogin"] = await failure(postgres, psql_admin_passwd="wrong-secret")
    postgres.front.mood = Mood.REFUSES_TLS
    found["PostgresRefusesTLS"] = await failure(postgres)
    postgres.front.mood = Mood.SILENT
    found["PostgresSlow"] = await failure(postgres, psql_connect_timeout=0.5)
    postgres.front.mood = Mood.WELL
    postgres.do(
        sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(
            sql.Identifier(ADMIN)
        )
    )
    found["PostgresReadOnly"] = await failure(postgres)
    postgres.do(sql.SQL("ALTER ROLE {} RESET ALL").format(sql.Identifier(ADMIN)))
    postgres.do(sql.SQL("ALTER ROLE {} CONNECTION LIMIT 0").format(sql.Identifier(ADMIN)))
    found["PostgresBusy"] = await failure(postgres)
    postgres.do(
        sql.SQL("ALTER ROLE {} CONNECTION LIMIT -1 NOCREATEROLE").format(sql.Identifier(ADMIN))
    )
    found["PostgresForbidden"] = await failure(postgres)
    postgres.do(sql.SQL("ALTER ROLE {} CREATEROLE").format(sql.Identifier(ADMIN)))
    postgres.pause()
    found["PostgresUnreachable"] = await failure(postgres)

    assert {reason: error.reason for reason, error in found.items()} == {
        reason: reason for reason in found
    }
    for error in found.values():
        assert f"localhost:{postgres.port}" in str(error)
        assert error.__cause__ is None
        for secret in ("wrong-secret", ADMIN_PASSWORD, "SCRAM-SHA-256$"):
            assert secret not in f"{error!r} {error} {error.args}"
    assert "wrong-secret" not in spoken.getvalue()
    assert ADMIN_PASSWORD not in spoken.getvalue()
    assert ADMIN_PASSWORD not in repr(postgres.settings())


async def test_a_server_that_is_away_is_asked_for_nobody_and_found_again(
    own_postgres: Postgres,
) -> None:
    now = 0.0
    settings = own_postgres.settings()
    connector = Connector(settings=settings)
    server = Server(settings=settings, connector=connector, clock=lambda: now)
    own_postgres.pause()
    with pytest.raises(DatabaseError):
        await server.ensure(tenant(), None)
    asked = own_postgres.front.connections
    for _ in range(20):
        with pytest.raises(DatabaseError, match="localhost"):
            await server.ensure(tenant(), None)
    assert asked == own_postgres.front.connections
    assert "localhost" in server.part().trouble
    assert server.part().success is None
    assert 2.0 <= server.retry_seconds("any") <= 3.0

    own_postgres.resume()
    now = 3.0
    assert (await server.ensure(tenant(), None)).is_sound
    assert "" == server.part().trouble
    assert server.part().success is not None
    await server.close()
    assert [] == connector._idle


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
