"""The table of Profiles: the condition of each controller, and the last change."""

import time
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from controllers.runtime.controller import AnyController
from tests.demo.environment import Environment
from tests.demo.state import Change

WIDTH = 100
MIN_CHANGE_WIDTH = 8
"""Width of the time of the last change. Without it the columns are numbered, with a legend."""
RECENT_SECONDS = 1.5
MAX_MESSAGES = 4
NAME_WIDTH = 17
HEADER_LINES = 2
"""Lines of the table besides its rows."""

STATUSES = {
    "True": ("●", "ready", "green"),
    "False": ("▲", "failed", "yellow"),
    "Unknown": ("‖", "paused", "blue"),
    "": ("·", "-", "dim"),
}
MAX_WORD_LENGTH = max(len(word) for _, word, _ in STATUSES.values())


def render(
    environment: Environment, *, lines: int | None, symbols: bool, width: int = WIDTH
) -> RenderableType:
    """The table with at most this many lines; None for a line for each Profile.

    Ready Profiles are omitted first. `symbols` are for terminals that can show them.
    """
    messages = failure_messages(environment)
    head = column_heads(environment.controllers, width, symbols=symbols)
    legend = legend_of(environment.controllers, head)
    names = environment.state.profiles()
    shown = names
    if lines is not None:
        room = max(lines - len(messages) - len(legend) - HEADER_LINES, 1)
        shown = most_relevant(environment, names, room)
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        expand=True,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="dim",
    )
    table.add_column("PROFILE", width=NAME_WIDTH, no_wrap=True, overflow="ellipsis")
    for word in head:
        table.add_column(word, no_wrap=True)
    table.add_column("LAST CHANGE", no_wrap=True, overflow="ellipsis", ratio=1)
    for name in shown:
        statuses = status_cells(environment, name, symbols=symbols)
        table.add_row(name, *statuses, last_change(environment, name))
    if hidden := len(names) - len(shown):
        table.add_row(Text(f"and {hidden} more", style="dim"))
    return Group(table, *legend, *messages)


def most_relevant(environment: Environment, names: Sequence[str], room: int) -> list[str]:
    """The Profiles that fail, then those that changed last, in the order of their names."""
    if len(names) <= room:
        return list(names)

    def weight(name: str) -> tuple[bool, float]:
        change = environment.state.last_change(name)
        return is_failed(environment, name), change.at if change else 0.0

    chosen = sorted(names, key=weight, reverse=True)[: max(room - 1, 1)]
    return [name for name in names if name in chosen]


def is_failed(environment: Environment, name: str) -> bool:
    return any(
        environment.state.condition(name, controller.condition).status == "False"
        for controller in environment.controllers
    )


def column_heads(controllers: Sequence[AnyController], width: int, *, symbols: bool) -> list[str]:
    """The controllers' names up to the hyphen, or numbers where the width does not suffice."""
    words = [controller.name.partition("-")[0].upper() for controller in controllers]
    minimum = 1 if symbols else MAX_WORD_LENGTH
    taken = NAME_WIDTH + 1 + sum(max(len(word), minimum) + 1 for word in words)
    if len(set(words)) == len(words) and taken + MIN_CHANGE_WIDTH <= width:
        return words
    return [str(number) for number in range(1, len(controllers) + 1)]


def legend_of(controllers: Sequence[AnyController], head: Sequence[str]) -> list[Text]:
    """The names of numbered controllers."""
    if not any(word.isdigit() for word in head):
        return []
    named = (f"{word} {each.name}" for word, each in zip(head, controllers, strict=True))
    return [Text("  ".join(named), style="dim", no_wrap=True, overflow="ellipsis")]


def status_cells(environment: Environment, name: str, *, symbols: bool) -> list[Text]:
    """The status of each controller's condition."""
    conditions = (
        environment.state.condition(name, each.condition) for each in environment.controllers
    )
    return [status_cell(condition.status, symbols=symbols) for condition in conditions]


def status_cell(status: str, *, symbols: bool) -> Text:
    """A symbol, or a word."""
    symbol, word, style = STATUSES.get(status, STATUSES[""])
    return Text(symbol if symbols else word, style=style)


def last_change(environment: Environment, name: str) -> Text:
    change = environment.state.last_change(name)
    if change is None:
        return Text("")
    is_recent = time.time() - change.at < RECENT_SECONDS
    return Text(describe(change), style="bold" if is_recent else "dim")


def describe(change: Change) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(change.at))
    return f"{clock}  {change.key.kind} {change.key.name} {change.verb}"


def failure_messages(environment: Environment) -> list[Text]:
    """The messages of the first conditions that are False."""
    found: dict[str, None] = {}
    for name in environment.state.profiles():
        for controller in environment.controllers:
            condition = environment.state.condition(name, controller.condition)
            if condition.status == "False":
                found[f"{name:<{NAME_WIDTH}}  {condition.message}"] = None
    lines = list(found)[:MAX_MESSAGES]
    return [Text(line, no_wrap=True, overflow="ellipsis") for line in ("", *lines) if lines]
