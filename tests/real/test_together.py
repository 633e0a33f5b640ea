"""Two processes, each with the permissions of its one controller, on the same profiles."""

import functools
from pathlib import Path

import pytest
import yaml

from tests.support.cluster import kubeflow, observe, service_account, waiting
from tests.support.cluster.manager_process import Launcher
from tests.support.controlplane import ControlPlane

pytestmark = pytest.mark.xdist_group("quiet")

CONTROLLERS = ("quotas", "limitranges")


def test_two_processes_write_conditions_concurrently_without_loss(
    control_plane: ControlPlane, launcher: Launcher
) -> None:
    names = [f"contended-{number:02}" for number in range(40)]
    profiles = kubeflow.create_tenants(control_plane, names[:20])
    foreign = {"type": "Foreign", "status": "True", "message": "theirs"}
    for name in names[:20]:
        observe.add_condition(control_plane, name, foreign)

    both = [launcher.start(controller) for controller in CONTROLLERS]
    for manager in both:
        manager.wait_ready()
    profiles += kubeflow.create_tenants(control_plane, names[20:])
    for name in names[20:]:
        observe.add_condition(control_plane, name, foreign)

    for name in names:
        observe.wait_ready(control_plane, name)
    expected = {*observe.CONDITIONS, "Foreign"}
    assert all(set(observe.conditions(control_plane, name)) == expected for name in names)
    assert [manager.stop() for manager in both] == [0, 0]


def test_a_missing_permission_is_reported_and_affects_no_other_object(
    control_plane: ControlPlane, launcher: Launcher
) -> None:
    role = service_account.cluster_role("quotas", "limitranges", name="suite-crippled")
    for rule in role["rules"]:
        if rule["resources"] == ["limitranges"]:
            rule["verbs"].remove("create")
    kubeconfig = service_account.bind(control_plane, "crippled", role)
    kubeflow.create_tenants(control_plane, ["crippled"])

    manager = launcher.start(
        "all", "--only", ",".join(CONTROLLERS), kubeconfig=kubeconfig
    ).wait_ready()

    waiting.until(
        lambda: (
            "forbidden" in observe.condition_message(control_plane, "crippled", "LimitrangesReady")
        ),
        "the condition names the missing permission",
    )
    (warning,) = waiting.until(
        lambda: observe.events(control_plane, "crippled", type="Warning"), "a warning is reported"
    )
    assert warning["reason"] == "Forbidden"
    assert 'cannot create resource "limitranges"' in warning["message"]
    assert manager.requests(code="403", method="POST") >= 3
    assert manager.total("controller_runtime_reconcile_errors_total", controller="limitranges") >= 3
    assert observe.condition_status(control_plane, "crippled", "QuotasReady") == "True"
    assert "Traceback" not in manager.text()
    manager.stop()


def test_an_object_that_is_no_longer_desired_is_deleted(
    control_plane: ControlPlane, launcher: Launcher, tmp_path: Path
) -> None:
    nothing = dict.fromkeys(("cpu", "memory"))
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        yaml.safe_dump({"limitranges": {"default": nothing, "default_request": nothing}})
    )
    kubeflow.create_tenants(control_plane, ["outgrown", "outgrown-twin"])
    theirs = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "theirs", "namespace": "outgrown"},
        "spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]},
    }
    control_plane.apply(theirs)
    untouched = control_plane.get("LimitRange", "theirs", "outgrown")
    before = launcher.start("limitranges").wait_ready()
    for name in ("outgrown", "outgrown-twin"):
        waiting.until(
            functools.partial(observe.limit_range_item, control_plane, name), "the limits are made"
        )
    before.stop()

    after = launcher.start("limitranges", "--config", str(settings)).wait_ready()

    for name in ("outgrown", "outgrown-twin"):
        waiting.until(
            functools.partial(observe.is_deleted, control_plane, observe.limits_path(name)),
            "the limits are deleted",
        )
    assert control_plane.get("LimitRange", "theirs", "outgrown") == untouched
    assert after.stop() == 0
