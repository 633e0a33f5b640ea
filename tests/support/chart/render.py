"""Renders the Helm chart.

`python -m tests.support.chart.render` writes the snapshots.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.chart import programs
from tests.support.controlplane import Json

CHART = Path(__file__).parents[3] / "helm" / "profiles-controller"
EXAMPLES = sorted((CHART / "ci").glob("*-values.yaml"))
SNAPSHOTS = Path(__file__).parents[2] / "real" / "golden" / "chart"
RELEASE = "suite"
NAMESPACE = "platform"
Values = Mapping[str, Any]


def helm(*arguments: str | Path, chart: Path = CHART) -> subprocess.CompletedProcess[str]:
    """Run helm; `{chart}` stands for the chart's folder."""
    words = [str(chart) if one == "{chart}" else str(one) for one in arguments]
    return subprocess.run(
        [programs.program("helm"), *words],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": "/nonexistent", "PATH": ""},
    )


def template(*values: Values | Path, chart: Path = CHART) -> subprocess.CompletedProcess[str]:
    """Run `helm template` with these values; later ones override earlier ones."""
    with tempfile.TemporaryDirectory() as folder:
        files: list[str | Path] = []
        for number, one in enumerate(values):
            file = one if isinstance(one, Path) else Path(folder, f"{number}.yaml")
            if not isinstance(one, Path):
                file.write_text(json.dumps(one))
            files += ["--values", file]
        where = ("--namespace", NAMESPACE)
        return helm("template", RELEASE, "{chart}", *where, *files, chart=chart)


def render(*values: Values | Path) -> list[Json]:
    """Return the rendered manifests. Raises AssertionError with helm's error message."""
    done = template(*values)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.load_all(done.stdout, yaml.CSafeLoader) if one]


def refusal(*values: Values | Path) -> str:
    """Return helm's error message for values that it rejects."""
    done = template(*values)
    assert done.returncode != 0, "helm takes them"
    return " ".join(done.stderr.split())


def of_kind(manifests: list[Json], kind: str) -> dict[str, Json]:
    """Those of a kind, by the component that they belong to; by name where that is the same."""
    found = [one for one in manifests if one["kind"] == kind]
    label = "app.kubernetes.io/component"
    by_component = {one["metadata"]["labels"][label]: one for one in found}
    if len(by_component) == len(found):
        return by_component
    return {one["metadata"]["name"]: one for one in found}


def container(deployment: Json) -> Json:
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(found)


def config(manifests: list[Json], component: str) -> Json:
    """The --config file of a process."""
    maps = [one for one in manifests if one["kind"] == "ConfigMap" and "config.yaml" in one["data"]]
    return dict(yaml.safe_load(of_kind(maps, "ConfigMap")[component]["data"]["config.yaml"]))


def chart_with(folder: Path, path: str, change: Callable[[str], str]) -> Path:
    """A copy of the chart in which one file is changed."""
    for file in CHART.rglob("*"):
        if file.is_file():
            copy = folder / file.relative_to(CHART)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    (folder / path).write_text(change((folder / path).read_text()))
    return folder


def snapshot(example: Path) -> Path:
    return SNAPSHOTS / example.name.replace("-values", "")


def errors(example: Path) -> list[str]:
    """Return the errors of `helm lint` with these values, and a difference from the snapshot."""
    linted = helm("lint", "--strict", "{chart}", "--values", example)
    found = [linted.stdout] if linted.returncode or "[WARNING]" in linted.stdout else []
    rendered = template(example)
    if rendered.returncode:
        found.append(rendered.stderr)
    elif snapshot(example).read_text() != rendered.stdout:
        found.append(
            f"{snapshot(example).name} differs from the rendered chart. Run ./taskw snapshots"
        )
    return found


def main() -> int:
    if sys.argv[1:] == ["--check"]:
        found = [f"{example.name}: {error}" for example in EXAMPLES for error in errors(example)]
        print(*found, sep="\n", end="\n" if found else "")
        return bool(found)
    SNAPSHOTS.mkdir(parents=True, exist_ok=True)
    for example in EXAMPLES:
        snapshot(example).write_text(template(example).stdout)
        print(f"written: {snapshot(example).name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
