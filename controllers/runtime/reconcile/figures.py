"""Figures that are looked up when somebody asks, out of plain dictionaries.

A child of the client library costs 1 kB (10,000 profiles times nine controllers would not fit), and
a lock each time that it counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controllers.runtime.external.system import ComponentStatus


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


class ExternalFigures(Protocol):
    """The client of a controller's external systems."""

    def components(self) -> Sequence[ComponentStatus]:
        """Return the status of each system."""


class RecorderFigures(Protocol):
    """What is shown of the events."""

    dropped: int


class Figures:
    """What is shown of the parts of a process, which enter themselves here."""

    def __init__(self) -> None:
        """Nothing is there yet."""
        self.queues: dict[str, QueueFigures] = {}
        self.informers: dict[str, InformerFigures] = {}
        self.externals: dict[str, ExternalFigures] = {}
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
        yield from self._externals()
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

    def _externals(self) -> Iterator[Metric]:
        labels = ("controller", "system")
        up = GaugeMetricFamily(
            "profiles_controller_external_system_up",
            "1 while the external system works, 0 while it fails for every tenant.",
            labels=labels,
        )
        last_success = GaugeMetricFamily(
            "profiles_controller_external_system_last_success_timestamp_seconds",
            "Unix time of the last response of the external system.",
            labels=labels,
        )
        breaker = GaugeMetricFamily(
            "profiles_controller_external_system_circuit_breaker_state",
            "1 for the state of the circuit breaker: closed, open or half_open.",
            labels=(*labels, "state"),
        )
        requests = CounterMetricFamily(
            "profiles_controller_external_system_requests",
            "Requests to the external system.",
            labels=labels,
        )
        errors = CounterMetricFamily(
            "profiles_controller_external_system_request_errors",
            "Failed requests to the external system by reason.",
            labels=(*labels, "reason"),
        )
        for controller, external in self._figures.externals.items():
            for component in external.components():
                key = (controller, component.name)
                up.add_metric(key, int(not component.error))
                if component.last_success is not None:
                    last_success.add_metric(key, component.last_success)
                if component.breaker is None:
                    continue
                breaker.add_metric((*key, component.breaker.name.lower()), 1)
                requests.add_metric(key, component.requests)
                for reason, count in component.errors.items():
                    errors.add_metric((*key, reason), count)
        yield from (up, last_success, breaker, requests, errors)


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
