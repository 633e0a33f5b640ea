"""Programs that the chart is tested with: helm, kubeconform, promtool, and a reader of PromQL.

Built once from locked Go modules (`tools/`) into the cache that all checkouts share. What is found
elsewhere is not taken: another helm renders another text.
"""

import hashlib
import os
import platform
import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support.controlplane import parts

HERE = Path(__file__).parent / "tools"
PACKAGES: Mapping[str, str] = {
    "helm": "helm.sh/helm/v3/cmd/helm",
    "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform",
    "promtool": "github.com/prometheus/prometheus/cmd/promtool",
    "selectors": "./selectors",
}
# Without service discovery, which checks no rule, promtool is built in a third of the time.
TAGS = "remove_all_sd"


def ensure() -> None:
    """Builds what is not in the cache. Safe from any number of processes at once."""
    if missing():
        with parts.exclusive():
            if names := missing():
                build(*names)


def program(name: str) -> Path:
    """Its path; built first where it is missing. Raises PartMissingError when it cannot be."""
    ensure()
    return folder() / name


def missing() -> tuple[str, ...]:
    return tuple(name for name in PACKAGES if not os.access(folder() / name, os.X_OK))


def folder() -> Path:
    """Another one for each content of the module."""
    digest = hashlib.sha256(f"{linker_flags()} {TAGS}".encode())
    for name in ("go.mod", "go.sum", "selectors/main.go"):
        digest.update((HERE / name).read_bytes())
    system = f"{platform.system()}-{platform.machine()}".lower()
    return parts.cache_folder() / f"tools-{system}-{digest.hexdigest()[:12]}"


def linker_flags() -> str:
    """Without them helm takes the cluster for Kubernetes 1.20 where it has none to ask."""
    major, minor, _ = parts.kubernetes_version().removeprefix("v").split(".")
    found = re.search(r"helm\.sh/helm/v3 (v\S+)", (HERE / "go.mod").read_text())
    stamps = {"internal/version.version": found[1] if found else ""}
    for package in ("pkg/chartutil", "pkg/lint/rules"):
        stamps |= {f"{package}.k8sVersionMajor": major, f"{package}.k8sVersionMinor": minor}
    return " ".join(
        ["-s -w", *(f"-X helm.sh/helm/v3/{key}={value}" for key, value in stamps.items())]
    )


def build(*names: str) -> None:
    """Two minutes on two cores from an empty cache, once."""
    go = parts.any_go()
    started = time.monotonic()
    parts.say(f"building {', '.join(names)}: two minutes or so, once for this machine")
    folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parts.cache_folder()) as scratch:
        command = [str(go), "build", "-v", "-tags", TAGS, "-o", f"{scratch}/"]
        parts.run_with_progress(
            [*command, "-ldflags", linker_flags(), *(PACKAGES[name] for name in names)],
            HERE,
            "run `./taskw parts` where Go can fetch modules (GOPROXY names a proxy)",
        )
        for name in names:
            Path(scratch, name).rename(folder() / name)
    parts.say(f"built in {time.monotonic() - started:.0f} s")
