"""What a Secret says of a database account, and what it shall say; no password is shown. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_SOUND = re.compile(r"[A-Za-z0-9_-]{43,128}")
"""32 bytes spelled URL-safe are 43 characters, and no INI file trips over them."""
_LONGEST = 512
"""Characters; a tenant who may edit the Secret shall not have us carry more to the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A login and its password, as a Secret holds them. ``repr`` does not show the password."""

    user: str
    password: str = field(repr=False)

    @property
    def is_sound(self) -> bool:
        """Whether the password is one that we would make ourselves."""
        return _SOUND.fullmatch(self.password) is not None


def parse(data: Mapping[str, str], key: str) -> Account | None:
    """The account in a Secret's data; None when it holds none that can be read."""
    try:
        text = base64.b64decode(data.get(key) or "", validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    pairs = (line.partition("=") for line in text.splitlines())
    values = {name.strip(): value for name, sign, value in pairs if sign}
    user, password = values.get("USER", "").strip(), values.get("PASSWD", "")
    # Postgres takes no NUL, and Gitea reads no more than a line.
    readable = f"{user}{password}".isprintable() and max(len(user), len(password)) <= _LONGEST
    return Account(user=user, password=password) if user and password and readable else None


def lines(account: Account, *, database: str, host: str, ssl_mode: str) -> str:
    """The account as Gitea's environment-to-ini reads it."""
    return (
        f"DB_TYPE=postgres\nSSL_MODE={ssl_mode}\nNAME={database}\nHOST={host}\n"
        f"USER={account.user}\nPASSWD={account.password}\n"
    )
