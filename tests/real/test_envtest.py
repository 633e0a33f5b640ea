"""The API server and etcd from setup-envtest, which downloads our own build from a local index."""

import hashlib
import http.server
import platform
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.controlplane import ControlPlane, envtest, ports, programs
from tests.support.parts import Part

VERSION = "1.36.1"
KUBERNETES = "v1.36.3"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class Releases:
    """A server of archives and of their index. `url` is the URL of the index."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

            def log_message(self, *_arguments: object) -> None:
                """Prints nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._base = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self._base}/index.yaml"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def publish(self, archive: Path, checksum: str) -> None:
        """Writes the index. It has one archive."""
        link = f"{self._base}/{archive.name}"
        release = {archive.name: {"hash": checksum, "selfLink": link}}
        (self._folder / "index.yaml").write_text(
            yaml.safe_dump({"releases": {f"v{VERSION}": release}})
        )

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def built() -> programs.Server:
    """The programs that the other tests run."""
    return programs.ensure_server()


@pytest.fixture(scope="module")
def archive(built: programs.Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs in an archive with the layout of the published ones."""
    system = f"{platform.system().lower()}-{ARCHITECTURES[platform.machine()]}"
    path = tmp_path_factory.mktemp("releases") / f"envtest-v{VERSION}-{system}.tar.gz"
    kubectl = path.with_name("kubectl")
    kubectl.write_text("#!/bin/sh\n")
    kubectl.chmod(0o755)
    with tarfile.open(path, "w:gz", compresslevel=0) as content:
        for program in (built.apiserver, built.etcd, kubectl):
            content.add(program, f"controller-tools/envtest/{program.name}")
    return path


@pytest.fixture
def releases(archive: Path) -> Iterator[Releases]:
    server = Releases(archive.parent)
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, built: programs.Server) -> None:
    """An empty cache of parts, but for setup-envtest. The tests' programs are found before."""
    assert built.apiserver.exists()
    setup = envtest.SETUP_ENVTEST.ensure()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    target = envtest.SETUP_ENVTEST.folder
    target.parent.mkdir(parents=True)
    target.symlink_to(setup)


def sources(index: str, built: programs.Server) -> programs.Sources:
    """A download from this index, and a build that takes no time."""

    def build(folder: Path) -> None:
        for program in (built.apiserver, built.etcd):
            (folder / program.name).symlink_to(program)

    return programs.Sources(
        assets=None,
        download=envtest.part(KUBERNETES, index=index),
        build=Part(name="kubernetes", install=build),
    )


def sha512(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha512").hexdigest()


def test_an_archive_with_the_right_checksum_is_used(
    releases: Releases,
    archive: Path,
    built: programs.Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    releases.publish(archive, sha512(archive))
    chosen = sources(releases.url, built)

    server = programs.ensure_server(chosen)

    assert server.apiserver == chosen.download.folder / "kube-apiserver"
    assert f"parts: downloading Kubernetes {VERSION} with setup-envtest" in capsys.readouterr().err
    assert {path.name for path in chosen.download.folder.iterdir()} == {"kube-apiserver", "etcd"}
    with ControlPlane.start(tmp_path / "plane", server=server) as plane:
        assert plane.request("GET", "/version")["major"] == "1"


def test_a_downloaded_archive_is_not_downloaded_again(
    releases: Releases, archive: Path, built: programs.Server
) -> None:
    releases.publish(archive, sha512(archive))
    chosen = sources(releases.url, built)
    server = programs.ensure_server(chosen)
    releases.stop()

    assert programs.ensure_server(chosen) == server


def test_an_archive_with_a_wrong_checksum_is_refused_and_the_build_follows(
    releases: Releases, archive: Path, built: programs.Server, capsys: pytest.CaptureFixture[str]
) -> None:
    releases.publish(archive, "0" * 128)
    chosen = sources(releases.url, built)

    server = programs.ensure_server(chosen)

    assert server.apiserver == chosen.build.folder / "kube-apiserver"
    assert not chosen.download.is_installed()
    printed = capsys.readouterr().err
    assert "checksum mismatch" in printed
    assert "Building the programs instead." in printed


def test_an_unreachable_index_fails_fast_and_the_build_follows(
    built: programs.Server, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = sources(f"http://127.0.0.1:{ports.free()}/index.yaml", built)
    started = time.monotonic()

    server = programs.ensure_server(chosen)

    assert time.monotonic() - started < envtest.LIST_SECONDS / 2
    assert server.apiserver == chosen.build.folder / "kube-apiserver"
    printed = capsys.readouterr().err
    assert "connection refused" in printed
    assert "Building the programs instead." in printed


def test_an_index_without_the_release_is_reported_and_the_build_follows(
    releases: Releases, archive: Path, built: programs.Server, capsys: pytest.CaptureFixture[str]
) -> None:
    releases.publish(archive, sha512(archive))
    chosen = sources(releases.url, built)
    other = programs.Sources(
        assets=None,
        download=envtest.part("v1.35.2", index=releases.url),
        build=chosen.build,
    )

    assert programs.ensure_server(other).etcd == chosen.build.folder / "etcd"
    assert "setup-envtest offers no Kubernetes 1.35 for Linux" in capsys.readouterr().err
