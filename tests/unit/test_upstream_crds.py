"""Where the CRDs of other projects come from."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.crds import upstream
from tests.support.parts import PartMissingError, golang

IS_GO = '[ "$1" = env ] && echo go1.26.0 && exit'


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A program in place of Go. Folders that it returned are not remembered."""
    golang.module_folder.cache_clear()
    program = tmp_path / "bin" / "go"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    yield program
    golang.module_folder.cache_clear()


def behave(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{IS_GO}\n{script}\n")
    program.chmod(0o755)


def test_go_mod_names_the_modules_and_go_sum_locks_them() -> None:
    locked = (upstream.HERE / "go.sum").read_text()
    versions = golang.module_versions(upstream.HERE)

    assert versions == {
        "github.com/argoproj/argo-cd/v3": "v3.5.7",
        "github.com/prometheus-operator/prometheus-operator": "v0.85.0",
        "istio.io/api": "v1.31.1",
    }
    for name, version in versions.items():
        assert f"{name} {version} h1:" in locked
        assert f"{name} {version}/go.mod h1:" in locked


def test_a_module_in_the_module_cache_is_not_downloaded(
    go: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behave(go, f"""echo '{{"Dir": "{tmp_path}"}}'""")

    assert upstream.folder("istio.io/api") == tmp_path
    assert capsys.readouterr().err == ""


def test_a_missing_module_is_downloaded_and_reported(
    go: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    behave(
        go,
        f"""[ "$GOPROXY" = off ] && echo '{{"Error": "off"}}' || echo '{{"Dir": "{tmp_path}"}}'""",
    )
    monkeypatch.setenv("GOPROXY", "https://a.proxy.example")

    assert upstream.folder("istio.io/api") == tmp_path
    assert "istio.io/api: downloading v1.31.1" in capsys.readouterr().err


def test_a_failed_download_states_the_reason_and_the_remedy(go: Path) -> None:
    behave(go, "echo 'checksum mismatch' >&2; exit 1")

    with pytest.raises(PartMissingError, match=r"(?s)checksum mismatch.*taskw parts"):
        upstream.folder("istio.io/api")
