"""A person stops the suite's writes by an annotation, and lets them go on."""

import pytest

from tests import kubeflow, sights, waits
from tests.controlplane import ControlPlane

pytestmark = [pytest.mark.xdist_group("objects"), pytest.mark.usefixtures("suite")]


def pause(plane: ControlPlane, profile: str, value: str | None) -> None:
    sights.annotate(plane, f"{kubeflow.PROFILES}/{profile}", paused=value)


def wait_for_status(plane: ControlPlane, profile: str, condition: str, status: str) -> None:
    waits.until(
        lambda: sights.status(plane, profile, condition) == status,
        f"{condition} of {profile} is {status}",
    )


def test_a_paused_profile_is_left_alone_until_it_is_resumed(control_plane: ControlPlane) -> None:
    sights.tenant(control_plane, "resting")
    sights.tenant(control_plane, "working")
    pause(control_plane, "resting", "true")
    for condition in sights.CONDITIONS:
        wait_for_status(control_plane, "resting", condition, "Unknown")

    for name in ("resting", "working"):
        sights.delete(control_plane, sights.quota_path(name))
    waits.until(lambda: sights.hard(control_plane, "working"), "the neighbour is repaired")
    resting = sights.hard(control_plane, "resting")
    pause(control_plane, "resting", None)

    waits.until(lambda: sights.hard(control_plane, "resting"), "the quota is made again")
    sights.wait_in_shape(control_plane, "resting")
    assert resting == {}


def test_a_list_of_names_pauses_those_controllers_alone(control_plane: ControlPlane) -> None:
    sights.tenant(control_plane, "half-resting")
    pause(control_plane, "half-resting", "rbac, quotas")
    wait_for_status(control_plane, "half-resting", "QuotasReady", "Unknown")

    sights.delete(control_plane, sights.quota_path("half-resting"))
    sights.delete(control_plane, sights.limits_path("half-resting"))
    waits.until(lambda: sights.limits(control_plane, "half-resting"), "the limits are made again")
    paused = sights.hard(control_plane, "half-resting")
    pause(control_plane, "half-resting", "rbac")

    waits.until(lambda: sights.hard(control_plane, "half-resting"), "the quota is made again")
    assert paused == {}


def test_a_paused_object_keeps_its_edits(control_plane: ControlPlane) -> None:
    sights.tenant(control_plane, "frozen")
    path = sights.quota_path("frozen")
    sights.annotate(control_plane, path, paused="true")

    sights.patch(control_plane, path, {"spec": {"hard": {"pods": "1"}}})
    sights.delete(control_plane, sights.limits_path("frozen"))
    waits.until(lambda: sights.limits(control_plane, "frozen"), "the limits are made again")
    sights.label(control_plane, "frozen", gpu="3")
    frozen = sights.hard(control_plane, "frozen")
    sights.annotate(control_plane, path, paused=None)

    waits.until(lambda: sights.hard(control_plane, "frozen")["pods"] == "100", "it is put right")
    assert (frozen["pods"], frozen["requests.nvidia.com/gpu"]) == ("1", "2")
    assert sights.hard(control_plane, "frozen")["requests.nvidia.com/gpu"] == "3"
