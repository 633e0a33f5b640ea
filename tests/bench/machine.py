"""The machine that runs the benchmark."""

import os
import platform
import time
from pathlib import Path

from tests.support.controlplane import programs


def describe() -> dict[str, str]:
    """Processor, cores, memory, and the versions that matter."""
    return {
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "memory": f"{memory_gibibytes():.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "kubernetes": programs.kubernetes_version(),
    }


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def memory_gibibytes() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


class OtherProcesses:
    """How much of the machine other processes have used since this was created."""

    def __init__(self) -> None:
        self._start = (time.monotonic(), busy_seconds(), own_seconds())

    def share(self) -> float:
        """A part of all cores, 0 to 1. Child processes count as own once they have ended."""
        wall, busy, own = self._start
        others = (busy_seconds() - busy) - (own_seconds() - own)
        return max(0.0, others / (time.monotonic() - wall) / (os.cpu_count() or 1))


def busy_seconds() -> float:
    """Of all cores since the machine started: user, nice, system, interrupts, steal."""
    user, nice, system, _idle, _wait, *rest = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    return sum(os.times()[:4])
