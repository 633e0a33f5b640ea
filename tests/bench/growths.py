"""Growth: what ten times as many profiles cost per object."""

from tests.bench import cold, restarts
from tests.bench.reports import Row, at_most
from tests.bench.stages import say

FEW, MANY = 1000, 10_000


def measure(opened: cold.Opened, profiles: int) -> tuple[cold.Start, restarts.Restart]:
    """A cold start, then a restart on what it made."""
    say(f"growth: {profiles} profiles")
    with opened(profiles) as stage:
        return cold.start(stage)[0], restarts.restart(stage)


def rows(opened: cold.Opened) -> list[Row]:
    few_cold, few = measure(opened, FEW)
    many_cold, many = measure(opened, MANY)
    times = MANY / FEW
    what = f"growth, {FEW} to {MANY} profiles"
    return [
        Row(name="growth.write", what=f"{what}: CPU a write", unit="times",
            samples=[many_cold.milliseconds / few_cold.milliseconds], budgets=[at_most(1.2)]),
        Row(name="growth.restart.cpu", what="… restart CPU per object", unit="times",
            samples=[many.cpu / few.cpu / times], budgets=[at_most(1.2)]),
        Row(name="growth.restart.wall", what="… restart time per object", unit="times",
            samples=[many.seconds / few.seconds / times], budgets=[at_most(1.8)],
            note=f"{few.seconds:.2f} s and {many.seconds:.2f} s"),
    ]  # fmt: skip
