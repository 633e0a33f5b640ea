"""What a Go suite left behind, and what a departed Profile does: each with a suite of its own."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.azure import Azurite, key_of, stages
from tests.support.cluster import kubeflow, observe, waiting
from tests.support.cluster.suite import Suite, Suites, run
from tests.support.controlplane import ControlPlane, ports

pytestmark = pytest.mark.xdist_group("azurite")

Start = Callable[..., Suite]


@pytest.fixture
def start(suites: Suites, tmp_path: Path) -> Iterator[Start]:
    """Starts it with settings, one at a time: the one before is stopped."""
    running: list[Suite] = []

    def begin(settings: Mapping[str, Any], *arguments: str) -> Suite:
        while running:
            assert running.pop().stop() == 0
        running.append(stages.launch(suites, tmp_path, settings, *arguments))
        return running[0]

    yield begin
    for suite in running:
        assert suite.stop() == 0


@pytest.fixture(autouse=True)
def stage(control_plane: ControlPlane) -> Iterator[None]:
    stages.install(control_plane)
    yield
    stages.grant(control_plane, [])


def test_not_one_of_a_go_suites_objects_is_replaced(
    control_plane: ControlPlane, azurite: Azurite, start: Start
) -> None:
    names = [f"older-{number}" for number in range(3)]
    profiles = kubeflow.create_tenants(control_plane, names)
    for profile in profiles:
        for instance, secret in (("standard", "good"), ("reader", "good"), ("other", "other")):
            read_only = instance == "reader"
            control_plane.apply(
                *stages.older_volume(profile, instance, secret=secret, read_only=read_only)
            )
        name = profile["metadata"]["name"]
        for account in (stages.GOOD, stages.OTHER):
            azurite.create(name, account)
        azurite.put(name, "diary", "dear diary")
    paths = [path for name in names for path in stages.own_paths(name)]
    stages.wait_bound(control_plane, paths)
    control_plane.apply(*(stages.pod(name, "notebook", "standard") for name in names))
    before = stages.uids(control_plane, paths)

    suite = start(stages.settings(azurite))

    for name in names:
        stages.wait_for(control_plane, name)
    assert before == stages.uids(control_plane, paths)
    bodies = stages.found(control_plane, paths)
    assert all("deletionTimestamp" not in body["metadata"] for body in bodies.values())
    assert {"profiles-controller"} == {
        body["metadata"]["labels"]["app.kubernetes.io/managed-by"] for body in bodies.values()
    }
    assert {"Bound"} == {body["status"]["phase"] for body in bodies.values()}
    options = [
        body["spec"].get("mountOptions") for body in bodies.values() if "csi" in body["spec"]
    ]
    assert all("--log-level=LOG_WARNING" in one for one in options)
    assert 0 == suite.total("profiles_controller_changes_total", action="delete")
    assert 0 == suite.total("profiles_controller_changes_total", action="recreate")
    for name in names:
        assert name == azurite.containers()[name]["profile"]
        assert "dear diary" == azurite.read(name, "diary")
        pod = observe.find(control_plane, stages.pod_path(name, "notebook"))
        assert pod is not None
        assert "deletionTimestamp" not in pod["metadata"]
    settled = stages.versions(control_plane, paths)

    suite = start(stages.settings(azurite), "--resync", "0.025")
    profiles_there = len(control_plane.request("GET", kubeflow.PROFILES)["items"])
    waiting.until(
        lambda: suite.total("controller_runtime_reconcile_total") > 3 * profiles_there,
        "the next process has looked at all, again and again",
        seconds=60,
    )
    assert settled == stages.versions(control_plane, paths)
    for name in names:
        stages.let_pod_end(control_plane, name, "notebook")


def test_a_restart_while_azure_is_away_leaves_every_volume_as_it_is(
    control_plane: ControlPlane, azurite: Azurite, start: Start
) -> None:
    start(stages.settings(azurite))
    stages.tenant(control_plane, "stranded")
    paths = stages.own_paths("stranded")
    before = stages.versions(control_plane, paths)

    away = f"http://127.0.0.1:{ports.free()}/{{account}}"
    suite = start(stages.settings(azurite, storage_endpoint=away))
    stages.wait_for(control_plane, "stranded", "False", stages.GOOD)
    assert stages.OTHER in observe.message(control_plane, "stranded", stages.CONDITION)
    assert before == stages.versions(control_plane, paths)
    assert suite.is_ready()

    kubeflow.create_tenants(control_plane, ["newcomer"])
    stages.wait_for(control_plane, "newcomer", "False", stages.GOOD)
    assert {} == stages.found(control_plane, stages.own_paths("newcomer"))
    assert 0 == suite.total("profiles_controller_changes_total", controller="blob-csi")


def test_a_look_ahead_asks_azure_and_changes_nothing_there(
    control_plane: ControlPlane, azurite: Azurite, tmp_path: Path
) -> None:
    kubeflow.create_tenants(control_plane, ["looker", "taken"])
    azurite.create("taken", metadata={"profile": "somebody-else"})
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"blob-csi": stages.settings(azurite)}))
    before = azurite.containers(stages.GOOD), azurite.containers(stages.OTHER)

    command = ["diff", "blob-csi", "--config", str(file)]
    done = run(*command, "--kubeconfig", str(control_plane.kubeconfig))

    assert "looker-standard" in done.stdout, done.stderr
    assert "taken-standard" not in done.stdout
    assert before == (azurite.containers(stages.GOOD), azurite.containers(stages.OTHER))
    assert {} == stages.found(control_plane, stages.own_paths("looker"))
    assert key_of(stages.GOOD) not in done.stdout + done.stderr


def test_a_departed_profiles_containers_go_after_the_delay(
    control_plane: ControlPlane, azurite: Azurite, start: Start
) -> None:
    seconds = 4.0
    suite = start(
        stages.settings(azurite, delete_data=True, delete_data_after_days=seconds / 86400),
        "--resync",
        "0.02",
    )
    for name in ("leaver", "stayer"):
        stages.tenant(control_plane, name)
        azurite.put(name, "diary", "dear diary")

    kubeflow.delete_profile(control_plane, "leaver")
    waiting.until(
        lambda: "profilegone" in azurite.containers().get("leaver", {}), "it is marked first"
    )
    for account in (stages.GOOD, stages.OTHER):
        waiting.until(
            lambda account=account: "leaver" not in azurite.containers(account),  # type: ignore[misc]
            f"its container in {account} is gone",
            seconds=60,
        )
    assert "dear diary" == azurite.read("stayer", "diary")
    assert "profilegone" not in azurite.containers()["stayer"]
    assert suite.lines(message="container orphaned", container="leaver")
    assert suite.lines(message="container deleted", container="leaver")


def test_who_comes_back_within_the_delay_finds_the_data(
    control_plane: ControlPlane, azurite: Azurite, start: Start
) -> None:
    settings = stages.settings(azurite, delete_data=True, delete_data_after_days=1.0)
    suite = start(settings, "--resync", "0.02")
    stages.tenant(control_plane, "returner")
    azurite.put("returner", "diary", "dear diary")
    kubeflow.delete_profile(control_plane, "returner")
    waiting.until(
        lambda: "profilegone" in azurite.containers()["returner"], "its container is marked"
    )
    waiting.until(
        lambda: observe.profile_gone(control_plane, "/api/v1/namespaces/returner"),
        "the namespace is gone",
        seconds=60,
    )
    stages.tenant(control_plane, "returner")
    assert "profilegone" not in azurite.containers()["returner"]
    assert "dear diary" == azurite.read("returner", "diary")
    assert not suite.lines(message="container deleted")
