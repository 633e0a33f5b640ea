"""The Applications in the documents are such that Argo CD's own schema takes them as they stand."""

import pytest
import yaml

from tests.support.cluster import kubeflow
from tests.support.controlplane import ControlPlane, Json
from tests.support.crds import upstream
from tests.support.docs import markdown

pytestmark = pytest.mark.xdist_group("namespaces")

NAMESPACE = "argocd"
PATH = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/applications"
STRICT = "fieldValidation=Strict&dryRun=All"


@pytest.fixture(scope="module")
def argocd(control_plane: ControlPlane) -> ControlPlane:
    kubeflow.apply_crd(control_plane, upstream.application_crd())
    control_plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    return control_plane


def examples() -> list[Json]:
    texts = markdown.read("docs/installing.md").examples("yaml")
    return [yaml.safe_load(text) for text in texts]


@pytest.mark.parametrize("body", examples(), ids=lambda body: str(body["metadata"]["name"]))
def test_an_example_is_taken_as_it_stands(argocd: ControlPlane, body: Json) -> None:
    taken = argocd.request("POST", f"{PATH}?{STRICT}", body)

    assert taken["spec"] == body["spec"]


def test_there_is_one_for_each_environment() -> None:
    specs = [body["spec"] for body in examples()]

    assert [spec["destination"]["name"] for spec in specs] == ["dev", "prod"]
    assert all(spec["source"]["helm"]["valuesObject"]["image"]["tag"] for spec in specs)
