"""Metrics of one process, under controller-runtime's and client-go's names where they exist.

Values per profile, and those of the hot path, are in dictionaries that a scrape reads: a child
of the client library takes 1 kB (10,000 profiles times nine controllers would not fit) and a lock
for each increment.
"""

from __future__ import annotations

import collections
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

from controllers.runtime.apply.changeset import WRITES, ChangeSet
from controllers.runtime.external.system import ComponentStatus
from controllers.runtime.reconcile.result import Result

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class QueueMetrics(Protocol):
    """What a scrape reads of a work queue."""

    adds: int
    retries: int

    def __len__(self) -> int:
        """Return the depth."""

    def running_seconds(self) -> Iterable[float]:
        """Return the seconds that each key has been in processing."""


class InformerMetrics(Protocol):
    """What a scrape reads of an informer."""

    synced: bool

    def count(self, component: str) -> int:
        """Return the number of objects with a controller's labels."""


class ExternalMetrics(Protocol):
    """What a scrape reads of the client of a controller's external systems."""

    def components(self) -> Sequence[ComponentStatus]:
        """Return the status of each system."""


class RecorderMetrics(Protocol):
    """What a scrape reads of the event recorder."""

    dropped: int


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        """Create the registry. Nothing is registered globally."""
        # A creation time would double the series of each counter.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._reconciles = self._counter(
            "controller_runtime_reconcile", "Reconciles by result.", "controller", "result"
        )
        self._errors = self._counter(
            "controller_runtime_reconcile_errors", "Failed reconciles.", "controller"
        )
        self._seconds = self._histogram(
            "controller_runtime_reconcile_time_seconds", "Duration of a reconcile.", "controller"
        )
        self._queued = self._histogram(
            "workqueue_queue_duration_seconds", "Time that an item waits in the queue.", "name"
        )
        self._worked = self._histogram(
            "workqueue_work_duration_seconds", "Time that the processing of an item takes.", "name"
        )
        self._changes = self._counter(
            "profiles_controller_changes",
            "Objects written, by action.",
            "controller",
            "kind",
            "action",
        )
        self._leading = Gauge(
            "leader_election_master_status",
            "1 while this process holds the Lease.",
            ("name",),
            registry=self.registry,
        )
        self._queues: dict[str, QueueMetrics] = {}
        self._informers: dict[str, InformerMetrics] = {}
        self._externals: dict[str, ExternalMetrics] = {}
        self._recorders: list[RecorderMetrics] = []
        self._owned: list[tuple[str, str]] = []
        self._conditions: dict[tuple[str, str], str] = {}
        self._successes: dict[tuple[str, str], float] = {}
        self._workers: dict[str, int] = {}
        self._requests: dict[tuple[str, str, str], int] = {}
        self.registry.register(_ScrapeCollector(self._collect))

    # -- registration ---------------------------------------------------------------------------

    def register_controller(self, controller: str, kinds: Iterable[str], workers: int) -> None:
        """Create the controller's counters, so that rates and alerts start at zero."""
        for result in Result:
            self._reconciles.labels(controller, result.value)
        self._errors.labels(controller)
        self._workers[controller] = workers
        self._owned += [(controller, kind) for kind in kinds]

    def register_queue(self, controller: str, queue: QueueMetrics) -> None:
        """Read a controller's work queue at each scrape."""
        self._queues[controller] = queue

    def register_informers(self, informers: Mapping[str, InformerMetrics]) -> None:
        """Read these informers at each scrape."""
        self._informers.update(informers)

    def register_external(self, controller: str, external: ExternalMetrics) -> None:
        """Read a controller's external systems at each scrape."""
        self._externals[controller] = external

    def register_recorder(self, recorder: RecorderMetrics) -> None:
        """Read the event recorder at each scrape."""
        self._recorders.append(recorder)

    def queue_observers(
        self, controller: str
    ) -> tuple[Callable[[float], None], Callable[[float], None]]:
        """Return the observers of the seconds that an item waits, and that it is processed."""
        return self._queued.labels(controller).observe, self._worked.labels(controller).observe

    # -- observation ----------------------------------------------------------------------------

    def observe_request(self, code: str, method: str, host: str) -> None:
        """Count a request to the API server; code ``<error>`` means that there is no response."""
        self._requests[code, method, host] = self._requests.get((code, method, host), 0) + 1

    def observe_reconcile(self, controller: str, result: Result, seconds: float) -> None:
        """Count a reconcile and its duration."""
        self._reconciles.labels(controller, result.value).inc()
        self._seconds.labels(controller).observe(seconds)
        if result is Result.ERROR:
            self._errors.labels(controller).inc()

    def observe_changes(self, controller: str, changes: ChangeSet) -> None:
        """Count the writes among these changes."""
        writes = collections.Counter(
            (change.key.kind, change.action) for change in changes.with_action(*WRITES)
        )
        for (kind, action), count in writes.items():
            self._changes.labels(controller, kind, action.value).inc(count)

    def observe_profile(
        self, controller: str, profile: str, status: str, success: float | None
    ) -> None:
        """Set the status of a profile's condition; ``success`` is Unix seconds of a success."""
        self._conditions[controller, profile] = status
        if success is not None:
            self._successes[controller, profile] = success

    def forget_profile(self, controller: str, profile: str) -> None:
        """Remove the series of a deleted profile."""
        self._conditions.pop((controller, profile), None)
        self._successes.pop((controller, profile), None)

    def observe_leadership(self, name: str, *, leading: bool) -> None:
        """Set whether this process holds the Lease of this name."""
        self._leading.labels(name).set(1 if leading else 0)

    # -- scrape ---------------------------------------------------------------------------------

    def exposition(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self.registry)

    def condition_statuses(self) -> Mapping[tuple[str, str], str]:
        """Return the status of each condition by controller and profile."""
        return dict(self._conditions)

    def last_successes(self) -> Mapping[tuple[str, str], float]:
        """Return the Unix seconds of each last success by controller and profile."""
        return dict(self._successes)

    def _collect(self) -> Iterator[Metric]:
        yield from self._collect_queues()
        yield self._collect_requests()
        yield from self._collect_profiles()
        yield from self._collect_informers()
        yield from self._collect_externals()
        yield CounterMetricFamily(
            "profiles_controller_events_dropped",
            "Events that were not recorded because too many were pending.",
            value=sum(recorder.dropped for recorder in self._recorders),
        )

    def _collect_requests(self) -> Metric:
        requests = CounterMetricFamily(
            "rest_client_requests",
            "Requests to the API server.",
            labels=("code", "method", "host"),
        )
        for labels, count in list(self._requests.items()):
            requests.add_metric(labels, count)
        return requests

    def _collect_queues(self) -> Iterator[Metric]:
        queues = dict(self._queues)
        running = {name: list(queue.running_seconds()) for name, queue in queues.items()}
        yield _counter(
            "workqueue_adds",
            "Items added to the work queue.",
            {name: queue.adds for name, queue in queues.items()},
        )
        yield _counter(
            "workqueue_retries",
            "Items added to the work queue again after a failure.",
            {name: queue.retries for name, queue in queues.items()},
        )
        for metric, text, values in (
            (
                "workqueue_depth",
                "Items that wait in the work queue.",
                {name: len(queue) for name, queue in queues.items()},
            ),
            (
                "workqueue_unfinished_work_seconds",
                "Seconds of all processing in progress.",
                {name: sum(seconds) for name, seconds in running.items()},
            ),
            (
                "workqueue_longest_running_processor_seconds",
                "Seconds of the longest processing in progress.",
                {name: max(seconds, default=0.0) for name, seconds in running.items()},
            ),
        ):
            yield _gauge(metric, text, "name", values)
        active = {name: len(seconds) for name, seconds in running.items()}
        yield _gauge(
            "controller_runtime_active_workers", "Reconciles in progress.", "controller", active
        )
        yield _gauge(
            "controller_runtime_max_concurrent_reconciles",
            "Maximum number of concurrent reconciles.",
            "controller",
            dict(self._workers),
        )

    def _collect_profiles(self) -> Iterator[Metric]:
        conditions = GaugeMetricFamily(
            "profiles_controller_profile_condition",
            "1 for the status of a profile's condition: True, False or Unknown.",
            labels=("controller", "profile", "status"),
        )
        for (controller, profile), status in list(self._conditions.items()):
            conditions.add_metric((controller, profile, status), 1)
        yield conditions
        successes = GaugeMetricFamily(
            "profiles_controller_last_success_timestamp_seconds",
            "Unix time of the last successful reconcile of the profile.",
            labels=("controller", "profile"),
        )
        for labels, seconds in list(self._successes.items()):
            successes.add_metric(labels, seconds)
        yield successes

    def _collect_informers(self) -> Iterator[Metric]:
        yield _gauge(
            "profiles_controller_informer_synced",
            "1 once the first list is complete.",
            "kind",
            {kind: int(informer.synced) for kind, informer in self._informers.items()},
        )
        owned = GaugeMetricFamily(
            "profiles_controller_owned_objects",
            "Objects in the cluster that have the controller's labels.",
            labels=("controller", "kind"),
        )
        for controller, kind in self._owned:
            owned.add_metric((controller, kind), self._informers[kind].count(controller))
        yield owned

    def _collect_externals(self) -> Iterator[Metric]:
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
        for controller, external in self._externals.items():
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

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=_SECONDS)


class _ScrapeCollector(Collector):
    """Calls a function at each scrape."""

    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        yield from self._collect()


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for label_value, value in values.items():
        family.add_metric((label_value,), value)
    return family


def _counter(name: str, text: str, values: Mapping[str, float]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=("name",))
    for label_value, value in values.items():
        family.add_metric((label_value,), value)
    return family
