"""Figures that are looked up when somebody asks, out of plain dictionaries.

A child of the client library costs 1 kB (10,000 profiles times nine controllers would not fit), and
a lock each time that it counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class QueueFigures(Protocol):
    """What is shown of a queue."""

    adds: int
    retries: int

    def __len__(self) -> int:
        """Its depth."""

    def running_seconds(self) -> Iterable[float]:
        """Seconds that each key has been in processing."""


class InformerFigures(Protocol):
    """What is shown of an informer."""

    synced: bool

    def count(self, component: str) -> int:
        """How many objects of a controller it remembers."""


class PartFigures(Protocol):
    """What is shown of one thing outside."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def trouble(self) -> str:
        """Empty when all is well."""

    @property
    def success(self) -> float | None:
        """Unix seconds of its last good answer."""


class OutsideFigures(Protocol):
    """What is shown of a controller's part of the world outside."""

    def parts(self) -> Sequence[PartFigures]:
        """Each thing in it."""


class RecorderFigures(Protocol):
    """What is shown of the events."""

    dropped: int


class Figures:
    """What is shown of the parts of a process, which enter themselves here."""

    def __init__(self) -> None:
        """Nothing is there yet."""
        self.queues: dict[str, QueueFigures] = {}
        self.informers: dict[str, InformerFigures] = {}
        self.outsides: dict[str, OutsideFigures] = {}
        self.recorder: RecorderFigures | None = None
        self.owned: list[tuple[str, str]] = []
        self.conditions: dict[tuple[str, str], str] = {}
        self.successes: dict[tuple[str, str], float] = {}
        self.workers: dict[str, int] = {}
        self.requests: dict[tuple[str, str, str], int] = {}


class Exposed(Collector):
    """The figures as Prometheus reads them."""

    def __init__(self, figures: Figures) -> None:
        """Nothing is looked up yet."""
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        yield from self._queues()
        yield self._requests()
        yield from self._profiles()
        yield from self._informers()
        yield from self._outsides()
        yield CounterMetricFamily(
            "profiles_controller_events_dropped",
            "Events that were not told, because too many waited.",
            value=self._figures.recorder.dropped if self._figures.recorder else 0,
        )

    def _requests(self) -> Metric:
        requests = CounterMetricFamily(
            "rest_client_requests",
            "Requests to the API server.",
            labels=("code", "method", "host"),
        )
        for labels, count in list(self._figures.requests.items()):
            requests.add_metric(labels, count)
        return requests

    def _queues(self) -> Iterator[Metric]:
        queues = dict(self._figures.queues)
        ages = {name: list(queue.running_seconds()) for name, queue in queues.items()}
        yield _counter(
            "workqueue_adds",
            "Profiles put in line.",
            {name: queue.adds for name, queue in queues.items()},
        )
        yield _counter(
            "workqueue_retries",
            "Profiles put in line again after a failure.",
            {name: queue.retries for name, queue in queues.items()},
        )
        for metric, text, figures in (
            ("workqueue_depth", "Profiles in line.", {n: len(q) for n, q in queues.items()}),
            (
                "workqueue_unfinished_work_seconds",
                "Seconds of work in progress.",
                {name: sum(age) for name, age in ages.items()},
            ),
            (
                "workqueue_longest_running_processor_seconds",
                "The longest work in progress.",
                {name: max(age, default=0.0) for name, age in ages.items()},
            ),
        ):
            yield _gauge(metric, text, "name", figures)
        active = {name: len(age) for name, age in ages.items()}
        yield _gauge(
            "controller_runtime_active_workers", "Reconciles running.", "controller", active
        )
        yield _gauge(
            "controller_runtime_max_concurrent_reconciles",
            "Reconciles that may run at once.",
            "controller",
            dict(self._figures.workers),
        )

    def _profiles(self) -> Iterator[Metric]:
        conditions = GaugeMetricFamily(
            "profiles_controller_profile_condition",
            "1 for the status of a profile's condition: True, False or Unknown.",
            labels=("controller", "profile", "status"),
        )
        for (controller, profile), status in list(self._figures.conditions.items()):
            conditions.add_metric((controller, profile, status), 1)
        yield conditions
        successes = GaugeMetricFamily(
            "profiles_controller_last_success_timestamp_seconds",
            "When a reconcile of the profile last went well.",
            labels=("controller", "profile"),
        )
        for labels, moment in list(self._figures.successes.items()):
            successes.add_metric(labels, moment)
        yield successes

    def _informers(self) -> Iterator[Metric]:
        informers = self._figures.informers
        yield _gauge(
            "profiles_controller_informer_synced",
            "1 once the first list is complete.",
            "kind",
            {kind: int(one.synced) for kind, one in informers.items()},
        )
        owned = GaugeMetricFamily(
            "profiles_controller_owned_objects",
            "Objects on the cluster that carry the controller's labels.",
            labels=("controller", "kind"),
        )
        for controller, kind in self._figures.owned:
            owned.add_metric((controller, kind), informers[kind].count(controller))
        yield owned

    def _outsides(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "profiles_controller_outside_up",
            "1 while something outside Kubernetes that a controller asks gives good answers.",
            labels=("controller", "part"),
        )
        successes = GaugeMetricFamily(
            "profiles_controller_outside_last_success_timestamp_seconds",
            "When it last gave one.",
            labels=("controller", "part"),
        )
        for controller, outside in self._figures.outsides.items():
            for part in outside.parts():
                up.add_metric((controller, part.name), int(not part.trouble))
                if part.success is not None:
                    successes.add_metric((controller, part.name), part.success)
        yield up
        yield successes


def _gauge(name: str, text: str, label: str, figures: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for value, figure in figures.items():
        family.add_metric((value,), figure)
    return family


def _counter(name: str, text: str, figures: Mapping[str, float]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=("name",))
    for value, figure in figures.items():
        family.add_metric((value,), figure)
    return family
