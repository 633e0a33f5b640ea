"""The programs of a control plane: kube-apiserver, etcd and kube-controller-manager.

kube-apiserver and etcd come from the first of these that has both:

1. the folder that `KUBEBUILDER_ASSETS` names,
2. the cache of parts,
3. Kubernetes' published binaries, which `setup-envtest` downloads,
4. a build from source: the Go module beside this file locks every byte of it.

The published archives have no kube-controller-manager: it is always built, and only for the tests
that need garbage collection, namespace deletion or volume binding.
"""

import dataclasses
import functools
import os
import re
from collections.abc import Mapping
from pathlib import Path

from tests.support.controlplane import envtest
from tests.support.parts import Part, PartMissingError, golang, report

HERE = Path(__file__).parent
GO_MOD = HERE / "go.mod"
LOCKS = (GO_MOD, HERE / "go.sum")
SERVER: Mapping[str, str] = {
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "etcd": "go.etcd.io/etcd/server/v3",
}
CONTROLLER_MANAGER: Mapping[str, str] = {
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
}
REMEDY = (
    "put kube-apiserver, etcd and kube-controller-manager into a folder and name the folder in"
    f" KUBEBUILDER_ASSETS, or install Go {golang.OLDEST_NAME} or newer and {golang.RUN_PARTS}"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """Paths of the programs that every control plane needs."""

    apiserver: Path
    etcd: Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sources:
    """Where the server's programs come from, in order."""

    assets: Path | None
    download: Part
    build: Part


def kubernetes_version() -> str:
    """The version that go.mod requires, such as `v1.36.3`."""
    found = re.search(r"^\tk8s\.io/kubernetes (v\S+)", GO_MOD.read_text(), re.MULTILINE)
    if found is None:
        raise PartMissingError(f"{GO_MOD.name} does not require k8s.io/kubernetes")
    return found[1]


def linker_flags() -> str:
    """The flags that set the version. Without them the API server reports v0.0.0."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    package = "k8s.io/component-base/version"
    return " ".join(["-s -w", *(f"-X {package}.{key}={value}" for key, value in stamps.items())])


def build(programs: Mapping[str, str], folder: Path) -> None:
    """Builds the programs from source. From an empty cache the API server takes some minutes."""
    report(f"building {' and '.join(programs)} {kubernetes_version()}: minutes, once per machine")
    golang.build(programs, folder, module=HERE, linker_flags=linker_flags(), remedy=REMEDY)


def built(name: str, programs: Mapping[str, str]) -> Part:
    """The part of programs that are built from source."""
    install = functools.partial(build, programs)
    return Part(name=name, install=install, locks=LOCKS, version=linker_flags())


def default_sources() -> Sources:
    """`KUBEBUILDER_ASSETS`, the published binaries of the same minor release, and the build."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    return Sources(
        assets=Path(assets) if assets else None,
        download=envtest.part(kubernetes_version()),
        build=built("kubernetes", SERVER),
    )


def ensure_server(sources: Sources | None = None) -> Server:
    """kube-apiserver and etcd, which are downloaded or built first if they are missing.

    Raises PartMissingError.
    """
    sources = sources or default_sources()
    if sources.assets is not None:
        if found := server_in(sources.assets):
            return found
        report(f"KUBEBUILDER_ASSETS={sources.assets} has no executable kube-apiserver and etcd")
    return server_in(_installed(sources)) or _missing("kube-apiserver and etcd")


def _installed(sources: Sources) -> Path:
    for part in (sources.download, sources.build):
        if part.is_installed():
            return part.folder
    try:
        return sources.download.ensure()
    except PartMissingError as error:
        report(f"{error} Building the programs instead.")
        return sources.build.ensure()


def server_in(folder: Path) -> Server | None:
    """The server's programs, if the folder has both."""
    apiserver, etcd = folder / "kube-apiserver", folder / "etcd"
    if os.access(apiserver, os.X_OK) and os.access(etcd, os.X_OK):
        return Server(apiserver=apiserver, etcd=etcd)
    return None


def ensure_controller_manager() -> Path:
    """kube-controller-manager, which is built first if it is missing. Raises PartMissingError."""
    (name,) = CONTROLLER_MANAGER
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and os.access(Path(assets, name), os.X_OK):
        return Path(assets, name)
    return built(name, CONTROLLER_MANAGER).ensure() / name


def _missing(names: str) -> Server:
    raise PartMissingError(f"{names} are missing. To get them, {REMEDY}.")
