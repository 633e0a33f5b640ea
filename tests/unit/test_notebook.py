"""The notebook controller: what it wants, and what it takes over."""

from typing import Any

import pytest

from controllers.notebook import controller, desired
from controllers.notebook.config import NotebookSettings
from tests.support import builders

LEVEL = {"labels": {"example.ca/level": 2}}


def wanted(**settings: object) -> list[dict[str, Any]]:
    """The specs."""
    parsed = NotebookSettings.model_validate(settings)
    manifests = desired.desired(builders.profile(), None, parsed).objects
    return [manifest.content["spec"] for manifest in manifests]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("default", {}),
        (
            "configured",
            {
                "name": "secret-b",
                "description": "Work with Protected B data",
                "selector_label": "example.ca/protected-b",
                **LEVEL,
            },
        ),
    ],
)
def test_the_pod_default_matches_the_golden_file(name: str, settings: dict[str, Any]) -> None:
    profile = builders.profile()
    manifests = desired.desired(profile, None, NotebookSettings.model_validate(settings)).objects
    assert builders.golden("notebook", name) == builders.bodies(
        manifests, profile, component="notebook"
    )


def test_labels_do_not_change_the_pod_default() -> None:
    settings = NotebookSettings()
    labelled = builders.profile(labels={"notebook.statcan.gc.ca/protected-b": "false"})
    assert (
        desired.desired(labelled, None, settings).objects
        == desired.desired(builders.profile(), None, settings).objects
    )


def test_without_the_switch_there_is_no_pod_default() -> None:
    assert wanted(protected_b=False) == []


def test_profiles_do_not_share_an_object() -> None:
    settings = NotebookSettings()
    (one,), (other,) = (
        desired.desired(builders.profile(name), None, settings).objects for name in ("a", "b")
    )
    one.content["spec"]["labels"]["x"] = "y"
    assert "x" not in other.content["spec"]["labels"]
    assert "x" not in settings.labels


def test_the_pod_default_of_the_older_suite_is_adopted_by_name() -> None:
    (owned,) = controller.CONTROLLER.owned(controller.CONTROLLER.default_settings())
    assert owned.adopt_legacy is not None
    assert owned.adopt_legacy({"name": "protected-b"})
    assert not owned.adopt_legacy({"name": "access-ml-pipeline"})
