"""OPA as the gateway of shared buckets. It serves the documents as data.

An instance uses 40 MB and starts in half a second. Each test uses its own document.
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
    """A running gateway. `start` creates it."""

    def __init__(self, workdir: Path) -> None:
        self.port = ports.free()
        self._group = processes.Group(workdir)
        self._server: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, workdir: Path) -> Self:
        """Starts OPA; returns when it serves."""
        workdir.mkdir(parents=True, exist_ok=True)
        made = cls(workdir)
        made.resume()
        return made

    def resume(self) -> None:
        """Starts the program on the same port, without documents."""
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
        """The URL of a document."""
        return f"http://{HOST}:{self.port}/v1/data/{name}"

    def put(self, name: str, buckets: Any) -> None:
        """Writes a document, which OPA returns as `result`."""
        assert self._request("PUT", f"/v1/data/{name}", json.dumps(buckets)) in {204, 304}

    def delete(self, name: str) -> None:
        """Deletes a document: OPA responds without a result."""
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
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()
