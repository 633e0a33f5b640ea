"""Files of other projects, such as their CRDs: read where Go's module cache keeps them.

`modules/go.mod` names the modules and `modules/go.sum` locks every byte of them. It is apart from
the control plane's, so that another version of a CRD builds no API server anew.
"""

import functools
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.controlplane import parts

HERE = Path(__file__).parent / "modules"
ISTIO = "istio.io/api"
ISTIO_CRDS = "kubernetes/customresourcedefinitions.gen.yaml"
ARGO_CD = "github.com/argoproj/argo-cd/v3"
PROMETHEUS = "github.com/prometheus-operator/prometheus-operator"
PROMETHEUS_CRDS = "example/prometheus-operator-crd"
APPLICATION_CRD = "manifests/crds/application-crd.yaml"


def ensure() -> None:
    """Fetches what is not in Go's module cache yet. Raises PartMissingError where it cannot."""
    for name in versions():
        folder(name)


def versions() -> Mapping[str, str]:
    """The modules and their versions, as go.mod names them."""
    text = (HERE / "go.mod").read_text()
    return dict(re.findall(r"^(?:require )?\s*(\S+\.\S+/\S+) (v\S+)$", text, re.MULTILINE))


@functools.cache
def folder(name: str) -> Path:
    """The unpacked module, fetched first where the cache lacks it.

    Raises PartMissingError when it cannot be fetched, or is not what go.sum says.
    """
    go = _go()
    found = _download(go, name, GOPROXY="off")
    if "Dir" not in found:
        parts.say(f"fetching {name} {versions()[name]}: some seconds, once for this machine")
        found = _download(go, name)
    if "Dir" not in found:
        raise parts.PartMissingError(
            f"{name} {versions()[name]} could not be fetched: {found.get('Error')}\n"
            "Run `./taskw parts` where Go can fetch modules (GOPROXY names a proxy)."
        )
    return Path(found["Dir"])


def _go() -> Path:
    if go := parts.find_go():
        return go
    with parts.exclusive():  # another worker may bring one just now
        return parts.any_go()


def _download(go: Path, name: str, **environment: str) -> dict[str, Any]:
    """What Go says of the module: its `Dir`, or an `Error`."""
    done = subprocess.run(
        [go, "mod", "download", "-json", name],
        cwd=HERE,
        env={**parts.go_environment(), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:  # a checksum that differs is told on the error output alone
        return {"Error": done.stderr.strip()}
    return said


def istio_crd(name: str) -> dict[str, Any]:
    """A CRD of Istio's, such as `authorizationpolicies.security.istio.io`. KeyError for others."""
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
