"""Parsers of values in settings. Each raises ValueError with a text of what is accepted."""

from __future__ import annotations

import re

from controllers.runtime.options import Shard

LISTEN_ACCEPTS = "HOST:PORT, :PORT or [IPv6]:PORT with a port from 1 to 65535, or 0 to disable"
SHARD_ACCEPTS = "i/n with 0 <= i < n, for example 0/3"
DURATION_ACCEPTS = "a number of seconds of at least 1, or a duration such as 15s or 1m30s"

_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9.-]*)):(?P<port>\d{1,5})")
_SHARD = re.compile(r"(?P<index>\d{1,4})/(?P<count>\d{1,4})", re.ASCII)
_DURATION = re.compile(
    r"(?=.)(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d{1,9})?)s)?", re.ASCII
)
_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_MAX_PORT = 65535


def parse_listen(value: object) -> tuple[str, int] | None:
    """Returns host and port to listen on, or None for ``0``. An empty host is every address."""
    text = _text(value)
    if text == "0":
        return None
    match = _LISTEN.fullmatch(text)
    if match is None or not 1 <= int(match["port"]) <= _MAX_PORT:
        raise ValueError(LISTEN_ACCEPTS)
    return match["six"] or match["host"] or "", int(match["port"])


def parse_shard(value: object) -> Shard:
    """Returns the shard of this process."""
    match = _SHARD.fullmatch(_text(value))
    if match is None or int(match["index"]) >= int(match["count"]):
        raise ValueError(SHARD_ACCEPTS)
    return Shard(index=int(match["index"]), count=int(match["count"]))


def parse_duration(value: object) -> float:
    """Returns seconds, from a number or from Go's notation with the units h, m and s."""
    text = _text(value)
    if _SECONDS.fullmatch(text):
        seconds = float(text)
    elif match := _DURATION.fullmatch(text):
        hours, minutes, rest = match.groups()
        seconds = int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(rest or 0)
    else:
        raise ValueError(DURATION_ACCEPTS)
    if seconds < 1:
        raise ValueError(DURATION_ACCEPTS)
    return seconds


def parse_names(value: object) -> object:
    """Returns the parts of a comma-separated text without duplicates; other values unchanged."""
    return split_names(value) if isinstance(value, str) else value


def split_names(text: str) -> tuple[str, ...]:
    """Returns the parts of a comma-separated text, without duplicates."""
    parts = [part.strip() for part in text.split(",")]
    return tuple(dict.fromkeys(part for part in parts if part))


def parse_word(value: object) -> object:
    """Returns a text in lower case, and any other value unchanged for the field to reject."""
    return value.strip().lower() if isinstance(value, str) else value


def reject_boolean(value: object) -> object:
    """Raises ValueError for a boolean: ``yes`` in YAML is a boolean, which pydantic reads as 1."""
    if isinstance(value, bool):
        raise ValueError("a number")  # noqa: TRY004 - pydantic collects ValueErrors only
    return value


def _text(value: object) -> str:
    """Returns the text as it was written: YAML parses ``0`` and ``15`` as numbers."""
    return "" if isinstance(value, bool) or value is None else str(value).strip()
