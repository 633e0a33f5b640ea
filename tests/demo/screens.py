"""What a person sees: on a terminal a table that lives below the log, elsewhere plain lines."""

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

from tests.demo import tables
from tests.demo.scenes import TITLE_WIDTH
from tests.demo.stages import Stage

REFRESHES_A_SECOND = 8
STATUS_LINES = 3
TENANT_WIDTH, VERDICT_WIDTH, TIME_WIDTH = 17, 20, 8
LEAST_TITLE_WIDTH = 20
LABEL_WIDTH = 12


@dataclasses.dataclass
class Step:
    """What is under way; `detail` is said once it is done."""

    words: str
    detail: str = ""


class Screen:
    """A context manager, so that the terminal is left as it was found."""

    def __init__(self) -> None:
        self.lively = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._console = console(lively=self.lively)
        self._signs = self._console.encoding.startswith("utf")
        self._stage: Stage | None = None
        self._status: Spinner | None = None
        self._ended = False
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self.lively:
            self._live = Live(
                console=self._console,
                get_renderable=self._frame,
                refresh_per_second=REFRESHES_A_SECOND,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._freeze()

    def _freeze(self) -> None:
        """Leaves the table as it is now, whole; what is told from here on stands below it."""
        self._status = None
        self._ended = True
        if self._live is not None:
            self._live.stop()
            self._live = None

    # What is told

    def headline(self, text: str) -> None:
        """A title with room around it."""
        self._print("")
        self._print(Text(text, style="bold"))
        self._print("")

    def say(self, text: str, style: str = "") -> None:
        """A line, whole: a path must not be cut."""
        self._console.print(Text(text, style=style), soft_wrap=True)

    @contextlib.contextmanager
    def step(self, words: str) -> Iterator[Step]:
        """Something that takes its time, and how long it took."""
        step = Step(words)
        began = time.monotonic()
        with self.busy(words):
            yield step
        took = spell(time.monotonic() - began)
        body = Text.assemble(
            (f"{'✓ ' if self._signs and self.lively else ''}", "green"),
            f"{step.words:<{TENANT_WIDTH + 2}}",
            (step.detail, "dim"),
        )
        self._print(aligned(body, took, self._console.width))

    @contextlib.contextmanager
    def busy(self, words: str) -> Iterator[None]:
        """Says on a terminal what is under way."""
        self._status = Spinner("dots", text=Text(words, style="dim"), style="cyan")
        try:
            yield
        finally:
            self._status = None

    def show(self, stage: Stage) -> None:
        """Its table, from now on where it can be kept up to date."""
        self._stage = stage

    def table(self) -> None:
        """The table as it is now, where it is not on the screen anyway."""
        if not self.lively and self._stage is not None:
            self._print("")
            self._print(tables.overview(self._stage, lines=None, signs=False))

    def last_table(self) -> None:
        """As it is in the end; nothing changes on the screen any more."""
        self._freeze()
        self.table()

    def scene(self, tenant: str, title: str, verdict: str, took: str) -> None:
        """What was done, what followed, and how long that took."""
        missing = tables.WIDTH - self._console.width
        width = max(TITLE_WIDTH - missing, LEAST_TITLE_WIDTH)
        body = Text.assemble(
            (f"{fit(tenant, TENANT_WIDTH):<{TENANT_WIDTH + 2}}", "cyan"),
            f"{fit(title, width):<{width + 2}}",
            (f"{fit(verdict, VERDICT_WIDTH):<{VERDICT_WIDTH + 1}}", "green"),
        )
        self._print(aligned(body, took, self._console.width))

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """A label and a sentence each."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(width=LABEL_WIDTH, style="bold")
        grid.add_column(overflow="fold")
        for label, sentence in facts:
            grid.add_row(label, sentence)
        self._print(grid)

    def fail(self, sentence: str) -> None:
        """Why the demo ends here."""
        self._freeze()
        self._print("")
        self.say(f"FAILED: {sentence}", style="bold red")

    def _print(self, what: RenderableType) -> None:
        self._console.print(what)

    # The part that lives

    def _frame(self) -> RenderableType:
        parts: list[RenderableType] = []
        if self._stage is not None:
            room = None if self._ended else self._console.height - STATUS_LINES
            table = tables.overview(
                self._stage, lines=room, signs=self._signs, width=self._console.width
            )
            parts.append(Padding(table, (1, 0, 0, 0)))
        if self._status is not None:
            parts.append(self._status)
        elif not self._ended:
            parts.append(Text(""))
        return Group(*parts)


def console(*, lively: bool) -> Console:
    """On a terminal as wide as it is, up to what reads well; elsewhere without any control code."""
    if lively:
        found = Console(highlight=False)
        return Console(highlight=False, width=min(found.width, tables.WIDTH))
    return Console(
        highlight=False, width=tables.WIDTH, force_terminal=False, color_system=None, no_color=True
    )


def aligned(body: Text, took: str, width: int) -> Text:
    """The time at the right edge."""
    body.truncate(width - TIME_WIDTH, overflow="ellipsis", pad=True)
    body.append(f"{took:>{TIME_WIDTH}}", style="bold")
    return body


def fit(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def spell(seconds: float) -> str:
    """`8 ms` or `3.1 s`."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
