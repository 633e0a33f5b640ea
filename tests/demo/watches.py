"""The demo's own watch, of the standard library alone: it sees what anybody with kubectl sees."""

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


class Audience(Protocol):
    """Who is told, from the watching threads."""

    def reset(self, kind: str, bodies: Sequence[Json]) -> None:
        """These are all objects of the kind."""

    def put(self, kind: str, body: Json) -> None:
        """The object is new or has changed."""

    def drop(self, kind: str, body: Json) -> None:
        """The object is gone."""


class Watch:
    """Lists and watches one kind in a thread until `stop`; begins anew whatever happens."""

    def __init__(self, plane: ControlPlane, kind: Kind, audience: Audience) -> None:
        self._plane = plane
        self._kind = kind
        self._audience = audience
        self._stopped = threading.Event()
        self._tls = ssl.create_default_context(cafile=str(plane.ca_file))
        self._connection: http.client.HTTPSConnection | None = None
        self._thread = threading.Thread(target=self._run, name=f"watch {kind.name}", daemon=True)

    def start(self) -> None:
        """Begins with a list, so that nothing that exists is missed."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, also in the middle of a read."""
        self._stopped.set()
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped.is_set():
            # An API server that ends a stream, or a kind that is not served yet, is everyday life.
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException, StatusError):
                self._follow(self._list())
            self._stopped.wait(PAUSE_SECONDS)

    def _list(self) -> str:
        page = self._plane.request("GET", self._kind.path())
        self._audience.reset(self._kind.name, page["items"])
        version: str = page["metadata"]["resourceVersion"]
        return version

    def _follow(self, version: str) -> None:
        for event in self._events(version):
            match event["type"]:
                case "ADDED" | "MODIFIED":
                    self._audience.put(self._kind.name, event["object"])
                case "DELETED":
                    self._audience.drop(self._kind.name, event["object"])
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
            answer = connection.getresponse()
            if answer.status != OK:
                return
            while not self._stopped.is_set() and (line := answer.readline()):
                yield json.loads(line)


@contextlib.contextmanager
def watching(plane: ControlPlane, kinds: Sequence[str], audience: Audience) -> Iterator[None]:
    """A watch for each of the kinds, as long as this lasts."""
    watches = [Watch(plane, KINDS[kind], audience) for kind in kinds]
    for watch in watches:
        watch.start()
    try:
        yield
    finally:
        for watch in watches:
            watch.stop()
