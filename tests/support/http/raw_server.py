"""A server that sends exactly the bytes that a test sets, for responses that no server sends."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

HOST = "127.0.0.1"

Response = Callable[[socket.socket], None]


class RawServer:
    """Calls `response` for each connection, then closes it. `requests` holds the requests."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.response: Response = reply(b"{}")
        self.stopping = threading.Event()
        self._socket = socket.create_server((HOST, 0))
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}/v1/data/buckets"

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def close(self) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _handle(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                chunk = connection.recv(65536)
                if not chunk:
                    return
                request += chunk
            self.requests.append(request.decode())
            self.response(connection)


@contextlib.contextmanager
def serving() -> Iterator[RawServer]:
    """One server, in a thread of its own."""
    server = RawServer()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(10)


def raw(data: bytes) -> Response:
    """Send these bytes, then close the connection."""
    return lambda connection: connection.sendall(data)


def reply(
    body: bytes, status: str = "200 OK", *headers: str, length: int | None = None
) -> Response:
    """An HTTP response; `length` replaces the correct Content-Length."""
    content_length = len(body) if length is None else length
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Length: {content_length}",
        "Connection: close",
        *headers,
    ]
    return raw("\r\n".join([*lines, "", ""]).encode() + body)


def trickle(server: RawServer, head: bytes, byte: bytes, *, seconds: float) -> Response:
    """Send the head, then one byte repeatedly until the server stops."""

    def response(connection: socket.socket) -> None:
        connection.sendall(head)
        while not server.stopping.wait(seconds):
            connection.sendall(byte)

    return response


def silence(server: RawServer) -> Response:
    """Send nothing until the server stops."""

    def response(_connection: socket.socket) -> None:
        server.stopping.wait()

    return response
