"""What the figures were measured on."""

import os
import platform
from pathlib import Path

from tests.controlplane import parts


def describe() -> dict[str, str]:
    """Processor, cores, memory, and the versions that matter."""
    return {
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "memory": f"{memory_gibibytes():.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "kubernetes": parts.kubernetes_version(),
    }


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def memory_gibibytes() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
