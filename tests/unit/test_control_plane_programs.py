"""Where the control plane's programs come from."""

import os
from pathlib import Path

import pytest

from tests.support.controlplane import programs
from tests.support.parts import Part, PartMissingError

NAMES = ("kube-apiserver", "etcd")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, on a machine without `KUBEBUILDER_ASSETS` and without Go."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return tmp_path / "cache" / "profiles-controller"


def put(folder: Path, *names: str) -> Path:
    """Executable files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


def part(name: str) -> Part:
    """A part with the programs of a server."""

    def install(folder: Path) -> None:
        put(folder, *NAMES)

    return Part(name=name, install=install)


def unavailable(name: str) -> Part:
    def install(_folder: Path) -> None:
        raise PartMissingError(f"{name} is unavailable.")

    return Part(name=name, install=install)


def sources(**fields: Part | Path) -> programs.Sources:
    chosen = {"assets": None, "download": unavailable("download"), "build": unavailable("build")}
    return programs.Sources(**{**chosen, **fields})  # type: ignore[arg-type]


def test_assets_come_before_the_cache(tmp_path: Path) -> None:
    download = part("download")
    download.ensure()
    assets = put(tmp_path / "assets", *NAMES)

    found = programs.ensure_server(sources(assets=assets, download=download))

    assert found == programs.Server(apiserver=assets / "kube-apiserver", etcd=assets / "etcd")


def test_assets_that_lack_a_program_are_reported_and_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assets = put(tmp_path / "assets", "etcd")
    build = part("build")

    found = programs.ensure_server(sources(assets=assets, build=build))

    assert found.etcd == build.folder / "etcd"
    assert (
        f"KUBEBUILDER_ASSETS={assets} has no executable kube-apiserver" in capsys.readouterr().err
    )


def test_a_file_that_is_not_executable_is_not_a_program(tmp_path: Path) -> None:
    (put(tmp_path, *NAMES) / "etcd").chmod(0o644)

    assert programs.server_in(tmp_path) is None


def test_a_download_comes_before_a_build(capsys: pytest.CaptureFixture[str]) -> None:
    download = part("download")

    found = programs.ensure_server(sources(download=download, build=part("build")))

    assert found.apiserver == download.folder / "kube-apiserver"
    assert "Building" not in capsys.readouterr().err


def test_a_build_in_the_cache_comes_before_a_download() -> None:
    build = part("build")
    build.ensure()

    assert programs.ensure_server(
        sources(download=part("download"), build=build)
    ).etcd.is_relative_to(build.folder)


def test_a_build_follows_a_download_that_failed(capsys: pytest.CaptureFixture[str]) -> None:
    build = part("build")

    found = programs.ensure_server(sources(build=build))

    assert found.apiserver == build.folder / "kube-apiserver"
    assert "download is unavailable. Building the programs instead." in capsys.readouterr().err


def test_a_build_that_fails_is_an_error() -> None:
    with pytest.raises(PartMissingError, match="build is unavailable"):
        programs.ensure_server(sources())


def test_a_failed_build_states_how_to_get_the_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "bin" / "go"
    put(go.parent, "go")
    go.write_text(
        '#!/bin/sh\n[ "$1" = env ] && echo go1.26.0 && exit\necho no module >&2; exit 1\n'
    )
    monkeypatch.setenv("PATH", str(go.parent), prepend=os.pathsep)

    with pytest.raises(PartMissingError, match=r"(?s)no module.*KUBEBUILDER_ASSETS.*taskw parts"):
        programs.ensure_controller_manager()


def test_the_controller_manager_of_the_assets_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = put(tmp_path / "assets", "kube-controller-manager")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))

    assert programs.ensure_controller_manager() == assets / "kube-controller-manager"


def test_the_default_sources_name_the_assets_and_the_locked_release(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))

    found = programs.default_sources()

    assert found.assets == tmp_path
    assert found.download.version.split()[0] in programs.kubernetes_version()
    assert programs.kubernetes_version() in found.build.version
