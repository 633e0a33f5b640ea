"""How a request to the API server can fail. Loads no client, so that controllers may import it."""

from __future__ import annotations

from collections.abc import Sequence


class UnreachableError(Exception):
    """The API server did not answer: refused, reset, timed out. Always worth another try."""


class ApiError(Exception):
    """The API server answered with a Status that is not success.

    ``reason`` is the Status' machine-readable reason (``Conflict``, ``AlreadyExists`` ...) and
    ``causes`` are the reasons of its details (``NamespaceTerminating`` ...).
    """

    def __init__(self, *, code: int, reason: str, message: str, causes: Sequence[str] = ()) -> None:
        """An answer with HTTP status ``code``."""
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.causes = tuple(causes)
