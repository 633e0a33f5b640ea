"""Memory: the resident set once nothing happens any more, and the largest it ever was."""

from collections.abc import Sequence

from tests.bench import probes, synthetic
from tests.bench.reports import Budget, Row, at_most
from tests.bench.stages import say

FEW = 200
FEW_BUDGET = 90.0
"""MiB of one controller with at most FEW profiles."""
MANY = ((24_000, 105.0), (120_000, 170.0))
"""MiB of one controller with so many policies; in proportion between the two."""
ALL_BUDGET = 180.0
ALL_PROFILES = 2000


def rows(
    profiles: int, samples: Sequence[probes.Memory], controllers: str = synthetic.NETWORK
) -> list[Row]:
    """Resting and peak, each the samples' own row."""
    policies = profiles * len(synthetic.policies())
    many = controllers == synthetic.ALL
    who = (
        f"{len(synthetic.assemblies(synthetic.ALL))} controllers in one process"
        if many
        else "one controller"
    )
    what = f"memory, {who}, {profiles} profiles, {policies} policies"
    name = f"memory.{controllers}.{profiles}"
    found = [
        Row(name=name, what=what, unit="MiB", samples=[one.rss for one in samples],
            budgets=budget(profiles, policies, many=many)),
        Row(name=f"{name}.peak", what="… peak", unit="MiB", samples=[one.peak for one in samples]),
    ]  # fmt: skip
    say(f"  {what}: {found[0].measured} MiB, peak {found[1].measured} MiB")
    return found


def budget(profiles: int, policies: int, *, many: bool) -> list[Budget]:
    if many:
        return [at_most(ALL_BUDGET, "max")] if profiles <= ALL_PROFILES else []
    if profiles <= FEW:
        return [at_most(FEW_BUDGET, "max")]
    (fewer, low), (more, high) = MANY
    part = max(0.0, (policies - fewer) / (more - fewer))
    return [at_most(round(low + part * (high - low)), "max")] if policies <= more else []
