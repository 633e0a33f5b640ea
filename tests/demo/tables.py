"""The table of Profiles: who is in shape, who is not and why, and what changed last."""

import time
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from controllers.runtime.controller import AnyController
from tests.demo.stages import Stage
from tests.demo.worlds import Change

WIDTH = 100
LEAST_CHANGE_WIDTH = 8
"""Room for the time of the last change; where it lacks, controllers are numbered, with a legend."""
FRESH_SECONDS = 1.5
MOST_NOTES = 4
NAME_WIDTH = 17
FRAME_LINES = 2
"""What the table takes beside its rows."""

STATES = {
    "True": ("●", "ready", "green"),
    "False": ("▲", "NOT", "yellow"),
    "Unknown": ("‖", "paused", "blue"),
    "": ("·", "-", "dim"),
}
LONGEST_WORD = max(len(word) for _, word, _ in STATES.values())


def overview(stage: Stage, *, lines: int | None, signs: bool, width: int = WIDTH) -> RenderableType:
    """At most so many lines (None: as many as there are Profiles); signs where they can be drawn.

    Profiles that nothing is to be told of are left out first.
    """
    told = notes(stage)
    head = heads(stage.controllers, width, signs=signs)
    legend = legend_of(stage.controllers, head)
    names = stage.world.profiles()
    shown = names
    if lines is not None:
        room = max(lines - len(told) - len(legend) - FRAME_LINES, 1)
        shown = chosen(stage, names, room)
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
        table.add_row(name, *cells(stage, name, signs=signs), last_change(stage, name))
    if hidden := len(names) - len(shown):
        table.add_row(Text(f"and {hidden} more", style="dim"))
    return Group(table, *legend, *told)


def chosen(stage: Stage, names: Sequence[str], room: int) -> list[str]:
    """The most telling Profiles, in the order of their names."""
    if len(names) <= room:
        return list(names)

    def weight(name: str) -> tuple[bool, float]:
        change = stage.world.last_change(name)
        return is_told_of(stage, name), change.at if change else 0.0

    best = sorted(names, key=weight, reverse=True)[: max(room - 1, 1)]
    return [name for name in names if name in best]


def is_told_of(stage: Stage, name: str) -> bool:
    return any(
        stage.world.condition(name, controller.condition).status == "False"
        for controller in stage.controllers
    )


def heads(controllers: Sequence[AnyController], width: int, *, signs: bool) -> list[str]:
    """A word for each column: of a name the part before the hyphen; numbers where it is narrow."""
    words = [controller.name.partition("-")[0].upper() for controller in controllers]
    least = 1 if signs else LONGEST_WORD
    taken = NAME_WIDTH + 1 + sum(max(len(word), least) + 1 for word in words)
    if len(set(words)) == len(words) and taken + LEAST_CHANGE_WIDTH <= width:
        return words
    return [str(number) for number in range(1, len(controllers) + 1)]


def legend_of(controllers: Sequence[AnyController], head: Sequence[str]) -> list[Text]:
    """What the numbers stand for; nothing where there are none."""
    if not any(word.isdigit() for word in head):
        return []
    named = (f"{word} {each.name}" for word, each in zip(head, controllers, strict=True))
    return [Text("  ".join(named), style="dim", no_wrap=True, overflow="ellipsis")]


def cells(stage: Stage, name: str, *, signs: bool) -> list[Text]:
    """A controller's judgement each, in its column."""
    statuses = [stage.world.condition(name, each.condition).status for each in stage.controllers]
    return [state(status, signs=signs) for status in statuses]


def state(status: str, *, signs: bool) -> Text:
    """A sign, or a word where signs cannot be drawn."""
    sign, word, style = STATES.get(status, STATES[""])
    return Text(sign if signs else word, style=style)


def last_change(stage: Stage, name: str) -> Text:
    change = stage.world.last_change(name)
    if change is None:
        return Text("")
    fresh = time.time() - change.at < FRESH_SECONDS
    return Text(told_change(change), style="bold" if fresh else "dim")


def told_change(change: Change) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(change.at))
    return f"{clock}  {change.key.kind} {change.key.name} {change.verb}"


def notes(stage: Stage) -> list[Text]:
    """What the Profiles that are not ready say, a line each."""
    said: dict[str, None] = {}
    for name in stage.world.profiles():
        for controller in stage.controllers:
            condition = stage.world.condition(name, controller.condition)
            if condition.status == "False":
                said[f"{name:<{NAME_WIDTH}}  {condition.message}"] = None
    lines = list(said)[:MOST_NOTES]
    return [Text(line, no_wrap=True, overflow="ellipsis") for line in ("", *lines) if lines]
