"""The suite as a separate process, with its probes, metrics and log."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.cluster import service_account, waiting
from tests.support.cluster.audit import Audit
from tests.support.controlplane import ControlPlane, ports, processes

HOST = "127.0.0.1"
READY_SECONDS = waiting.TIMEOUT_SECONDS
STOP_SECONDS = 60.0
PROGRAM = "profiles_controller"
NO_EXTERNAL_SYSTEMS = {"PIPELINES_PROVIDER": "none", "BLOB_CSI_INSTANCES": "[]"}
"""Variables that disable the external systems, which most tests do not start."""


def environment(**variables: str) -> dict[str, str]:
    """The variables that every program needs, without the rest of the tests' environment."""
    required = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**required, **variables}


def run(
    *arguments: str, seconds: float = 60.0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command that exits; returns its exit code, output and error output."""
    return subprocess.run(
        [sys.executable, "-m", PROGRAM, *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def is_open(port: int) -> bool:
    """Whether a process accepts connections on the port."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 5):
        return True
    return False


class ManagerProcess:
    """A running process. `Launcher.start` creates it."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, port: int) -> None:
        self._process = process
        self._log = log
        self.port = port
        self.pid = process.pid

    # Probes and metrics

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a probe or of the metrics. Raises OSError while the port is closed."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def is_ready(self) -> bool:
        return self.probe_status("/readyz") == 200

    def probe_status(self, path: str) -> int:
        """The status of a probe, 0 while the port is closed.

        Raises AssertionError when the process has exited.
        """
        if self.exit_code is not None:
            raise AssertionError(f"the suite ended with {self.exit_code}:\n{self.tail()}")
        try:
            return self.get(path)[0]
        except OSError:
            return 0

    def probe_text(self, path: str) -> str:
        """The text of a probe, empty while the port is closed."""
        return self.get(path)[1] if self.probe_status(path) else ""

    def wait_ready(self, seconds: float = READY_SECONDS) -> Self:
        waiting.until(self.is_ready, "the suite is ready", seconds=seconds)
        return self

    def families(self) -> dict[str, Metric]:
        """The metric families of a scrape, by name (a counter's name has no `_total`)."""
        text = self.get("/metrics")[1]
        return {family.name: family for family in text_string_to_metric_families(text)}

    def series(self, name: str, /, **labels: str) -> list[tuple[Mapping[str, str], float]]:
        """Labels and value of the samples of this name that carry these labels."""
        return [
            (sample.labels, sample.value)
            for family in self.families().values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def total(self, name: str, /, **labels: str) -> float:
        """The sum of the samples of `series`."""
        return sum(value for _, value in self.series(name, **labels))

    def requests(self, **labels: str) -> float:
        """The number of requests to the API server, by the metrics of the process."""
        return self.total("rest_client_requests_total", **labels)

    # Log

    def text(self) -> str:
        return self._log.read_text(errors="replace")

    def tail(self, lines: int = 25) -> str:
        return "\n".join(self.text().splitlines()[-lines:])

    def lines(self, **fields: Any) -> list[dict[str, Any]]:
        """The log's JSON lines with these fields."""
        parsed = (json.loads(line) for line in self.text().splitlines() if line.startswith("{"))
        return [line for line in parsed if fields.items() <= line.items()]

    def warnings_and_errors(self, profile: str) -> list[dict[str, Any]]:
        """The log lines of a profile with another level than info."""
        return [line for line in self.lines(profile=profile) if line["level"] != "info"]

    # Life

    @property
    def exit_code(self) -> int | None:
        """The exit code, None while the process runs, negative after a signal."""
        return self._process.poll()

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """Sends SIGTERM and waits; returns the exit code."""
        self.terminate()
        return self.wait()

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Waits until the process exits; returns the exit code."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            message = f"the suite has not ended within {seconds} s:\n{self.tail()}"
            raise AssertionError(message) from error

    def kill(self) -> None:
        """Kills the process and waits for it."""
        self._process.kill()
        self._process.wait()


class Launcher:
    """Starts processes against a control plane, and stops them; a context manager.

    At its exit no request of a created identity may have been forbidden. `allow_denied` omits this
    check: a restarted API server responds with 403 until it has read its roles.
    """

    def __init__(self, plane: ControlPlane, workdir: Path, *, allow_denied: bool = False) -> None:
        workdir.mkdir(parents=True, exist_ok=True)
        self.plane = plane
        self.running: list[ManagerProcess] = []
        self._workdir = workdir
        self._allow_denied = allow_denied
        self._group = processes.Group(workdir)
        self._identities: dict[str, Path] = {}
        self._audits: list[Audit] = []

    def identity(self, name: str, *controllers: str, **settings: Any) -> Path:
        """The kubeconfig of `name`, with the permissions of these controllers, by default of all.

        `settings` has those that are not the defaults, by controller.
        """
        if name not in self._identities:
            role = service_account.cluster_role(*controllers, name=f"suite-{name}", **settings)
            self._identities[name] = service_account.bind(self.plane, name, role)
            if not self._allow_denied:
                self._audits.append(Audit(self.plane, service_account.user(name)))
        return self._identities[name]

    def start(
        self,
        controllers: str,
        *arguments: str,
        kubeconfig: Path | None = None,
        module: str = PROGRAM,
        program: Sequence[str] = (),
        variables: Mapping[str, str] = NO_EXTERNAL_SYSTEMS,
    ) -> ManagerProcess:
        """Starts a process for `controllers` (a name, or all), with an identity of that name.

        `variables` are its environment, and `program` what is started instead of the `module`.
        It serves on a port of its own. Does not wait until it is ready.
        """
        if kubeconfig is None:
            own = () if controllers == "all" else (controllers,)
            kubeconfig = self.identity(controllers, *own)
        port = ports.free()
        name = f"{controllers}-{len(self.running)}"
        listen = ("--kubeconfig", str(kubeconfig), "--listen", f"{HOST}:{port}")
        command: Sequence[str] = (
            "env", "-i", *(f"{key}={value}" for key, value in environment(**variables).items()),
            *(program or (sys.executable, "-m", module)), controllers, *listen, *arguments,
        )  # fmt: skip
        process = self._group.start(name, command)
        manager = ManagerProcess(process, self._workdir / f"{name}.log", port)
        self.running.append(manager)
        return manager

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()
        for audit in self._audits:
            denied = audit.denied()
            assert not denied, f"permissions are missing: {sorted(set(denied))}"

    def _end(self) -> None:
        """Sends SIGTERM to all processes, then SIGKILL to those that do not exit."""
        left = [manager for manager in self.running if manager.exit_code is None]
        for manager in left:
            manager.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while any(manager.exit_code is None for manager in left) and time.monotonic() < deadline:
            time.sleep(0.02)
        self._group.stop()


Start = Callable[..., ManagerProcess]
"""The type of the fixture `start`."""


def tails(launcher: Iterable[ManagerProcess]) -> str:
    """The ends of all logs, for the report of a failed test."""
    return "\n".join(
        f"--- port {manager.port}, code {manager.exit_code}\n{manager.tail()}"
        for manager in launcher
    )
