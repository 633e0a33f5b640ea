"""Cold start: the writes of a first start, beside the bare client's, same bodies and same mix."""

import contextlib
import dataclasses
from collections.abc import Callable

from tests.bench import counts, probes, synthetic
from tests.bench.reports import Row, at_least, at_most
from tests.bench.stages import Cost, Stage

SECONDS = 1800.0
Opened = Callable[[int], contextlib.AbstractContextManager[Stage]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColdStart:
    """One cold start of the suite."""

    writes: int
    events: int
    statuses: int
    seconds: float
    cpu: float
    memory: probes.Memory

    @property
    def rate(self) -> float:
        return self.writes / self.seconds

    @property
    def milliseconds(self) -> float:
        """Of processor time a write."""
        return self.cpu / self.writes * 1000


def start(stage: Stage, controllers: str = synthetic.NETWORK) -> ColdStart:
    """Runs the suite on a stage without its objects, and counts exactly what it wrote."""
    policies = len(stage.profiles) * len(synthetic.policies())
    before = counts.writes(stage.plane)
    revision = counts.revision(stage.plane)
    with stage.suite(controllers) as suite:
        expected = revision + policies + len(stage.profiles)
        samples = counts.follow(stage.plane, suite.pid, expected, SECONDS)
        made = counts.writes(stage.plane) - before
        memory = suite.memory()
    if (there := counts.total(stage.plane, counts.POLICIES)) != policies:
        raise AssertionError(f"{there} policies, expected {policies}")
    if made["POST networkpolicies"] != policies:
        raise AssertionError(f"policies were written more than once: {dict(made)}")
    first, last = counts.span(samples, made.total())
    return ColdStart(
        writes=made.total(),
        events=sum(n for name, n in made.items() if name.endswith(" events")),
        statuses=sum(n for name, n in made.items() if name.endswith(" profiles/status")),
        seconds=last.at - first.at,
        cpu=last.cpu - first.cpu,
        memory=memory,
    )


def load(stage: Stage, like: ColdStart | None = None) -> Cost:
    """The bare client writes what the suite writes, in the same mix."""
    events = like.events if like else len(stage.profiles)
    statuses = like.statuses if like else len(stage.profiles)
    return stage.bare("write", events=events, statuses=statuses)


def rows(pairs: list[tuple[ColdStart, Cost]], profiles: int) -> list[Row]:
    suites = [suite for suite, _ in pairs]
    bares = [bare.count / bare.seconds for _, bare in pairs]
    what = f"cold start, {profiles} profiles of {len(synthetic.policies())} policies"
    last = suites[-1]
    mix = f"{last.writes} writes: {last.events} events, {last.statuses} status patches"
    return [
        Row(name="cold.rate", what=what, unit="writes/s", samples=[one.rate for one in suites],
            bare=bares, note=mix),
        Row(name="cold.ratio", what="… as a part of the bare client's rate", unit="times",
            samples=[one.rate / bare for one, bare in zip(suites, bares, strict=True)],
            budgets=[at_least(0.7)]),
        Row(name="cold.cpu", what="… client CPU a write", unit="ms",
            samples=[one.milliseconds for one in suites], budgets=[at_most(0.35)],
            bare=[bare.cpu / bare.count * 1000 for _, bare in pairs]),
    ]  # fmt: skip
