"""What ``--once`` and ``diff`` show: a row for every profile and controller."""

from __future__ import annotations

from dataclasses import dataclass

from controllers.runtime.apply.changeset import NOTHING, Action, ChangeSet
from controllers.runtime.reconcile.reports import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How one profile fared with one controller.

    ``result`` is one of ready, changed, waiting, problem, refused, failed, paused.
    """

    profile: str
    controller: str
    result: str
    message: str
    changes: ChangeSet = NOTHING
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All rows, sorted by profile."""

    rows: tuple[Row, ...]

    @property
    def failed(self) -> bool:
        """Whether a profile failed: an error or a refusal. Waiting is no failure."""
        return any(row.result in ("failed", "refused") for row in self.rows)

    @property
    def broken(self) -> bool:
        """Whether it is unknown what a profile needs: an error, and not a refusal."""
        return any(row.result == "failed" for row in self.rows)

    @property
    def changed(self) -> bool:
        """Whether anything was, or would be, written."""
        return any(row.changes.changed for row in self.rows)


def row_of(report: Report) -> Row:
    """The row of one reconcile."""
    return Row(
        profile=report.profile,
        controller=report.controller,
        result=_result(report),
        message=report.outcome.message,
        changes=report.changes,
        seconds=report.seconds,
    )


def _result(report: Report) -> str:
    outcome = report.outcome
    if report.paused:
        return "paused"
    if outcome.retry:
        return "failed"
    if outcome.reason == "NamespaceNotOwned" or report.changes.of(Action.REFUSED):
        return "refused"
    if report.findings and not outcome.ready:
        return "problem"
    if not outcome.ready:
        return "waiting"
    return "changed" if report.changes.changed else "ready"
