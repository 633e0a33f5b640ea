"""One profile's role and database on the Postgres server: observe, compare, repair, drop.

The administrator needs CREATEROLE and CREATEDB and must inherit granted roles. It is not a
superuser, because managed services provide none. Each new role is granted to the administrator, who
can then create a database that the role owns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, LiteralString

from psycopg import sql
from psycopg.rows import dict_row

from controllers.gitea import names
from controllers.gitea.postgres import accounts
from controllers.gitea.postgres.accounts import DatabaseOwner
from controllers.gitea.postgres.connections import Connection
from controllers.runtime.external.errors import ExternalError

CONFLICT_RETRY_SECONDS = 60.0
"""Between two checks of a database that a person must correct."""

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


class DatabaseState(Enum):
    """The state of a profile's role and database. The first that applies counts."""

    CONFLICT = "the role or the database belongs to another owner; nothing is changed"
    DRIFTED = "the role or the database is missing or differs; the controller repairs it"
    IN_SYNC = "role and database are as the controller creates them"


class Drift(Enum):
    """One difference from the desired role and database, in the order of their repair."""

    ROLE_MISSING = "the role does not exist"
    LOGIN_DISABLED = "the role cannot log in"
    PASSWORD_EXPIRED = "the password of the role has expired"  # noqa: S105 - no password
    EXCESSIVE_ATTRIBUTES = "the role can create databases or roles"
    NOT_GRANTED = "the role is not granted to the administrator"
    ROLE_COMMENT = "the comment on the role does not record its owner"
    DATABASE_MISSING = "the database does not exist"
    DATABASE_OWNER = "the administrator owns the database"
    PUBLIC_ACCESS = "PUBLIC has privileges on the database"
    DATABASE_COMMENT = "the comment on the database does not record its owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedDatabase:
    """The role and the database with the name of an owner's database; None if there is none."""

    role: Mapping[str, Any] | None
    database: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """The state of a role and database, and what it consists of."""

    state: DatabaseState
    conflict: str = ""
    """The object, why it conflicts, and what to do."""
    drift: Sequence[Drift] = ()


def assess(observed: ObservedDatabase, owner: DatabaseOwner, *, accept_former: bool) -> Assessment:
    """Return the state. ``accept_former``: data of an earlier Profile of the name is taken over."""
    for rule in _CONFLICT_RULES:
        if conflict := rule(observed, owner):
            return Assessment(state=DatabaseState.CONFLICT, conflict=conflict)
    if not accept_former and (conflict := _former_data(observed, owner)):
        return Assessment(state=DatabaseState.CONFLICT, conflict=conflict)
    drift = _drift(observed, owner)
    state = DatabaseState.DRIFTED if drift else DatabaseState.IN_SYNC
    return Assessment(state=state, drift=drift)


# Drift

_RolePredicate = Callable[[Mapping[str, Any], DatabaseOwner], bool]
_ROLE_DRIFT: Sequence[tuple[Drift, _RolePredicate]] = (
    (Drift.LOGIN_DISABLED, lambda role, _: not role["rolcanlogin"]),
    (Drift.PASSWORD_EXPIRED, lambda role, _: role["expired"]),
    (Drift.EXCESSIVE_ATTRIBUTES, lambda role, _: role["rolcreatedb"] or role["rolcreaterole"]),
    (Drift.NOT_GRANTED, lambda role, _: not role["granted"]),
    (Drift.ROLE_COMMENT, lambda role, owner: role["comment"] != owner.comment),
)
_DATABASE_DRIFT: Sequence[tuple[Drift, _RolePredicate]] = (
    (Drift.DATABASE_OWNER, lambda database, owner: database["owner"] != owner.database),
    (Drift.PUBLIC_ACCESS, lambda database, _: database["public"]),
    (Drift.DATABASE_COMMENT, lambda database, owner: database["comment"] != owner.comment),
)
# CREATE ROLE and CREATE DATABASE set the other attributes.
_NEW_ROLE = (Drift.ROLE_MISSING, Drift.NOT_GRANTED, Drift.ROLE_COMMENT)
_NEW_DATABASE = (Drift.DATABASE_MISSING, Drift.PUBLIC_ACCESS, Drift.DATABASE_COMMENT)


def _drift(observed: ObservedDatabase, owner: DatabaseOwner) -> list[Drift]:
    role, database = observed.role, observed.database
    of_role = (
        _NEW_ROLE
        if role is None
        else [drift for drift, applies in _ROLE_DRIFT if applies(role, owner)]
    )
    of_database = (
        _NEW_DATABASE
        if database is None
        else [drift for drift, applies in _DATABASE_DRIFT if applies(database, owner)]
    )
    return [*of_role, *of_database]


# Conflicts: each rule returns the reason, or "" if the controller may change role and database.


def _recorded_owners(
    observed: ObservedDatabase, owner: DatabaseOwner
) -> list[tuple[str, DatabaseOwner]]:
    """Return the owners that the comments on the role and on the database name."""
    comments = {
        "role": (observed.role or {}).get("comment"),
        "database": (observed.database or {}).get("comment"),
    }
    if comments["role"] == owner.comment:
        # Only the administrator can write it. The tenant can write that on its own database.
        return []
    found = (
        (f"{what} {owner.database}", accounts.parse_comment(owner.database, comment))
        for what, comment in comments.items()
    )
    return [(what, recorded) for what, recorded in found if recorded is not None]


def _other_classification(observed: ObservedDatabase, owner: DatabaseOwner) -> str:
    for what, recorded in _recorded_owners(observed, owner):
        if recorded.classification != owner.classification:
            return (
                f"{what} belongs to classification {recorded.classification}, not to"
                f" {owner.classification}; each classification needs a Postgres server of its own"
            )
    return ""


def _other_profile(observed: ObservedDatabase, owner: DatabaseOwner) -> str:
    for what, recorded in _recorded_owners(observed, owner):
        if recorded.profile != owner.profile:
            return f"{what} belongs to profile {recorded.profile}; rename or drop it"
    return ""


def _former_data(observed: ObservedDatabase, owner: DatabaseOwner) -> str:
    for what, recorded in _recorded_owners(observed, owner):
        if recorded.uid != owner.uid:
            return (
                f"{what} belongs to a former Profile {recorded.profile} ({recorded.uid}); rename or"
                " drop it, or set former_data to accept"
            )
    return ""


def _privileged(observed: ObservedDatabase, owner: DatabaseOwner) -> str:
    attributes = ("rolsuper", "rolreplication", "rolbypassrls")
    found = [each.removeprefix("rol") for each in attributes if (observed.role or {}).get(each)]
    if not found:
        return ""
    return (
        f"role {owner.database} has attributes that no tenant may have: {', '.join(found)}; remove"
        " them"
    )


def _member_of_others(observed: ObservedDatabase, owner: DatabaseOwner) -> str:
    # Membership in another tenant's role is a conflict of that role only: up to Postgres 15 that
    # tenant can grant its role itself.
    groups = (observed.role or {}).get("member_of")
    if not groups:
        return ""
    return (
        f"role {owner.database} is a member of {', '.join(groups)} and could access their data;"
        " revoke the membership"
    )


def _granted_to_others(observed: ObservedDatabase, owner: DatabaseOwner) -> str:
    members = (observed.role or {}).get("members")
    if not members:
        return ""
    return (
        f"role {owner.database} is granted to {', '.join(members)}, who could access its database;"
        " revoke the membership"
    )


def _other_database_owner(observed: ObservedDatabase, owner: DatabaseOwner) -> str:
    database = observed.database
    if database is None or database["owner"] == owner.database or database["administrators"]:
        return ""
    return (
        f"database {owner.database} belongs to role {database['owner']}; change its owner to role"
        f" {owner.database}, or rename it"
    )


_CONFLICT_RULES = (
    _other_classification,
    _other_profile,
    _privileged,
    _member_of_others,
    _granted_to_others,
    _other_database_owner,
)


# Statements

_REPAIRS: Mapping[Drift, LiteralString] = {
    Drift.ROLE_MISSING: (
        "CREATE ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {verifier}"
    ),
    Drift.LOGIN_DISABLED: "ALTER ROLE {name} LOGIN",
    Drift.PASSWORD_EXPIRED: "ALTER ROLE {name} VALID UNTIL 'infinity'",
    Drift.EXCESSIVE_ATTRIBUTES: "ALTER ROLE {name} NOCREATEDB NOCREATEROLE",
    Drift.NOT_GRANTED: "GRANT {name} TO CURRENT_USER",
    Drift.ROLE_COMMENT: "COMMENT ON ROLE {name} IS {comment}",
    Drift.DATABASE_MISSING: (
        "CREATE DATABASE {name} OWNER {name} TEMPLATE template0 ENCODING 'UTF8'"
    ),
    Drift.DATABASE_OWNER: "ALTER DATABASE {name} OWNER TO {name}",
    Drift.PUBLIC_ACCESS: "REVOKE ALL ON DATABASE {name} FROM PUBLIC",
    Drift.DATABASE_COMMENT: "COMMENT ON DATABASE {name} IS {comment}",
}


async def observe(connection: Connection, database: str) -> ObservedDatabase:
    """Return the role and the database of this name."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_ROLE, (database,))
        role = await cursor.fetchone()
        await cursor.execute(_DATABASE, (database,))
        return ObservedDatabase(role=role, database=await cursor.fetchone())


async def repair(
    connection: Connection, owner: DatabaseOwner, drift: Sequence[Drift], password: str
) -> None:
    """Repair each difference. A new role gets ``password``."""
    for each in drift:
        new_role = each is Drift.ROLE_MISSING
        verifier = await _verifier(connection, owner.database, password) if new_role else ""
        await _execute(
            connection, _REPAIRS[each], owner.database, comment=owner.comment, verifier=verifier
        )


async def set_password(connection: Connection, owner: DatabaseOwner, password: str) -> None:
    """Set the password of the role."""
    verifier = await _verifier(connection, owner.database, password)
    statement: LiteralString = "ALTER ROLE {name} PASSWORD {verifier}"
    await _execute(connection, statement, owner.database, verifier=verifier)


async def owners(connection: Connection, classification: str) -> list[DatabaseOwner]:
    """Return the owners that comments on roles record. No tenant can write these comments."""
    query = "SELECT rolname, shobj_description(oid, 'pg_authid') FROM pg_roles"
    rows = await (await connection.execute(query)).fetchall()
    found = (accounts.parse_comment(str(name), str(comment or "")) for name, comment in rows)
    return [
        owner
        for owner in found
        if owner is not None
        and owner.classification == classification
        and owner.database == names.database(owner.profile)
    ]


async def drop(connection: Connection, owner: DatabaseOwner) -> None:
    """Drop database and role. Raises ExternalError if they belong to another owner."""
    observed = await observe(connection, owner.database)
    if observed.role is None or observed.role["comment"] != owner.comment:
        message = f"role {owner.database} was changed concurrently; it is not dropped"
        raise ExternalError("PostgresConflict", message)
    if observed.database is not None:
        role = observed.database["owner"]
        if role != owner.database:
            raise conflict_error(
                f"database {owner.database} belongs to role {role} and is not dropped; drop it, or"
                f" change its owner to role {owner.database}"
            )
        await _execute(connection, "ALTER DATABASE {name} ALLOW_CONNECTIONS false", owner.database)
        terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        await connection.execute(terminate, (owner.database,))
        await _execute(connection, "DROP DATABASE {name}", owner.database)
    await _execute(connection, "DROP ROLE {name}", owner.database)


def conflict_error(conflict: str) -> ExternalError:
    """Return the error of a role or database that belongs to another owner."""
    return ExternalError(
        "DatabaseConflict", conflict, retry_after=CONFLICT_RETRY_SECONDS, action_required=True
    )


async def _verifier(connection: Connection, role: str, password: str) -> str:
    """Return the password as Postgres stores it, so that no log of statements shows it."""
    (algorithm,) = await (await connection.execute("SHOW password_encryption")).fetchone() or ("",)
    kind = b"md5" if algorithm == "md5" else b"scram-sha-256"
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), kind)
    return verifier.decode()


async def _execute(
    connection: Connection,
    statement: LiteralString,
    name: str,
    *,
    comment: str = "",
    verifier: str = "",
) -> None:
    """Execute a statement with ``{name}`` as identifier, and the others as literals."""
    await connection.execute(
        sql.SQL(statement).format(
            name=sql.Identifier(name),
            comment=sql.Literal(comment),
            verifier=sql.Literal(verifier),
        )
    )
