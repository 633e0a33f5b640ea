"""How one reconcile ended: the same facts as condition, events and log line."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from controllers.findings import Finding, Severity
from controllers.profiles import PAUSED_ANNOTATION, Condition, Profile, paused_controllers
from controllers.runtime.apply.changeset import NOTHING, WRITES, Action, ChangeSet
from controllers.runtime.reconcile.result import Outcome, is_expected
from controllers.runtime.status.events import Event

logger = structlog.stdlib.get_logger(__name__)

REFUSED_RECHECK = 60.0
"""Seconds after which an object that stood in our way is looked for again."""
REMOVED_RECHECK = 1.0
"""Seconds after a step of what goes in an order: the next one may be due."""
STATUS = {True: "True", False: "False", None: "Unknown"}
"""Of a condition, by whether the profile is ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How one reconcile ended."""

    profile: str
    controller: str
    outcome: Outcome
    changes: ChangeSet = NOTHING
    findings: Sequence[Finding] = ()
    seconds: float = 0.0
    error: Exception | None = None
    paused: bool = False

    def condition(self, type_: str) -> Condition:
        """What the Profile shall say of it."""
        status = STATUS[self.outcome.ready]
        return Condition(type=type_, status=status, message=self.outcome.message)

    def events(self, *, fleeting: bool) -> list[Event]:
        """What a person must act on, and what was written; ``fleeting`` trouble is no news."""
        name = self.controller
        events = [
            Event(controller=name, reason=finding.reason, message=finding.message, warning=True)
            for finding in self.findings
        ]
        written = self.changes.of(*WRITES)
        if written:
            told = ", ".join(f"{change.key} {change.action.value}" for change in written)
            events.append(Event(controller=name, reason="Reconciled", message=told))
        if self.outcome.warn and not fleeting:
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
        """One line: what was done, or why not."""
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
            # What the API server said needs no traceback; a mistake of ours does.
            trace = None if is_expected(self.error) else self.error
            log.warning("reconcile failed", error=outcome.message, exc_info=trace)
        elif outcome.ready is False:
            again = {} if outcome.after is None else {"retry_seconds": round(outcome.after, 1)}
            log.info("not ready", reason=outcome.reason, condition=outcome.message, **again)
        elif self.changes.changed:
            done = "would reconcile" if dry_run else "reconciled"
            log.info(done, changes=str(self.changes).splitlines())
        else:
            log.debug("nothing to do")


def pause_findings(profile: Profile, known: frozenset[str]) -> Sequence[Finding]:
    """A pause that stops nobody is a typing error, and somebody relies on it."""
    strange = (paused_controllers(profile) or frozenset()) - known
    if not known or not strange:
        return ()
    message = (
        f"annotation {PAUSED_ANNOTATION} pauses nothing by {', '.join(map(repr, sorted(strange)))}:"
        f' expected "true", or names of controllers out of {", ".join(sorted(known))}'
    )
    return (Finding(reason="InvalidPause", message=message, severity=Severity.NOTICE),)


def outcome_without_error(changes: ChangeSet, findings: Sequence[Finding]) -> Outcome:
    """What the changes and findings of a reconcile that ran to its end come to."""
    problems = [f.message for f in findings if f.severity is Severity.PROBLEM]
    refused = [str(change) for change in changes.of(Action.REFUSED)]
    pending = [str(change) for change in changes.of(Action.PENDING, Action.REMOVE)]
    after = REMOVED_RECHECK if changes.of(Action.REMOVE) else REFUSED_RECHECK
    if refused:
        return Outcome(
            ready=False,
            reason="Refused",
            message="; ".join([*refused, *problems]),
            after=after,
            warn=True,
        )
    if pending:
        return Outcome(
            ready=False,
            reason="Pending",
            message="; ".join([*pending, *problems]),
            after=after,
            patient=True,
        )
    if problems:
        return Outcome(ready=False, reason="Problems", message="; ".join(problems))
    return Outcome(message=_all_well(changes))


def with_problems(outcome: Outcome, changes: ChangeSet, findings: Sequence[Finding]) -> Outcome:
    """The condition says all that a person must act on, whatever else went wrong.

    What goes in an order goes on soon.
    """
    problems = [f.message for f in findings if f.severity is Severity.PROBLEM]
    on = bool(changes.of(Action.REMOVE)) and not outcome.retry
    after = REMOVED_RECHECK if on else outcome.after
    return replace(outcome, message="; ".join([outcome.message, *problems]), after=after)


def _all_well(changes: ChangeSet) -> str:
    """The same sentence however the objects came to be in place, so that it is written once."""
    keys = [change.key for change in changes if change.action is not Action.DELETE]
    if len(keys) == 1:
        return f"{keys[0].kind} {keys[0].name} is in place"
    return f"{len(keys)} objects are in place"
