"""The owner of a database, and the credentials in its Secret. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_OWNERSHIP_COMMENT = re.compile(r"profiles-controller gitea (\S+) (\S+) (\S+)")
_STRONG_PASSWORD = re.compile(r"[A-Za-z0-9_-]{43,128}")
"""32 random bytes are 43 characters of URL-safe base64. INI files need no quotes for them."""
_MAX_LENGTH = 512
"""Characters. A tenant can edit the Secret, which limits what is sent to Postgres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseOwner:
    """The Profile that owns a role and a database. ``database`` is the name of both."""

    database: str
    classification: str
    profile: str
    uid: str

    @property
    def comment(self) -> str:
        """The COMMENT on role and database that records the owner."""
        return f"profiles-controller gitea {self.classification} {self.profile} {self.uid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseCredentials:
    """A login name and its password. ``repr`` does not show the password."""

    user: str
    password: str = field(repr=False)

    @property
    def is_strong(self) -> bool:
        """Whether the password has the length and the characters of a generated one."""
        return _STRONG_PASSWORD.fullmatch(self.password) is not None


def parse_comment(database: str, comment: str | None) -> DatabaseOwner | None:
    """Return the owner that a COMMENT records; None for any other comment."""
    found = _OWNERSHIP_COMMENT.fullmatch(comment or "")
    if found is None:
        return None
    classification, profile, uid = found.groups()
    return DatabaseOwner(database=database, classification=classification, profile=profile, uid=uid)


def parse_secret(data: Mapping[str, str], key: str) -> DatabaseCredentials | None:
    """Return the credentials under ``key`` of a Secret's data; None if they cannot be read."""
    try:
        text = base64.b64decode(data.get(key) or "", validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    pairs = (line.partition("=") for line in text.splitlines())
    values = {name.strip(): value for name, separator, value in pairs if separator}
    user, password = values.get("USER", "").strip(), values.get("PASSWD", "")
    # Postgres refuses NUL, and a value in an INI file ends with its line.
    readable = f"{user}{password}".isprintable() and max(len(user), len(password)) <= _MAX_LENGTH
    if user and password and readable:
        return DatabaseCredentials(user=user, password=password)
    return None


def gitea_settings(
    credentials: DatabaseCredentials, *, database: str, host: str, ssl_mode: str
) -> str:
    """Return the lines that Gitea's environment-to-ini reads. ``host`` is ``host:port``."""
    return (
        f"DB_TYPE=postgres\nSSL_MODE={ssl_mode}\nNAME={database}\nHOST={host}\n"
        f"USER={credentials.user}\nPASSWD={credentials.password}\n"
    )
