"""The CPU time and memory of a process, from /proc."""

import os
import time
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
SETTLE_SECONDS = 3.0
SETTLE_TIMEOUT = 20.0
KIBI_PER_MEBI = 1024.0


class Memory(NamedTuple):
    """The resident set and its maximum so far, in MiB."""

    rss: float
    peak: float


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads; the resolution is a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> Memory:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return Memory(*(int(found[name].split()[0]) / KIBI_PER_MEBI for name in ("VmRSS", "VmHWM")))


def settled_memory(pid: int) -> Memory:
    """After three seconds with less than one per cent of change, or after twenty seconds."""
    deadline = time.monotonic() + SETTLE_TIMEOUT
    before, since = memory(pid).rss, time.monotonic()
    while time.monotonic() - since < SETTLE_SECONDS and time.monotonic() < deadline:
        time.sleep(0.25)
        now = memory(pid).rss
        if abs(now - before) > before / 100:
            before, since = now, time.monotonic()
    return memory(pid)
