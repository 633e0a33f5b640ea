"""A control plane with tenants, and the processes that are measured on it."""

import contextlib
import dataclasses
import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from tests.bench import bare, procfs
from tests.support.cluster import kubeflow, waiting
from tests.support.controlplane import ControlPlane, Json, ports, processes

STOP_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Milestone:
    """A moment of the process under test: monotonic time, and its CPU seconds until then."""

    at: float
    cpu: float


@dataclasses.dataclass(frozen=True)
class Cost:
    """The time and CPU time of the bare client."""

    count: int
    seconds: float
    cpu: float


class ControllerProcess:
    """A running process under test."""

    def __init__(self, process: subprocess.Popen[bytes], milestones: Path) -> None:
        self._process = process
        self._milestones = milestones
        self.pid = process.pid

    def milestone(self, name: str) -> Milestone | None:
        """The milestone, if reached. Raises ChildFailedError if the process has ended."""
        if self._process.poll() is not None:
            code = self._process.returncode
            raise processes.ChildFailedError(f"the process under test ended with {code}")
        if not self._milestones.exists():
            return None
        for line in self._milestones.read_text().splitlines(keepends=True):
            if line.endswith("\n") and (found := json.loads(line))["name"] == name:
                return Milestone(found["at"], found["cpu"])
        return None

    def wait_for(self, name: str, seconds: float) -> Milestone:
        found = waiting.until(lambda: self.milestone(name), f"milestone {name!r}", seconds=seconds)
        assert found is not None
        return found

    def memory(self) -> procfs.Memory:
        return procfs.settled_memory(self.pid)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            processes.kill(self._process)


class Environment:
    """A control plane with tenants. Use `start`."""

    def __init__(self, plane: ControlPlane, folder: Path, group: processes.Group) -> None:
        self.plane = plane
        self.profiles: list[Json] = []
        self._folder = folder
        self._group = group
        self._numbers = itertools.count()

    @classmethod
    @contextlib.contextmanager
    def start(cls, folder: Path, profiles: int) -> Iterator[Self]:
        """A control plane without a controller manager, and this number of tenants."""
        folder.mkdir(parents=True)
        with ControlPlane.start(folder / "plane") as plane:
            group = processes.Group(folder)
            try:
                kubeflow.install(plane)
                environment = cls(plane, folder, group)
                environment.add_tenants(profiles)
                yield environment
            finally:
                group.stop()

    def add_tenants(self, count: int) -> None:
        """Create Profiles and their empty namespaces."""
        present = len(self.profiles)
        names = [f"tenant-{number:05d}" for number in range(present, present + count)]
        self.profiles += kubeflow.create_tenants(self.plane, names)

    @contextlib.contextmanager
    def controllers(self, which: str, *, expect: int = 0) -> Iterator[ControllerProcess]:
        """Start the process; it reaches `reconciled` after this number of profiles (all)."""
        name = f"{which}-{next(self._numbers)}"
        milestones = self._folder / f"{name}.milestones"
        options = {
            "--kubeconfig": self.plane.kubeconfig,
            "--milestones": milestones,
            "--expect": expect or len(self.profiles),
            "--port": ports.free(),
        }
        started = self._start(name, "process_under_test", which, options)
        process = ControllerProcess(started, milestones)
        try:
            yield process
        finally:
            process.stop()

    def run_bare(self, what: str, **options: Any) -> Cost:
        """Run the bare client to its end. The options are those of its command line."""
        name, process = self._start_bare(what, **options)
        if process.wait(600):
            raise processes.ChildFailedError(self._group.last_words(name))
        return Cost(**json.loads(self._group.last_words(name)))

    @contextlib.contextmanager
    def bare_writer(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start the bare client with the writes of a cold start."""
        _, process = self._start_bare("write", **self.mix)
        try:
            yield process
        finally:
            processes.kill(process)

    @contextlib.contextmanager
    def bare_repairer(self) -> Iterator[None]:
        """Start the bare client that repairs changed objects."""
        name, process = self._start_bare("repair")
        try:
            waiting.until(
                lambda: self._group.last_words(name) == bare.READY or process.poll() is not None,
                "the bare client's watch",
            )
            yield
            if process.poll() is not None:
                raise processes.ChildFailedError(self._group.last_words(name))
        finally:
            processes.kill(process)

    @property
    def mix(self) -> dict[str, int]:
        """What the suite writes besides its objects: an event and a condition for each profile."""
        return {"events": len(self.profiles), "statuses": len(self.profiles)}

    @property
    def process_groups(self) -> tuple[int, int]:
        """Of the control plane, and of the processes that are measured on it."""
        return self.plane.process_group, self._group.group_id

    def _start_bare(self, what: str, **options: Any) -> tuple[str, subprocess.Popen[bytes]]:
        name = f"bare-{what}-{next(self._numbers)}"
        flags = {f"--{key.replace('_', '-')}": value for key, value in options.items()}
        flags["--kubeconfig"] = self.plane.kubeconfig
        return name, self._start(name, "bare", what, flags)

    def _start(
        self, name: str, module: str, what: str, options: dict[str, Any]
    ) -> subprocess.Popen[bytes]:
        words = [str(word) for option in options.items() for word in option]
        return self._group.start(
            name, [sys.executable, "-m", f"tests.bench.{module}", what, *words]
        )


def report_progress(text: str) -> None:
    """Print to standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
