"""Effects of a changed Profile on its objects: one process, a real API server."""

import pytest

from tests.support.builders import registered
from tests.support.cluster import kubeflow, observe, waiting
from tests.support.cluster.manager_process import ManagerProcess
from tests.support.controlplane import ControlPlane

pytestmark = [pytest.mark.xdist_group("profiles"), pytest.mark.usefixtures("manager")]

BETA = "/apis/kubeflow.org/v1beta1/profiles"


def test_a_profile_may_come_before_its_namespace(control_plane: ControlPlane) -> None:
    profile = kubeflow.create_profile(control_plane, "early-profile")
    waiting.until(
        lambda: observe.condition_status(control_plane, "early-profile", "QuotasReady") == "False",
        "the condition states what is missing",
    )
    message = observe.condition_message(control_plane, "early-profile", "QuotasReady")

    kubeflow.create_namespace(control_plane, profile)

    observe.wait_ready(control_plane, "early-profile")
    assert message == "namespace early-profile does not exist"
    assert not observe.events(control_plane, "early-profile", type="Warning")


def test_a_namespace_may_come_before_its_profile(control_plane: ControlPlane) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "early-namespace"}}
    control_plane.apply(namespace)
    profile = kubeflow.create_profile(control_plane, "early-namespace")
    waiting.until(
        lambda: (
            observe.condition_status(control_plane, "early-namespace", "LimitrangesReady")
            == "False"
        ),
        "the namespace has no owner yet",
    )

    control_plane.apply(kubeflow.namespace_manifest(profile))

    observe.wait_ready(control_plane, "early-namespace")


def test_a_recreated_namespace_gets_its_objects_again(control_plane: ControlPlane) -> None:
    profile = observe.create_ready_tenant(
        control_plane, "renewed", {"quotas.statcan.gc.ca/pods": "7"}
    )
    before = control_plane.get("ResourceQuota", observe.QUOTA, "renewed")["metadata"]["uid"]

    observe.delete_namespace(control_plane, "renewed")
    kubeflow.create_namespace(control_plane, profile)

    waiting.until(lambda: observe.quota_hard(control_plane, "renewed"), "the quota is there again")
    observe.wait_ready(control_plane, "renewed")
    after = control_plane.get("ResourceQuota", observe.QUOTA, "renewed")
    assert after["spec"]["hard"]["pods"] == "7"
    assert after["metadata"]["uid"] != before


def test_another_owner_changes_neither_object(control_plane: ControlPlane) -> None:
    observe.create_ready_tenant(control_plane, "sold")
    before = control_plane.get("LimitRange", observe.LIMIT_RANGE, "sold")

    kubeflow.patch_profile(
        control_plane, "sold", {"spec": {"owner": kubeflow.user("john@example.ca")}}
    )
    observe.set_quota_labels(control_plane, "sold", pods="8")

    waiting.until(
        lambda: observe.quota_hard(control_plane, "sold")["pods"] == "8", "the label is read"
    )
    assert control_plane.get("LimitRange", observe.LIMIT_RANGE, "sold") == before
    assert observe.is_ready(control_plane, "sold")


def test_a_label_has_effect_when_it_is_added_changed_and_removed(
    control_plane: ControlPlane,
) -> None:
    observe.create_ready_tenant(control_plane, "labelled")
    default = observe.quota_hard(control_plane, "labelled")

    def wait_for(gpus: str) -> None:
        waiting.until(
            lambda: (
                observe.quota_hard(control_plane, "labelled")["requests.nvidia.com/gpu"] == gpus
            ),
            f"{gpus} GPUs are allowed",
        )

    observe.set_quota_labels(control_plane, "labelled", gpu="4")
    wait_for("4")
    observe.set_quota_labels(control_plane, "labelled", gpu="6")
    wait_for("6")
    observe.set_quota_labels(control_plane, "labelled", gpu=None)
    wait_for("2")

    assert observe.quota_hard(control_plane, "labelled") == default


def test_an_invalid_label_does_not_affect_other_keys(control_plane: ControlPlane) -> None:
    observe.create_ready_tenant(control_plane, "mistaken")

    observe.set_quota_labels(control_plane, "mistaken", pods="many", gpu="1")

    waiting.until(
        lambda: observe.condition_status(control_plane, "mistaken", "QuotasReady") == "False",
        "the label is refused",
    )
    message = observe.condition_message(control_plane, "mistaken", "QuotasReady")
    warnings = waiting.until(
        lambda: observe.events(control_plane, "mistaken", type="Warning"), "a warning is reported"
    )
    hard = observe.quota_hard(control_plane, "mistaken")
    assert "quotas.statcan.gc.ca/pods" in message
    assert "many" in message
    assert [event["message"] for event in warnings] == [message]
    assert (hard["pods"], hard["requests.nvidia.com/gpu"]) == ("100", "1")
    assert observe.condition_status(control_plane, "mistaken", "LimitrangesReady") == "True"

    observe.set_quota_labels(control_plane, "mistaken", pods="9")

    observe.wait_ready(control_plane, "mistaken")
    assert observe.quota_hard(control_plane, "mistaken")["pods"] == "9"


def test_the_objects_and_series_of_a_deleted_profile_are_deleted(
    control_plane: ControlPlane, manager: ManagerProcess
) -> None:
    observe.create_ready_tenant(control_plane, "leaver")
    series = "profiles_controller_profile_condition"
    observe.wait_for_all_conditions(control_plane, "leaver")
    assert len(manager.series(series, profile="leaver")) == len(registered.RUN_BY_ALL)

    kubeflow.delete_profile(control_plane, "leaver")

    waiting.until(
        lambda: observe.find(control_plane, "/api/v1/namespaces/leaver") is None,
        "the namespace is gone",
        seconds=observe.GONE_SECONDS,
    )
    waiting.until(lambda: not manager.series(series, profile="leaver"), "the series are gone")
    assert not manager.warnings_and_errors("leaver")


def test_a_profile_that_is_being_deleted_is_not_reconciled(
    control_plane: ControlPlane, manager: ManagerProcess
) -> None:
    observe.create_ready_tenant(control_plane, "lingering")
    observe.create_ready_tenant(control_plane, "staying")
    seen = manager.total("workqueue_adds_total")
    kubeflow.mark_deleted(control_plane, "lingering")
    waiting.until(
        lambda: manager.total("workqueue_adds_total") >= seen + len(registered.RUN_BY_ALL),
        "every controller has enqueued it",
    )

    observe.delete(control_plane, observe.quota_path("lingering"))
    observe.delete(control_plane, observe.quota_path("staying"))

    waiting.until(lambda: observe.quota_hard(control_plane, "staying"), "the neighbour is repaired")
    assert not observe.quota_hard(control_plane, "lingering")
    kubeflow.patch_profile(control_plane, "lingering", {"metadata": {"finalizers": None}})


def test_a_profile_of_v1beta1_is_reconciled(control_plane: ControlPlane) -> None:
    manifest = kubeflow.profile_manifest("elder", labels={"quotas.statcan.gc.ca/pods": "5"})
    profile = control_plane.request(
        "POST", BETA, {**manifest, "apiVersion": "kubeflow.org/v1beta1"}
    )
    namespace = kubeflow.namespace_manifest(profile)
    namespace["metadata"]["ownerReferences"][0]["apiVersion"] = "kubeflow.org/v1beta1"
    control_plane.apply(namespace)
    observe.wait_ready(control_plane, "elder")
    assert observe.quota_hard(control_plane, "elder")["pods"] == "5"

    labels = {"metadata": {"labels": {"quotas.statcan.gc.ca/pods": "6"}}}
    observe.patch(control_plane, f"{BETA}/elder", labels)

    waiting.until(
        lambda: observe.quota_hard(control_plane, "elder")["pods"] == "6", "the label is read"
    )


def test_conditions_and_metadata_of_other_writers_are_preserved(
    control_plane: ControlPlane,
) -> None:
    (profile,) = kubeflow.create_tenants(
        control_plane, ["shared"], labels={"theirs": "label"}, annotations={"theirs": "note"}
    )
    foreign = {"type": "Foreign", "status": "True", "message": "theirs"}
    observe.wait_ready(control_plane, "shared")

    observe.add_condition(control_plane, "shared", foreign)
    observe.set_quota_labels(control_plane, "shared", pods="none")
    waiting.until(
        lambda: observe.condition_status(control_plane, "shared", "QuotasReady") == "False",
        "the suite has written its condition again",
    )

    body = control_plane.request("GET", f"{kubeflow.PROFILES}/shared")
    assert observe.conditions(control_plane, "shared")["Foreign"] == ("True", "theirs")
    assert body["metadata"]["labels"]["theirs"] == "label"
    assert body["metadata"]["annotations"] == {"theirs": "note"}
    assert body["metadata"]["finalizers"] == [kubeflow.FINALIZER]
    assert body["spec"] == profile["spec"]
