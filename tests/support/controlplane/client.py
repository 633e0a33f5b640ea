"""A synchronous Kubernetes client of the standard library alone: what tests arrange and look with.

It shares nothing with the client under test, so that one cannot hide the other's mistakes.
"""

import dataclasses
import http.client
import json
import ssl
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any

Json = dict[str, Any]

TIMEOUT_SECONDS = 60.0
DISCOVERY_SECONDS = 30.0


class StatusError(Exception):
    """An answer of 400 or above: `status`, and the Status object in `body`."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(f"{status} {body.get('reason', '')}: {body.get('message', body)}")
        self.status = status
        self.body = body


@dataclasses.dataclass(frozen=True)
class Resource:
    """How a kind is spelled in a path."""

    plural: str
    namespaced: bool


class Client:
    """Requests as one identity, over one kept-alive connection per thread. Thread-safe."""

    def __init__(self, *, url: str, ca_file: Path, token: str) -> None:
        address = urllib.parse.urlsplit(url)
        self._address = (address.hostname or "", address.port or 0)
        self._token = token
        self._tls = ssl.create_default_context(cafile=str(ca_file))
        self._tls.verify_flags |= ssl.VERIFY_X509_STRICT
        self._thread = threading.local()
        self._connections: list[http.client.HTTPSConnection] = []
        self._resources: dict[tuple[str, str], Resource] = {}

    def request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> Json:
        """The answer's JSON object. Raises StatusError; a connection lost is raised as OSError."""
        answer: Json = json.loads(self.text(method, path, body, content_type))
        return answer

    def text(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> str:
        """As `request`, for answers that are no JSON."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        status, answer = self._exchange(method, path, content, headers)
        if status >= http.client.BAD_REQUEST:
            raise StatusError(status, parse_status(answer))
        return answer

    def _exchange(
        self, method: str, path: str, content: bytes | None, headers: dict[str, str]
    ) -> tuple[int, str]:
        connection = self._connection()
        kept_alive = connection.sock is not None
        try:
            return send(connection, method, path, content, headers)
        except (ConnectionError, ssl.SSLEOFError):
            if not kept_alive:
                raise
        # The server closed it while it idled; a new one answers, or raises.
        return send(connection, method, path, content, headers)

    def _connection(self) -> http.client.HTTPSConnection:
        connection: http.client.HTTPSConnection | None = getattr(self._thread, "connection", None)
        if connection is None:
            host, port = self._address
            connection = http.client.HTTPSConnection(
                host, port, context=self._tls, timeout=TIMEOUT_SECONDS
            )
            self._thread.connection = connection
            self._connections.append(connection)
        return connection

    def close(self) -> None:
        """Closes every thread's connection; a later request opens one again."""
        for connection in self._connections:
            connection.close()

    def apply(self, manifest: Json) -> Json:
        """Creates the object, or replaces what stands under its name, whatever that was."""
        try:
            return self.request("POST", self.collection(manifest), manifest)
        except StatusError as error:
            if error.status != http.client.CONFLICT:
                raise
        path = self.path(manifest)
        version = self.request("GET", path)["metadata"]["resourceVersion"]
        metadata = {**manifest["metadata"], "resourceVersion": version}
        return self.request("PUT", path, {**manifest, "metadata": metadata})

    def path(self, manifest: Json) -> str:
        """Of the object; the kind is looked up at the server."""
        return f"{self.collection(manifest)}/{manifest['metadata']['name']}"

    def collection(self, manifest: Json) -> str:
        version, kind = manifest["apiVersion"], manifest["kind"]
        resource = self._resources.get((version, kind)) or self._discover(version, kind)
        space = f"namespaces/{manifest['metadata']['namespace']}/" if resource.namespaced else ""
        return f"{root(version)}/{space}{resource.plural}"

    def _discover(self, version: str, kind: str) -> Resource:
        """Waits for a kind whose CRD was made just now."""
        deadline = time.monotonic() + DISCOVERY_SECONDS
        while True:
            try:
                listed = self.request("GET", root(version))["resources"]
            except StatusError as error:
                if error.status != http.client.NOT_FOUND:
                    raise
                listed = []
            for item in listed:
                if "/" not in item["name"]:
                    self._resources[version, item["kind"]] = Resource(
                        item["name"], item["namespaced"]
                    )
            if found := self._resources.get((version, kind)):
                return found
            if time.monotonic() > deadline:
                raise LookupError(f"the API server does not serve {version} {kind}")
            time.sleep(0.05)


def send(
    connection: http.client.HTTPSConnection,
    method: str,
    path: str,
    content: bytes | None,
    headers: dict[str, str],
) -> tuple[int, str]:
    """Status and text. A failed request closes the connection; the next request opens it again."""
    try:
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except http.client.HTTPException as error:
        connection.close()
        if isinstance(error, OSError):
            raise
        raise ConnectionError(f"{method} {path}: cut off, {error!r}") from error
    except BaseException:
        connection.close()
        raise


def root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def parse_status(answer: str) -> Json:
    try:
        parsed = json.loads(answer)
    except ValueError:
        return {"message": answer}
    return parsed if isinstance(parsed, dict) else {"message": answer}
