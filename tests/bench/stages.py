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

from tests.bench import bare, probes
from tests.support.cluster import kubeflow, waiting
from tests.support.controlplane import ControlPlane, Json, ports, processes

STOP_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Mark:
    """What a process under test noted: monotonic time, and its own processor time."""

    at: float
    cpu: float


@dataclasses.dataclass(frozen=True)
class Cost:
    """What the bare client took."""

    count: int
    seconds: float
    cpu: float


class Suite:
    """A running process under test."""

    def __init__(self, process: subprocess.Popen[bytes], marks: Path) -> None:
        self._process = process
        self._marks = marks
        self.pid = process.pid

    def mark(self, name: str) -> Mark | None:
        """The mark, once it has been written. Raises ChildFailedError when the process ended."""
        if self._process.poll() is not None:
            raise processes.ChildFailedError(f"the suite ended with {self._process.returncode}")
        if not self._marks.exists():
            return None
        for line in self._marks.read_text().splitlines(keepends=True):
            if line.endswith("\n") and (found := json.loads(line))["name"] == name:
                return Mark(found["at"], found["cpu"])
        return None

    def wait_for(self, name: str, seconds: float) -> Mark:
        found = waiting.until(
            lambda: self.mark(name), f"the suite's mark {name!r}", seconds=seconds
        )
        assert found is not None
        return found

    def memory(self) -> probes.Memory:
        return probes.settled_memory(self.pid)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            processes.kill(self._process)


class Stage:
    """Use `opened`."""

    def __init__(self, plane: ControlPlane, folder: Path, group: processes.Group) -> None:
        self.plane = plane
        self.profiles: list[Json] = []
        self._folder = folder
        self._group = group
        self._numbers = itertools.count()

    @classmethod
    @contextlib.contextmanager
    def opened(cls, folder: Path, profiles: int) -> Iterator[Self]:
        """A control plane without a controller manager, and this many tenants."""
        folder.mkdir(parents=True)
        with ControlPlane.start(folder / "plane") as plane:
            group = processes.Group(folder)
            try:
                kubeflow.install(plane)
                stage = cls(plane, folder, group)
                stage.add_tenants(profiles)
                yield stage
            finally:
                group.stop()

    def add_tenants(self, count: int) -> None:
        """Profiles with bare namespaces."""
        present = len(self.profiles)
        names = [f"tenant-{number:05d}" for number in range(present, present + count)]
        self.profiles += kubeflow.create_tenants(self.plane, names)

    @contextlib.contextmanager
    def suite(self, controllers: str, *, expect: int = 0) -> Iterator[Suite]:
        """A process that starts; its mark `reconciled` comes with this many profiles (all)."""
        name = f"{controllers}-{next(self._numbers)}"
        marks = self._folder / f"{name}.marks"
        options = {
            "--kubeconfig": self.plane.kubeconfig,
            "--marks": marks,
            "--expect": expect or len(self.profiles),
            "--port": ports.free(),
        }
        suite = Suite(self._start(name, "suite", controllers, options), marks)
        try:
            yield suite
        finally:
            suite.stop()

    def bare(self, what: str, **options: Any) -> Cost:
        """Runs the bare client to its end. Options as its command line's."""
        name, process = self._start_bare(what, **options)
        if process.wait(600):
            raise processes.ChildFailedError(self._group.last_words(name))
        return Cost(**json.loads(self._group.last_words(name)))

    @contextlib.contextmanager
    def bare_writer(self) -> Iterator[subprocess.Popen[bytes]]:
        """The bare client, making the writes of a cold start."""
        _, process = self._start_bare("write", **self.mix)
        try:
            yield process
        finally:
            processes.kill(process)

    @contextlib.contextmanager
    def bare_repairer(self) -> Iterator[None]:
        """The bare client, putting back what is changed."""
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
        """What the suite writes besides its objects: an event and a condition a profile."""
        return {"events": len(self.profiles), "statuses": len(self.profiles)}

    @property
    def process_groups(self) -> tuple[int, int]:
        """Of the control plane, and of what is measured on it."""
        return self.plane.process_group, self._group.group_id

    def _start_bare(self, what: str, **options: Any) -> tuple[str, subprocess.Popen[bytes]]:
        name = f"bare-{what}-{next(self._numbers)}"
        given = {f"--{key.replace('_', '-')}": value for key, value in options.items()}
        given["--kubeconfig"] = self.plane.kubeconfig
        return name, self._start(name, "bare", what, given)

    def _start(
        self, name: str, module: str, what: str, options: dict[str, Any]
    ) -> subprocess.Popen[bytes]:
        words = [str(word) for option in options.items() for word in option]
        return self._group.start(
            name, [sys.executable, "-m", f"tests.bench.{module}", what, *words]
        )


def say(text: str) -> None:
    """Progress, on standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
