"""How ``status`` is shown: a table that goes on, or data."""

from __future__ import annotations

import contextlib
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import typer

from controllers.runtime.commands.statuses import UNWELL, Overview, State, Status
from profiles_controller.config import yaml
from profiles_controller.deps import RIGHTS

_STYLES = {
    State.READY.value: "green",
    State.NOT_READY.value: "bold red",
    State.UNKNOWN.value: "yellow",
    State.PAUSED.value: "blue",
    State.DELETING.value: "dim",
}
_TITLES = ("PROFILE", "CONTROLLER", "READY", "SINCE", "OBJECTS", "DRIFT", "MESSAGE")
_LISTS = ("OBJECTS", "DRIFT")
_UNKNOWN = "-"
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_SILENCE = (
    "no controller has left a condition or an object on any Profile: is the suite installed? "
    "--only NAME[,NAME...] says which controllers are expected"
)


class Form(StrEnum):
    """How a status is printed."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


async def show(
    overviews: AsyncIterator[Overview], form: Form, *, unready: bool, watch: bool
) -> bool:
    """Prints the first overview, or goes on with every other one; whether the last was well.

    On a terminal a table that goes on is drawn in place; elsewhere, and as data, it is printed anew
    and whole whenever something but the time has changed. ``unready`` leaves out what is well.
    """
    well = True
    with _paper(form, watch=watch) as draw:
        async for overview in overviews:
            well = overview.well
            draw(overview, unready)
            if not watch:
                break
    return well


Draw = Callable[[Overview, bool], None]


@contextlib.contextmanager
def _paper(form: Form, *, watch: bool) -> Iterator[Draw]:
    if form in (Form.JSON, Form.YAML) or not sys.stdout.isatty():
        yield _Pages(form).draw
        return
    from rich.console import Console  # noqa: PLC0415 - only people at a terminal wait for it
    from rich.live import Live  # noqa: PLC0415

    console = Console()

    def picture(overview: Overview, unready: bool) -> Any:  # noqa: FBT001 - see Draw
        return _picture(overview, wide=form is Form.WIDE, unready=unready)

    if not watch:
        yield lambda overview, unready: console.print(picture(overview, unready))
        return
    with Live(console=console, screen=True, auto_refresh=False) as live:
        yield lambda overview, unready: live.update(picture(overview, unready), refresh=True)


class _Pages:
    """What is printed one after the other: for programs, files and pipes."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._last: Mapping[str, Any] = {}

    def draw(self, overview: Overview, unready: bool) -> None:  # noqa: FBT001 - see Draw
        data = _data(overview, unready=unready)
        if data == self._last:
            return
        self._last = data
        if self._form is Form.JSON:
            typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
        elif self._form is Form.YAML:
            typer.echo(yaml.dump([data]), nl=False)
        else:
            for line in _aligned(_lines(overview, wide=self._form is Form.WIDE, unready=unready)):
                typer.echo(line)
            typer.echo(_counts(overview))
        for trouble in _troubles(overview):
            typer.echo(f"! {trouble}", err=True)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows under their titles; the last column may be as long as it likes."""
    if not rows:
        return
    table = [_TITLES, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "   ".join(cells).rstrip()


def _picture(overview: Overview, *, wide: bool, unready: bool) -> Any:
    from rich.console import Group  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in _TITLES:
        gives_way = title == _TITLES[-1] or (wide and title in _LISTS)
        table.add_column(title, no_wrap=not gives_way, overflow="fold")
    for *cells, message in _lines(overview, wide=wide, unready=unready):
        styled = (Text(cell, style=_STYLES.get(cell, "")) for cell in cells)
        # Only the message gives way where the terminal is narrow.
        text = Text(message) if wide else Text(message, no_wrap=True, overflow="ellipsis")
        table.add_row(*styled, text)
    told = [Text(_counts(overview)), *(Text(text, style="yellow") for text in _troubles(overview))]
    return Group(*told, *([table] if table.row_count else []))


def _lines(overview: Overview, *, wide: bool, unready: bool) -> list[tuple[str, ...]]:
    now = datetime.now(UTC)
    return [
        (
            one.profile,
            one.controller,
            one.state.value,
            _age(one.since, now),
            _objects(one, wide=wide),
            _drift(one, wide=wide),
            _message(one, wide=wide),
        )
        for one in _shown(overview, unready=unready)
    ]


def _shown(overview: Overview, *, unready: bool) -> list[Status]:
    return [one for one in overview.statuses if one.state in UNWELL or not unready]


def _objects(status: Status, *, wide: bool) -> str:
    objects = status.look.objects
    if objects is None:
        return _UNKNOWN
    if wide and objects:
        return ", ".join(f"{count} {kind}" for kind, count in sorted(objects.items()))
    return str(sum(objects.values()))


def _drift(status: Status, *, wide: bool) -> str:
    drift = status.look.drift
    if drift is None:
        return _UNKNOWN
    if wide:
        return ", ".join(map(str, drift)) or "none"
    counts = Counter(change.action.value for change in drift)
    return ", ".join(f"{count} {action}" for action, count in counts.items()) or "none"


def _message(status: Status, *, wide: bool) -> str:
    message = " ".join(status.message.split())
    return f"{message} ({status.look.note})" if wide and status.look.note else message


def _age(since: str, now: datetime) -> str:
    """The two largest units, as kubectl has it: 3d4h."""
    if not since:
        return _UNKNOWN
    seconds = max(0, int((now - datetime.fromisoformat(since)).total_seconds()))
    parts: list[tuple[int, str]] = []
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append((count, unit))
    told = [f"{count}{unit}" for count, unit in parts[:2] if count]
    return "".join(told) or "0s"


def _counts(overview: Overview) -> str:
    if not overview.profiles:
        return "no profiles"
    if not overview.statuses:
        return _SILENCE
    counts = Counter(one.state.value for one in overview.statuses)
    drifted = sum(bool(one.look.drift) for one in overview.statuses)
    told = [f"{counts[state.value]} {state.value}" for state in State if counts[state.value]]
    told += [f"{drifted} drifted from the settings given here"] if drifted else []
    looked = "1 profile" if overview.profiles == 1 else f"{overview.profiles} profiles"
    return f"{looked}: {', '.join(told)}"


def _troubles(overview: Overview) -> list[str]:
    told = [f"{trouble}; {RIGHTS}" for trouble in overview.troubles]
    return [*told, f"as last seen: {overview.stale}"] if overview.stale else told


def _data(overview: Overview, *, unready: bool) -> dict[str, Any]:
    return {
        "ready": overview.well,
        "profiles": overview.profiles,
        "troubles": list(overview.troubles),
        "stale": overview.stale,
        "statuses": [_status_data(one) for one in _shown(overview, unready=unready)],
    }


def _status_data(status: Status) -> dict[str, Any]:
    look = status.look
    objects: Mapping[str, int] | None = look.objects
    drift = None if look.drift is None else [
        {
            "action": change.action.value,
            "kind": change.key.kind,
            "namespace": change.key.namespace,
            "name": change.key.name,
            "detail": change.detail,
        }
        for change in look.drift
    ]  # fmt: skip
    return {
        "profile": status.profile,
        "controller": status.controller,
        "state": status.state.value,
        "since": status.since or None,
        "message": status.message,
        "objects": None if objects is None else dict(sorted(objects.items())),
        "drift": drift,
        "note": look.note,
    }
