"""The program of OPA, built once into the shared cache; 45 seconds on two cores."""

import hashlib
import tempfile
from pathlib import Path

from tests.support.controlplane import parts

HERE = Path(__file__).parent
PACKAGE = "github.com/open-policy-agent/opa"


def ensure() -> Path:
    """The program, built first where the cache lacks it.

    Any number of processes may ask at once. Raises PartMissingError where it cannot be built.
    """
    target = program()
    if not target.exists():
        with parts.exclusive():
            if not target.exists():
                _build(target)
    return target


def program() -> Path:
    """Another one for each content of the lock."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((HERE / name).read_bytes())
    return parts.cache_folder() / f"opa-{digest.hexdigest()[:12]}" / "opa"


def _build(target: Path) -> None:
    go = parts.any_go()
    parts.say("building OPA: a minute, once for this machine")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parts.cache_folder()) as scratch:
        command = [str(go), "build", "-v", "-o", f"{scratch}/opa", "-ldflags", "-s -w", PACKAGE]
        remedy = "run `./taskw parts` where Go can fetch modules (GOPROXY names a proxy)"
        parts.run_with_progress(command, HERE, remedy)
        Path(scratch, "opa").rename(target)
