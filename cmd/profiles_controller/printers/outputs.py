"""What commands print on standard output: for people, coloured on a terminal only, or programs."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import typer

from controllers.runtime.apply.changeset import Action, Change, ChangeSet
from controllers.runtime.controller import AnyController
from profiles_controller.config import yaml
from profiles_controller.deps import Row, Summary

_MARKS = {
    Action.CREATE: ("+", "green"),
    Action.ADOPT: ("+", "green"),
    Action.UPDATE: ("~", "yellow"),
    Action.RECREATE: ("~", "yellow"),
    Action.DELETE: ("-", "red"),
    Action.REMOVE: ("-", "red"),
    Action.REFUSED: ("!", "magenta"),
    Action.PENDING: ("?", "blue"),
    Action.UNCHANGED: (" ", ""),
}
_STYLES = {
    "failed": "bold red",
    "refused": "bold red",
    "problem": "yellow",
    "waiting": "yellow",
    "paused": "blue",
    "changed": "green",
}
_QUIET = frozenset({"ready", "changed"})


def print_summary(summary: Summary, form: str) -> None:
    """What ``--once`` did: a row for each profile and controller, then how many of each result."""
    if form != "table":
        _print_data(_summary_data(summary), form)
        return
    if sys.stdout.isatty():
        _print_table(
            ("Profile", "Controller", "Result", "Changes", "Seconds", "Message"),
            [
                (row.profile, row.controller, row.result, _counts(row.changes),
                 f"{row.seconds:.3f}", row.message)
                for row in summary.rows
            ],
            styles={2: _STYLES},
        )  # fmt: skip
    else:
        for row in summary.rows:
            parts = (row.profile, row.controller, row.result, _counts(row.changes), row.message)
            typer.echo("  ".join(part for part in parts if part))
    results = Counter(row.result for row in summary.rows)
    typer.echo(", ".join(f"{count} {name}" for name, count in results.items()) or "no profiles")


def print_difference(summary: Summary, form: str) -> None:
    """What a reconcile would change: a line for each object, then how many of each action."""
    if form != "table":
        _print_data(_summary_data(summary), form)
        return
    total: Counter[str] = Counter()
    for row in summary.rows:
        for text, colour in _lines(row):
            typer.secho(text, fg=colour or None)
        total.update(change.action.value for change in _told(row.changes))
    told = ", ".join(f"{count} to {name}" for name, count in total.items())
    typer.echo(told or "nothing would change")


def print_controllers(controllers: Sequence[AnyController], form: str) -> None:
    """The controllers and a line each."""
    if form != "table":
        _print_data([{"name": each.name, "summary": each.summary} for each in controllers], form)
    elif sys.stdout.isatty():
        _print_table(("Controller", "What it does"), [(x.name, x.summary) for x in controllers])
    else:
        width = max((len(each.name) for each in controllers), default=0)
        for each in controllers:
            typer.echo(f"{each.name:<{width}}  {each.summary}")


def _lines(row: Row) -> Iterator[tuple[str, str]]:
    where = f"{row.profile}  {row.controller}"
    if row.result not in _QUIET:
        colour = "red" if row.result in ("failed", "refused") else "yellow"
        message = f": {row.message}" if row.message else ""
        yield f"! {where}  {row.result}{message}", colour
    for change in _told(row.changes):
        mark, colour = _MARKS[change.action]
        yield f"{mark} {where}  {change}", colour


def _told(changes: ChangeSet) -> list[Change]:
    return [change for change in changes if change.action is not Action.UNCHANGED or change.detail]


def _counts(changes: ChangeSet) -> str:
    counts = changes.counts().items()
    return " ".join(f"{name}={count}" for name, count in counts if name != Action.UNCHANGED.value)


def _summary_data(summary: Summary) -> dict[str, Any]:
    return {
        "failed": summary.failed,
        "changed": summary.changed,
        "rows": [_row_data(row) for row in summary.rows],
    }


def _row_data(row: Row) -> dict[str, Any]:
    return {
        "profile": row.profile,
        "controller": row.controller,
        "result": row.result,
        "message": row.message,
        "seconds": round(row.seconds, 6),
        "changes": [
            {
                "action": change.action.value,
                "kind": change.key.kind,
                "namespace": change.key.namespace,
                "name": change.key.name,
                "detail": change.detail,
            }
            for change in row.changes
        ],
    }


def _print_data(data: Any, form: str) -> None:
    typer.echo(
        json.dumps(data, indent=2, ensure_ascii=False) if form == "json" else yaml.dump([data]),
        nl=form == "json",
    )


def _print_table(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    styles: dict[int, dict[str, str]] | None = None,
) -> None:
    from rich.console import Console  # noqa: PLC0415 - only people at a terminal wait for it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*titles)
    for row in rows:
        table.add_row(
            *(
                Text(cell, style=(styles or {}).get(column, {}).get(cell, ""))
                for column, cell in enumerate(row)
            )
        )
    Console().print(table)
