"""An annotation pauses and resumes the writes of the suite."""

import pytest

from tests.support.cluster import kubeflow, observe, waiting
from tests.support.controlplane import ControlPlane

pytestmark = [pytest.mark.xdist_group("objects"), pytest.mark.usefixtures("manager")]


def pause(plane: ControlPlane, profile: str, value: str | None) -> None:
    observe.annotate(plane, f"{kubeflow.PROFILES}/{profile}", paused=value)


def wait_for_status(plane: ControlPlane, profile: str, condition: str, status: str) -> None:
    waiting.until(
        lambda: observe.condition_status(plane, profile, condition) == status,
        f"{condition} of {profile} is {status}",
    )


def test_a_paused_profile_is_not_changed_until_it_is_resumed(control_plane: ControlPlane) -> None:
    observe.create_ready_tenant(control_plane, "resting")
    observe.create_ready_tenant(control_plane, "working")
    pause(control_plane, "resting", "true")
    for condition in observe.CONDITIONS:
        wait_for_status(control_plane, "resting", condition, "Unknown")

    for name in ("resting", "working"):
        observe.delete(control_plane, observe.quota_path(name))
    waiting.until(lambda: observe.quota_hard(control_plane, "working"), "the neighbour is repaired")
    resting = observe.quota_hard(control_plane, "resting")
    pause(control_plane, "resting", None)

    waiting.until(lambda: observe.quota_hard(control_plane, "resting"), "the quota is made again")
    observe.wait_ready(control_plane, "resting")
    assert resting == {}


def test_a_list_of_names_pauses_only_those_controllers(control_plane: ControlPlane) -> None:
    observe.create_ready_tenant(control_plane, "half-resting")
    pause(control_plane, "half-resting", "rbac, quotas")
    wait_for_status(control_plane, "half-resting", "QuotasReady", "Unknown")

    observe.delete(control_plane, observe.quota_path("half-resting"))
    observe.delete(control_plane, observe.limits_path("half-resting"))
    waiting.until(
        lambda: observe.limit_range_item(control_plane, "half-resting"), "the limits are made again"
    )
    paused = observe.quota_hard(control_plane, "half-resting")
    pause(control_plane, "half-resting", "rbac")

    waiting.until(
        lambda: observe.quota_hard(control_plane, "half-resting"), "the quota is made again"
    )
    assert paused == {}


def test_a_paused_object_keeps_its_edits(control_plane: ControlPlane) -> None:
    observe.create_ready_tenant(control_plane, "frozen")
    path = observe.quota_path("frozen")
    observe.annotate(control_plane, path, paused="true")

    observe.patch(control_plane, path, {"spec": {"hard": {"pods": "1"}}})
    observe.delete(control_plane, observe.limits_path("frozen"))
    waiting.until(
        lambda: observe.limit_range_item(control_plane, "frozen"), "the limits are made again"
    )
    observe.set_quota_labels(control_plane, "frozen", gpu="3")
    frozen = observe.quota_hard(control_plane, "frozen")
    observe.annotate(control_plane, path, paused=None)

    waiting.until(
        lambda: observe.quota_hard(control_plane, "frozen")["pods"] == "100", "it is restored"
    )
    assert (frozen["pods"], frozen["requests.nvidia.com/gpu"]) == ("1", "2")
    assert observe.quota_hard(control_plane, "frozen")["requests.nvidia.com/gpu"] == "3"
