"""Ports for servers that others must find again after a restart."""

import random
import socket
from pathlib import Path

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST = 20000
TRIES = 200
_GIVEN: set[int] = set()
"""Those that were given out: their servers may not listen yet, or be down for a moment."""


def free(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on, below those that the kernel gives to clients; never one twice.

    A client's own end would take an ephemeral port while its server is down, or even connect to
    itself.
    """
    highest = first_ephemeral() - 1
    for _ in range(TRIES):
        port = random.randint(LOWEST, highest)  # noqa: S311 -- only to stay out of each other's way
        if port not in _GIVEN and is_free(host, port):
            _GIVEN.add(port)
            return port
    raise OSError(f"{TRIES} ports of {LOWEST} to {highest} tried on {host}, and none is free")


def first_ephemeral() -> int:
    try:
        return max(int(EPHEMERAL.read_text().split()[0]), LOWEST + 1000)
    except OSError:
        return 49152  # where there is no /proc, as RFC 6335 says


def is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
