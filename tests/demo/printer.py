"""The output: on a terminal with a table that is updated in place, elsewhere plain lines."""

import contextlib
import dataclasses
import os
import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from tests.demo import status_table
from tests.demo.damage import TITLE_WIDTH, Step
from tests.demo.environment import Environment

REFRESHES_PER_SECOND = 8
STATUS_LINES = 3
TENANT_WIDTH, OUTCOME_WIDTH, TIME_WIDTH = 17, 20, 8
MIN_TITLE_WIDTH = 20
LABEL_WIDTH = 12


@dataclasses.dataclass
class Task:
    """A part of the preparation. `detail` is printed when it is done."""

    name: str
    detail: str = ""


class Printer:
    """A context manager: it restores the terminal."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._console = terminal_console() if self.is_terminal else plain_console()
        self._symbols = self._console.encoding.startswith("utf")
        self._environment: Environment | None = None
        self._spinner: Spinner | None = None
        self._stopped = False
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self.is_terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self._frame,
                refresh_per_second=REFRESHES_PER_SECOND,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop_live()

    def _stop_live(self) -> None:
        """Prints the complete table a last time. Further output follows below it."""
        self._spinner = None
        self._stopped = True
        if self._live is not None:
            self._live.stop()
            self._live = None

    # Lines

    def headline(self, text: str) -> None:
        """Prints a title between empty lines."""
        self._print("")
        self._print(Text(text, style="bold"))
        self._print("")

    def line(self, text: str, style: str = "") -> None:
        """Prints a line without wrapping, so that a path can be copied."""
        self._console.print(Text(text, style=style), soft_wrap=True)

    @contextlib.contextmanager
    def task(self, name: str) -> Iterator[Task]:
        """Prints the name, detail and duration of a task when it is done."""
        task = Task(name)
        started = time.monotonic()
        with self.spinner(name):
            yield task
        duration = format_seconds(time.monotonic() - started)
        body = Text.assemble(
            (f"{'✓ ' if self._symbols and self.is_terminal else ''}", "green"),
            f"{task.name:<{TENANT_WIDTH + 2}}",
            (task.detail, "dim"),
        )
        self._print(with_duration(body, duration, self._console.width))

    @contextlib.contextmanager
    def spinner(self, text: str) -> Iterator[None]:
        """Shows on a terminal what is in progress."""
        self._spinner = Spinner("dots", text=Text(text, style="dim"), style="cyan")
        try:
            yield
        finally:
            self._spinner = None

    def show_table(self, environment: Environment) -> None:
        """Shows the status table of the environment from now on, on a terminal."""
        self._environment = environment

    def print_table(self) -> None:
        """Prints the current table where the output is not a terminal."""
        if not self.is_terminal and self._environment is not None:
            self._print("")
            self._print(status_table.render(self._environment, lines=None, symbols=False))

    def print_last_table(self) -> None:
        """Prints the table a last time."""
        self._stop_live()
        self.print_table()

    def step(self, step: Step, duration: str) -> None:
        """Prints a step, its outcome and its duration."""
        missing = status_table.WIDTH - self._console.width
        width = max(TITLE_WIDTH - missing, MIN_TITLE_WIDTH)
        body = Text.assemble(
            (f"{shorten(step.tenant, TENANT_WIDTH):<{TENANT_WIDTH + 2}}", "cyan"),
            f"{shorten(step.title, width):<{width + 2}}",
            (f"{shorten(step.outcome, OUTCOME_WIDTH):<{OUTCOME_WIDTH + 1}}", "green"),
        )
        self._print(with_duration(body, duration, self._console.width))

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Prints labels with sentences."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(width=LABEL_WIDTH, style="bold")
        grid.add_column(overflow="fold")
        for label, sentence in facts:
            grid.add_row(label, sentence)
        self._print(grid)

    def fail(self, message: str) -> None:
        """Prints why the demo fails."""
        self._stop_live()
        self._print("")
        self.line(f"FAILED: {message}", style="bold red")

    def _print(self, renderable: RenderableType) -> None:
        self._console.print(renderable)

    # The part of a terminal that is updated in place

    def _frame(self) -> RenderableType:
        elements: list[RenderableType] = []
        if self._environment is not None:
            lines = None if self._stopped else self._console.height - STATUS_LINES
            table = status_table.render(
                self._environment, lines=lines, symbols=self._symbols, width=self._console.width
            )
            elements.append(Padding(table, (1, 0, 0, 0)))
        if self._spinner is not None:
            elements.append(self._spinner)
        elif not self._stopped:
            elements.append(Text(""))
        return Group(*elements)


def terminal_console() -> Console:
    """A console of the terminal's width, up to WIDTH."""
    found = Console(highlight=False)
    return Console(highlight=False, width=min(found.width, status_table.WIDTH))


def plain_console() -> Console:
    """A console that prints no control codes."""
    return Console(
        highlight=False,
        width=status_table.WIDTH,
        force_terminal=False,
        color_system=None,
        no_color=True,
    )


def with_duration(body: Text, duration: str, width: int) -> Text:
    """The text with the duration at the right edge."""
    body.truncate(width - TIME_WIDTH, overflow="ellipsis", pad=True)
    body.append(f"{duration:>{TIME_WIDTH}}", style="bold")
    return body


def shorten(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def format_seconds(seconds: float) -> str:
    """`8 ms` or `3.1 s`."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
