"""The exceptions of a reconcile, and those of requests to the API server. It imports no client."""

from __future__ import annotations

from collections.abc import Sequence


class UnreachableError(Exception):
    """The API server did not respond, or the response is not from an API server. Can be retried."""


class ApiError(Exception):
    """The API server responded with a Status other than Success.

    ``reason`` is the machine-readable reason of the Status (``Conflict``, ``AlreadyExists`` ...)
    and ``causes`` are the reasons in its details (``NamespaceTerminating`` ...).
    """

    def __init__(self, *, code: int, reason: str, message: str, causes: Sequence[str] = ()) -> None:
        """``code`` is the HTTP status code."""
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.causes = tuple(causes)


class Waiting(Exception):  # noqa: N818 - not a failure: something else must happen first
    """Something that this profile needs is not there yet.

    ``after`` is the number of seconds until the next reconcile; None means that an event enqueues
    the profile. ``warn`` records a Warning event, for what does not resolve itself.
    """

    def __init__(
        self, reason: str, message: str, *, after: float | None = None, warn: bool = False
    ) -> None:
        """``reason`` is CamelCase; ``message`` says what the profile waits for."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.after = after
        self.warn = warn


class Terminal(Exception):  # noqa: N818 - final until a person changes something
    """A retry does not help until a person changes something."""

    def __init__(self, reason: str, message: str) -> None:
        """``reason`` is CamelCase; ``message`` says what is wrong and what to do."""
        super().__init__(message)
        self.reason = reason
        self.message = message
