"""Where the webhook listens. Loads nothing: who comes early waits, and is not refused."""

from __future__ import annotations

import asyncio
import signal
import socket


def stop_signal() -> asyncio.Event:
    """Set by SIGTERM and SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def listening(port: int, besides: tuple[str, int] | None) -> list[socket.socket]:
    """A socket on every address of ``port``, and one on ``besides``. Raises OSError."""
    return [_bound(*address) for address in (("", port), besides) if address is not None]


def _bound(host: str, port: int) -> socket.socket:
    if not host and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)
