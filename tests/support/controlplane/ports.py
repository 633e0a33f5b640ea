"""Ports for servers that must have the same port after a restart."""

import random
import socket
from pathlib import Path

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST = 20000
TRIES = 200
_GIVEN: set[int] = set()
"""The ports that were returned. Their servers may not be listening at the moment."""


def free(host: str = "127.0.0.1") -> int:
    """A free port below the ephemeral ports. The same port is never returned twice.

    A client could get an ephemeral port while its server is not running, and connect to itself.
    """
    highest = first_ephemeral() - 1
    for _ in range(TRIES):
        port = random.randint(LOWEST, highest)  # noqa: S311 -- only to stay out of each other's way
        if port not in _GIVEN and is_free(host, port):
            _GIVEN.add(port)
            return port
    raise OSError(f"no free port on {host}: tried {TRIES} ports from {LOWEST} to {highest}")


def first_ephemeral() -> int:
    try:
        return max(int(EPHEMERAL.read_text().split()[0]), LOWEST + 1000)
    except OSError:
        return 49152  # without /proc, by RFC 6335


def is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
