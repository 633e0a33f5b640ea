"""A watch that uses the standard library only, independent of the code under test."""

import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from typing import Protocol

from controllers.runtime.objects.kinds import KINDS, Kind
from tests.support.controlplane import ControlPlane, Json, StatusError

PAUSE_SECONDS = 0.2
OK = 200


class EventHandler(Protocol):
    """Receives the objects, in the threads of the watches."""

    def replace(self, kind: str, bodies: Sequence[Json]) -> None:
        """A list returned these objects of the kind."""

    def upsert(self, kind: str, body: Json) -> None:
        """The object was added or modified."""

    def delete(self, kind: str, body: Json) -> None:
        """The object was deleted."""


class Watch:
    """Lists and watches one kind in a thread until `stop`. It lists again after any error."""

    def __init__(self, plane: ControlPlane, kind: Kind, handler: EventHandler) -> None:
        self._plane = plane
        self._kind = kind
        self._handler = handler
        self._stopped = threading.Event()
        self._tls = ssl.create_default_context(cafile=str(plane.ca_file))
        self._connection: http.client.HTTPSConnection | None = None
        self._thread = threading.Thread(target=self._run, name=f"watch {kind.name}", daemon=True)

    def start(self) -> None:
        """Starts the thread, which lists the objects first."""
        self._thread.start()

    def stop(self) -> None:
        """Stops the thread, even during a read."""
        self._stopped.set()
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped.is_set():
            # The API server may end a stream, and may not serve the kind yet.
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException, StatusError):
                self._follow(self._list())
            self._stopped.wait(PAUSE_SECONDS)

    def _list(self) -> str:
        page = self._plane.request("GET", self._kind.path())
        self._handler.replace(self._kind.name, page["items"])
        version: str = page["metadata"]["resourceVersion"]
        return version

    def _follow(self, version: str) -> None:
        for event in self._events(version):
            match event["type"]:
                case "ADDED" | "MODIFIED":
                    self._handler.upsert(self._kind.name, event["object"])
                case "DELETED":
                    self._handler.delete(self._kind.name, event["object"])
                case _:
                    return

    def _events(self, version: str) -> Iterator[Json]:
        address = self._plane.url.removeprefix("https://")
        connection = http.client.HTTPSConnection(address, context=self._tls)
        self._connection = connection
        with contextlib.closing(connection):
            connection.request(
                "GET",
                f"{self._kind.path()}?watch=1&resourceVersion={version}",
                headers={"Authorization": f"Bearer {self._plane.admin_token}"},
            )
            response = connection.getresponse()
            if response.status != OK:
                return
            while not self._stopped.is_set() and (line := response.readline()):
                yield json.loads(line)


@contextlib.contextmanager
def watching(plane: ControlPlane, kinds: Sequence[str], handler: EventHandler) -> Iterator[None]:
    """Watches the kinds while the context is open."""
    watches = [Watch(plane, KINDS[kind], handler) for kind in kinds]
    for watch in watches:
        watch.start()
    try:
        yield
    finally:
        for watch in watches:
            watch.stop()
