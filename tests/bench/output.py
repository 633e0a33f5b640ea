"""The results as a table, as Markdown, and as JSON."""

import json
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.rows import Row, spread

HEADINGS = ("row", "budget", "measured (min / median / max)", "unit", "bare client", "met")
PLAIN_WIDTH = 200
VERDICTS = {True: "yes", False: "NO", None: ""}


def cells(row: Row) -> tuple[str, ...]:
    budget = ", ".join(map(str, row.budgets))
    return (row.title, budget, row.measured, row.unit, spread(row.bare), VERDICTS[row.is_met])


def show(rows: Sequence[Row], description: Mapping[str, str]) -> None:
    """Print a table: coloured on a terminal, otherwise as wide as necessary."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH, no_color=True)
    caption = "; ".join(description.values())
    table = Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify="left")
    for heading in HEADINGS:
        table.add_column(heading)
    for row in rows:
        style = "bold red" if row.is_met is False else None
        table.add_row(*cells(row), style=style)
    console.print(table)
    for row in rows:
        if row.note:
            console.print(f"{row.name}: {row.note}", highlight=False)


def as_markdown(rows: Sequence[Row], description: Mapping[str, str], command: str) -> str:
    """The machine, the command and the table."""
    facts = {**description, "command": f"`{command}`"}
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    lines += ["", markdown_line(HEADINGS), markdown_line(["---"] * len(HEADINGS))]
    lines += [markdown_line(cells(row)) for row in rows]
    return "\n".join(lines) + "\n"


def markdown_line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def as_json(rows: Sequence[Row], description: Mapping[str, str], command: str) -> str:
    document = {
        "machine": dict(description),
        "command": command,
        "rows": [one.as_json() for one in rows],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
