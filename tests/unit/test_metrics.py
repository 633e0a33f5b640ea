"""/metrics: the names, types and labels that dashboards rely on (docs/operations.md)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from controllers.manifests import Key
from controllers.runtime.apply.changeset import Action, Change, ChangeSet
from controllers.runtime.external.breaker import BreakerState
from controllers.runtime.external.system import ComponentStatus
from controllers.runtime.reconcile.metrics import Metrics
from controllers.runtime.reconcile.result import Result

EXPECTED: Mapping[str, tuple[str, set[str]]] = {
    "controller_runtime_reconcile_total": ("counter", {"controller", "result"}),
    "controller_runtime_reconcile_errors_total": ("counter", {"controller"}),
    "controller_runtime_reconcile_time_seconds": ("histogram", {"controller"}),
    "controller_runtime_active_workers": ("gauge", {"controller"}),
    "controller_runtime_max_concurrent_reconciles": ("gauge", {"controller"}),
    "workqueue_depth": ("gauge", {"name"}),
    "workqueue_adds_total": ("counter", {"name"}),
    "workqueue_retries_total": ("counter", {"name"}),
    "workqueue_queue_duration_seconds": ("histogram", {"name"}),
    "workqueue_work_duration_seconds": ("histogram", {"name"}),
    "workqueue_unfinished_work_seconds": ("gauge", {"name"}),
    "workqueue_longest_running_processor_seconds": ("gauge", {"name"}),
    "rest_client_requests_total": ("counter", {"code", "method", "host"}),
    "leader_election_master_status": ("gauge", {"name"}),
    "profiles_controller_profile_condition": ("gauge", {"controller", "profile", "status"}),
    "profiles_controller_last_success_timestamp_seconds": ("gauge", {"controller", "profile"}),
    "profiles_controller_changes_total": ("counter", {"controller", "kind", "action"}),
    "profiles_controller_owned_objects": ("gauge", {"controller", "kind"}),
    "profiles_controller_informer_synced": ("gauge", {"kind"}),
    "profiles_controller_external_system_up": ("gauge", {"controller", "system"}),
    "profiles_controller_external_system_last_success_timestamp_seconds": (
        "gauge",
        {"controller", "system"},
    ),
    "profiles_controller_external_system_circuit_breaker_state": (
        "gauge",
        {"controller", "system", "state"},
    ),
    "profiles_controller_external_system_requests_total": ("counter", {"controller", "system"}),
    "profiles_controller_external_system_request_errors_total": (
        "counter",
        {"controller", "system", "reason"},
    ),
    "profiles_controller_events_dropped_total": ("counter", set()),
}


@dataclass
class Queue:
    adds: int = 7
    retries: int = 2
    ages: Iterable[float] = (1.5, 4.0)

    def __len__(self) -> int:
        return 3

    def running_seconds(self) -> Iterable[float]:
        return self.ages


@dataclass
class Informer:
    synced: bool = True
    counts: Mapping[str, int] = field(default_factory=lambda: {"quotas": 12})

    def count(self, component: str) -> int:
        return self.counts.get(component, 0)


@dataclass
class Recorder:
    dropped: int = 0


class Outside:
    def components(self) -> Sequence[ComponentStatus]:
        return [
            ComponentStatus(
                name="gateway",
                last_success=1_700_000_000.0,
                breaker=BreakerState.CLOSED,
                requests=2,
                errors={"Down": 1},
            )
        ]


def filled() -> Metrics:
    """Metrics in which everything has been observed once."""
    metrics = Metrics()
    metrics.register_queue("quotas", Queue())
    metrics.register_informers({"ResourceQuota": Informer()})
    metrics.register_controller("quotas", ["ResourceQuota"], workers=16)
    metrics.observe_request("200", "GET", "api.example:6443")
    metrics.observe_reconcile("quotas", Result.ERROR, 0.3)
    key = Key("ResourceQuota", "alice", "quotas")
    unchanged = Change(Action.UNCHANGED, key)
    metrics.observe_changes("quotas", ChangeSet((Change(Action.CREATE, key), unchanged)))
    metrics.observe_profile("quotas", "alice", "True", 1_700_000_000.0)
    wait, work = metrics.queue_observers("quotas")
    wait(0.1)
    work(0.2)
    metrics.observe_leadership("profiles-controller-quotas", leading=True)
    metrics.register_external("quotas", Outside())
    return metrics


def scraped(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Value by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, /, **labels: str) -> float | None:
    return scraped(metrics).get((name, frozenset(labels.items())))


def test_every_metric_has_its_name_type_and_labels() -> None:
    found = {}
    for family in text_string_to_metric_families(filled().exposition().decode()):
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = (family.type, labels)

    assert EXPECTED == {name: found[name] for name in EXPECTED if name in found}
    assert set() == {name for name in found if not name.endswith("_created")} - set(EXPECTED)


def test_the_metrics_of_a_queue_are_read_at_each_scrape() -> None:
    metrics = filled()

    assert 3 == value(metrics, "workqueue_depth", name="quotas")
    assert 7 == value(metrics, "workqueue_adds_total", name="quotas")
    assert 2 == value(metrics, "workqueue_retries_total", name="quotas")
    assert 5.5 == value(metrics, "workqueue_unfinished_work_seconds", name="quotas")
    assert 4.0 == value(metrics, "workqueue_longest_running_processor_seconds", name="quotas")
    assert 2 == value(metrics, "controller_runtime_active_workers", controller="quotas")
    metrics.register_queue("quotas", Queue(ages=()))
    assert 0 == value(metrics, "workqueue_longest_running_processor_seconds", name="quotas")


def test_only_writes_count_as_changes() -> None:
    metrics = filled()
    name = "profiles_controller_changes_total"

    assert 1 == value(metrics, name, controller="quotas", kind="ResourceQuota", action="create")
    assert [name] == [key for key, _ in scraped(metrics) if key == name]


def test_a_controllers_counters_start_at_zero() -> None:
    metrics = Metrics()
    metrics.register_informers({"ResourceQuota": Informer(synced=False)})
    metrics.register_controller("quotas", ["ResourceQuota"], workers=4)
    name = "controller_runtime_reconcile_total"

    for result in ("success", "requeue_after", "error"):
        assert 0 == value(metrics, name, controller="quotas", result=result)
    assert 0 == value(metrics, "controller_runtime_reconcile_errors_total", controller="quotas")
    assert 4 == value(metrics, "controller_runtime_max_concurrent_reconciles", controller="quotas")
    assert 0 == value(metrics, "profiles_controller_informer_synced", kind="ResourceQuota")


def test_a_condition_has_one_series_after_a_change_of_status() -> None:
    metrics = filled()
    name = "profiles_controller_profile_condition"
    metrics.observe_profile("quotas", "alice", "False", None)

    assert value(metrics, name, controller="quotas", profile="alice", status="True") is None
    assert 1 == value(metrics, name, controller="quotas", profile="alice", status="False")


def test_a_failure_does_not_change_the_time_of_the_last_success() -> None:
    metrics = filled()
    metrics.observe_profile("quotas", "alice", "False", None)
    name = "profiles_controller_last_success_timestamp_seconds"

    assert 1_700_000_000.0 == value(metrics, name, controller="quotas", profile="alice")


def test_the_series_of_a_deleted_profile_are_removed() -> None:
    metrics = filled()
    metrics.observe_profile("quotas", "bob", "True", 1.0)
    metrics.forget_profile("quotas", "alice")
    profiles = {dict(labels).get("profile") for _, labels in scraped(metrics)} - {None}

    assert {"bob"} == profiles


def test_owned_objects_are_those_with_the_controllers_labels() -> None:
    assert 12 == value(
        filled(), "profiles_controller_owned_objects", controller="quotas", kind="ResourceQuota"
    )


def test_a_lost_lease_is_zero() -> None:
    metrics = filled()
    metrics.observe_leadership("profiles-controller-quotas", leading=False)

    assert 0 == value(metrics, "leader_election_master_status", name="profiles-controller-quotas")


def test_two_processes_in_one_test_share_no_metrics() -> None:
    filled()

    assert value(Metrics(), "rest_client_requests_total", code="200") is None


def test_events_that_were_dropped_are_counted_from_zero() -> None:
    metrics = Metrics()
    assert 0 == value(metrics, "profiles_controller_events_dropped_total")

    metrics.register_recorder(Recorder(dropped=3))

    assert 3 == value(metrics, "profiles_controller_events_dropped_total")
