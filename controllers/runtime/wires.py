"""One connection to the API server, asked one thing at a time in HTTP/1.1.

A general client takes more processor time for a request than this suite for all else that a write
needs (docs/designs/0005-connections.md). Answers are read by httptools, with Node.js's parser.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple

import httptools

_MOST_UNREAD = 4 << 20
"""Bytes of a stream that may wait to be taken; with more, the server is made to wait."""
_OK = 200
_CUT = "the connection ended before the answer did"


class Answer(NamedTuple):
    """What a request was answered."""

    code: int
    retry_after: str
    """The header of that name; empty where there is none."""
    payload: bytes


class Wire(asyncio.BufferedProtocol):
    """A connection, and what is asked on it."""

    def __init__(self, ended: Callable[[Wire], None], buffer: memoryview) -> None:
        """``ended`` is told of the connection's end, whoever ended it.

        ``buffer`` may be shared by all connections of one event loop: what is read into it is
        taken out again before anything else runs.
        """
        self.usable = False
        """Whether another thing may be asked."""
        self.heard = False
        """Whether anything came back of what was asked last."""
        self.lost = False
        """Whether the connection has ended."""
        self._ended = ended
        self._buffer = buffer
        self._transport: Any = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Answer] | None = None
        self._patience = self._deadline = 0.0
        self._silent = True
        self._streams = False
        """Whether the body of what is asked is taken as it comes."""
        self._keeps = self._unasked = False
        self._retry_after = ""
        self._parts: list[bytes] = []
        self._unread = 0
        self._news: asyncio.Future[None] | None = None
        self._end: Exception | bool = False
        """Of a stream: whether it came to its end, or why it broke off."""

    # -- what the pool does ---------------------------------------------------------------------

    def ask(
        self, request: bytes, patience: float, *, stream: bool = False
    ) -> asyncio.Future[Answer]:
        """Send it; the answer raises ConnectionError, or TimeoutError after ``patience`` seconds.

        An answer of success to a ``stream`` comes without its body: see ``chunks``. There, each
        silence may last that long.
        """
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        self._patience, self._deadline = patience, loop.time() + patience
        self._streams = stream
        self.usable = self.heard = self._end = False
        self._retry_after = ""
        if self.lost:
            self._fail(ConnectionResetError(_CUT))
        else:
            self._transport.write(request)
        return self._answer

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The stream's body as it comes. Raises ConnectionError, TimeoutError."""
        while True:
            if self._parts:
                chunk = b"".join(self._parts)
                self._parts.clear()
                if self._unread > _MOST_UNREAD:
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
        if self._streams and (self._parts or not self._silent):
            self._silent = True
            self._deadline = now + self._patience
        if not self.usable and now >= self._deadline:
            what = "nothing was heard for" if self._streams else "no answer within"
            self._fail(TimeoutError(f"{what} {self._patience:g} s"))
            self.abort()

    def abort(self) -> None:
        """End the connection, whatever is under way on it."""
        self.usable = False
        self._transport.abort()

    # -- what the connection does ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.BaseProtocol."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.BaseProtocol."""
        self.usable, self.lost = False, True
        self._fail(exc or ConnectionResetError(_CUT))
        self._ended(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """See asyncio.BufferedProtocol."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio.BufferedProtocol."""
        self.heard = True
        self._silent = False
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"the answer is no HTTP: {error}"))
            self.abort()
            return
        if self._unasked:
            self.abort()
        if self._news is not None and not self._news.done() and (self._parts or self._end):
            self._news.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        elif not self._end:
            self._end = error
            if self._news is not None and not self._news.done():
                self._news.set_result(None)

    # -- what the parser finds ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """See httptools."""
        self._unasked = self._answer is None or self._answer.done()

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools."""
        if name.lower() == b"retry-after":
            self._retry_after = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._keeps = self._parser.should_keep_alive()
        if self._streams and self._parser.get_status_code() == _OK:
            self._reply(b"")

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        self._parts.append(body)
        if self._streams:
            self._unread += len(body)
            if self._unread > _MOST_UNREAD:
                self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """See httptools."""
        if self._parser.get_status_code() < _OK:  # an interim answer; the real one follows
            return
        if self._answer is not None and not self._answer.done():
            payload = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts.clear()
            self.usable = self._keeps
            self._reply(payload)
        self._end = True

    def _reply(self, payload: bytes) -> None:
        if self._answer is not None and not self._answer.done():
            code = self._parser.get_status_code()
            self._answer.set_result(Answer(code, self._retry_after, payload))
