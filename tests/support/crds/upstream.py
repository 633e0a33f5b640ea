"""CRDs of other projects, read from their Go modules in Go's module cache.

The go.mod beside this file names the modules, and its go.sum locks every byte of them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.parts import golang

HERE = Path(__file__).parent
ISTIO = "istio.io/api"
ISTIO_CRDS = "kubernetes/customresourcedefinitions.gen.yaml"
ARGO_CD = "github.com/argoproj/argo-cd/v3"
APPLICATION_CRD = "manifests/crds/application-crd.yaml"
PROMETHEUS = "github.com/prometheus-operator/prometheus-operator"
PROMETHEUS_CRDS = "example/prometheus-operator-crd"


def folder(module: str) -> Path:
    """The files of a module, which are downloaded first if missing. Raises PartMissingError."""
    return golang.module_folder(HERE, module)


def istio_crd(name: str) -> dict[str, Any]:
    """A CRD of Istio, such as `authorizationpolicies.security.istio.io`. Raises KeyError."""
    return {crd["metadata"]["name"]: crd for crd in _istio_crds()}[name]


def application_crd() -> dict[str, Any]:
    """Argo CD's CRD of Applications."""
    text = (folder(ARGO_CD) / APPLICATION_CRD).read_text()
    crd: dict[str, Any] = yaml.load(text, yaml.CSafeLoader)
    return crd


def prometheus_crds() -> list[dict[str, Any]]:
    """The Prometheus Operator's CRDs that the chart may use."""
    names = ("servicemonitors", "prometheusrules")
    files = (
        folder(PROMETHEUS) / PROMETHEUS_CRDS / f"monitoring.coreos.com_{one}.yaml" for one in names
    )
    return [yaml.load(file.read_text(), yaml.CSafeLoader) for file in files]


def _istio_crds() -> Iterator[dict[str, Any]]:
    documents = yaml.load_all((folder(ISTIO) / ISTIO_CRDS).read_text(), yaml.CSafeLoader)
    return (document for document in documents if document)
