"""The programs that the chart is tested with: helm, kubeconform, promtool and a PromQL parser.

They are always built from locked Go modules: another helm would render another text.
"""

import functools
import re
from collections.abc import Mapping
from pathlib import Path

from tests.support.controlplane.programs import kubernetes_version
from tests.support.parts import Part, golang, report

HERE = Path(__file__).parent / "tools"
PACKAGES: Mapping[str, str] = {
    "helm": "helm.sh/helm/v3/cmd/helm",
    "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform",
    "promtool": "github.com/prometheus/prometheus/cmd/promtool",
    "selectors": "./selectors",
}
TAGS = "remove_all_sd"
"""Leaves service discovery out of promtool, which builds in a third of the time then."""


def linker_flags() -> str:
    """The flags that set helm's default Kubernetes version, which is 1.20 without them."""
    major, minor, _ = kubernetes_version().removeprefix("v").split(".")
    found = re.search(r"helm\.sh/helm/v3 (v\S+)", (HERE / "go.mod").read_text())
    stamps = {"internal/version.version": found[1] if found else ""}
    for package in ("pkg/chartutil", "pkg/lint/rules"):
        stamps |= {f"{package}.k8sVersionMajor": major, f"{package}.k8sVersionMinor": minor}
    return " ".join(
        ["-s -w", *(f"-X helm.sh/helm/v3/{key}={value}" for key, value in stamps.items())]
    )


def build(name: str, folder: Path) -> None:
    """Builds one of the programs, in half a minute from an empty cache."""
    report(f"building {name}")
    programs = {name: PACKAGES[name]}
    golang.build(programs, folder, module=HERE, linker_flags=linker_flags(), tags=TAGS)


def part(name: str) -> Part:
    """The part of one program."""
    return Part(
        name=name,
        install=functools.partial(build, name),
        locks=(HERE / "go.mod", HERE / "go.sum", HERE / "selectors" / "main.go"),
        version=f"{linker_flags()} {TAGS}",
    )


def program(name: str) -> Path:
    """The path of a program, which is built first if it is missing. Raises PartMissingError."""
    return part(name).ensure() / name
