"""The namespaces that the suite writes to, and those that it never writes to."""

import pytest

from tests.support.builders import registered
from tests.support.cluster import kubeflow, observe, service_account, waiting
from tests.support.cluster.audit import Audit
from tests.support.cluster.manager_process import Launcher, ManagerProcess
from tests.support.controlplane import ControlPlane, Json

pytestmark = pytest.mark.xdist_group("namespaces")

EVERY = {f"profiles-controller-{controller.name}" for controller in registered.RUN_BY_ALL}


def warned_by(plane: ControlPlane, profile: str) -> set[str]:
    """The controllers that reported that the Profile does not own the namespace."""
    events = observe.events(plane, profile, reason="NamespaceNotOwned")
    return {one["reportingComponent"] for one in events}


def blocker(namespace: str) -> Json:
    """It keeps its namespace terminating until its finalizer is taken away."""
    metadata = {"name": "blocker", "namespace": namespace, "finalizers": ["example.ca/blocker"]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def older_namespace(profile: Json) -> Json:
    """One that is older than its Profile: of its owner, but not controlled by it."""
    manifest = kubeflow.namespace_manifest(profile)
    del manifest["metadata"]["ownerReferences"]
    return manifest


def test_a_namespace_that_the_profile_does_not_own_is_never_written_to(
    control_plane: ControlPlane, manager: ManagerProcess
) -> None:
    audit = Audit(control_plane, service_account.user("all"))
    observe.create_ready_tenant(control_plane, "honest")

    kubeflow.create_profile(control_plane, "kube-system")
    waiting.until(lambda: EVERY <= warned_by(control_plane, "kube-system"), "each controller warns")
    waiting.until(
        lambda: all(
            "not controlled by Profile"
            in observe.condition_message(control_plane, "kube-system", condition)
            for condition in (one.condition for one in registered.RUN_BY_ALL)
        ),
        "the conditions report it",
    )
    observe.set_quota_labels(control_plane, "kube-system", pods="1")
    observe.set_quota_labels(control_plane, "honest", pods="1")
    waiting.until(
        lambda: observe.quota_hard(control_plane, "honest")["pods"] == "1", "a neighbour is served"
    )

    touched = [write for write in audit.writes() if " kube-system/" in write]
    kubeflow.delete_profile(control_plane, "kube-system")
    assert touched == []
    assert observe.find(control_plane, observe.quota_path("kube-system")) is None
    assert manager.is_ready()


def test_a_terminating_namespace_causes_no_warning(
    control_plane: ControlPlane, manager: ManagerProcess
) -> None:
    profile = observe.create_ready_tenant(control_plane, "closing")
    control_plane.apply(blocker("closing"))
    observe.delete(control_plane, "/api/v1/namespaces/closing")
    waiting.until(
        lambda: observe.find(control_plane, observe.quota_path("closing")) is None,
        "the namespace controller has emptied it",
        seconds=observe.GONE_SECONDS,
    )
    waiting.until(
        lambda: (
            "is being deleted" in observe.condition_message(control_plane, "closing", "QuotasReady")
        ),
        "the condition says so",
    )
    path = "/api/v1/namespaces/closing/configmaps/blocker"

    observe.patch(control_plane, path, {"metadata": {"finalizers": None}})
    waiting.until(
        lambda: observe.find(control_plane, "/api/v1/namespaces/closing") is None,
        "the namespace is gone",
        seconds=observe.GONE_SECONDS,
    )
    kubeflow.create_namespace(control_plane, profile)

    observe.wait_ready(control_plane, "closing")
    assert manager.warnings_and_errors("closing") == []
    assert observe.events(control_plane, "closing", type="Warning") == []


def test_an_older_namespace_is_served_only_where_the_operator_allows_it(
    control_plane: ControlPlane, manager: ManagerProcess, launcher: Launcher
) -> None:
    profile = kubeflow.create_profile(control_plane, "veteran")
    control_plane.apply(older_namespace(profile))
    waiting.until(
        lambda: (
            "not controlled by"
            in observe.condition_message(control_plane, "veteran", "QuotasReady")
        ),
        "it is refused",
    )
    refused = observe.find(control_plane, observe.quota_path("veteran"))
    manager.stop()

    allowing = launcher.start("all", "--allow-adopted-namespaces").wait_ready()

    observe.wait_ready(control_plane, "veteran")
    assert refused is None
    stranger = kubeflow.create_profile(control_plane, "stranger", owner="eve@example.ca")
    foreign = older_namespace(stranger)
    foreign["metadata"]["annotations"]["owner"] = "somebody.else@example.ca"
    control_plane.apply(foreign)
    waiting.until(
        lambda: (
            "not controlled by"
            in observe.condition_message(control_plane, "stranger", "QuotasReady")
        ),
        "a namespace of another owner is refused all the same",
    )
    assert allowing.stop() == 0
    assert observe.find(control_plane, observe.quota_path("stranger")) is None
