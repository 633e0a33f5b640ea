"""Growth: the cost per object with ten times the profiles."""

from tests.bench import cold_start, restart
from tests.bench.environment import report_progress
from tests.bench.rows import Row, at_most

FEW, MANY = 1000, 10_000


def measure(start: cold_start.Start, profiles: int) -> tuple[cold_start.Writes, restart.Restart]:
    """A cold start, then a restart with its objects."""
    report_progress(f"growth: {profiles} profiles")
    with start(profiles) as environment:
        return cold_start.measure_alone(environment)[0], restart.measure(environment)


def rows(start: cold_start.Start) -> list[Row]:
    few_writes, few = measure(start, FEW)
    many_writes, many = measure(start, MANY)
    times = MANY / FEW
    title = f"growth, {FEW} to {MANY} profiles"
    return [
        Row(name="growth.write", title=f"{title}: CPU per write", unit="times",
            samples=[many_writes.milliseconds / few_writes.milliseconds],
            budgets=[at_most(1.2, "value")]),
        Row(name="growth.restart.cpu", title="… restart CPU per object", unit="times",
            samples=[many.cpu / few.cpu / times], budgets=[at_most(1.2, "value")]),
        Row(name="growth.restart.wall", title="… restart time per object", unit="times",
            samples=[many.seconds / few.seconds / times], budgets=[at_most(1.8, "value")],
            note=f"{few.seconds:.2f} s and {many.seconds:.2f} s"),
    ]  # fmt: skip
