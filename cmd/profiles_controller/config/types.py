"""Readers of the values that operators write. Each raises ValueError saying what is accepted."""

from __future__ import annotations

import re

from controllers.runtime.options import Shard

LISTEN_ACCEPTS = "HOST:PORT, :PORT or [IPv6]:PORT with a port from 1 to 65535, or 0 for none"
SHARD_ACCEPTS = "i/n with 0 <= i < n, for example 0/3"
DURATION_ACCEPTS = "seconds as a number of 1 or more, or a duration such as 15s or 1m30s"

_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9.-]*)):(?P<port>\d{1,5})")
_SHARD = re.compile(r"(?P<index>\d{1,4})/(?P<count>\d{1,4})", re.ASCII)
_DURATION = re.compile(
    r"(?=.)(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d{1,9})?)s)?", re.ASCII
)
_PLAIN = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_LARGEST_PORT = 65535


def read_listen(value: object) -> tuple[str, int] | None:
    """Host and port to serve on; an empty host is every address. None for ``0``: serve nothing."""
    text = _text(value)
    if text == "0":
        return None
    match = _LISTEN.fullmatch(text)
    if match is None or not 1 <= int(match["port"]) <= _LARGEST_PORT:
        raise ValueError(LISTEN_ACCEPTS)
    return match["six"] or match["host"] or "", int(match["port"])


def read_shard(value: object) -> Shard:
    """This process's part of the profiles."""
    match = _SHARD.fullmatch(_text(value))
    if match is None or int(match["index"]) >= int(match["count"]):
        raise ValueError(SHARD_ACCEPTS)
    return Shard(index=int(match["index"]), count=int(match["count"]))


def read_duration(value: object) -> float:
    """Seconds, from a number or from Go's notation without fractions of a second's units."""
    text = _text(value)
    if _PLAIN.fullmatch(text):
        seconds = float(text)
    elif match := _DURATION.fullmatch(text):
        hours, minutes, rest = match.groups()
        seconds = int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(rest or 0)
    else:
        raise ValueError(DURATION_ACCEPTS)
    if seconds < 1:
        raise ValueError(DURATION_ACCEPTS)
    return seconds


def read_word(value: object) -> object:
    """The text in lower case; anything but text as it is, for the field's type to refuse."""
    return value.strip().lower() if isinstance(value, str) else value


def refuse_boolean(value: object) -> object:
    """Numbers as they are; ``yes`` in YAML is a boolean, and 1 to a lenient parser."""
    if isinstance(value, bool):
        raise ValueError("a number")  # noqa: TRY004 - pydantic collects ValueErrors only
    return value


def _text(value: object) -> str:
    """What was written: YAML makes a number of ``0`` and of ``15``."""
    return "" if isinstance(value, bool) or value is None else str(value).strip()
