"""Where helm, kubeconform and promtool come from."""

from pathlib import Path

import pytest

from tests.support.controlplane import parts, tools


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in place of Go, and an empty cache."""
    program = tmp_path / "go"
    monkeypatch.setattr(parts, "any_go", lambda: program)
    monkeypatch.setattr(parts, "cache_folder", lambda: tmp_path / "cache")
    return program


def behave(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


BUILDS = """
while [ "$1" != -o ]; do shift; done
for name in helm kubeconform promtool selectors; do
    printf '#!/bin/sh\\n' >"$2$name"; chmod +x "$2$name"
done
"""


def test_what_is_missing_is_built_once(go: Path) -> None:
    behave(go, BUILDS)
    assert tools.program("helm").parent == tools.folder()
    assert tools.missing() == ()

    behave(go, "exit 1")
    assert tools.program("promtool").exists()


def test_a_build_that_fails_says_what_to_do(go: Path) -> None:
    behave(go, "echo 'no such module' >&2; exit 1")

    with pytest.raises(parts.PartMissingError, match=r"no such module(.|\n)*\./taskw parts"):
        tools.ensure()


def test_the_module_names_and_locks_what_is_built() -> None:
    module, locked = ((tools.HERE / name).read_text() for name in ("go.mod", "go.sum"))

    for package in tools.PACKAGES.values():
        assert package.startswith("./") or f"\t{package}\n" in module
    for name in ("helm.sh/helm/v3", "github.com/prometheus/prometheus"):
        (version,) = {line.split()[1] for line in module.splitlines() if f"\t{name} v" in line}
        assert f"{name} {version} h1:" in locked


def test_helm_is_told_which_kubernetes_there_is() -> None:
    major, minor, _ = parts.kubernetes_version().removeprefix("v").split(".")

    assert f"pkg/chartutil.k8sVersionMajor={major}" in tools.linker_flags()
    assert f"pkg/chartutil.k8sVersionMinor={minor}" in tools.linker_flags()
