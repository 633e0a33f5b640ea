"""Metrics, under the names that dashboards for controllers know."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from controllers.runtime.apply.changeset import WRITES, ChangeSet
from controllers.runtime.reconcile.figures import Exposed, Figures
from controllers.runtime.reconcile.result import Result

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics(Figures):
    """One process's metrics, in a registry of their own."""

    def __init__(self) -> None:
        """Nothing is registered globally, so that a test can have as many as it likes."""
        super().__init__()
        # When a counter was born is a series more for each, which nobody here looks at.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
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
        self.registry.register(Exposed(self))

    def observe_request(self, code: str, method: str, host: str) -> None:
        """A request was answered (code ``<error>``: it was not)."""
        self.requests[code, method, host] = self.requests.get((code, method, host), 0) + 1

    def observe_reconcile(self, controller: str, result: Result, seconds: float) -> None:
        """A reconcile has ended."""
        self._reconciles.labels(controller, result.value).inc()
        self._seconds.labels(controller).observe(seconds)
        if result is Result.ERROR:
            self._errors.labels(controller).inc()

    def observe_changes(self, controller: str, changes: ChangeSet) -> None:
        """These writes were made."""
        writes = collections.Counter(
            (change.key.kind, change.action) for change in changes.of(*WRITES)
        )
        for (kind, action), count in writes.items():
            self._changes.labels(controller, kind, action.value).inc(count)

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
