"""Where the CRDs of other projects come from."""

from pathlib import Path

import pytest

from tests.support.controlplane import modules, parts


@pytest.fixture(autouse=True)
def forget() -> None:
    modules.folder.cache_clear()


def go_that(script: str, folder: Path) -> Path:
    """A program in place of Go."""
    program = folder / "go"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_go_mod_names_the_modules_and_go_sum_locks_them() -> None:
    locked = (modules.HERE / "go.sum").read_text()

    assert modules.versions() == {
        "github.com/argoproj/argo-cd/v3": "v3.5.7",
        "github.com/prometheus-operator/prometheus-operator": "v0.85.0",
        "istio.io/api": "v1.31.1",
    }
    for name, version in modules.versions().items():
        assert f"{name} {version} h1:" in locked
        assert f"{name} {version}/go.mod h1:" in locked


def test_what_the_module_cache_holds_is_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    go = go_that(f"""echo '{{"Dir": "{tmp_path}"}}'""", tmp_path)
    monkeypatch.setattr(parts, "find_go", lambda: go)

    assert modules.folder("istio.io/api") == tmp_path
    assert capsys.readouterr().err == ""


def test_what_it_lacks_is_fetched_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = (
        f"""[ "$GOPROXY" = off ] && echo '{{"Error": "off"}}' || echo '{{"Dir": "{tmp_path}"}}'"""
    )
    monkeypatch.setattr(parts, "find_go", lambda: go_that(script, tmp_path))
    monkeypatch.setenv("GOPROXY", "https://a.proxy.example")

    assert modules.folder("istio.io/api") == tmp_path
    assert "fetching istio.io/api v1.31.1" in capsys.readouterr().err


def test_what_cannot_be_had_says_why_and_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = go_that("echo 'checksum mismatch' >&2; exit 1", tmp_path)
    monkeypatch.setattr(parts, "find_go", lambda: go)

    with pytest.raises(parts.PartMissingError, match=r"(?s)checksum mismatch.*taskw parts"):
        modules.folder("istio.io/api")
