"""One profile's role and database on the Postgres server: what is there, and what each lack takes.

The administrator needs CREATEROLE and CREATEDB and must inherit what it is granted; it is no
superuser, as managed services give none. A role that it makes is granted to it, so that it can make
a database which belongs to that role.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from controllers.gitea import names
from controllers.gitea.postgres.connections import Connection
from controllers.gitea.postgres.tenants import DatabaseError, Tenant

_MARK = re.compile(r"profiles-controller gitea (\S+) (\S+) (\S+)")
_ROLE = """
SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,
       coalesce(rolvaliduntil <= now(), false) AS expired,
       shobj_description(oid, 'pg_authid') AS comment,
       pg_has_role(current_user, oid, 'USAGE') AS granted,
       ARRAY(SELECT pg_get_userbyid(roleid)::text FROM pg_auth_members
             WHERE member = pg_roles.oid
               AND NOT starts_with(coalesce(shobj_description(roleid, 'pg_authid'), ''),
                                   'profiles-controller gitea ')) AS member_of,
       ARRAY(SELECT pg_get_userbyid(member)::text FROM pg_auth_members
             WHERE roleid = pg_roles.oid
               AND pg_get_userbyid(member) <> current_user) AS members
FROM pg_roles WHERE rolname = %s
"""
_DATABASE = """
SELECT pg_get_userbyid(datdba)::text AS owner, datdba = (SELECT oid FROM pg_roles
                                               WHERE rolname = current_user) AS administrators,
       shobj_description(oid, 'pg_database') AS comment,
       EXISTS (SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba)))
               WHERE grantee = 0) AS public
FROM pg_database WHERE datname = %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What the server holds under the tenant's name; None: nothing."""

    role: dict[str, Any] | None
    database: dict[str, Any] | None


class Lack(Enum):
    """What keeps a tenant from its database, in the order in which it is mended."""

    ROLE = "there is no role"
    LOGIN = "the role may not log in"
    VALIDITY = "the role's password has expired"
    MODESTY = "the role may make databases or roles"
    GRANT = "the role is not granted to the administrator"
    ROLE_MARK = "the role does not say whose it is"
    DATABASE = "there is no database"
    OWNER = "the database belongs to the administrator"
    PRIVACY = "everybody may connect to the database"
    DATABASE_MARK = "the database does not say whose it is"


_Fact = Callable[[dict[str, Any], Tenant], bool]
_OF_ROLES: Sequence[tuple[Lack, _Fact]] = (
    (Lack.LOGIN, lambda role, _: not role["rolcanlogin"]),
    (Lack.VALIDITY, lambda role, _: role["expired"]),
    (Lack.MODESTY, lambda role, _: role["rolcreatedb"] or role["rolcreaterole"]),
    (Lack.GRANT, lambda role, _: not role["granted"]),
    (Lack.ROLE_MARK, lambda role, tenant: role["comment"] != tenant.mark),
)
_OF_DATABASES: Sequence[tuple[Lack, _Fact]] = (
    (Lack.OWNER, lambda database, tenant: database["owner"] != tenant.name),
    (Lack.PRIVACY, lambda database, _: database["public"]),
    (Lack.DATABASE_MARK, lambda database, tenant: database["comment"] != tenant.mark),
)


def lacks(observed: Observed, tenant: Tenant) -> list[Lack]:
    """What is missing or wrong, in order; nothing when all is well."""
    role, database = observed.role, observed.database
    # What is made is made well: of a role that is not there only its absence is said.
    missing = [Lack.ROLE, Lack.GRANT, Lack.ROLE_MARK]
    found = missing if role is None else [each for each, is_so in _OF_ROLES if is_so(role, tenant)]
    if database is None:
        return [*found, Lack.DATABASE, Lack.PRIVACY, Lack.DATABASE_MARK]
    return [*found, *(each for each, is_so in _OF_DATABASES if is_so(database, tenant))]


def refusal(observed: Observed, tenant: Tenant, *, accept_former: bool) -> str | None:
    """Why this must not be touched, and what would be right; None when it may be."""
    role, database = observed.role or {}, observed.database or {}
    marks = {"role": role.get("comment"), "database": database.get("comment")}
    if marks["role"] == tenant.mark:
        del marks["database"]  # its owner can write that, and nobody but us the role's
    for what, comment in marks.items():
        why = _anothers(_MARK.fullmatch(comment or ""), tenant, accept_former=accept_former)
        if why:
            return f"{what} {tenant.name} {why}"
    forbidden = ("rolsuper", "rolreplication", "rolbypassrls")
    powers = [each.removeprefix("rol") for each in forbidden if role.get(each)]
    if powers:
        return f"role {tenant.name} is no tenant's: it has {', '.join(powers)}; take that away"
    # Not of another tenant's role: up to Postgres 15 that one can grant its own, and is refused.
    if role.get("member_of"):
        theirs = ", ".join(role["member_of"])
        return f"role {tenant.name} is a member of {theirs} and could reach what is theirs; revoke"
    if role.get("members"):
        theirs = ", ".join(role["members"])
        return f"role {tenant.name} is granted to {theirs}, who could reach its database; revoke it"
    if database and database["owner"] != tenant.name and not database["administrators"]:
        return (
            f"database {tenant.name} belongs to role {database['owner']}: give it to role"
            f" {tenant.name}, or rename it"
        )
    return None


def _anothers(mark: re.Match[str] | None, tenant: Tenant, *, accept_former: bool) -> str | None:
    if mark is None:
        return None
    classification, profile, uid = mark.groups()
    if classification != tenant.classification:
        return (
            f"is {classification}'s, and this is {tenant.classification}: each classification needs"
            " a Postgres server of its own"
        )
    if profile != tenant.profile:
        return f"is profile {profile}'s"
    if uid != tenant.uid and not accept_former:
        return (
            f"is that of a former Profile {profile} ({uid}): rename or drop it, or set"
            " former_data to accept"
        )
    return None


async def observe(connection: Connection, name: str) -> Observed:
    """What is there under this name."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_ROLE, (name,))
        role = await cursor.fetchone()
        await cursor.execute(_DATABASE, (name,))
        return Observed(role=role, database=await cursor.fetchone())


async def mend(connection: Connection, tenant: Tenant, lack: Lack, password: str) -> None:
    """Puts one lack right. ``password`` is for a role that is made."""
    await _MENDING[lack](connection, tenant, password)


async def set_password(connection: Connection, tenant: Tenant, password: str) -> None:
    """Gives the role this password."""
    secret = await _encrypted(connection, tenant.name, password)
    await _do(connection, "ALTER ROLE {} PASSWORD {}", tenant.name, sql.Literal(secret))


async def marked(connection: Connection, classification: str) -> list[Tenant]:
    """Those of this classification by the marks of roles, which no tenant can write."""
    query = "SELECT rolname, shobj_description(oid, 'pg_authid') FROM pg_roles"
    rows = await (await connection.execute(query)).fetchall()
    found = []
    for name, comment in rows:
        mark = _MARK.fullmatch(str(comment or ""))
        if mark and mark[1] == classification and name == names.identifier(mark[2]):
            found.append(
                Tenant(name=str(name), classification=mark[1], profile=mark[2], uid=mark[3])
            )
    return found


async def drop(connection: Connection, tenant: Tenant) -> None:
    """Deletes database and role. Raises DatabaseError when they are not the tenant's."""
    observed = await observe(connection, tenant.name)
    if observed.role is None or observed.role["comment"] != tenant.mark:
        raise DatabaseError("PostgresRaced", f"role {tenant.name} is another's by now")
    if observed.database is not None:
        if observed.database["owner"] != tenant.name:
            owner = observed.database["owner"]
            message = f"database {tenant.name} belongs to role {owner}, and is not dropped"
            raise DatabaseError("DatabaseRefused", message, lasting=True)
        await _do(connection, "ALTER DATABASE {} ALLOW_CONNECTIONS false", tenant.name)
        terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        await connection.execute(terminate, (tenant.name,))
        await _do(connection, "DROP DATABASE {}", tenant.name)
    await _do(connection, "DROP ROLE {}", tenant.name)


async def _encrypted(connection: Connection, role: str, password: str) -> str:
    """The verifier, as the server keeps it: no log of statements shows the password then."""
    (algorithm,) = await (await connection.execute("SHOW password_encryption")).fetchone() or ("",)
    kind = b"md5" if algorithm == "md5" else b"scram-sha-256"
    made = connection.pgconn.encrypt_password(password.encode(), role.encode(), kind)
    return made.decode()


async def _create_role(connection: Connection, tenant: Tenant, password: str) -> None:
    secret = await _encrypted(connection, tenant.name, password)
    how = "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}"
    await _do(connection, how, tenant.name, sql.Literal(secret))


async def _do(connection: Connection, statement: str, name: str, *parts: sql.Composable) -> None:
    await connection.execute(sql.SQL(statement).format(sql.Identifier(name), *parts))


def _by(statement: str) -> Callable[[Connection, Tenant, str], Awaitable[None]]:
    """By a statement about the tenant's name alone."""

    async def act(connection: Connection, tenant: Tenant, _password: str) -> None:
        await _do(connection, statement, tenant.name)

    return act


def _marking(statement: str) -> Callable[[Connection, Tenant, str], Awaitable[None]]:
    async def act(connection: Connection, tenant: Tenant, _password: str) -> None:
        await _do(connection, statement, tenant.name, sql.Literal(tenant.mark))

    return act


async def _give(connection: Connection, tenant: Tenant, _password: str) -> None:
    await _do(connection, "ALTER DATABASE {} OWNER TO {}", tenant.name, sql.Identifier(tenant.name))


async def _create_database(connection: Connection, tenant: Tenant, _password: str) -> None:
    how = "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'"
    await _do(connection, how, tenant.name, sql.Identifier(tenant.name))


_MENDING = {
    Lack.ROLE: _create_role,
    Lack.LOGIN: _by("ALTER ROLE {} LOGIN"),
    Lack.VALIDITY: _by("ALTER ROLE {} VALID UNTIL 'infinity'"),
    Lack.MODESTY: _by("ALTER ROLE {} NOCREATEDB NOCREATEROLE"),
    Lack.GRANT: _by("GRANT {} TO CURRENT_USER"),
    Lack.ROLE_MARK: _marking("COMMENT ON ROLE {} IS {}"),
    Lack.DATABASE: _create_database,
    Lack.OWNER: _give,
    Lack.PRIVACY: _by("REVOKE ALL ON DATABASE {} FROM PUBLIC"),
    Lack.DATABASE_MARK: _marking("COMMENT ON DATABASE {} IS {}"),
}
