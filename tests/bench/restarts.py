"""Restart: from the first request to nothing to write, with every object in place."""

import dataclasses

from tests.bench import counts, synthetic
from tests.bench.reports import Row, at_most
from tests.bench.stages import Cost, Stage, say

SECONDS = 600.0
BUDGET = 3.0
POLICIES = 24_000
"""Seconds with at most so many policies; with more in proportion: 15 s with 120,000."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Restart:
    """One restart; processor time of the same span."""

    seconds: float
    cpu: float
    writes: int


def restart(stage: Stage, controllers: str = synthetic.NETWORK) -> Restart:
    """Starts the suite, and stops it once all is said that it has to say."""
    before = counts.writes(stage.plane)
    with stage.suite(controllers) as suite:
        began = suite.wait_for("began", SECONDS)
        ended = suite.wait_for("reconciled", SECONDS)
        counts.until_still(stage.plane)
        made = counts.writes(stage.plane) - before
    if made:
        say(f"  a restart wrote {dict(made)}")
    return Restart(seconds=ended.at - began.at, cpu=ended.cpu - began.cpu, writes=made.total())


def pair(stage: Stage) -> tuple[Restart, Cost]:
    """The bare list, parse and digest, then the suite."""
    bare = stage.bare("list")
    suite = restart(stage)
    say(f"  restart {suite.seconds:.2f} s, bare list and digest {bare.seconds:.2f} s")
    return suite, bare


def rows(pairs: list[tuple[Restart, Cost]], profiles: int) -> list[Row]:
    policies = len(synthetic.policies())
    bound = BUDGET * max(1.0, profiles * policies / POLICIES)
    suites = [suite for suite, _ in pairs]
    what = f"restart, {profiles} profiles of {policies} policies"
    return [
        Row(name="restart.wall", what=what, unit="s", samples=[one.seconds for one in suites],
            budgets=[at_most(round(bound, 2))], bare=[bare.seconds for _, bare in pairs],
            note="bare: list, parse and digest alone"),
        Row(name="restart.cpu", what="… client CPU", unit="s",
            samples=[one.cpu for one in suites], bare=[bare.cpu for _, bare in pairs]),
        Row(name="restart.writes", what="… writes", unit="",
            samples=[one.writes for one in suites], budgets=[at_most(0, "max")]),
    ]  # fmt: skip
