"""A profile's role and database on a real Postgres server with TLS and a limited administrator."""

import dataclasses
import itertools

import psycopg
import pytest
from psycopg import sql

from controllers.gitea import names
from controllers.gitea.postgres.accounts import DatabaseCredentials
from controllers.runtime.external.errors import ExternalError
from tests.support.postgres.databases import (
    STRONG_PASSWORD,
    as_admin,
    changes_in,
    ensure_in_new_process,
    new_owner,
    opens,
    running_server,
)
from tests.support.postgres.server import Postgres

pytestmark = pytest.mark.xdist_group("postgres")


# Role, database and Secret missing or wrong, in every combination

ROLES = {
    "no_role": None,
    "role": "LOGIN",
    "role_without_login": "NOLOGIN",
    "expired_role": "LOGIN VALID UNTIL '2001-01-01'",
    "role_with_excessive_attributes": "LOGIN CREATEDB CREATEROLE",
}
DATABASES = ("no_database", "database", "private_database", "administrators_database")
SECRETS = {
    "no_secret": None,
    "secret": ("own:pass word#;1", "own:pass word#;1"),
    "wrong_secret": ("another", STRONG_PASSWORD),
    "odd_wrong_secret": ("another", "odd and wrong"),
}
COMBINATIONS = [
    (role, database, secret)
    for role, database, secret in itertools.product(ROLES, DATABASES, SECRETS)
    # A role that does not exist owns no database.
    if role != "no_role" or database in ("no_database", "administrators_database")
]


@pytest.mark.parametrize(("role", "database", "secret"), COMBINATIONS)
async def test_every_combination_converges_and_then_writes_nothing(
    postgres: Postgres, role: str, database: str, secret: str
) -> None:
    owner = new_owner()
    name = sql.Identifier(owner.database)
    of_role, of_secret = SECRETS[secret] or ("another", None)
    in_secret = DatabaseCredentials(user=owner.database, password=of_secret) if of_secret else None
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

    credentials = await ensure_in_new_process(postgres, owner, in_secret)

    assert opens(postgres, credentials, owner.database)
    if in_secret is not None and (how is not None and secret == "secret"):
        assert in_secret == credentials
    if secret == "wrong_secret":
        assert STRONG_PASSWORD == credentials.password
    if secret == "odd_wrong_secret":
        assert credentials.is_strong
    query = """SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding)
        FROM pg_database WHERE datname = %s"""
    assert [(owner.database, "UTF8")] == postgres.query(query, owner.database)
    query = (
        "SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = %s"
    )
    assert [(True, False, False, False)] == postgres.query(query, owner.database)
    other = await ensure_in_new_process(postgres, new_owner())
    assert not opens(postgres, other, owner.database)

    before = len(postgres.log())
    assert credentials == await ensure_in_new_process(postgres, owner, credentials)
    assert [] == changes_in(postgres.log()[before:])


@pytest.mark.parametrize("user", ["{}", "{}@former-host", "somebody", "@"])
async def test_a_wrong_login_name_in_the_secret_is_corrected_and_the_password_retained(
    postgres: Postgres, user: str
) -> None:
    """Such as the name on a server that required `role@host`."""
    owner = new_owner()
    credentials = await ensure_in_new_process(postgres, owner)
    in_secret = DatabaseCredentials(user=user.format(owner.database), password=credentials.password)

    assert credentials == await ensure_in_new_process(postgres, owner, in_secret)


# Names


def test_two_profiles_never_have_the_same_database_name() -> None:
    longest = "a" * 63
    profiles = [longest, longest[:-1] + "b", longest[:-1], "a-b", "a--b", "gitea", "a" * 57]
    found = [names.database(profile) for profile in profiles]

    assert len(set(found)) == len(profiles)
    assert all(len(each.encode()) <= 63 for each in found)
    assert "gitea_a_b" in found


async def test_the_longest_name_is_not_truncated(postgres: Postgres) -> None:
    one, other = new_owner("l" + "-x" * 31), new_owner("l" + "-x" * 30 + "-y")
    found = [await ensure_in_new_process(postgres, each) for each in (one, other)]

    assert opens(postgres, found[0], one.database)
    assert not opens(postgres, found[0], other.database)


# Isolation


async def test_a_tenant_cannot_access_the_database_of_another(postgres: Postgres) -> None:
    ours, theirs = new_owner(), new_owner()
    credentials, other = (
        await ensure_in_new_process(postgres, ours),
        await ensure_in_new_process(postgres, theirs),
    )
    with postgres.login(other.user, other.password, theirs.database) as connection:
        connection.execute("CREATE TABLE private (line text)")

    assert not opens(postgres, credentials, theirs.database)
    name = sql.Identifier(theirs.database)
    with postgres.login(credentials.user, credentials.password, ours.database) as connection:
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


_COMMENT = "COMMENT ON ROLE {0} IS 'profiles-controller gitea"
CONFLICTS = {
    "another_classification": (
        f"{_COMMENT} protected-b {{1}} {{2}}'",
        "classification protected-b",
    ),
    "a_former_profile": (f"{_COMMENT} unclassified {{1}} uid-former'", "former Profile"),
    "another_profile": (f"{_COMMENT} unclassified bob uid-bob'", "profile bob"),
    "a_superuser": ("ALTER ROLE {0} SUPERUSER", "super"),
    "a_member_of_another_role": ("GRANT pg_read_all_data TO {0}", "pg_read_all_data"),
}


@pytest.mark.parametrize("case", CONFLICTS)
async def test_a_role_or_database_of_somebody_else_is_refused_and_not_changed(
    postgres: Postgres, case: str
) -> None:
    owner = new_owner()
    credentials = await ensure_in_new_process(postgres, owner)
    statement, expected = CONFLICTS[case]
    text = statement.format("{}", owner.profile, owner.uid)
    postgres.do(sql.SQL(text).format(sql.Identifier(owner.database)))
    before = len(postgres.log())

    with pytest.raises(ExternalError, match=expected) as refusal:
        await ensure_in_new_process(postgres, owner, None)

    assert refusal.value.action_required
    assert "DatabaseConflict" == refusal.value.reason
    assert [] == changes_in(postgres.log()[before:])
    assert opens(postgres, credentials, owner.database)


async def test_a_comment_that_the_tenant_writes_on_its_database_has_no_effect(
    postgres: Postgres,
) -> None:
    """The tenant owns the database, and cannot change the comment on the role."""
    owner, other = new_owner(), new_owner()
    credentials = await ensure_in_new_process(postgres, owner)
    await ensure_in_new_process(postgres, other)
    name, comment = sql.Identifier(owner.database), sql.Literal(other.comment)
    with postgres.login(credentials.user, credentials.password, owner.database) as connection:
        connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, comment))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(name, comment))

    async with running_server(postgres, delete_data=True) as server:
        await server.collect_garbage(lambda profile, _uid: profile == other.profile)
    assert credentials == await ensure_in_new_process(postgres, owner, credentials)
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
    assert [(owner.comment,)] == postgres.query(query, owner.database)
    assert [] == postgres.query("SELECT 1 FROM pg_database WHERE datname = %s", other.database)


async def test_a_database_that_cannot_be_dropped_does_not_prevent_others_from_being_dropped(
    postgres: Postgres,
) -> None:
    stuck, deleted = sorted((new_owner(), new_owner()), key=lambda each: each.database)
    for each in (stuck, deleted):
        await ensure_in_new_process(postgres, each)
    postgres.do(
        sql.SQL("ALTER DATABASE {} OWNER TO postgres").format(sql.Identifier(stuck.database))
    )
    async with running_server(postgres, delete_data=True) as server:
        with pytest.raises(ExternalError, match=f"{stuck.database} belongs to role postgres"):
            await server.collect_garbage(
                lambda name, _uid: name in (stuck.profile, deleted.profile)
            )

    found = {name for (name,) in postgres.query("SELECT datname FROM pg_database")}
    assert (True, False) == (stuck.database in found, deleted.database in found)


async def test_no_data_is_deleted_without_delete_data(postgres: Postgres) -> None:
    owner = new_owner()
    async with running_server(postgres) as server:
        credentials = await server.ensure_database(owner, None)
        before = server.connector.opened
        await server.collect_garbage(lambda _name, _uid: True)
        assert before == server.connector.opened
    assert opens(postgres, credentials, owner.database)


async def test_the_database_of_a_former_profile_is_adopted_if_the_setting_accepts_it(
    postgres: Postgres,
) -> None:
    former = new_owner()
    credentials = await ensure_in_new_process(postgres, former)
    successor = dataclasses.replace(former, uid="uid-of-the-successor")

    assert credentials == await ensure_in_new_process(
        postgres, successor, credentials, former_data="accept"
    )
    assert credentials == await ensure_in_new_process(postgres, successor, credentials)


async def test_data_is_deleted_with_the_profile_if_delete_data_is_set(postgres: Postgres) -> None:
    staying, deleted = new_owner(), new_owner()
    credentials = await ensure_in_new_process(postgres, staying)
    gone = await ensure_in_new_process(postgres, deleted)
    with postgres.login(gone.user, gone.password, deleted.database):
        async with running_server(postgres, delete_data=True) as server:
            await server.collect_garbage(
                lambda name, uid: (name, uid) == (deleted.profile, deleted.uid)
            )

    assert opens(postgres, credentials, staying.database)
    assert [] == postgres.query("SELECT 1 FROM pg_database WHERE datname = %s", deleted.database)
    assert [] == postgres.query("SELECT 1 FROM pg_roles WHERE rolname = %s", deleted.database)
