"""The order of the measurements, which share what takes long to set up."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import (
    apiserver,
    cold_start,
    drift,
    growth,
    memory,
    request,
    restart,
    tenant,
    volume,
    webhook,
    workload,
)
from tests.bench.environment import Environment, report_progress
from tests.bench.procfs import Memory
from tests.bench.rows import Row

ROWS = ("request", "cold", "restart", "drift", "tenant", "memory", "webhook", "volume", "growth")
DEFAULT_ROWS = ROWS[:-2]
RESTARTS_PER_REPEAT = 2

Add = Callable[[list[Row]], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What is measured, and the folder of its files."""

    folder: Path
    profiles: int
    repeats: int
    only: frozenset[str]
    _numbers: Iterator[int] = dataclasses.field(default_factory=itertools.count)

    def run(self, add: Add) -> None:
        """Measure, and add each row when it is complete."""
        if "request" in self.only:
            with self.start(1) as environment:
                add(request.rows(environment))
        if "webhook" in self.only:
            add(webhook.rows())
        if "volume" in self.only:
            with self.start(min(self.profiles, volume.PROFILES)) as environment:
                report_progress(f"volumes of {len(environment.profiles)} profiles")
                add(volume.rows(environment, self.folder / "volumes"))
        if "memory" in self.only:
            report_progress(f"memory: cold start of {memory.FEW_PROFILES} profiles")
            with self.start(memory.FEW_PROFILES) as environment:
                sample = cold_start.measure_alone(environment)[1]
                add(memory.rows(memory.FEW_PROFILES, [sample]))
        if "cold" in self.only:
            self._cold_starts(add)
        elif self.only & {"restart", "drift", "tenant", "memory"}:
            with self.start(self.profiles) as environment:
                report_progress(f"the bare client creates objects of {self.profiles} profiles")
                environment.run_bare("write", **environment.mix)
                self._with_objects(environment, add, [])
        if "growth" in self.only:
            add(growth.rows(self.start))

    @contextlib.contextmanager
    def start(self, profiles: int) -> Iterator[Environment]:
        """Start a new control plane with this number of tenants."""
        folder = self.folder / f"environment-{next(self._numbers)}"
        with Environment.start(folder, profiles) as environment:
            yield environment

    def _cold_starts(self, add: Add) -> None:
        """Suite and bare client in alternation; the last bare environment serves other rows."""
        pairs, samples = [], []
        for number in range(1, self.repeats + 1):
            report_progress(f"cold start {number} of {self.repeats}: {self.profiles} profiles")
            with self.start(self.profiles) as environment:
                with self.start(self.profiles) as suite:
                    writes, reference, sample = cold_start.measure_both(suite, environment)
                pairs.append((writes, reference))
                samples.append(sample)
                if number == self.repeats:
                    add(cold_start.rows(pairs, self.profiles))
                    self._with_objects(environment, add, samples)

    def _with_objects(self, environment: Environment, add: Add, samples: list[Memory]) -> None:
        """The other rows; those that change the environment come last."""
        if self.only & {"drift", "memory", "restart"}:
            bare: dict[str, list[float]] = {}
            if "drift" in self.only:
                with environment.bare_repairer():
                    bare = drift.measure(environment)
            report_progress("the suite with all objects in place")
            with idle(environment, workload.NETWORK) as sample_memory:
                if "memory" in self.only:
                    add(memory.rows(self.profiles, [*samples, sample_memory()]))
                if "drift" in self.only:
                    ours = drift.measure(environment)
                    add(drift.rows(ours, bare, len(environment.profiles)))
        if "restart" in self.only:
            count = RESTARTS_PER_REPEAT * self.repeats
            add(restart.rows([restart.measure_both(environment) for _ in range(count)],
                             self.profiles))  # fmt: skip
        if "tenant" in self.only:
            with idle(environment, workload.NETWORK):
                add(tenant.idle_rows(environment))
        if self.only & {"tenant", "memory"} and self.profiles <= memory.ALL_PROFILES:
            self._all_controllers(environment, add)
        if "tenant" in self.only:
            add(tenant.cold_start_rows(environment))

    def _all_controllers(self, environment: Environment, add: Add) -> None:
        report_progress("all controllers in one process; the bare client creates their objects")
        environment.run_bare("write", controllers=workload.OTHERS)
        with idle(environment, workload.ALL) as sample_memory:
            if "memory" in self.only:
                add(memory.rows(self.profiles, [sample_memory()], workload.ALL))
            if "tenant" in self.only:
                add(tenant.idle_rows(environment, workload.ALL))


@contextlib.contextmanager
def idle(environment: Environment, controllers: str) -> Iterator[Callable[[], Memory]]:
    """A process that has reconciled everything; the result samples its memory."""
    with environment.controllers(controllers) as process:
        process.wait_for("reconciled", restart.SECONDS)
        apiserver.wait_until_quiet(environment.plane)
        yield process.memory
