"""Memory: the resident set when the process is idle, and its maximum."""

from collections.abc import Sequence

from tests.bench import procfs, workload
from tests.bench.environment import report_progress
from tests.bench.rows import Budget, Row, at_most

FEW_PROFILES = 200
FEW_BUDGET = 90.0
"""MiB of one controller with FEW_PROFILES."""
POLICIES = 34_000
POLICIES_BUDGET = 120.0
"""MiB of one controller with POLICIES."""
ALL_PROFILES = 2000
ALL_BUDGET = 180.0
"""MiB of all controllers with ALL_PROFILES."""


def rows(
    profiles: int, samples: Sequence[procfs.Memory], controllers: str = workload.NETWORK
) -> list[Row]:
    """The idle process and its maximum."""
    policies = profiles * len(workload.policies())
    is_all = controllers == workload.ALL
    count = len(workload.controllers(workload.ALL))
    which = f"{count} controllers in one process" if is_all else "one controller"
    title = f"memory, {which}, {profiles} profiles, {policies} policies"
    name = f"memory.{controllers}.{profiles}"
    budgets = all_budgets(profiles) if is_all else one_budgets(profiles, policies)
    found = [
        Row(name=name, title=title, unit="MiB", samples=[one.rss for one in samples],
            budgets=budgets),
        Row(name=f"{name}.peak", title="… peak", unit="MiB",
            samples=[one.peak for one in samples]),
    ]  # fmt: skip
    report_progress(f"  {title}: {found[0].measured} MiB, peak {found[1].measured} MiB")
    return found


def all_budgets(profiles: int) -> list[Budget]:
    return [at_most(ALL_BUDGET, "max")] if profiles <= ALL_PROFILES else []


def one_budgets(profiles: int, policies: int) -> list[Budget]:
    if profiles <= FEW_PROFILES:
        return [at_most(FEW_BUDGET, "max")]
    return [at_most(POLICIES_BUDGET, "max")] if policies <= POLICIES else []
