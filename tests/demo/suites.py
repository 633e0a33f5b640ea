"""The suite as a process of its own, with the rights that it asks for and no other."""

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
from tests.support.cluster.suite import NO_STORE
from tests.support.controlplane import ControlPlane
from tests.support.controlplane.ports import free

NAME = "profiles-controller"
READY_SECONDS = 60.0
STOP_SECONDS = 30.0
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "TMPDIR", "VIRTUAL_ENV")
OK = 200
LAST_LINES = 8


class SuiteError(Exception):
    """The suite did not start, ended, or would not end; the text ends with its last log lines."""


class Suite:
    """`profiles-controller all`, logging into a file of the folder."""

    def __init__(
        self, plane: ControlPlane, controllers: Sequence[AnyController], folder: Path
    ) -> None:
        kubeconfig = service_account.bind(plane, NAME, rbac.cluster_role(controllers, NAME))
        self.log = folder / "suite.log"
        self.address = f"127.0.0.1:{free()}"
        self._group = plane.process_group
        self._command = (
            *(sys.executable, "-m", "profiles_controller", "all"),
            *("--kubeconfig", str(kubeconfig), "--listen", self.address),
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns at once; `await_ready` waits."""
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment |= NO_STORE
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=environment,
                process_group=self._group,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def await_ready(self) -> None:
        """Until /readyz says so: every informer has listed its kind."""
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise self._trouble(f"the suite was not ready within {READY_SECONDS:.0f} s")
            time.sleep(0.05)

    def check(self) -> None:
        """Raises SuiteError when it has ended without having been told to."""
        if self._process is not None and self._process.poll() is not None:
            raise self._trouble(f"the suite ended by itself with code {self._process.returncode}")

    def stop(self) -> None:
        """Tells it to end; raises SuiteError when it does not, or not in order."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            kill(process)
            trouble = f"the suite did not end within {STOP_SECONDS:.0f} s of SIGTERM"
            raise self._trouble(trouble) from None
        if code:
            raise self._trouble(f"the suite ended with code {code} when asked to end")

    def kill(self) -> None:
        """Ends it however it stands; may be repeated."""
        process, self._process = self._process, None
        if process is not None:
            kill(process)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=5) as answer:
                return bool(answer.status == OK)
        except (OSError, urllib.error.URLError):
            return False

    def _trouble(self, sentence: str) -> SuiteError:
        lines = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return SuiteError("\n".join([f"{sentence}; the end of its log:", *lines]))


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
