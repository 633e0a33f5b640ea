"""The cache of parts, below `$XDG_CACHE_HOME` or `~/.cache`, in `profiles-controller/parts`."""

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path


class PartMissingError(Exception):
    """A part is neither installed nor installable. The message states how to get it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """Programs or files that are installed together.

    `locks` are the files that pin the content, and `version` whatever else determines it: a change
    of either installs the part again, in another folder. `install` fills an empty folder, and
    raises PartMissingError when it cannot.
    """

    name: str
    install: Callable[[Path], None]
    locks: tuple[Path, ...] = ()
    version: str = ""

    @property
    def folder(self) -> Path:
        """The folder of the installed part. It exists only when the part is complete."""
        digest = hashlib.sha256(self.version.encode())
        for path in self.locks:
            digest.update(path.read_bytes())
        system = f"{platform.system()}-{platform.machine()}".lower()
        return cache_folder() / f"{self.name}-{system}-{digest.hexdigest()[:12]}"

    def is_installed(self) -> bool:
        """Whether the cache has the part."""
        return self.folder.exists()

    def ensure(self) -> Path:
        """The folder of the part, which is installed first if the cache lacks it.

        Any number of processes may call it: one installs, the others wait. Raises PartMissingError.
        """
        if not self.is_installed():
            with locked(self.name):
                if not self.is_installed():
                    self._install()
        return self.folder

    def _install(self) -> None:
        """Installs into a scratch folder, so that an interrupted install leaves no partial part."""
        scratch = cache_folder() / f".{self.name}.partial"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        started = time.monotonic()
        try:
            self.install(scratch)
            scratch.rename(self.folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        report(f"{self.name}: installed in {time.monotonic() - started:.0f} s")


def cache_folder() -> Path:
    """The cache. It is outside the checkout, so that all checkouts of the machine share it."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "profiles-controller" / "parts"


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds the lock of a part. The kernel releases it when its holder exits."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / f".{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"{name}: waiting for another process that installs it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def report(message: str) -> None:
    """Prints progress to standard error."""
    print(f"parts: {message}", file=sys.stderr, flush=True)
