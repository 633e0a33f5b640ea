"""What to read and run at all: flags and environment say it, for it says which file counts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_settings import NoDecode

from profiles_controller.cli.options import Flag


def names(text: str) -> tuple[str, ...]:
    """The parts of a comma-separated list, each once."""
    parts = [part.strip() for part in text.split(",")]
    return tuple(dict.fromkeys(part for part in parts if part))


def _names(value: object) -> object:
    return names(value) if isinstance(value, str) else value


class Location(BaseModel):
    """Where the settings are. It stands in no file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: Annotated[
        Path | None,
        Flag(help="Settings in YAML: a section common and one per controller.",
             accepts="a file's path", metavar="FILE", default="none"),
    ] = None  # fmt: skip


class Selection(Location):
    """The same, and which controllers to run."""

    only: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(_names),
        Flag(help="Run these controllers instead of all.", accepts="names of controllers",
             metavar="NAME[,NAME...]", default="all"),
    ] = ()  # fmt: skip
