"""The content of the API server's responses and watch events. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from controllers.manifests import Body
from controllers.runtime.errors import ApiError, UnreachableError

_DELETED = b'{"type":"DELETED"'
_RESOURCE_VERSION = re.compile(rb'"resourceVersion":"([0-9]+)"')
_REDIRECTS = range(300, 400)
_EXCERPT = 200
_LONGEST_EVENT = 64 << 20
"""Bytes. The API server stores no object that is larger than a few MiB."""


def retry_after(code: int, value: str) -> float | None:
    """Return the seconds of a Retry-After header of a 429 or 503 response, else None."""
    if code not in (429, 503) or not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:  # an HTTP date: not from an API server, but from a proxy in front of it
        return 1.0


def parse_object(code: int, payload: bytes) -> Body:
    """Return the JSON object of a successful response. Raises UnreachableError."""
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        message = f"the response ({code}, {len(payload)} bytes) is not valid JSON: {error}"
        raise UnreachableError(message) from error
    if not isinstance(body, dict):
        message = f"the response ({code}) is JSON but not an object"
        raise UnreachableError(message)
    return body


def parse_event(line: bytes) -> Body:
    """Return the watch event of a line. Raises UnreachableError."""
    try:
        event: Body = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UnreachableError(f"a watch event is not valid JSON: {error}") from error
    return event


class LineBuffer:
    """Splits the body of a watch, which arrives in pieces, into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the lines that the piece completes. Raises UnreachableError."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > _LONGEST_EVENT:
            raise UnreachableError(f"a watch event is longer than {_LONGEST_EVENT} bytes")
        return lines


def resource_version(line: bytes) -> str | None:
    """Return the resourceVersion of a watch event without parsing it; None if it is ambiguous.

    A quotation mark within a JSON string is escaped, so the pattern matches keys only. If an
    annotation has the same key, the line has two matches. A DELETED event is always ambiguous: it
    must be processed.
    """
    if line.startswith(_DELETED):
        return None
    found = _RESOURCE_VERSION.findall(line)
    return found[0].decode() if len(found) == 1 else None


def error_from_response(code: int, payload: bytes) -> ApiError:
    """Return the error of an unsuccessful response, from the API server or a proxy."""
    try:
        status = orjson.loads(payload)
    except orjson.JSONDecodeError:
        status = None
    if isinstance(status, dict):
        return error_from_status(status, code)
    text = payload[:_EXCERPT].decode("utf-8", "replace") or "no message"
    if code in _REDIRECTS:
        text = f"an API server does not redirect; check the server's URL and proxies: {text}"
    return ApiError(code=code, reason="", message=text)


def error_from_status(status: Mapping[str, Any], code: int = 0) -> ApiError:
    """Return the error of a Status object, from a response or from an ERROR watch event."""
    details = status.get("details")
    causes = (details.get("causes") if isinstance(details, dict) else None) or ()
    return ApiError(
        code=int(status.get("code") or code),
        reason=str(status.get("reason") or ""),
        message=str(status.get("message") or "no message"),
        causes=[str(cause.get("reason") or "") for cause in causes if isinstance(cause, dict)],
    )
