"""Cold start: the writes of a first start, beside the same writes of the bare client."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable

from tests.bench import alternation, apiserver, procfs, workload
from tests.bench.environment import Environment, report_progress
from tests.bench.rows import Row, at_least, at_most

Start = Callable[[int], contextlib.AbstractContextManager[Environment]]
"""Starts an environment with this number of profiles."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Writes:
    """All writes of one client, from the first to the last."""

    made: Counter[str]
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.made.total() / self.seconds

    @property
    def milliseconds(self) -> float:
        """CPU time per write."""
        return self.cpu / self.made.total() * 1000

    @property
    def mix(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in sorted(self.made.items()))


class Measurement:
    """The writes of one client in an environment without objects of controllers."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._before = apiserver.writes(environment.plane)
        self._policies = len(environment.profiles) * len(workload.policies())
        minimum = self._policies + len(environment.profiles)
        self.writer = alternation.Writer.before_start(environment, minimum)

    def result(self) -> Writes:
        """Raises AssertionError if not every policy was written exactly once."""
        made = apiserver.writes(self.environment.plane) - self._before
        total = apiserver.total(self.environment.plane, apiserver.POLICIES)
        if {total, made["POST networkpolicies"]} != {self._policies}:
            raise AssertionError(f"{total} policies, expected {self._policies}: {dict(made)}")
        first, last = apiserver.span(self.writer.samples, made.total())
        return Writes(made=made, seconds=last.at - first.at, cpu=last.cpu - first.cpu)


def measure_alone(environment: Environment) -> tuple[Writes, procfs.Memory]:
    """The suite alone, and its memory afterwards."""
    measurement = Measurement(environment)
    with environment.controllers(workload.NETWORK) as process:
        measurement.writer.started(process.pid)
        alternation.run(measurement.writer)
        memory = process.memory()
    return measurement.result(), memory


def measure_both(suite: Environment, bare: Environment) -> tuple[Writes, Writes, procfs.Memory]:
    """The suite and the bare client in alternation; and the memory of the suite."""
    ours, theirs = Measurement(suite), Measurement(bare)
    with suite.controllers(workload.NETWORK) as process, bare.bare_writer() as bare_process:
        ours.writer.started(process.pid)
        theirs.writer.started(bare_process.pid)
        alternation.run(ours.writer, theirs.writer)
        memory = process.memory()
    result, reference = ours.result(), theirs.result()
    report_progress(
        f"  suite {result.rate:.0f} writes/s, {result.milliseconds:.3f} ms of CPU per write"
    )
    report_progress(f"  bare  {reference.rate:.0f} writes/s, {reference.milliseconds:.3f} ms")
    if result.made != reference.made:
        report_progress(f"  the mix differs: {result.mix}; bare {reference.mix}")
    return result, reference, memory


def rows(pairs: list[tuple[Writes, Writes]], profiles: int) -> list[Row]:
    ours, bares = [one for one, _ in pairs], [bare for _, bare in pairs]
    title = f"cold start, {profiles} profiles of {len(workload.policies())} policies"
    return [
        Row(name="cold.rate", title=title, unit="writes/s", samples=[one.rate for one in ours],
            bare=[bare.rate for bare in bares], note=f"{ours[-1].mix}; bare: {bares[-1].mix}"),
        Row(name="cold.rate.ratio", title="… by the bare client's", unit="times",
            samples=[one.rate / bare.rate for one, bare in pairs], budgets=[at_least(0.65)]),
        Row(name="cold.cpu", title="… client CPU per write", unit="ms",
            samples=[one.milliseconds for one in ours],
            bare=[bare.milliseconds for bare in bares]),
        Row(name="cold.cpu.ratio", title="… by the bare client's", unit="times",
            samples=[one.milliseconds / bare.milliseconds for one, bare in pairs],
            budgets=[at_most(2.2)]),
    ]  # fmt: skip
