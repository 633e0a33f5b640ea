"""Cold start: the writes of a first start, beside the bare client's, same bodies and same mix."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable

from tests.bench import counts, probes, races, synthetic
from tests.bench.reports import Row, at_least, at_most
from tests.bench.stages import Stage, say

BUDGETED_RATE = 1660
"""Writes a second of the bare client on the machine that the budget was stated for (design.md)."""
SCALED = f"… the same where the bare client makes {BUDGETED_RATE} writes/s"
Opened = Callable[[int], contextlib.AbstractContextManager[Stage]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """All writes of one client, from the first to the last."""

    made: Counter[str]
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.made.total() / self.seconds

    @property
    def milliseconds(self) -> float:
        """Of processor time a write."""
        return self.cpu / self.made.total() * 1000

    @property
    def mix(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in sorted(self.made.items()))


class Contender:
    """A stage, what had been written on it before, and the runner that follows a client there."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._before = counts.writes(stage.plane)
        self._policies = len(stage.profiles) * len(synthetic.policies())
        self.runner = races.Runner.before(stage, self._policies + len(stage.profiles))

    def result(self) -> Start:
        """Raises AssertionError when the policies were not written exactly once."""
        made = counts.writes(self.stage.plane) - self._before
        there = counts.total(self.stage.plane, counts.POLICIES)
        if {there, made["POST networkpolicies"]} != {self._policies}:
            raise AssertionError(f"{there} policies, expected {self._policies}: {dict(made)}")
        first, last = counts.span(self.runner.samples, made.total())
        return Start(made=made, seconds=last.at - first.at, cpu=last.cpu - first.cpu)


def start(stage: Stage) -> tuple[Start, probes.Memory]:
    """The suite alone, and its memory after it."""
    contender = Contender(stage)
    with stage.suite(synthetic.NETWORK) as suite:
        contender.runner.enter(suite.pid)
        races.run(contender.runner)
        memory = suite.memory()
    return contender.result(), memory


def race(suites: Stage, bares: Stage) -> tuple[Start, Start, probes.Memory]:
    """The suite and the bare client in turns, each on its own stage; and the suite's memory."""
    ours, theirs = Contender(suites), Contender(bares)
    with suites.suite(synthetic.NETWORK) as suite, bares.bare_writer() as writer:
        ours.runner.enter(suite.pid)
        theirs.runner.enter(writer.pid)
        races.run(ours.runner, theirs.runner)
        memory = suite.memory()
    result, bare = ours.result(), theirs.result()
    say(f"  suite {result.rate:.0f} writes/s, {result.milliseconds:.3f} ms of CPU a write")
    say(f"  bare  {bare.rate:.0f} writes/s, {bare.milliseconds:.3f} ms")
    if result.made != bare.made:
        say(f"  the mix differs: {result.mix}; bare {bare.mix}")
    return result, bare, memory


def rows(pairs: list[tuple[Start, Start]], profiles: int) -> list[Row]:
    ours, bares = [one for one, _ in pairs], [bare for _, bare in pairs]
    what = f"cold start, {profiles} profiles of {len(synthetic.policies())} policies"
    return [
        Row(name="cold.rate", what=what, unit="writes/s", samples=[one.rate for one in ours],
            bare=[bare.rate for bare in bares], note=f"{ours[-1].mix}; bare: {bares[-1].mix}"),
        Row(name="cold.ratio", what="… as a part of the bare client's rate", unit="times",
            samples=[one.rate / bare.rate for one, bare in pairs], budgets=[at_least(0.7)]),
        Row(name="cold.cpu", what="… client CPU a write", unit="ms",
            samples=[one.milliseconds for one in ours], budgets=[at_most(0.35)],
            bare=[bare.milliseconds for bare in bares]),
        Row(name="cold.scaled", what=SCALED, unit="ms", budgets=[at_most(0.35)],
            samples=[one.milliseconds * bare.rate / BUDGETED_RATE for one, bare in pairs]),
    ]  # fmt: skip
