"""Restart: from the first request to the last reconcile, with every object in place."""

import dataclasses

from tests.bench import apiserver, workload
from tests.bench.environment import Cost, Environment, report_progress
from tests.bench.rows import Row, at_most

SECONDS = 600.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Restart:
    """One restart; the CPU time is of the same span."""

    seconds: float
    cpu: float
    writes: int


def measure(environment: Environment, controllers: str = workload.NETWORK) -> Restart:
    """Start the suite; stop it when it has reconciled every profile and writes nothing."""
    before = apiserver.writes(environment.plane)
    with environment.controllers(controllers) as process:
        start = process.wait_for("start", SECONDS)
        end = process.wait_for("reconciled", SECONDS)
        apiserver.wait_until_quiet(environment.plane)
        made = apiserver.writes(environment.plane) - before
    if made:
        report_progress(f"  a restart wrote {dict(made)}")
    return Restart(seconds=end.at - start.at, cpu=end.cpu - start.cpu, writes=made.total())


def measure_both(environment: Environment) -> tuple[Restart, Cost]:
    """The suite, and a bare list with parse and digest."""
    bare = environment.run_bare("list")
    suite = measure(environment)
    report_progress(f"  restart {suite.seconds:.2f} s, bare list and digest {bare.seconds:.2f} s")
    return suite, bare


def rows(pairs: list[tuple[Restart, Cost]], profiles: int) -> list[Row]:
    suites = [suite for suite, _ in pairs]
    title = f"restart, {profiles} profiles of {len(workload.policies())} policies"
    return [
        Row(name="restart.wall", title=title, unit="s", samples=[one.seconds for one in suites],
            bare=[bare.seconds for _, bare in pairs], note="bare: list, parse and digest only"),
        Row(name="restart.wall.ratio", title="… by the bare list's", unit="times",
            samples=[suite.seconds / bare.seconds for suite, bare in pairs],
            budgets=[at_most(1.2)]),
        Row(name="restart.cpu", title="… client CPU", unit="s",
            samples=[one.cpu for one in suites], bare=[bare.cpu for _, bare in pairs]),
        Row(name="restart.writes", title="… writes", unit="",
            samples=[one.writes for one in suites], budgets=[at_most(0, "max")]),
    ]  # fmt: skip
