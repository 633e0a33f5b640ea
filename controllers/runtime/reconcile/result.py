"""How a reconcile can end, and the one place that says what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from controllers.runtime.apply.changeset import NOTHING, ChangeSet
from controllers.runtime.errors import ApiError, Terminal, UnreachableError, Waiting

_BENIGN_CAUSE = "NamespaceTerminating"


class Failed(Exception):  # noqa: N818 - carries what went well besides
    """Some changes of a profile could not be made; the others were."""

    def __init__(self, message: str, cause: Exception, changes: ChangeSet = NOTHING) -> None:
        """``message`` names every change that failed, ``cause`` is the first error.

        ``changes`` are those that were made.
        """
        super().__init__(message)
        self.cause = cause
        self.changes = changes


class Result(Enum):
    """The value of label ``result`` of controller_runtime_reconcile_total."""

    SUCCESS = "success"
    REQUEUE_AFTER = "requeue_after"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What follows from the end of a reconcile.

    ``ready`` is the condition's status: True, False, or None for Unknown. ``retry`` asks for
    another try with backoff; ``after`` for another look after so many seconds. ``patient`` means
    that the matter is only worth a condition once it lasts.
    """

    result: Result = Result.SUCCESS
    ready: bool | None = True
    reason: str = "Ready"
    message: str = ""
    retry: bool = False
    after: float | None = None
    patient: bool = False
    warn: bool = False
    """Worth a Warning event."""


def outcome_of(error: Exception) -> Outcome:
    """The outcome of a reconcile that ended with this exception."""
    match error:
        case Waiting():
            return Outcome(
                result=Result.REQUEUE_AFTER if error.after is not None else Result.SUCCESS,
                ready=False,
                reason=error.reason,
                message=error.message,
                after=error.after,
                patient=True,
                warn=error.warn,
            )
        case Terminal():
            return Outcome(ready=False, reason=error.reason, message=error.message, warn=True)
        case Failed(cause=ApiError() as cause) if _BENIGN_CAUSE in cause.causes:
            return outcome_of(Waiting("NamespaceTerminating", "the namespace is being deleted"))
        case Failed(cause=Waiting() | Terminal() as cause):
            return outcome_of(cause)
        case _:
            return _failure(error)


def is_expected(error: Exception | None) -> bool:
    """Whether the world failed us and said why; anything else is a mistake of ours."""
    cause = error.cause if isinstance(error, Failed) else error
    return isinstance(cause, ApiError | UnreachableError | Waiting | Terminal)


def _failure(error: Exception) -> Outcome:
    cause = error.cause if isinstance(error, Failed) else error
    unreachable = isinstance(cause, UnreachableError)
    text = str(error) or type(error).__name__
    return Outcome(
        result=Result.ERROR,
        ready=False,
        reason="Unreachable" if unreachable else _reason(cause),
        message=text if is_expected(error) else f"{type(error).__name__}: {text}",
        retry=True,
        patient=True,
        warn=not unreachable,
    )


def _reason(cause: Exception) -> str:
    if isinstance(cause, ApiError) and cause.reason in ("Forbidden", "Invalid"):
        return cause.reason
    return "ReconcileFailed"
