"""Runs a program on a pseudo-terminal and returns its output."""

import fcntl
import os
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

_TIMEOUT_SECONDS = 60.0


def run_on_terminal(
    command: Sequence[str | Path], environment: Mapping[str, str], *, columns: int = 100
) -> tuple[int, str]:
    """Returns the exit code and the output with its control sequences. The program has to end."""
    controller, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    variables = {**environment, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command, env=variables, stdin=terminal, stdout=terminal, stderr=subprocess.DEVNULL
    )
    os.close(terminal)
    output = b""
    try:
        while chunk := _read(controller):
            output += chunk
        return process.wait(_TIMEOUT_SECONDS), output.decode()
    finally:
        process.kill()
        os.close(controller)


def _read(descriptor: int) -> bytes:
    """Returns the next bytes, or none once no process has the terminal open."""
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""
