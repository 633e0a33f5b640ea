"""One connection to the API server, asked one thing at a time in HTTP/1.1.

A general client takes more processor time for a request than this suite for all else that a write
needs (docs/designs/0005-connections.md). Answers are read by httptools, with Node.js's parser.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple

import httptools

_MOST_UNREAD = 4 << 20
"""Bytes of a stream that may wait to be taken; with more, the server is made to wait."""
_PROBES = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}
"""Seconds of silence before TCP asks whether the other end is there, seconds between two questions,
and how many stay unanswered; where the system has them.
"""
_OK = 200
_NOT_HTTP = (httptools.HttpParserError, httptools.HttpParserUpgrade)


class Answer(NamedTuple):
    """What a request was answered."""

    code: int
    retry_after: str
    """The header of that name; empty where there is none."""
    payload: bytes


class Wire(asyncio.BufferedProtocol):
    """A connection, and what is asked on it. It is made by a ``Route``."""

    def __init__(
        self, begun: Callable[[Wire], None], ended: Callable[[Wire], None], buffer: memoryview
    ) -> None:
        """``begun`` is told when the connection is there, ``ended`` when it is no more.

        ``buffer`` may be shared by all connections of one event loop: what is read into it is
        taken out again before anything else runs.
        """
        self.heard = False
        """Whether anything came back of what was asked last."""
        self._begun = begun
        self._ended = ended
        self._buffer = buffer
        self._transport: Any = None
        self._parser: Any = None
        self._lost = self._given_up = False
        self._free = False
        """Whether the last answer is complete, and another may follow."""
        self._answer: asyncio.Future[Answer] | None = None
        """What is waited for: a whole answer, or the beginning of a stream's."""
        self._deadline = self._patience = 0.0
        self._silent = True
        self._streams = self._flows = False
        """Whether a stream is asked for, and whether its body is being told."""
        self._keeps = self._framed = self._unasked = False
        self._code = 0
        self._retry_after = ""
        self._parts: list[bytes] = []
        self._unread = 0
        self._news: asyncio.Future[None] | None = None
        self._end: Exception | bool = False
        """Of a stream: whether it came to its end, or why it broke off."""

    # -- what the pool does ---------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        """Whether another thing may be asked: all was sent and answered, and nobody hangs up."""
        return (
            self._free
            and not self._lost
            and not self._transport.is_closing()
            and not self._transport.get_write_buffer_size()
        )

    def ask(
        self, request: bytes, patience: float, *, stream: bool = False
    ) -> asyncio.Future[Answer]:
        """Send it; the answer raises ConnectionError, or TimeoutError after ``patience`` seconds.

        An answer of success to a ``stream`` comes without its body: see ``chunks``. There, each
        silence may last that long.
        """
        loop = asyncio.get_running_loop()
        answer = self._answer = loop.create_future()
        self._patience, self._deadline = patience, loop.time() + patience
        self._streams = stream
        self._free = self._flows = self.heard = self._end = False
        self._code, self._retry_after = 0, ""
        if self._lost:
            self._fail(self._cut(None))
        else:
            self._transport.write(request)
        return answer

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The stream's body as it comes. Raises ConnectionError, TimeoutError."""
        while True:
            if self._parts:
                chunk = b"".join(self._parts)
                self._parts.clear()
                if self._unread > _MOST_UNREAD and not self._lost:
                    self._transport.resume_reading()
                self._unread = 0
                yield chunk
            elif self._end:
                if isinstance(self._end, Exception):
                    raise self._end
                return
            else:
                self._news = asyncio.get_running_loop().create_future()
                try:
                    await self._news
                finally:
                    self._news = None

    def look_at_the_clock(self, now: float) -> None:
        """To be called every second or so: gives up what has taken too long."""
        if self._flows and (self._parts or not self._silent):
            self._silent = True
            self._deadline = now + self._patience
        waits = self._answer is not None or (self._flows and not self._end)
        if waits and now >= self._deadline:
            what = "nothing was heard for" if self._flows else "no answer within"
            self._fail(TimeoutError(f"{what} {self._patience:g} s"))
            self.abort()

    def abort(self) -> None:
        """End the connection, whatever is under way on it; also one that is still being made."""
        self._given_up = True
        self._free = False
        if self._transport is not None:
            self._transport.abort()

    # -- what the connection does ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.BaseProtocol."""
        self._transport = transport
        self._parser = httptools.HttpResponseParser(self)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _PROBES.items():
                if hasattr(socket, name):
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._begun(self)
        if self._given_up:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.BaseProtocol."""
        self._lost = True
        if exc is None and self._code and not self._framed and not self._flows:
            self.on_message_complete()  # a body without a length ends with its connection
        self._fail(self._cut(exc))
        # Both point back to here; freed at once, and not when Python next looks for cycles, is what
        # TLS keeps for each connection: a quarter of a mebibyte.
        self._transport = self._parser = None
        self._ended(self)

    def eof_received(self) -> None:
        """See asyncio.BufferedProtocol."""
        self._free = False

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """See asyncio.BufferedProtocol."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio.BufferedProtocol."""
        self.heard = True
        self._silent = False
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except _NOT_HTTP as error:
            self._fail(ConnectionError(f"the answer is no HTTP/1.1 to a request: {error}"))
            self.abort()
            return
        if self._unasked:
            self.abort()
        if self._parts or self._end:
            self._tell()

    def _cut(self, error: Exception | None) -> ConnectionError:
        answer = f"the answer ({self._code})" if self._code else "the answer"
        reason = f": {error}" if error is not None else ""
        return ConnectionResetError(f"the connection ended before {answer} did{reason}")

    def _fail(self, error: Exception) -> None:
        if self._answer is not None:
            self._resolve(error)
        elif not self._end:
            self._end = error
            self._tell()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _resolve(self, outcome: Answer | Exception) -> None:
        answer, self._answer = self._answer, None
        if answer is None or answer.done():  # nobody waits for it any more
            return
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)

    # -- what the parser finds ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """See httptools."""
        self._unasked = self._answer is None
        self._framed = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools."""
        match name.lower():
            case b"content-length" | b"transfer-encoding":
                self._framed = True
            case b"retry-after":
                self._retry_after = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._code = self._parser.get_status_code()
        self._keeps = self._parser.should_keep_alive()
        if self._streams and self._code == _OK:
            self._flows = True
            self._resolve(Answer(_OK, self._retry_after, b""))

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        self._parts.append(body)
        if self._flows:
            self._unread += len(body)
            if self._unread > _MOST_UNREAD:
                self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """See httptools."""
        if self._code < _OK:  # an interim answer; the real one follows
            return
        if self._answer is not None:
            payload = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts.clear()
            self._free = self._keeps
            self._resolve(Answer(self._code, self._retry_after, payload))
        self._end = True
