"""A row of the results, and the budgets that it is compared with."""

import dataclasses
import math
import statistics
from collections.abc import Callable, Mapping, Sequence

Samples = Sequence[float]


def percentile(samples: Samples, part: float) -> float:
    """The smallest sample that at least this part of all samples does not exceed."""
    return sorted(samples)[max(0, math.ceil(part * len(samples)) - 1)]


STATISTICS: Mapping[str, Callable[[Samples], float]] = {
    "min": min,
    "median": statistics.median,
    "p99": lambda samples: percentile(samples, 0.99),
    "max": max,
    "value": statistics.median,
}
"""`value` is for a row with one sample."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """A bound of one statistic of a row's samples."""

    statistic: str
    bound: float
    at_least: bool = False

    def is_met(self, samples: Samples) -> bool:
        value = STATISTICS[self.statistic](samples)
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        name = "" if self.statistic == "value" else f"{self.statistic} "
        return f"{name}{'≥' if self.at_least else '≤'} {self.bound:g}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the results. A row without a budget is for comparison."""

    name: str
    """Identifies the row in JSON; stable."""
    title: str
    unit: str
    samples: Samples
    budgets: Sequence[Budget] = ()
    bare: Samples = ()
    """The samples of the bare client in the same run."""
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """None without a budget."""
        return all(one.is_met(self.samples) for one in self.budgets) if self.budgets else None

    @property
    def measured(self) -> str:
        return spread(self.samples)

    def as_json(self) -> dict[str, object]:
        row = dataclasses.asdict(self)
        row["budgets"] = [str(one) for one in self.budgets]
        values = {name: of(self.samples) for name, of in STATISTICS.items() if name != "value"}
        return {**row, **values, "met": self.is_met}


def ratio(name: str, statistic: str, samples: Samples, bare: Samples, budget: Budget) -> Row:
    """A row that compares one statistic of the samples with the same one of the bare client."""
    of = STATISTICS[statistic]
    return Row(
        name=f"{name}.{statistic}.ratio",
        title=f"… {statistic}, by the bare client's",
        unit="times",
        samples=[of(samples) / of(bare)],
        budgets=[budget],
    )


def spread(samples: Samples) -> str:
    """`min / median / max` of the samples and, if there are many, p99; or the only one."""
    if not samples:
        return ""
    if len(set(samples)) == 1:
        return number(samples[0])
    values = " / ".join(number(STATISTICS[name](samples)) for name in ("min", "median", "max"))
    many = len(samples) >= 100
    return f"{values}, p99 {number(percentile(samples, 0.99))}" if many else values


def number(value: float) -> str:
    """Three significant digits, or an integer."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def at_most(bound: float, statistic: str = "median") -> Budget:
    return Budget(statistic, bound)


def at_least(bound: float, statistic: str = "median") -> Budget:
    return Budget(statistic, bound, at_least=True)
