"""Where helm, kubeconform and promtool come from."""

import os
from pathlib import Path

import pytest

from tests.support.chart import programs
from tests.support.controlplane.programs import kubernetes_version
from tests.support.parts import PartMissingError

IS_GO = '[ "$1" = env ] && echo go1.26.0 && exit'
BUILDS = """
while [ "$1" != -o ]; do shift; done
for name in helm kubeconform promtool selectors; do
    printf '#!/bin/sh\\n' >"$2$name"; chmod +x "$2$name"
done
"""


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in place of Go, and an empty cache."""
    program = tmp_path / "bin" / "go"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return program


def behave(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{IS_GO}\n{script}\n")
    program.chmod(0o755)


def test_a_missing_program_is_built_once(go: Path) -> None:
    behave(go, BUILDS)
    assert programs.program("helm").exists()
    assert programs.part("helm").is_installed()
    assert not programs.part("promtool").is_installed()

    behave(go, "exit 1")
    assert programs.program("helm").exists()


def test_a_failed_build_states_the_reason_and_the_remedy(go: Path) -> None:
    behave(go, "echo 'no such module' >&2; exit 1")

    with pytest.raises(PartMissingError, match=r"no such module(.|\n)*\./taskw parts"):
        programs.program("helm")


def test_the_module_names_and_locks_what_is_built() -> None:
    module, locked = ((programs.HERE / name).read_text() for name in ("go.mod", "go.sum"))

    for package in programs.PACKAGES.values():
        assert package.startswith("./") or f"\t{package}\n" in module
    for name in ("helm.sh/helm/v3", "github.com/prometheus/prometheus"):
        (version,) = {line.split()[1] for line in module.splitlines() if f"\t{name} v" in line}
        assert f"{name} {version} h1:" in locked


def test_helm_is_built_with_the_version_of_kubernetes() -> None:
    major, minor, _ = kubernetes_version().removeprefix("v").split(".")

    assert f"pkg/chartutil.k8sVersionMajor={major}" in programs.linker_flags()
    assert f"pkg/chartutil.k8sVersionMinor={minor}" in programs.linker_flags()
