"""What a program shows on a terminal: it runs on one of its own, and what it wrote is read."""

import fcntl
import os
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

_SECONDS = 60.0


def shown(
    command: Sequence[str | Path], environment: Mapping[str, str], *, columns: int = 100
) -> tuple[int, str]:
    """Exit code and all that was written, control sequences included, to a terminal of this width.

    The program has to end by itself.
    """
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    variables = {**environment, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command, env=variables, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := _read(ours):
            written += chunk
        return process.wait(_SECONDS), written.decode()
    finally:
        process.kill()
        os.close(ours)


def _read(descriptor: int) -> bytes:
    """The next piece; nothing once nobody has the terminal open any more."""
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""
