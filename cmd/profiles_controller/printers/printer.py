"""Prints documents on standard output as tables, JSON or YAML.

Tables have colours, and change in place, on a terminal only. Warnings go to standard error.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import typer

from profiles_controller.config import yaml


class OutputFormat(StrEnum):
    """The formats of every command that prints a table."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Titles and rows. Only the last column is cut where a terminal is narrow."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    styles: Mapping[str, str] = field(default_factory=dict)
    """Styles of rich for cells with these texts; the last column has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a command prints: data for programs, and the same as a table for people."""

    data: Any
    """Mappings, lists, texts, numbers, booleans and None, with stable names."""
    table: Table
    summary: str = ""
    """One line below the table, or above it where the table changes in place."""
    warnings: tuple[str, ...] = ()


PrintDocument = Callable[[Document], None]


def print_document(document: Document, output: OutputFormat) -> None:
    """Prints one document."""
    match output:
        case OutputFormat.JSON:
            typer.echo(json.dumps(document.data, indent=2, ensure_ascii=False))
        case OutputFormat.YAML:
            typer.echo(yaml.dump([document.data]), nl=False)
        case _:
            _print_table(document, output)
    for warning in document.warnings:
        typer.secho(f"Warning: {warning}", err=True, fg=typer.colors.YELLOW)


@contextlib.contextmanager
def watch_printer(output: OutputFormat) -> Iterator[PrintDocument]:
    """Yields a function that prints a document after another.

    On a terminal a table replaces the one before. Elsewhere, and as JSON or YAML, the function
    prints a document only if its data changed: a table also contains ages, which always change.
    """
    if output in (OutputFormat.TABLE, OutputFormat.WIDE) and sys.stdout.isatty():
        with _live_printer(output) as print_live:
            yield print_live
        return
    previous: Any = None

    def print_changed(document: Document) -> None:
        nonlocal previous
        if document.data != previous:
            print_document(document, output)
        previous = document.data

    yield print_changed


@contextlib.contextmanager
def _live_printer(output: OutputFormat) -> Iterator[PrintDocument]:
    from rich.console import Console, Group  # noqa: PLC0415 - slow to import; for terminals only
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Live(console=Console(), screen=True, auto_refresh=False) as live:

        def print_live(document: Document) -> None:
            # The screen cuts what does not fit below, so the lines that matter most come first.
            warnings = (Text(f"Warning: {one}", style="yellow") for one in document.warnings)
            table = [_rich_table(document.table, output)] if document.table.rows else []
            live.update(Group(Text(document.summary), *warnings, *table), refresh=True)

        yield print_live


def _print_table(document: Document, output: OutputFormat) -> None:
    if not document.table.rows:
        pass  # titles alone are no information
    elif sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415 - slow to import; for terminals only

        Console().print(_rich_table(document.table, output))
    else:
        for line in _aligned(document.table):
            typer.echo(line)
    if document.summary:
        typer.echo(document.summary)


def _aligned(table: Table) -> Iterator[str]:
    rows = [table.columns, *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "   ".join(cells).rstrip()


def _rich_table(table: Table, output: OutputFormat) -> Any:
    from rich.table import Table as RichTable  # noqa: PLC0415 - slow to import; for terminals only
    from rich.text import Text  # noqa: PLC0415

    wide = output is OutputFormat.WIDE
    rendered = RichTable(box=None, padding=(0, 2, 0, 0))
    for title in table.columns:
        shrinks = wide or title == table.columns[-1]
        rendered.add_column(title, no_wrap=not shrinks, overflow="fold")
    for *cells, last in table.rows:
        styled = (Text(cell, style=table.styles.get(cell, "")) for cell in cells)
        cut = Text(last) if wide else Text(last, no_wrap=True, overflow="ellipsis")
        rendered.add_row(*styled, cut)
    return rendered
