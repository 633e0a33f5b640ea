"""The notebook controller as a process with its own rights, on a real API server."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from controllers.notebook import desired
from controllers.notebook.config import NotebookSettings
from controllers.profiles import parse_profile
from tests.support import builders
from tests.support.cluster import kubeflow, observe, service_account, waiting
from tests.support.cluster.audit import Audit
from tests.support.cluster.manager_process import Launcher, ManagerProcess
from tests.support.controlplane import ControlPlane, Json

pytestmark = pytest.mark.xdist_group("notebook")

POD_DEFAULTS = "/apis/kubeflow.org/v1alpha1/namespaces/{}/poddefaults"
NAME = "protected-b"
CONDITION = "NotebookReady"
OLDER = {
    "desc": "Run a Protected B notebook",
    "selector": {"matchLabels": {"notebook.statcan.gc.ca/protected-b": "true"}},
    "labels": {"data.statcan.gc.ca/classification": "protected-b"},
}


@pytest.fixture(scope="module")
def manager(launcher: Launcher) -> ManagerProcess:
    return launcher.start("notebook", "--resync", "0.03").wait_ready()


def path(namespace: str, name: str = NAME) -> str:
    return f"{POD_DEFAULTS.format(namespace)}/{name}"


def find(plane: ControlPlane, namespace: str, name: str = NAME) -> Json:
    """The object, or an empty dictionary when it does not exist."""
    return observe.find(plane, path(namespace, name)) or {}


def are_roles_ready(plane: ControlPlane, name: str) -> bool:
    return observe.condition_status(plane, name, CONDITION) == "True"


def wait_roles_ready(plane: ControlPlane, name: str) -> Json:
    """The PodDefault of a profile that is ready."""
    waiting.until(lambda: are_roles_ready(plane, name) and find(plane, name), f"{name} is ready")
    return find(plane, name)


def tenant(plane: ControlPlane, name: str) -> Json:
    """The PodDefault of a new tenant."""
    kubeflow.create_tenants(plane, [name])
    return wait_roles_ready(plane, name)


def wait_for_resyncs(plane: ControlPlane, manager: ManagerProcess) -> None:
    """Waits for three more reconciles of each profile, including those of other tests."""
    observe.wait_for_reconciles(manager, 3 * len(plane.request("GET", kubeflow.PROFILES)["items"]))


def pod_default(namespace: str, name: str = NAME, **metadata: object) -> Json:
    return {
        "apiVersion": "kubeflow.org/v1alpha1",
        "kind": "PodDefault",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": OLDER,
    }


@pytest.mark.usefixtures("manager")
def test_a_new_tenant_gets_the_desired_pod_default(control_plane: ControlPlane) -> None:
    found = tenant(control_plane, "notes-marked")

    profile = parse_profile(control_plane.request("GET", f"{kubeflow.PROFILES}/notes-marked"))
    (expected,) = builders.bodies(
        desired.desired(profile, None, NotebookSettings()).objects, profile, component="notebook"
    )
    assert found["spec"] == expected["spec"]
    assert expected["metadata"].items() <= found["metadata"].items()


@pytest.mark.usefixtures("manager")
@pytest.mark.parametrize(
    ("name", "change"),
    [
        (
            "notes-opened",
            {"spec": {"labels": {"data.statcan.gc.ca/classification": "unclassified"}}},
        ),
        ("notes-emptied-default", {"spec": {"labels": None}}),
        ("notes-added-to", {"spec": {"env": [{"name": "A", "value": "b"}]}}),
        ("notes-for-all", {"spec": {"selector": {"matchLabels": None}}}),
        ("notes-unmarked", {"metadata": {"labels": None}}),
    ],
)
def test_an_edit_is_reverted_in_place(control_plane: ControlPlane, name: str, change: Json) -> None:
    before = tenant(control_plane, name)

    observe.patch(control_plane, path(name), change)

    def is_as_before() -> bool:
        found = find(control_plane, name)
        same = (found["spec"], found["metadata"].get("labels"), found["metadata"]["uid"])
        return same == (before["spec"], before["metadata"]["labels"], before["metadata"]["uid"])

    waiting.until(is_as_before, "it is as it was")


@pytest.mark.usefixtures("manager")
def test_a_deleted_pod_default_is_created_again(control_plane: ControlPlane) -> None:
    before = tenant(control_plane, "notes-tidied")

    observe.delete(control_plane, path("notes-tidied"))

    waiting.until(lambda: find(control_plane, "notes-tidied"), "it is there again")
    assert find(control_plane, "notes-tidied")["spec"] == before["spec"]


@pytest.mark.usefixtures("manager")
def test_the_pod_default_of_the_older_suite_is_adopted_and_others_are_not_changed(
    control_plane: ControlPlane,
) -> None:
    profile = kubeflow.create_profile(control_plane, "notes-bequeathed")
    namespace = kubeflow.namespace_manifest(profile)
    owners = namespace["metadata"].pop("ownerReferences")
    control_plane.apply(
        namespace,
        pod_default("notes-bequeathed", ownerReferences=owners),
        pod_default("notes-bequeathed", "access-ml-pipeline", ownerReferences=owners),
        pod_default("notes-bequeathed", "theirs"),
    )
    before = {
        each: find(control_plane, "notes-bequeathed", each)
        for each in (NAME, "access-ml-pipeline", "theirs")
    }

    owned = {"metadata": {"ownerReferences": owners}}
    observe.patch(control_plane, "/api/v1/namespaces/notes-bequeathed", owned)

    after = wait_roles_ready(control_plane, "notes-bequeathed")
    assert after["metadata"]["uid"] == before[NAME]["metadata"]["uid"]
    assert after["metadata"]["labels"]["app.kubernetes.io/component"] == "notebook"
    assert after["spec"]["desc"] == NotebookSettings().description
    for other in ("access-ml-pipeline", "theirs"):
        assert find(control_plane, "notes-bequeathed", other) == before[other]


@pytest.mark.usefixtures("manager")
def test_a_pod_default_of_another_owner_is_reported_and_not_changed(
    control_plane: ControlPlane,
) -> None:
    profile = kubeflow.create_profile(control_plane, "notes-claimed")
    namespace = kubeflow.namespace_manifest(profile)
    owners = namespace["metadata"].pop("ownerReferences")
    control_plane.apply(namespace, pod_default("notes-claimed"))
    before = find(control_plane, "notes-claimed")

    owned = {"metadata": {"ownerReferences": owners}}
    observe.patch(control_plane, "/api/v1/namespaces/notes-claimed", owned)
    (warning,) = waiting.until(
        lambda: observe.events(control_plane, "notes-claimed", reason="Refused"),
        "a warning is reported",
    )

    assert "PodDefault notes-claimed/protected-b" in warning["message"]
    assert find(control_plane, "notes-claimed") == before

    observe.delete(control_plane, path("notes-claimed"))

    wait_roles_ready(control_plane, "notes-claimed")


def test_the_steady_state_sends_no_request_except_watches(
    control_plane: ControlPlane, manager: ManagerProcess
) -> None:
    before = tenant(control_plane, "notes-still")
    reconciled = functools.partial(
        observe.events, control_plane, "notes-still", reason="Reconciled"
    )
    waiting.until(reconciled, "there is an event, the last request of a reconcile")
    wait_for_resyncs(control_plane, manager)
    audit = Audit(control_plane, service_account.user("notebook"))

    wait_for_resyncs(control_plane, manager)

    assert [one for one in audit.writes() if "notes-still" in one] == []
    assert {verb for verb, _ in audit.counts()} <= {"watch"}
    assert find(control_plane, "notes-still") == before


def test_other_settings_delete_only_pod_defaults_that_are_no_longer_desired(
    control_plane: ControlPlane, launcher: Launcher, manager: ManagerProcess, tmp_path: Path
) -> None:
    tenant(control_plane, "notes-renamed")
    control_plane.apply(pod_default("notes-renamed", "theirs"))
    theirs = find(control_plane, "notes-renamed", "theirs")
    assert manager.stop() == 0  # two processes with different settings would overwrite each other
    file = tmp_path / "config.yaml"

    file.write_text(yaml.safe_dump({"notebook": {"name": "secret-b", "labels": {"level": 2}}}))
    second = launcher.start("notebook", "--config", str(file)).wait_ready()
    waiting.until(lambda: find(control_plane, "notes-renamed", "secret-b"), "the new one is made")
    waiting.until(
        functools.partial(observe.is_deleted, control_plane, path("notes-renamed")), "one went"
    )
    labels = find(control_plane, "notes-renamed", "secret-b")["spec"]["labels"]
    assert second.stop() == 0

    file.write_text("notebook: {protectedB: false}")
    third = launcher.start("notebook", "--config", str(file)).wait_ready()
    gone = functools.partial(observe.is_deleted, control_plane, path("notes-renamed", "secret-b"))
    waiting.until(gone, "the other went too")
    assert third.stop() == 0

    assert labels == {"data.statcan.gc.ca/classification": "protected-b", "level": "2"}
    assert find(control_plane, "notes-renamed", "theirs") == theirs


def test_without_the_crd_the_controller_waits_and_does_not_delay_others(
    fresh_launcher: Callable[..., Launcher],
) -> None:
    launcher = fresh_launcher(kubeflow_installed=False)
    plane = launcher.plane
    kubeflow.install_profiles(plane)
    kubeflow.create_tenants(plane, ["early"])
    running = launcher.start("all", "--only", "quotas,notebook").wait_ready()
    waiting.until(
        lambda: observe.condition_status(plane, "early", "QuotasReady") == "True", "quotas works"
    )
    waiting.until(
        lambda: observe.condition_status(plane, "early", CONDITION) == "False", "notebook waits"
    )
    (warning,) = waiting.until(
        lambda: observe.events(plane, "early", reason="KindNotServed"), "an event says so"
    )
    said = observe.condition_message(plane, "early", CONDITION)
    page = running.probe_text("/readyz?verbose")
    synced = running.series("profiles_controller_informer_synced", kind="PodDefault")

    kubeflow.install_crd(plane, "poddefaults")

    wait_roles_ready(plane, "early")
    lacking = "the cluster serves no poddefaults.kubeflow.org yet"
    assert lacking in said
    assert warning["type"] == "Warning"
    assert warning["reportingComponent"] == "profiles-controller-notebook"
    assert lacking in warning["message"]
    assert f"[+]informer/PodDefault ok: waiting: {lacking}" in page
    assert [value for _, value in synced] == [0.0]
    assert running.lines(level="error") == []
    assert "Traceback" not in running.text()
    assert running.stop() == 0
