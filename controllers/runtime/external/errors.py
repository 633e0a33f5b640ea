"""The error of a request to an external system, and how it ends a reconcile."""

from __future__ import annotations

from enum import Enum

from controllers.findings import Finding, Severity
from controllers.runtime.errors import Terminal, Waiting


class Scope(Enum):
    """Which tenants an error concerns."""

    TENANT = "the system responded; other tenants are served"
    SYSTEM = "the system fails for every tenant"


class ExternalError(Exception):
    """A request to an external system failed.

    ``reason`` is CamelCase. ``message`` names the system, what failed and what to do, and contains
    no secret. ``retry_after`` is in seconds; None: the caller of ``ExternalSystem.call`` receives
    the delay of the backoff, unless ``action_required`` is set for one tenant.
    ``action_required``: the error lasts until a person acts.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        scope: Scope = Scope.TENANT,
        retry_after: float | None = None,
        action_required: bool = False,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.scope = scope
        self.retry_after = retry_after
        self.action_required = action_required

    def retried_after(self, seconds: float) -> ExternalError:
        """Return the same error with ``retry_after``."""
        return ExternalError(
            self.reason,
            self.message,
            scope=self.scope,
            retry_after=seconds,
            action_required=self.action_required,
        )

    def outcome(self) -> Waiting | Terminal:
        """Return the exception that ends a reconcile.

        An error without ``retry_after`` is final until a person acts. One with both
        ``retry_after`` and ``action_required`` is retried and reported as a Warning event.
        """
        if self.retry_after is None:
            return Terminal(self.reason, self.message)
        return Waiting(self.reason, self.message, after=self.retry_after, warn=self.action_required)

    def finding(self) -> Finding:
        """Return the error as a finding, for a reconcile that continues without the system."""
        severity = Severity.PROBLEM if self.action_required else Severity.NOTICE
        return Finding(reason=self.reason, message=self.message, severity=severity)
