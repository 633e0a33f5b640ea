"""The keys of storage accounts, parsed from Secrets. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field

from controllers.manifests import Body

NAME_FIELD, KEY_FIELD = "azurestorageaccountname", "azurestorageaccountkey"
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKey:
    """A storage account and its access key. The key is not part of the repr."""

    account: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidSecret:
    """Why a Secret has no valid account key. The message contains no value of the Secret."""

    message: str


SecretContent = AccountKey | InvalidSecret


def parse_secret(body: Body) -> SecretContent:
    """Parse a Secret.

    The message of InvalidSecret quotes no value: name and key may have been swapped.
    """
    data = body.get("data") or {}
    texts = {}
    for name in (NAME_FIELD, KEY_FIELD):
        try:
            texts[name] = base64.b64decode(str(data.get(name, "")), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return InvalidSecret(message=f"{name} is not base64-encoded text")
        if not texts[name].strip():
            return InvalidSecret(message=f"{name} is missing; add it beside {_other(name)}")
    account, key = texts[NAME_FIELD].strip(), texts[KEY_FIELD].strip()
    if not _ACCOUNT.fullmatch(account):
        return InvalidSecret(
            message=f"{NAME_FIELD} is not a storage account name; expected 3 to 24 lower-case"
            " letters and digits"
        )
    try:
        base64.b64decode(key, validate=True)
    except ValueError:
        return InvalidSecret(
            message=f"{KEY_FIELD} is not an account key; expected base64 as the Azure portal"
            " shows it"
        )
    return AccountKey(account=account, key=key)


def _other(name: str) -> str:
    return NAME_FIELD if name == KEY_FIELD else KEY_FIELD
