"""What a scrape and the log tell, under the names that dashboards know (design, section 7)."""

import pytest

from tests.support.builders import registered
from tests.support.cluster import kubeflow, observe, waiting
from tests.support.cluster.manager_process import ManagerProcess
from tests.support.controlplane import ControlPlane

pytestmark = pytest.mark.xdist_group("probes")

CONTROLLERS = {controller.name for controller in registered.RUN_BY_ALL}
# A family's name (a counter's series end in _total), its type and its labels.
FAMILIES = {
    "controller_runtime_reconcile": ("counter", {"controller", "result"}),
    "controller_runtime_reconcile_errors": ("counter", {"controller"}),
    "controller_runtime_reconcile_time_seconds": ("histogram", {"controller"}),
    "controller_runtime_active_workers": ("gauge", {"controller"}),
    "controller_runtime_max_concurrent_reconciles": ("gauge", {"controller"}),
    "workqueue_depth": ("gauge", {"name"}),
    "workqueue_adds": ("counter", {"name"}),
    "workqueue_retries": ("counter", {"name"}),
    "workqueue_queue_duration_seconds": ("histogram", {"name"}),
    "workqueue_work_duration_seconds": ("histogram", {"name"}),
    "workqueue_unfinished_work_seconds": ("gauge", {"name"}),
    "workqueue_longest_running_processor_seconds": ("gauge", {"name"}),
    "rest_client_requests": ("counter", {"code", "method", "host"}),
    "profiles_controller_profile_condition": ("gauge", {"controller", "profile", "status"}),
    "profiles_controller_last_success_timestamp_seconds": ("gauge", {"controller", "profile"}),
    "profiles_controller_changes": ("counter", {"controller", "kind", "action"}),
    "profiles_controller_owned_objects": ("gauge", {"controller", "kind"}),
    "profiles_controller_informer_synced": ("gauge", {"kind"}),
    "profiles_controller_events_dropped": ("counter", set()),
}


def test_the_metrics_have_the_names_types_and_labels_that_dashboards_use(
    control_plane: ControlPlane, manager: ManagerProcess
) -> None:
    observe.create_ready_tenant(control_plane, "measured")

    families = manager.families()

    for name, (type_, labels) in FAMILIES.items():
        family = families[name]
        assert family.type == type_, name
        assert family.documentation, name
        samples = [one for one in family.samples if not one.name.endswith("_created")]
        assert samples, name
        for sample in samples:
            assert set(sample.labels) - {"le"} == labels, sample
            assert sample.name.endswith("_total") == (type_ == "counter"), sample
    assert families["leader_election_master_status"].type == "gauge"


def test_the_metrics_count_the_changes(
    control_plane: ControlPlane, manager: ManagerProcess
) -> None:
    def changed(action: str) -> float:
        return manager.total(
            "profiles_controller_changes_total",
            controller="quotas",
            kind="ResourceQuota",
            action=action,
        )

    created, updated = changed("create"), changed("update")
    owned = manager.total("profiles_controller_owned_objects", controller="quotas")
    posts = manager.requests(method="POST", code="201")

    observe.create_ready_tenant(control_plane, "counted")
    observe.patch(control_plane, observe.quota_path("counted"), {"spec": {"hard": {"pods": "1"}}})

    waiting.until(lambda: changed("update") == updated + 1, "the repair is counted")
    assert changed("create") == created + 1
    assert manager.total("profiles_controller_owned_objects", controller="quotas") == owned + 1
    assert manager.requests(method="POST", code="201") >= posts + 2
    assert manager.total("controller_runtime_reconcile_total", result="success") >= 4
    assert manager.total("controller_runtime_reconcile_errors_total") == 0
    assert manager.total("workqueue_depth") == 0


def test_each_profile_has_a_series_for_each_controller_until_it_is_deleted(
    control_plane: ControlPlane, manager: ManagerProcess
) -> None:
    kubeflow.create_tenants(control_plane, ["watched"], labels={"quotas.statcan.gc.ca/pods": "x"})
    kubeflow.create_tenants(control_plane, ["neighbour"])
    waiting.until(
        lambda: observe.condition_status(control_plane, "watched", "QuotasReady") == "False",
        "it is refused",
    )
    observe.wait_ready(control_plane, "neighbour")
    for name in ("watched", "neighbour"):
        observe.wait_for_all_conditions(control_plane, name)
    condition = "profiles_controller_profile_condition"
    success = "profiles_controller_last_success_timestamp_seconds"
    statuses = {
        (labels["controller"], labels["status"]): value
        for labels, value in manager.series(condition, profile="watched")
    }
    successes = {labels["controller"] for labels, _ in manager.series(success, profile="watched")}

    kubeflow.delete_profile(control_plane, "watched")

    waiting.until(lambda: "watched" not in manager.probe_text("/metrics"), "its series are gone")
    assert {name for name, _ in statuses} == CONTROLLERS
    assert statuses["quotas", "False"] == statuses["limitranges", "True"] == 1.0
    assert "quotas" not in successes
    assert "limitranges" in successes
    assert len(manager.series(condition, profile="neighbour")) == len(CONTROLLERS)


def test_each_reconcile_with_changes_logs_a_line_with_the_fields_of_queries(
    control_plane: ControlPlane, manager: ManagerProcess
) -> None:
    observe.create_ready_tenant(control_plane, "written-down")
    observe.wait_for_all_conditions(control_plane, "written-down")

    # blob-csi has no storage account here, and so nothing to make.
    writers = CONTROLLERS - {"blob-csi"}
    waiting.until(
        lambda: len(manager.lines(profile="written-down", message="reconciled")) >= len(writers),
        "each has written",
    )
    lines = manager.lines(profile="written-down", message="reconciled")

    assert {line["controller"] for line in lines} == writers
    for line in lines:
        assert list(line)[:4] == ["timestamp", "level", "logger", "message"]
        assert line["namespace"] == "written-down"
        assert line["create"] == len(line["changes"]) >= 1
        assert line["duration_ms"] >= 0
    assert len({line["reconciliation_id"] for line in lines}) == len(lines)
    assert [line["changes"] for line in lines if line["controller"] == "quotas"] == [
        ["ResourceQuota written-down/quotas create"]
    ]


def test_changes_are_events_of_the_profile(
    control_plane: ControlPlane, manager: ManagerProcess
) -> None:
    profile = observe.create_ready_tenant(control_plane, "announced")

    found = waiting.until(
        lambda: [
            one
            for one in observe.events(control_plane, "announced")
            if one["reason"] == "Reconciled"
        ][:2],
        "the changes are reported as events",
    )

    assert manager.is_ready()
    assert {one["type"] for one in found} == {"Normal"}
    assert {one["involvedObject"]["uid"] for one in found} == {profile["metadata"]["uid"]}
    assert {one["source"]["component"] for one in found} <= {
        f"profiles-controller-{controller}" for controller in CONTROLLERS
    }
