"""What a process takes, from /proc."""

import os
import time
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
SETTLE_SECONDS = 3.0
SETTLE_LONGEST = 20.0
MEBI = 1024.0


class Memory(NamedTuple):
    """Resident set and the largest it ever was, in MiB."""

    rss: float
    peak: float


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads; in steps of a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> Memory:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return Memory(*(int(found[name].split()[0]) / MEBI for name in ("VmRSS", "VmHWM")))


def settled_memory(pid: int) -> Memory:
    """Once it has changed by less than one per cent for three seconds, or after twenty."""
    deadline = time.monotonic() + SETTLE_LONGEST
    before, since = memory(pid).rss, time.monotonic()
    while time.monotonic() - since < SETTLE_SECONDS and time.monotonic() < deadline:
        time.sleep(0.25)
        now = memory(pid).rss
        if abs(now - before) > before / 100:
            before, since = now, time.monotonic()
    return memory(pid)
