"""What the API server takes for a name and a label, and the settings of notebook with it.

Everything is sent as a dry run: the server answers what it would store, and stores nothing.
"""

import pytest

from controllers.notebook.config import NotebookSettings
from tests.support.controlplane import ControlPlane, StatusError

pytestmark = pytest.mark.xdist_group("notebook")

POD_DEFAULTS = "/apis/kubeflow.org/v1alpha1/namespaces/default/poddefaults?dryRun=All"
REFUSED = 422
NAMES = ["a", "a.b-c", "A", "a_b", "-a", "a.", "a..b", "a" * 253, "a" * 254, "é"]
LABELS = [
    *(("a", "b"), ("a.b/c", ""), ("a/b/c", "x"), ("A/b", "x"), ("a", "b c"), ("a", "b" * 63)),
    *(("a", "b" * 64), ("a" * 64, "b"), ("a" * 253 + "/b", "x"), ("a" * 254 + "/b", "x")),
    *(("a", "-"), ("a", "é"), ("/a", "x"), ("a/", "x")),
]


def is_taken(plane: ControlPlane, **metadata: object) -> bool:
    """Whether the server would store a PodDefault of that metadata."""
    body = {
        "apiVersion": "kubeflow.org/v1alpha1",
        "kind": "PodDefault",
        "metadata": {"name": "tried", **metadata},
        "spec": {"selector": {}},
    }
    try:
        plane.request("POST", POD_DEFAULTS, body)
    except StatusError as error:
        if error.status != REFUSED:
            raise
        return False
    return True


def is_setting(**settings: object) -> bool:
    try:
        NotebookSettings.model_validate(settings)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_setting_exactly_when_the_server_takes_it(
    control_plane: ControlPlane, name: str
) -> None:
    assert is_setting(name=name) is is_taken(control_plane, name=name)


@pytest.mark.parametrize(("key", "value"), LABELS)
def test_a_label_is_a_setting_exactly_when_the_server_takes_it(
    control_plane: ControlPlane, key: str, value: str
) -> None:
    assert is_setting(labels={key: value}) is is_taken(control_plane, labels={key: value})
    assert is_setting(selector_label=key) is is_taken(control_plane, labels={key: "true"})
