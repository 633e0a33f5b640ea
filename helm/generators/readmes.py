"""The chart's README: its head as it is written, and a table of values out of values.yaml."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from controllers.runtime.controller import AnyController
from helm.generators.declarations import CHART

PATH = CHART / "README.md"
VALUES = CHART / "values.yaml"
_MARK = "<!-- Made by `./taskw generate` out of values.yaml: edit there. -->"
_KEY = re.compile(r"^(?P<indent> *)(?P<key>[\w-]+):")
_LONGEST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A value that values.yaml describes: the lines `# -- ...` above its key."""

    path: tuple[str, ...]
    text: str


def file(_controllers: Sequence[AnyController]) -> tuple[Path, str]:
    """The file's path and content."""
    head, _, _ = PATH.read_text(encoding="utf-8").partition(_MARK)
    text = VALUES.read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    table = "\n".join(_line(row, values) for row in rows(text))
    return PATH, f"{head}{_MARK}\n\n| key | default | what it is |\n|---|---|---|\n{table}\n"


def rows(text: str) -> Iterator[Row]:
    """The described values, in the file's order."""
    path: list[tuple[int, str]] = []
    told: list[str] = []
    for line in text.splitlines():
        comment = line.strip()
        if comment.startswith("# -- "):
            told = [comment.removeprefix("# -- ")]
        elif told and comment.startswith("# "):
            told.append(comment.removeprefix("# "))
        elif found := _KEY.match(line):
            depth = len(found["indent"])
            path = [step for step in path if step[0] < depth] + [(depth, found["key"])]
            if told:
                yield Row(path=tuple(key for _, key in path), text=" ".join(told))
            told = []


def _line(row: Row, values: Any) -> str:
    value = values
    for key in row.path:
        value = value[key]
    shown = json.dumps(value, ensure_ascii=False)
    default = f"`{shown}`" if len(shown) <= _LONGEST else "see values.yaml"
    return f"| `{'.'.join(row.path)}` | {default} | {row.text} |".replace("`|`", "`\\|`")
