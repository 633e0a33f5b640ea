"""A server that answers with whatever bytes a test says, for answers that no good server gives."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

HOST = "127.0.0.1"

Answer = Callable[[socket.socket], None]


class RawServer:
    """Each connection is answered by `answer`, and then closed; `requests` has what was asked."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.answer: Answer = reply(b"{}")
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
            asked = b""
            while b"\r\n\r\n" not in asked:
                chunk = connection.recv(65536)
                if not chunk:
                    return
                asked += chunk
            self.requests.append(asked.decode())
            self.answer(connection)


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


def raw(data: bytes) -> Answer:
    """These bytes, and the end of the connection."""
    return lambda connection: connection.sendall(data)


def reply(body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> Answer:
    """A response; `length` is what Content-Length says where that is a lie."""
    said = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {said}", "Connection: close", *headers]
    return raw("\r\n".join([*lines, "", ""]).encode() + body)


def trickle(server: RawServer, head: bytes, byte: bytes, *, seconds: float) -> Answer:
    """The head, then one byte again and again, until the server stops."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        while not server.stopping.wait(seconds):
            connection.sendall(byte)

    return answer


def silence(server: RawServer) -> Answer:
    """Nothing at all, until the server stops."""

    def answer(_connection: socket.socket) -> None:
        server.stopping.wait()

    return answer
