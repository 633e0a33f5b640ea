"""Kubernetes' published control plane binaries, downloaded by its own `setup-envtest`.

`setup-envtest` reads an index of archives, and verifies the checksum of the archive it downloads.
An archive has kube-apiserver, etcd and kubectl. Not every patch release has one, so any patch of
the minor release is accepted.
"""

import functools
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.parts import Part, PartMissingError, golang, report

HERE = Path(__file__).parent / "envtest"
PACKAGE = "sigs.k8s.io/controller-runtime/tools/setup-envtest"
LIST_SECONDS = 10.0
"""The bound on reading the index. Where a firewall drops packets, a connection would take long."""
DOWNLOAD_SECONDS = 180.0
"""The bound on the download. A slower download has no advantage over a build."""


def install_setup_envtest(folder: Path) -> None:
    """Builds `setup-envtest`, in about ten seconds."""
    report("building setup-envtest, which downloads Kubernetes' published binaries")
    golang.build({"setup-envtest": PACKAGE}, folder, module=HERE)


SETUP_ENVTEST = Part(
    name="setup-envtest",
    install=install_setup_envtest,
    locks=(HERE / "go.mod", HERE / "go.sum"),
)


def part(kubernetes: str, *, index: str = "") -> Part:
    """The published binaries of this version's minor release. `index` is another index's URL."""
    minor = ".".join(kubernetes.removeprefix("v").split(".")[:2])
    install = functools.partial(download, minor, index)
    return Part(name="envtest", install=install, version=f"{minor} {index}")


def download(minor: str, index: str, folder: Path) -> None:
    """Downloads kube-apiserver and etcd of the newest published patch of a minor release.

    Raises PartMissingError, within LIST_SECONDS where the index cannot be reached.
    """
    options = ("--index", index) if index else ()
    listed = run_setup_envtest(("list", f"{minor}.x", *options), folder, LIST_SECONDS)
    versions = re.findall(r"^\(available\)\s+v(\S+)", listed, re.MULTILINE)
    if not versions:
        raise PartMissingError(
            f"setup-envtest offers no Kubernetes {minor} for {platform.system()}"
            f" {platform.machine()}."
        )
    report(f"downloading Kubernetes {versions[0]} with setup-envtest")
    command = ("use", versions[0], "--print", "path", *options)
    unpacked = Path(run_setup_envtest(command, folder, DOWNLOAD_SECONDS))
    unpacked.chmod(0o755)  # setup-envtest leaves it read-only
    for name in ("kube-apiserver", "etcd"):
        (unpacked / name).rename(folder / name)
    shutil.rmtree(folder / "k8s")


def run_setup_envtest(arguments: Sequence[str], folder: Path, seconds: float) -> str:
    """What the program prints. It stores binaries below `folder`. Raises PartMissingError."""
    program = SETUP_ENVTEST.ensure() / "setup-envtest"
    try:
        done = subprocess.run(
            [program, *arguments, "--bin-dir", folder],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise PartMissingError(
            f"setup-envtest {arguments[0]} did not finish within {seconds:.0f} s."
        ) from error
    if done.returncode:
        raise PartMissingError(f"setup-envtest {arguments[0]} failed: {done.stderr.strip()}.")
    return done.stdout
