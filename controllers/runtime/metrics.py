"""Metrics, under the names that dashboards for controllers know.

Series of profiles are not kept by the client library (a child of it costs 1 kB; 10,000 profiles
times nine controllers would not fit) but read out of plain dictionaries when somebody scrapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controllers.runtime.changes import WRITES, ChangeSet
from controllers.runtime.outcomes import Result

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class QueueFigures(Protocol):
    """What is shown of a queue."""

    adds: int
    retries: int

    def __len__(self) -> int:
        """Its depth."""

    def running(self) -> Iterable[float]:
        """Seconds since each running key was taken."""


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


class Metrics:
    """One process's metrics, in a registry of their own."""

    def __init__(self) -> None:
        """Nothing is registered globally, so that a test can have as many as it likes."""
        # When a counter was born is a series more for each, which nobody here looks at.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.queues: dict[str, QueueFigures] = {}
        self.informers: dict[str, InformerFigures] = {}
        self.outsides: dict[str, OutsideFigures] = {}
        self.recorder: RecorderFigures | None = None
        self.owned: list[tuple[str, str]] = []
        self.conditions: dict[tuple[str, str], str] = {}
        self.successes: dict[tuple[str, str], float] = {}
        self.workers: dict[str, int] = {}
        self._request_counters: dict[tuple[str, str, str], Counter] = {}
        make = _Maker(self.registry)
        self._reconciles = make.counter(
            "controller_runtime_reconcile", "Reconciles by result.", "controller", "result"
        )
        self._errors = make.counter(
            "controller_runtime_reconcile_errors", "Reconciles that failed.", "controller"
        )
        self._seconds = make.histogram(
            "controller_runtime_reconcile_time_seconds", "Length of a reconcile.", "controller"
        )
        self._queued = make.histogram(
            "workqueue_queue_duration_seconds", "Time a profile waits in the queue.", "name"
        )
        self._worked = make.histogram(
            "workqueue_work_duration_seconds", "Time a worker holds a profile.", "name"
        )
        self._requests = make.counter(
            "rest_client_requests", "Requests to the API server.", "code", "method", "host"
        )
        self._changes = make.counter(
            "profiles_controller_changes",
            "Objects written, by what was done.",
            "controller",
            "kind",
            "action",
        )
        self._leading = make.gauge(
            "leader_election_master_status", "1 while this process holds the Lease.", "name"
        )
        self.registry.register(_Live(self))

    def observe_request(self, code: str, method: str, host: str) -> None:
        """A request was answered (code ``<error>``: it was not)."""
        counter = self._request_counters.get((code, method, host))
        if counter is None:  # looking a child up costs more than counting
            counter = self._requests.labels(code, method, host)
            self._request_counters[code, method, host] = counter
        counter.inc()

    def observe_reconcile(self, controller: str, result: Result, seconds: float) -> None:
        """A reconcile has ended."""
        self._reconciles.labels(controller, result.value).inc()
        self._seconds.labels(controller).observe(seconds)
        if result is Result.ERROR:
            self._errors.labels(controller).inc()

    def observe_changes(self, controller: str, changes: ChangeSet) -> None:
        """These writes were made."""
        for change in changes.of(*WRITES):
            self._changes.labels(controller, change.key.kind, change.action.value).inc()

    def observe_profile(
        self, controller: str, profile: str, status: str, success: float | None
    ) -> None:
        """The condition's status of a profile; ``success`` is Unix seconds where it went well."""
        self.conditions[controller, profile] = status
        if success is not None:
            self.successes[controller, profile] = success

    def forget_profile(self, controller: str, profile: str) -> None:
        """The profile is no more: so are its series."""
        self.conditions.pop((controller, profile), None)
        self.successes.pop((controller, profile), None)

    def queue_observers(
        self, controller: str
    ) -> tuple[Callable[[float], None], Callable[[float], None]]:
        """Where a queue tells how long a key waited, and how long it was worked on."""
        return self._queued.labels(controller).observe, self._worked.labels(controller).observe

    def prepare(self, controller: str, kinds: Iterable[str], workers: int) -> None:
        """Show a controller's counters from the start, so that rates and alerts have a zero."""
        for result in Result:
            self._reconciles.labels(controller, result.value)
        self._errors.labels(controller)
        self.workers[controller] = workers
        self.owned += [(controller, kind) for kind in kinds]

    def lead(self, name: str, *, leading: bool) -> None:
        """Whether this process holds the Lease of this name."""
        self._leading.labels(name).set(1 if leading else 0)

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)


class _Maker:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self._registry)

    def histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, registry=self._registry, buckets=_SECONDS)


class _Live(Collector):
    """Figures that are looked up when somebody asks."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._queues()
        yield from self._profiles()
        yield from self._informers()
        yield from self._outsides()
        yield CounterMetricFamily(
            "profiles_controller_events_dropped",
            "Events that were not told, because too many waited.",
            value=self._metrics.recorder.dropped if self._metrics.recorder else 0,
        )

    def _queues(self) -> Iterator[Metric]:
        queues = dict(self._metrics.queues)
        ages = {name: list(queue.running()) for name, queue in queues.items()}
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
            dict(self._metrics.workers),
        )

    def _profiles(self) -> Iterator[Metric]:
        conditions = GaugeMetricFamily(
            "profiles_controller_profile_condition",
            "1 for the status of a profile's condition: True, False or Unknown.",
            labels=("controller", "profile", "status"),
        )
        for (controller, profile), status in list(self._metrics.conditions.items()):
            conditions.add_metric((controller, profile, status), 1)
        yield conditions
        successes = GaugeMetricFamily(
            "profiles_controller_last_success_timestamp_seconds",
            "When a reconcile of the profile last went well.",
            labels=("controller", "profile"),
        )
        for labels, moment in list(self._metrics.successes.items()):
            successes.add_metric(labels, moment)
        yield successes

    def _informers(self) -> Iterator[Metric]:
        informers = self._metrics.informers
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
        for controller, kind in self._metrics.owned:
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
        for controller, outside in self._metrics.outsides.items():
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
