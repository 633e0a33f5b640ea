"""One gateway's question, put off the event loop: never two at once, and never for ever."""

from __future__ import annotations

import asyncio
from typing import Protocol

from controllers.blob_csi.grants.opa import TIMEOUT, GatewayError, Reply
from controllers.blob_csi.grants.parse import Answer
from controllers.blob_csi.grants.state import Feed

Found = tuple[bytes, Answer | None]
"""The answer, and what it says where that is not what was said before."""


class Asks(Protocol):
    """As ``gateways.Gateway``; called in a thread."""

    def ask(self, tag: str = "") -> Reply | None:
        """The answer; None where it is still the one of this tag. Raises GatewayError."""

    def close(self) -> None:
        """Gives connections back."""


class Question:
    """What a gateway is asked again and again."""

    def __init__(self, gateway: Asks, feed: Feed, *, timeout: float = TIMEOUT + 1.0) -> None:
        """``timeout``, in seconds, is longer than the gateway's own."""
        self._gateway = gateway
        self._feed = feed
        self._timeout = timeout
        self._tag = ""
        self._asking: asyncio.Task[Found | None] | None = None

    async def put(self) -> Found | None:
        """What the gateway answers; None: what it did before.

        Raises GatewayError and DocumentError.
        """
        asking = self._asking or asyncio.create_task(asyncio.to_thread(self._ask))
        self._asking = asking
        await asyncio.wait([asking], timeout=self._timeout)
        if not asking.done():  # it trickles: the next question waits for the same answer
            raise GatewayError(f"no whole answer within {self._timeout:g} s")
        self._asking = None
        return asking.result()

    def close(self) -> None:
        """Waits for nothing."""
        if self._asking is not None:
            self._asking.cancel()
        self._gateway.close()

    def _ask(self) -> Found | None:
        reply = self._gateway.ask(self._tag)
        if reply is None:
            return None
        found = reply.body, self._feed.reread(reply.body)
        self._tag = reply.tag  # of a good answer only
        return found
