"""A TCP proxy between a process and its API server, which a test can disconnect and restore.

While it is cut the suite misses watch events, and the API server keeps running.
"""

import contextlib
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from tests.support.controlplane import ControlPlane, ports

HOST = "127.0.0.1"
CHUNK = 65536


class TCPProxy:
    """Forwards connections to a control plane's API server; a context manager, open at first."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._target = int(plane.url.rpartition(":")[2])
        self._port = ports.free()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._ends: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def kubeconfig(self, original: Path, folder: Path) -> Path:
        """The same identity and context, through this proxy."""
        content = yaml.safe_load(original.read_text())
        content["clusters"][0]["cluster"]["server"] = f"https://{HOST}:{self._port}"
        path = folder / f"{original.stem}-by-proxy.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(content))
        return path

    def restore(self) -> None:
        """Accepts connections again. Connections that were cut stay closed."""
        listener = socket.create_server((HOST, self._port))
        with self._lock:
            self._listener = listener
        self._spawn(self._accept, listener)

    def disconnect(self) -> None:
        """Ends every connection, and refuses new ones until `restore`."""
        with self._lock:
            listener, self._listener = self._listener, None
            ends, self._ends = self._ends, set()
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for end in ends:
            hang_up(end)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def __enter__(self) -> Self:
        self.restore()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.disconnect()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection((HOST, self._target))
            except OSError:
                near.close()
                continue
            with self._lock:
                if self._listener is not listener:
                    hang_up(near)
                    hang_up(far)
                    return
                self._ends |= {near, far}
            self._spawn(self._pump, near, far)
            self._spawn(self._pump, far, near)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()
        with self._lock:
            self._ends.discard(source)

    def _spawn(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()


def hang_up(end: socket.socket) -> None:
    """Shuts the socket down; its pump closes it."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
