"""A profile's role and database on a real Postgres: TLS, and an administrator as clouds give."""

import itertools

import psycopg
import pytest
from psycopg import sql

from controllers.gitea import names
from controllers.gitea.postgres.accounts import Account
from controllers.gitea.postgres.tenants import DatabaseError
from tests.support.postgres.databases import (
    SOUND,
    as_admin,
    changes_in,
    ensured,
    opens,
    serving,
    tenant,
)
from tests.support.postgres.server import Postgres

pytestmark = pytest.mark.xdist_group("postgres")


# Each of the three missing or wrong, in every combination

ROLES = {
    "no_role": None,
    "role": "LOGIN",
    "role_without_login": "NOLOGIN",
    "expired_role": "LOGIN VALID UNTIL '2001-01-01'",
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


@pytest.mark.parametrize("user", ["{}", "{}@former-host", "somebody", "@"])
async def test_a_login_that_the_secret_has_wrong_is_put_right_and_the_password_kept(
    postgres: Postgres, user: str
) -> None:
    """Such as that of a server which wanted `role@host`."""
    whose = tenant()
    account = await ensured(postgres, whose)
    held = Account(user=user.format(whose.name), password=account.password)

    assert account == await ensured(postgres, whose, held)


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


async def test_a_mark_that_the_tenant_wrote_on_its_database_counts_for_nothing(
    postgres: Postgres,
) -> None:
    """It owns the database, and cannot touch the role's mark."""
    whose, other = tenant(), tenant()
    account = await ensured(postgres, whose)
    await ensured(postgres, other)
    name, mark = sql.Identifier(whose.name), sql.Literal(other.mark)
    with postgres.login(account.user, account.password, whose.name) as connection:
        connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, mark))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(name, mark))

    async with serving(postgres, delete_data=True) as server:
        await server.sweep(lambda profile, _uid: profile == other.profile)
    assert account == await ensured(postgres, whose, account)
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
    assert [(whose.mark,)] == postgres.ask(query, whose.name)
    assert [] == postgres.ask("SELECT 1 FROM pg_database WHERE datname = %s", other.name)


async def test_a_database_that_cannot_be_dropped_keeps_none_of_the_others(
    postgres: Postgres,
) -> None:
    stuck, goes = sorted((tenant(), tenant()), key=lambda each: each.name)
    for each in (stuck, goes):
        await ensured(postgres, each)
    postgres.do(sql.SQL("ALTER DATABASE {} OWNER TO postgres").format(sql.Identifier(stuck.name)))
    async with serving(postgres, delete_data=True) as server:
        with pytest.raises(DatabaseError, match=f"{stuck.name} belongs to role postgres"):
            await server.sweep(lambda name, _uid: name in (stuck.profile, goes.profile))

    found = {name for (name,) in postgres.ask("SELECT datname FROM pg_database")}
    assert (True, False) == (stuck.name in found, goes.name in found)


async def test_no_data_goes_where_it_shall_stay(postgres: Postgres) -> None:
    whose = tenant()
    async with serving(postgres) as server:
        account = await server.ensure(whose, None)
        before = server.connector.opened
        await server.sweep(lambda _name, _uid: True)
        assert before == server.connector.opened
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
