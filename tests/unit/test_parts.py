"""Where the control plane's programs come from."""

from pathlib import Path

import pytest

from tests.support.controlplane import parts


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return tmp_path / "cache" / "profiles-controller"


def program(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_nothing_is_found_on_a_new_machine() -> None:
    assert parts.missing_parts() == ("kube-apiserver", "kube-controller-manager", "etcd")


def test_a_missing_program_says_how_to_get_it() -> None:
    with pytest.raises(parts.PartMissingError, match=r"etcd: put etcd .* KUBEBUILDER_ASSETS"):
        parts.must_find("etcd")


def test_the_cache_lies_outside_the_checkout(cache: Path) -> None:
    assert parts.built_folder().is_relative_to(cache)


def test_assets_come_before_the_cache_and_the_cache_fills_their_gaps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = [program(parts.built_folder(), name) for name in parts.PACKAGES]
    given = program(tmp_path / "assets", "etcd")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))

    found = parts.ensure()

    assert found == parts.Parts(apiserver=built[0], controller_manager=built[1], etcd=given)


def test_a_file_that_cannot_be_executed_is_not_found() -> None:
    program(parts.built_folder(), "etcd").chmod(0o644)

    assert parts.find("etcd") is None
