"""The ``profiles-controller`` program: command line, settings and logs."""

from __future__ import annotations

from importlib import metadata

DISTRIBUTION = "profiles-controller"


def version() -> str:
    """Returns the installed version, which only pyproject.toml states."""
    return metadata.version(DISTRIBUTION)
