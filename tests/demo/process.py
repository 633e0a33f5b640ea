"""The controllers in one process, with the permissions of their ClusterRole only."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from controllers.runtime import rbac
from controllers.runtime.controller import AnyController
from tests.support.cluster import service_account
from tests.support.cluster.manager_process import NO_EXTERNAL_SYSTEMS
from tests.support.controlplane import ControlPlane
from tests.support.controlplane.ports import free

NAME = "profiles-controller"
READY_SECONDS = 60.0
STOP_SECONDS = 30.0
FORWARDED_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "TMPDIR", "VIRTUAL_ENV")
OK = 200
LAST_LINES = 8


class ManagerError(Exception):
    """The process did not start, exited, or did not stop. The message has the end of its log."""


class ManagerProcess:
    """`profiles-controller all`. It writes its log to a file of the folder."""

    def __init__(
        self, plane: ControlPlane, controllers: Sequence[AnyController], folder: Path
    ) -> None:
        kubeconfig = service_account.bind(plane, NAME, rbac.cluster_role(controllers, NAME))
        self.log = folder / "manager.log"
        self.address = f"127.0.0.1:{free()}"
        self._group = plane.process_group
        self._command = (
            *(sys.executable, "-m", "profiles_controller", "all"),
            *("--kubeconfig", str(kubeconfig), "--listen", self.address),
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the process and returns at once. `wait_ready` waits for it."""
        environment = {name: os.environ[name] for name in FORWARDED_VARIABLES if name in os.environ}
        environment |= NO_EXTERNAL_SYSTEMS
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=environment,
                process_group=self._group,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_ready(self) -> None:
        """Waits until /readyz returns 200: the caches of all informers are synced."""
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise self._error(f"the manager was not ready within {READY_SECONDS:.0f} s")
            time.sleep(0.05)

    def check(self) -> None:
        """Raises ManagerError when the process has exited unexpectedly."""
        if self._process is not None and self._process.poll() is not None:
            raise self._error(f"the manager exited with code {self._process.returncode}")

    def stop(self) -> None:
        """Sends SIGTERM and waits. Raises ManagerError when the process does not exit with 0."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            kill(process)
            message = f"the manager did not exit within {STOP_SECONDS:.0f} s of SIGTERM"
            raise self._error(message) from None
        if code:
            raise self._error(f"the manager exited with code {code} after SIGTERM")

    def kill(self) -> None:
        """Kills the process. May be repeated."""
        process, self._process = self._process, None
        if process is not None:
            kill(process)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=5) as response:
                return bool(response.status == OK)
        except (OSError, urllib.error.URLError):
            return False

    def _error(self, message: str) -> ManagerError:
        lines = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return ManagerError("\n".join([f"{message}. The end of its log:", *lines]))


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
