"""A row of the budget, and how it is judged."""

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
}


@dataclasses.dataclass(frozen=True)
class Budget:
    """A bound of one statistic over a row's samples."""

    statistic: str
    bound: float
    at_least: bool = False

    def met(self, samples: Samples) -> bool:
        figure = STATISTICS[self.statistic](samples)
        return figure >= self.bound if self.at_least else figure <= self.bound

    def __str__(self) -> str:
        return f"{self.statistic} {'≥' if self.at_least else '≤'} {self.bound:g}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table. Rows without a budget are there to compare with."""

    name: str
    what: str
    unit: str
    samples: Samples
    budgets: Sequence[Budget] = ()
    bare: Samples = ()
    note: str = ""

    @property
    def met(self) -> bool | None:
        """None where there is no budget."""
        return all(one.met(self.samples) for one in self.budgets) if self.budgets else None

    @property
    def measured(self) -> str:
        return spread(self.samples, p99=any(one.statistic == "p99" for one in self.budgets))

    def as_json(self) -> dict[str, object]:
        row = dataclasses.asdict(self)
        row["budgets"] = [str(one) for one in self.budgets]
        figures = {name: of(self.samples) for name, of in STATISTICS.items()}
        return {**row, **figures, "met": self.met}


def spread(samples: Samples, *, p99: bool = False) -> str:
    """`min / median / max` of the samples, or the only one."""
    if not samples:
        return ""
    if len(set(samples)) == 1:
        return number(samples[0])
    figures = " / ".join(number(STATISTICS[name](samples)) for name in ("min", "median", "max"))
    return f"{figures}, p99 {number(percentile(samples, 0.99))}" if p99 else figures


def number(value: float) -> str:
    """Three significant digits, or whole."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def at_most(bound: float, statistic: str = "median") -> Budget:
    return Budget(statistic, bound)


def at_least(bound: float, statistic: str = "median") -> Budget:
    return Budget(statistic, bound, at_least=True)
