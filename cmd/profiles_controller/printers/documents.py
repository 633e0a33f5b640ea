"""Turns results of commands into documents for the printer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from controllers.runtime.apply.changeset import Action, Change, ChangeSet
from controllers.runtime.commands.oneshot_summary import OneshotSummary, ProfileResult, ResultKind
from controllers.runtime.commands.status_report import (
    UNREADY,
    ProfileState,
    ProfileStatus,
    StatusReport,
)
from controllers.runtime.controller import AnyController
from profiles_controller.printers.printer import Document, OutputFormat, Table

_NONE = "-"
_RESULT_STYLES = {
    ResultKind.CHANGED.value: "green",
    ResultKind.WAITING.value: "yellow",
    ResultKind.ACTION_REQUIRED.value: "yellow",
    ResultKind.REFUSED.value: "bold red",
    ResultKind.FAILED.value: "bold red",
    ResultKind.PAUSED.value: "blue",
}
_ACTION_STYLES = {
    Action.CREATE.value: "green",
    Action.ADOPT.value: "green",
    Action.UPDATE.value: "yellow",
    Action.RECREATE.value: "yellow",
    Action.PRUNE.value: "red",
    Action.DELETE.value: "red",
    Action.PENDING.value: "blue",
}
_STATE_STYLES = {
    ProfileState.READY.value: "green",
    ProfileState.NOT_READY.value: "bold red",
    ProfileState.UNKNOWN.value: "yellow",
    ProfileState.PAUSED.value: "blue",
    ProfileState.TERMINATING.value: "dim",
}
_ORDINARY_RESULTS = frozenset({ResultKind.UNCHANGED, ResultKind.CHANGED})
_AGE_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_NO_STATUS = (
    "no controller has a condition or an object for any Profile; check that a controller is "
    "installed, or name the expected controllers with --only NAME[,NAME...]"
)


def controllers_document(controllers: Sequence[AnyController]) -> Document:
    """Returns the names and summaries of controllers."""
    return Document(
        data=[{"name": each.name, "summary": each.summary} for each in controllers],
        table=Table(
            columns=("CONTROLLER", "SUMMARY"),
            rows=[(each.name, each.summary) for each in controllers],
        ),
    )


def summary_document(summary: OneshotSummary, output: OutputFormat) -> Document:
    """Returns a row for each profile and controller of ``--once``."""
    wide = output is OutputFormat.WIDE
    counts = Counter(one.result.value for one in summary.results)
    return Document(
        data=_summary_data(summary),
        table=Table(
            columns=(
                *("PROFILE", "CONTROLLER", "RESULT", "CHANGES"),
                *(("SECONDS",) if wide else ()),
                "MESSAGE",
            ),
            rows=[
                (
                    *(one.profile or _NONE, one.controller, one.result.value),
                    _written(one.changes) or _NONE,
                    *((f"{one.seconds:.3f}",) if wide else ()),
                    _on_one_line(one.message) or _NONE,
                )
                for one in summary.results
            ],
            styles=_RESULT_STYLES,
        ),
        summary=_counted(counts.items()) or "no profiles",
    )


def diff_document(summary: OneshotSummary) -> Document:
    """Returns a row for each object that a reconcile would change, and for each failed profile."""
    changes = [change for one in summary.results for change in _notable(one.changes)]
    counts = Counter(change.action.value for change in changes)
    return Document(
        data=_summary_data(summary),
        table=Table(
            columns=("PROFILE", "CONTROLLER", "ACTION", "OBJECT", "DETAIL"),
            rows=[row for one in summary.results for row in _diff_rows(one)],
            styles=_RESULT_STYLES | _ACTION_STYLES,
        ),
        summary=_counted((f"to {action}", count) for action, count in counts.items())
        or "nothing would change",
    )


def status_document(report: StatusReport, output: OutputFormat) -> Document:
    """Returns a row for each profile and controller of a report."""
    now = datetime.now(UTC)
    row = _wide_status_row if output is OutputFormat.WIDE else _status_row
    return _status_document(report, report.statuses, [row(one, now) for one in report.statuses])


def unready_status_document(report: StatusReport, output: OutputFormat) -> Document:
    """Returns a row for each profile and controller of a report that needs attention."""
    now = datetime.now(UTC)
    row = _wide_status_row if output is OutputFormat.WIDE else _status_row
    unready = [one for one in report.statuses if one.state in UNREADY]
    return _status_document(report, unready, [row(one, now) for one in unready])


def format_age(since: str, now: datetime) -> str:
    """Returns the time since an RFC 3339 time in its two largest units, as kubectl: 3d4h."""
    if not since:
        return _NONE
    seconds = max(0, int((now - datetime.fromisoformat(since)).total_seconds()))
    parts: list[tuple[int, str]] = []
    for unit, size in _AGE_UNITS:
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append((count, unit))
    return "".join(f"{count}{unit}" for count, unit in parts[:2] if count) or "0s"


def _summary_data(summary: OneshotSummary) -> dict[str, Any]:
    return {
        "failed": summary.has_failures,
        "changed": summary.has_changes,
        "results": [
            {
                "profile": one.profile,
                "controller": one.controller,
                "result": one.result.value,
                "message": one.message,
                "seconds": round(one.seconds, 6),
                "changes": _changes_data(one.changes),
            }
            for one in summary.results
        ],
    }


def _changes_data(changes: Iterable[Change]) -> list[dict[str, str]]:
    return [
        {
            "action": change.action.value,
            "kind": change.key.kind,
            "namespace": change.key.namespace,
            "name": change.key.name,
            "detail": change.detail,
        }
        for change in changes
    ]


def _diff_rows(result: ProfileResult) -> Iterator[tuple[str, ...]]:
    profile = result.profile or _NONE
    if result.result not in _ORDINARY_RESULTS:
        message = _on_one_line(result.message) or _NONE
        yield profile, result.controller, result.result.value, _NONE, message
    for change in _notable(result.changes):
        detail = _on_one_line(change.detail) or _NONE
        yield profile, result.controller, change.action.value, str(change.key), detail


def _notable(changes: ChangeSet) -> list[Change]:
    return [change for change in changes if change.action is not Action.UNCHANGED or change.detail]


def _written(changes: ChangeSet) -> str:
    counts = changes.counts().items()
    return _counted((name, count) for name, count in counts if name != Action.UNCHANGED.value)


def _status_document(
    report: StatusReport, statuses: Sequence[ProfileStatus], rows: Sequence[tuple[str, ...]]
) -> Document:
    columns = ("PROFILE", "CONTROLLER", "STATE", "SINCE", "OBJECTS", "DRIFT", "MESSAGE")
    hint = "run 'profiles-controller permissions status' to print the ClusterRole of this command"
    stale = (f"{report.stale}; this is the last known state",) if report.stale else ()
    return Document(
        data={
            "ready": report.ready,
            "profiles": report.profiles,
            "warnings": list(report.warnings),
            "stale": report.stale,
            "statuses": [_status_data(one) for one in statuses],
        },
        table=Table(columns=columns, rows=rows, styles=_STATE_STYLES),
        summary=_status_counts(report),
        warnings=(*(f"{warning}; {hint}" for warning in report.warnings), *stale),
    )


def _status_row(status: ProfileStatus, now: datetime) -> tuple[str, ...]:
    objects, drift = _NONE, _NONE
    if status.objects is not None:
        objects = str(sum(status.objects.values()))
    if status.drift is not None:
        drift = _counted(Counter(one.action.value for one in status.drift).items()) or "none"
    return (*_status_cells(status, now), objects, drift, _on_one_line(status.message))


def _wide_status_row(status: ProfileStatus, now: datetime) -> tuple[str, ...]:
    objects, drift = _NONE, _NONE
    if status.objects is not None:
        objects = _counted(sorted(status.objects.items())) or "0"
    if status.drift is not None:
        drift = ", ".join(map(str, status.drift)) or "none"
    message = _on_one_line(status.message)
    message = f"{message} ({status.note})" if status.note else message
    return (*_status_cells(status, now), objects, drift, message)


def _status_cells(status: ProfileStatus, now: datetime) -> tuple[str, ...]:
    return status.profile, status.controller, status.state.value, format_age(status.since, now)


def _status_counts(report: StatusReport) -> str:
    if not report.profiles:
        return "no profiles"
    if not report.statuses:
        return _NO_STATUS
    profiles = "1 profile" if report.profiles == 1 else f"{report.profiles} profiles"
    states = Counter(one.state for one in report.statuses)
    counts = _counted((state.value, states[state]) for state in ProfileState if states[state])
    drifted = sum(bool(one.drift) for one in report.statuses)
    return f"{profiles}: {counts}" + (f"; {drifted} with drift" if drifted else "")


def _status_data(status: ProfileStatus) -> dict[str, Any]:
    return {
        "profile": status.profile,
        "controller": status.controller,
        "state": status.state.value,
        "since": status.since or None,
        "message": status.message,
        "objects": None if status.objects is None else dict(sorted(status.objects.items())),
        "drift": None if status.drift is None else _changes_data(status.drift),
        "note": status.note,
    }


def _counted(counts: Iterable[tuple[str, int]]) -> str:
    """Returns ``1 create, 2 update``."""
    return ", ".join(f"{count} {name}" for name, count in counts)


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
