"""Listening sockets. Imports the standard library only, so that a server can listen early."""

from __future__ import annotations

import socket


def listen(host: str, port: int) -> socket.socket:
    """Return a listening TCP socket. Raises OSError.

    An empty host listens on every address, IPv4 and IPv6. Port 0 takes a free port.
    """
    if not host and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)
