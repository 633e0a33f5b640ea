"""The process: command line, settings and logs of the controllers."""

from __future__ import annotations

from importlib import metadata

DISTRIBUTION = "profiles-controller"


def version() -> str:
    """The installed version: pyproject.toml is the one place that states it."""
    return metadata.version(DISTRIBUTION)
