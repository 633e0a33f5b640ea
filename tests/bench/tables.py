"""The rows as people read them: a table, Markdown to paste, JSON for programs."""

import json
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.reports import Row, spread

HEADINGS = ("what", "budget", "measured (min / median / max)", "unit", "bare client", "met")
PLAIN_WIDTH = 200
VERDICTS = {True: "yes", False: "NO", None: ""}


def cells(row: Row) -> tuple[str, ...]:
    budget = ", ".join(map(str, row.budgets))
    bare = spread(row.bare)
    return (row.what, budget, row.measured, row.unit, bare, VERDICTS[row.met])


def show(rows: Sequence[Row], machine: Mapping[str, str]) -> None:
    """A table, coloured on a terminal; without one as wide as it needs."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH, no_color=True)
    table = Table(box=box.SIMPLE_HEAD, caption="; ".join(machine.values()), caption_justify="left")
    for heading in HEADINGS:
        table.add_column(heading)
    for row in rows:
        style = "bold red" if row.met is False else None
        table.add_row(*cells(row), style=style)
    console.print(table)
    for row in rows:
        if row.note:
            console.print(f"{row.name}: {row.note}", highlight=False)


def markdown(rows: Sequence[Row], machine: Mapping[str, str], command: str) -> str:
    """Machine, command and table."""
    lines = [f"- {name}: {value}" for name, value in {**machine, "command": f"`{command}`"}.items()]
    lines += ["", line(HEADINGS), line(["---"] * len(HEADINGS))]
    lines += [line(cells(row)) for row in rows]
    return "\n".join(lines) + "\n"


def line(words: Sequence[str]) -> str:
    return f"| {' | '.join(words)} |"


def as_json(rows: Sequence[Row], machine: Mapping[str, str], command: str) -> str:
    found = {"machine": dict(machine), "command": command, "rows": [one.as_json() for one in rows]}
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
