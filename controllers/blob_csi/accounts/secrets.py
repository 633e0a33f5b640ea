"""The keys of storage accounts, out of the Secrets that platform engineers keep. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field

from controllers.manifests import Body

NAME, KEY = "azurestorageaccountname", "azurestorageaccountkey"
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKey:
    """A storage account, and a key that opens all of it. The key is in no repr."""

    account: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """Why a Secret opens no account: names the key of the Secret and what would be right."""

    why: str


Found = AccountKey | Unusable


def read(body: Body) -> Found:
    """What a Secret holds, as the API server sent it. No value is quoted: two may be mixed up."""
    data = body.get("data") or {}
    texts = {}
    for field_ in (NAME, KEY):
        try:
            texts[field_] = base64.b64decode(str(data.get(field_, "")), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return Unusable(why=f"{field_} is no text")
        if not texts[field_].strip():
            return Unusable(why=f"{field_} is missing: expected it beside {_other(field_)}")
    account, key = texts[NAME].strip(), texts[KEY].strip()
    if not _ACCOUNT.fullmatch(account):
        return Unusable(why=f"{NAME} is not 3 to 24 lower-case letters and digits")
    try:
        base64.b64decode(key, validate=True)
    except ValueError:
        return Unusable(why=f"{KEY} is no account's key: expected base64, as Azure shows it")
    return AccountKey(account=account, key=key)


def _other(field_: str) -> str:
    return NAME if field_ == KEY else KEY
