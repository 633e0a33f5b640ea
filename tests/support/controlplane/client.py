"""A synchronous Kubernetes client for tests, which uses the standard library only.

It shares no code with the client under test.
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
    """A response of 400 or above. `body` is the Status object."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(f"{status} {body.get('reason', '')}: {body.get('message', body)}")
        self.status = status
        self.body = body


@dataclasses.dataclass(frozen=True)
class Resource:
    """The resource of a kind in a path."""

    plural: str
    namespaced: bool


class Client:
    """Sends requests as one user, with a persistent connection per thread. Thread-safe."""

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
        """The JSON object of the response. Raises StatusError, or OSError for a lost connection."""
        response: Json = json.loads(self.text(method, path, body, content_type))
        return response

    def text(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> str:
        """The text of the response. Raises the same errors as `request`."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        status, response = self._exchange(method, path, content, headers)
        if status >= http.client.BAD_REQUEST:
            raise StatusError(status, parse_status(response))
        return response

    def _exchange(
        self, method: str, path: str, content: bytes | None, headers: dict[str, str]
    ) -> tuple[int, str]:
        connection = self._connection()
        persistent = connection.sock is not None
        try:
            return send(connection, method, path, content, headers)
        except (ConnectionError, ssl.SSLEOFError):
            if not persistent:
                raise
        # The server closed the idle connection.
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
        """Closes the connections of all threads. A later request opens a new one."""
        for connection in self._connections:
            connection.close()

    def apply(self, manifest: Json) -> Json:
        """Creates the object, or replaces an object of the same name."""
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
        """The path of the object, by the discovery of the server."""
        return f"{self.collection(manifest)}/{manifest['metadata']['name']}"

    def collection(self, manifest: Json) -> str:
        version, kind = manifest["apiVersion"], manifest["kind"]
        resource = self._resources.get((version, kind)) or self._discover(version, kind)
        space = f"namespaces/{manifest['metadata']['namespace']}/" if resource.namespaced else ""
        return f"{root(version)}/{space}{resource.plural}"

    def _discover(self, version: str, kind: str) -> Resource:
        """Finds the resource of a kind, and waits for a CRD that was created just now."""
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
        response = connection.getresponse()
        return response.status, response.read().decode()
    except http.client.HTTPException as error:
        connection.close()
        if isinstance(error, OSError):
            raise
        raise ConnectionError(f"{method} {path}: connection lost: {error!r}") from error
    except BaseException:
        connection.close()
        raise


def root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def parse_status(text: str) -> Json:
    try:
        parsed = json.loads(text)
    except ValueError:
        return {"message": text}
    return parsed if isinstance(parsed, dict) else {"message": text}
