"""How a reconcile ended, and what follows from it: requeue, condition, events and log line."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import structlog

from controllers.findings import Finding, Severity
from controllers.profiles import PAUSED_ANNOTATION, Condition, Profile, paused_controllers
from controllers.runtime.apply.changeset import NO_CHANGES, WRITES, Action, ApplyError, ChangeSet
from controllers.runtime.errors import ApiError, Terminal, UnreachableError, Waiting
from controllers.runtime.status.events import Event

logger = structlog.stdlib.get_logger(__name__)

REFUSED_RETRY_SECONDS = 60.0
"""Until the next reconcile when an object of another owner has the name."""
NEXT_STEP_SECONDS = 1.0
"""Until the next reconcile after a deletion of ``Desired.delete``: the next one may be due."""
CONDITION_STATUS = {True: "True", False: "False", None: "Unknown"}
"""The status of the condition by ``Outcome.ready``."""
_BENIGN_CAUSE = "NamespaceTerminating"


class Result(Enum):
    """The value of label ``result`` of controller_runtime_reconcile_total."""

    SUCCESS = "success"
    REQUEUE_AFTER = "requeue_after"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What follows from the end of a reconcile."""

    result: Result = Result.SUCCESS
    ready: bool | None = True
    """The status of the condition: True, False, or None for Unknown."""
    reason: str = "Ready"
    message: str = ""
    retry: bool = False
    """Retry with backoff."""
    requeue_after: float | None = None
    """Seconds until the next reconcile; None means that an event enqueues the profile."""
    debounced: bool = False
    """The condition is written only if the outcome lasts."""
    warn: bool = False
    """Record a Warning event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The report of one reconcile."""

    profile: str
    controller: str
    outcome: Outcome
    changes: ChangeSet = NO_CHANGES
    findings: Sequence[Finding] = ()
    seconds: float = 0.0
    error: Exception | None = None
    paused: bool = False

    def condition(self, type_: str) -> Condition:
        """Return the Profile's condition."""
        status = CONDITION_STATUS[self.outcome.ready]
        return Condition(type=type_, status=status, message=self.outcome.message)

    def events(self, *, transient: bool) -> list[Event]:
        """Return the events: findings, writes, and a warning unless the failure is transient."""
        name = self.controller
        events = [
            Event(controller=name, reason=finding.reason, message=finding.message, warning=True)
            for finding in self.findings
        ]
        written = self.changes.with_action(*WRITES)
        if written:
            message = ", ".join(f"{change.key} {change.action.value}" for change in written)
            events.append(Event(controller=name, reason="Reconciled", message=message))
        if self.outcome.warn and not transient:
            events.append(
                Event(
                    controller=name,
                    reason=self.outcome.reason,
                    message=self.outcome.message,
                    warning=True,
                )
            )
        return events

    def log(self, profile: Profile, *, dry_run: bool) -> None:
        """Write one log line: what changed, or why not."""
        log = logger.bind(
            controller=self.controller,
            profile=profile.name,
            namespace=profile.namespace,
            reconciliation_id=f"{random.getrandbits(48):012x}",
            duration_ms=round(self.seconds * 1000, 1),
            **self.changes.counts(),
        )
        outcome = self.outcome
        if outcome.retry:
            # An error of the API server needs no traceback, a bug does.
            trace = None if is_expected(self.error) else self.error
            log.warning("reconcile failed", error=outcome.message, exc_info=trace)
        elif outcome.ready is False:
            seconds = outcome.requeue_after
            requeue = {} if seconds is None else {"retry_seconds": round(seconds, 1)}
            log.info("not ready", reason=outcome.reason, condition=outcome.message, **requeue)
        elif self.changes.changed:
            message = "would reconcile" if dry_run else "reconciled"
            log.info(message, changes=str(self.changes).splitlines())
        else:
            log.debug("no changes")


def outcome_of_error(error: Exception) -> Outcome:
    """Return the outcome of a reconcile that ended with this exception."""
    match error:
        case Waiting():
            return Outcome(
                result=Result.REQUEUE_AFTER if error.after is not None else Result.SUCCESS,
                ready=False,
                reason=error.reason,
                message=error.message,
                requeue_after=error.after,
                debounced=True,
                warn=error.warn,
            )
        case Terminal():
            return Outcome(ready=False, reason=error.reason, message=error.message, warn=True)
        case ApplyError(cause=ApiError() as cause) if _BENIGN_CAUSE in cause.causes:
            waiting = Waiting("NamespaceTerminating", "the namespace is being deleted")
            return outcome_of_error(waiting)
        case _:
            return _outcome_of_failure(error)


def outcome_of_changes(changes: ChangeSet, findings: Sequence[Finding]) -> Outcome:
    """Return the outcome of a reconcile that ended without an error."""
    problems = [one.message for one in findings if one.severity is Severity.PROBLEM]
    refused = [str(change) for change in changes.with_action(Action.REFUSED)]
    pending = [str(change) for change in changes.with_action(Action.PENDING, Action.DELETE)]
    deleted = changes.with_action(Action.DELETE)
    requeue_after = NEXT_STEP_SECONDS if deleted else REFUSED_RETRY_SECONDS
    if refused:
        return Outcome(
            ready=False,
            reason="Refused",
            message="; ".join([*refused, *problems]),
            requeue_after=requeue_after,
            warn=True,
        )
    if pending:
        return Outcome(
            ready=False,
            reason="Pending",
            message="; ".join([*pending, *problems]),
            requeue_after=requeue_after,
            debounced=True,
        )
    if problems:
        return Outcome(ready=False, reason="ActionRequired", message="; ".join(problems))
    return Outcome(message=_ready_message(changes))


def outcome_of_desired_error(
    error: Exception, changes: ChangeSet, findings: Sequence[Finding]
) -> Outcome:
    """Return the outcome of ``Desired.error``, after the objects were applied.

    The condition lists the problems as well. After a deletion the next reconcile is soon.
    """
    outcome = outcome_of_error(error)
    problems = [one.message for one in findings if one.severity is Severity.PROBLEM]
    deleted = bool(changes.with_action(Action.DELETE)) and not outcome.retry
    return replace(
        outcome,
        message="; ".join([outcome.message, *problems]),
        requeue_after=NEXT_STEP_SECONDS if deleted else outcome.requeue_after,
    )


def pause_findings(profile: Profile, controllers: frozenset[str]) -> Sequence[Finding]:
    """Return a finding for a pause annotation that names no known controller."""
    unknown = (paused_controllers(profile) or frozenset()) - controllers
    if not controllers or not unknown:
        return ()
    message = (
        f"annotation {PAUSED_ANNOTATION}: {', '.join(map(repr, sorted(unknown)))} is not a"
        f' controller and pauses nothing; use "true", or names out of'
        f" {', '.join(sorted(controllers))}"
    )
    return (Finding(reason="InvalidPause", message=message, severity=Severity.NOTICE),)


def is_expected(error: Exception | None) -> bool:
    """Whether the error has a stated cause outside this program; any other one is a bug."""
    return isinstance(_cause(error), ApiError | UnreachableError | Waiting | Terminal)


def _cause(error: Exception | None) -> Exception | None:
    return error.cause if isinstance(error, ApplyError) else error


def _outcome_of_failure(error: Exception) -> Outcome:
    cause = _cause(error)
    unreachable = isinstance(cause, UnreachableError)
    text = str(error) or type(error).__name__
    reason = "ReconcileFailed"
    if isinstance(cause, ApiError) and cause.reason in ("Forbidden", "Invalid"):
        reason = cause.reason
    return Outcome(
        result=Result.ERROR,
        ready=False,
        reason="Unreachable" if unreachable else reason,
        message=text if is_expected(error) else f"{type(error).__name__}: {text}",
        retry=True,
        debounced=True,
        warn=not unreachable,
    )


def _ready_message(changes: ChangeSet) -> str:
    """Return the same message for the same objects, so that the condition is written once."""
    keys = [change.key for change in changes if change.action is not Action.PRUNE]
    if len(keys) == 1:
        return f"{keys[0].kind} {keys[0].name} is in place"
    return f"{len(keys)} objects are in place"
