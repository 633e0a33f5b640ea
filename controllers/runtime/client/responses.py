"""What an answer of the API server says, good or bad. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from controllers.manifests import Body
from controllers.runtime.errors import ApiError, UnreachableError


def retry_after(code: int, text: str) -> float | None:
    """Seconds to wait, where the server asks for it (429, and 503 with Retry-After)."""
    if code not in (429, 503) or not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:  # an HTTP date: no API server sends one, a proxy may
        return 1.0


def parsed(code: int, payload: bytes) -> Body:
    """The object that an answer of success holds. Raises UnreachableError where it holds none."""
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        message = f"the answer ({code}, {len(payload)} bytes) is no JSON: {error}"
        raise UnreachableError(message) from error
    if not isinstance(body, dict):
        message = f"the answer ({code}) is JSON but no object"
        raise UnreachableError(message)
    return body


def event(line: bytes) -> Body:
    """The event that a watch's line holds. Raises UnreachableError where it holds none."""
    try:
        found: Body = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UnreachableError(f"the watch told what is no JSON: {error}") from error
    return found


def api_error(code: int, payload: bytes) -> ApiError:
    """The error that an answer tells of, from the API server or a proxy before it."""
    try:
        status = orjson.loads(payload)
    except orjson.JSONDecodeError:
        status = None
    if not isinstance(status, dict):
        text = payload[:200].decode("utf-8", "replace") or "no message"
        if code < 400:  # noqa: PLR2004
            text = f"no API server answers so; is another server before it? {text}"
        return ApiError(code=code, reason="", message=text)
    return status_error(status, code)


def status_error(status: Mapping[str, Any], code: int = 0) -> ApiError:
    """The error that a Status object tells of: an answer's body, or a watch's ERROR event."""
    details = status.get("details")
    causes = (details.get("causes") if isinstance(details, dict) else None) or ()
    return ApiError(
        code=int(status.get("code") or code),
        reason=str(status.get("reason") or ""),
        message=str(status.get("message") or "no message"),
        causes=[str(cause.get("reason") or "") for cause in causes if isinstance(cause, dict)],
    )


def said(error: BaseException) -> str:
    """What an error says, or its name where it says nothing."""
    return str(error) or type(error).__name__
