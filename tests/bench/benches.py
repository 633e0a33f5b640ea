"""Which rows are measured in which order, so that they share what is costly to set up."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import (
    cold,
    counts,
    drifts,
    growths,
    memories,
    request,
    restarts,
    synthetic,
    tenants,
    volumes,
    webhooks,
)
from tests.bench.probes import Memory
from tests.bench.reports import Row
from tests.bench.stages import Stage, say

ROWS = ("request", "cold", "restart", "drift", "tenant", "memory", "webhook", "volume", "growth")
DEFAULT_ROWS = ROWS[:-2]
RESTARTS_A_REPEAT = 2

Take = Callable[[list[Row]], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """What is to be measured, and where its files go."""

    folder: Path
    profiles: int
    repeats: int
    only: frozenset[str]
    _numbers: Iterator[int] = dataclasses.field(default_factory=itertools.count)

    def run(self, take: Take) -> None:
        """Measures, and hands the rows over as they come."""
        if "request" in self.only:
            with self.opened(1) as stage:
                take(request.rows(stage))
        if "webhook" in self.only:
            take(webhooks.rows())
        if "volume" in self.only:
            with self.opened(min(self.profiles, volumes.PROFILES)) as stage:
                say(f"volumes of {len(stage.profiles)} profiles")
                take(volumes.rows(stage, self.folder / "volumes"))
        if "memory" in self.only:
            say(f"memory: cold start of {memories.FEW} profiles")
            with self.opened(memories.FEW) as stage:
                take(memories.rows(memories.FEW, [cold.start(stage)[1]]))
        if "cold" in self.only:
            self._cold(take)
        elif self.only & {"restart", "drift", "tenant", "memory"}:
            with self.opened(self.profiles) as stage:
                say(f"loading {self.profiles} profiles with the bare client")
                stage.bare("write", **stage.mix)
                self._on_loaded(stage, take, [])
        if "growth" in self.only:
            take(growths.rows(self.opened))

    @contextlib.contextmanager
    def opened(self, profiles: int) -> Iterator[Stage]:
        """A new control plane with so many tenants."""
        with Stage.opened(self.folder / f"stage-{next(self._numbers)}", profiles) as stage:
            yield stage

    def _cold(self, take: Take) -> None:
        """Suite and bare client in turns; the last one's control plane serves the other rows."""
        pairs, memory = [], []
        for number in range(1, self.repeats + 1):
            say(f"cold start {number} of {self.repeats}: {self.profiles} profiles")
            with self.opened(self.profiles) as stage:
                with self.opened(self.profiles) as suites:
                    suite, bare, rested = cold.race(suites, stage)
                pairs.append((suite, bare))
                memory.append(rested)
                if number == self.repeats:
                    take(cold.rows(pairs, self.profiles))
                    scale = bare.rate / cold.BUDGETED_RATE
                    self._on_loaded(stage, take, memory, scale)

    def _on_loaded(
        self, stage: Stage, take: Take, memory: list[Memory], scale: float | None = None
    ) -> None:
        """Everything else, from what leaves the stage as it was to what does not.

        `scale` is how fast this machine is beside the budget's, where it was measured.
        """
        if self.only & {"drift", "memory", "restart"}:
            repaired: dict[str, list[float]] = {}
            if "drift" in self.only:
                with stage.bare_repairer():
                    repaired = drifts.measured(stage)
            say("the suite on a loaded control plane")
            with resting(stage, synthetic.NETWORK) as rested:
                if "memory" in self.only:
                    take(memories.rows(self.profiles, [*memory, rested()]))
                if "drift" in self.only:
                    ours = drifts.measured(stage)
                    take(drifts.rows(ours, repaired, len(stage.profiles), scale))
        if "restart" in self.only:
            pairs = [restarts.pair(stage) for _ in range(RESTARTS_A_REPEAT * self.repeats)]
            take(restarts.rows(pairs, self.profiles))
        if "tenant" in self.only:
            with resting(stage, synthetic.NETWORK):
                take(tenants.idle_rows(stage))
        if self.only & {"tenant", "memory"} and self.profiles <= memories.ALL_PROFILES:
            self._all(stage, take)
        if "tenant" in self.only:
            take(tenants.crowd_rows(stage))

    def _all(self, stage: Stage, take: Take) -> None:
        say("all controllers in one process; loading their objects with the bare client")
        stage.bare("write", controllers=synthetic.OTHERS)
        with resting(stage, synthetic.ALL) as rested:
            if "memory" in self.only:
                take(memories.rows(self.profiles, [rested()], synthetic.ALL))
            if "tenant" in self.only:
                take(tenants.idle_rows(stage, synthetic.ALL))


@contextlib.contextmanager
def resting(stage: Stage, controllers: str) -> Iterator[Callable[[], Memory]]:
    """A suite that has said all that it has to say; the answer measures its memory."""
    with stage.suite(controllers) as suite:
        suite.wait_for("reconciled", restarts.SECONDS)
        counts.until_still(stage.plane)
        yield suite.memory
