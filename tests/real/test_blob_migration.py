"""Adoption of the older suite's objects, and deletion of data: each test starts its own suite."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.azure import Azurite, key_of, objects
from tests.support.cluster import kubeflow, observe, waiting
from tests.support.cluster.manager_process import Launcher, ManagerProcess, run
from tests.support.controlplane import ControlPlane, ports

pytestmark = pytest.mark.xdist_group("azurite")

Start = Callable[..., ManagerProcess]


@pytest.fixture
def start(launcher: Launcher, tmp_path: Path) -> Iterator[Start]:
    """Start a suite with settings; the previous one is stopped."""
    running: list[ManagerProcess] = []

    def begin(settings: Mapping[str, Any], *arguments: str) -> ManagerProcess:
        while running:
            assert running.pop().stop() == 0
        running.append(objects.launch(launcher, tmp_path, settings, *arguments))
        return running[0]

    yield begin
    for manager in running:
        assert manager.stop() == 0


@pytest.fixture(autouse=True)
def cluster_objects(control_plane: ControlPlane) -> Iterator[None]:
    objects.install(control_plane)
    yield
    objects.write_buckets(control_plane, [])


def test_no_object_of_the_older_suite_is_replaced(
    control_plane: ControlPlane, azurite: Azurite, start: Start
) -> None:
    names = [f"older-{number}" for number in range(3)]
    profiles = kubeflow.create_tenants(control_plane, names)
    for profile in profiles:
        for instance, secret in (("standard", "good"), ("reader", "good"), ("other", "other")):
            read_only = instance == "reader"
            control_plane.apply(
                *objects.legacy_objects(profile, instance, secret=secret, read_only=read_only)
            )
        name = profile["metadata"]["name"]
        for account in (objects.GOOD, objects.OTHER):
            azurite.create(name, account)
        azurite.put(name, "diary", "dear diary")
    paths = [path for name in names for path in objects.platform_paths(name)]
    objects.wait_bound(control_plane, paths)
    control_plane.apply(*(objects.pod(name, "notebook", "standard") for name in names))
    before = objects.uids(control_plane, paths)

    manager = start(objects.settings(azurite))

    for name in names:
        objects.wait_condition(control_plane, name)
    assert before == objects.uids(control_plane, paths)
    bodies = objects.existing(control_plane, paths)
    assert all("deletionTimestamp" not in body["metadata"] for body in bodies.values())
    assert {"profiles-controller"} == {
        body["metadata"]["labels"]["app.kubernetes.io/managed-by"] for body in bodies.values()
    }
    assert {"Bound"} == {body["status"]["phase"] for body in bodies.values()}
    options = [
        body["spec"].get("mountOptions") for body in bodies.values() if "csi" in body["spec"]
    ]
    assert all("--log-level=LOG_WARNING" in one for one in options)
    assert 0 == manager.total("profiles_controller_changes_total", action="prune")
    assert 0 == manager.total("profiles_controller_changes_total", action="recreate")
    for name in names:
        assert name == azurite.containers()[name]["profile"]
        assert "dear diary" == azurite.read(name, "diary")
        pod = observe.find(control_plane, objects.pod_path(name, "notebook"))
        assert pod is not None
        assert "deletionTimestamp" not in pod["metadata"]
    settled = objects.versions(control_plane, paths)

    manager = start(objects.settings(azurite), "--resync", "0.025")
    profiles_there = len(control_plane.request("GET", kubeflow.PROFILES)["items"])
    waiting.until(
        lambda: manager.total("controller_runtime_reconcile_total") > 3 * profiles_there,
        "the next process has reconciled all several times",
        seconds=60,
    )
    assert settled == objects.versions(control_plane, paths)
    for name in names:
        objects.end_pod(control_plane, name, "notebook")


def test_a_restart_while_azure_is_unreachable_changes_no_volume(
    control_plane: ControlPlane, azurite: Azurite, start: Start
) -> None:
    start(objects.settings(azurite))
    objects.tenant(control_plane, "stranded")
    paths = objects.platform_paths("stranded")
    before = objects.versions(control_plane, paths)

    unreachable = f"http://127.0.0.1:{ports.free()}/{{account}}"
    manager = start(objects.settings(azurite, storage_endpoint=unreachable))
    objects.wait_condition(control_plane, "stranded", "False", objects.GOOD)
    assert objects.OTHER in observe.condition_message(control_plane, "stranded", objects.CONDITION)
    assert before == objects.versions(control_plane, paths)
    assert manager.is_ready()

    kubeflow.create_tenants(control_plane, ["newcomer"])
    objects.wait_condition(control_plane, "newcomer", "False", objects.GOOD)
    assert {} == objects.existing(control_plane, objects.platform_paths("newcomer"))
    assert 0 == manager.total("profiles_controller_changes_total", controller="blob-csi")


def test_diff_reads_azure_and_changes_nothing_there(
    control_plane: ControlPlane, azurite: Azurite, tmp_path: Path
) -> None:
    kubeflow.create_tenants(control_plane, ["looker", "taken"])
    azurite.create("taken", metadata={"profile": "somebody-else"})
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"blob-csi": objects.settings(azurite)}))
    before = azurite.containers(objects.GOOD), azurite.containers(objects.OTHER)

    command = ["diff", "blob-csi", "--config", str(file)]
    done = run(*command, "--kubeconfig", str(control_plane.kubeconfig))

    assert "looker-standard" in done.stdout, done.stderr
    assert "taken-standard" not in done.stdout
    assert before == (
        azurite.containers(objects.GOOD),
        azurite.containers(objects.OTHER),
    )
    assert {} == objects.existing(control_plane, objects.platform_paths("looker"))
    assert key_of(objects.GOOD) not in done.stdout + done.stderr


def test_the_containers_of_a_deleted_profile_are_deleted_after_the_delay(
    control_plane: ControlPlane, azurite: Azurite, start: Start
) -> None:
    seconds = 4.0
    manager = start(
        objects.settings(azurite, delete_data=True, delete_data_after_days=seconds / 86400),
        "--resync",
        "0.02",
    )
    for name in ("leaver", "stayer"):
        objects.tenant(control_plane, name)
        azurite.put(name, "diary", "dear diary")

    kubeflow.delete_profile(control_plane, "leaver")
    waiting.until(
        lambda: "profilegone" in azurite.containers().get("leaver", {}), "it is orphaned first"
    )
    for account in (objects.GOOD, objects.OTHER):
        waiting.until(
            lambda account=account: "leaver" not in azurite.containers(account),  # type: ignore[misc]
            f"its container in {account} is deleted",
            seconds=60,
        )
    assert "dear diary" == azurite.read("stayer", "diary")
    assert "profilegone" not in azurite.containers()["stayer"]
    assert manager.lines(message="container orphaned", container="leaver")
    assert manager.lines(message="container deleted", container="leaver")


def test_a_profile_that_is_recreated_within_the_delay_keeps_its_data(
    control_plane: ControlPlane, azurite: Azurite, start: Start
) -> None:
    settings = objects.settings(azurite, delete_data=True, delete_data_after_days=1.0)
    manager = start(settings, "--resync", "0.02")
    objects.tenant(control_plane, "returner")
    azurite.put("returner", "diary", "dear diary")
    kubeflow.delete_profile(control_plane, "returner")
    waiting.until(
        lambda: "profilegone" in azurite.containers()["returner"], "its container is orphaned"
    )
    waiting.until(
        lambda: observe.is_deleted(control_plane, "/api/v1/namespaces/returner"),
        "the namespace is gone",
        seconds=60,
    )
    objects.tenant(control_plane, "returner")
    assert "profilegone" not in azurite.containers()["returner"]
    assert "dear diary" == azurite.read("returner", "diary")
    assert not manager.lines(message="container deleted")
