"""OPA as the gateway of shared buckets: a program that serves their documents as data.

One instance takes 40 MB and is up in half a second. Each user has a document of its own name.
"""

import http.client
import json
import subprocess
from pathlib import Path
from typing import Any, Self

from tests.support.cluster import waiting
from tests.support.controlplane import ports, processes
from tests.support.opa import program

HOST = "127.0.0.1"


class Opa:
    """A running gateway. Made by `start`."""

    def __init__(self, workdir: Path) -> None:
        self.port = ports.free()
        self._group = processes.Group(workdir)
        self._server: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, workdir: Path) -> Self:
        """Returns when it serves."""
        workdir.mkdir(parents=True, exist_ok=True)
        made = cls(workdir)
        made.resume()
        return made

    def resume(self) -> None:
        """Starts the program, again and empty after `pause`, on the same port."""
        address = f"{HOST}:{self.port}"
        command = ["run", "--server", "--addr", address, "--disable-telemetry", "--log-level=error"]
        self._server = self._group.start("opa", [str(program.program()), *command])
        waiting.until(self._serves, "OPA serves", seconds=30)

    def pause(self) -> None:
        """Kills the program: its port refuses connections until `resume`."""
        if self._server is not None:
            processes.kill(self._server)

    def stop(self) -> None:
        self._group.stop()

    def url(self, name: str) -> str:
        """Where a document is asked for."""
        return f"http://{HOST}:{self.port}/v1/data/{name}"

    def put(self, name: str, buckets: Any) -> None:
        """Makes a document what OPA gives as `result`."""
        assert self._request("PUT", f"/v1/data/{name}", json.dumps(buckets)) in {204, 304}

    def delete(self, name: str) -> None:
        """Takes a document away: OPA answers without a result."""
        assert self._request("DELETE", f"/v1/data/{name}") == 204

    def _serves(self) -> bool:
        if self._server is not None and self._server.poll() is not None:
            raise processes.ChildFailedError(self._group.last_words("opa"))
        try:
            return self._request("GET", "/health") == 200
        except OSError:
            return False

    def _request(self, method: str, path: str, body: str | None = None) -> int:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()
