"""The Dockerfile as the tests read it: its stages, and the steps of one, run without an engine."""

import fnmatch
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dockerfile_parse import DockerfileParser  # type: ignore[import-untyped]

from tests.support.docs import markdown

DOCKERFILE = markdown.ROOT / "Dockerfile"
IGNORED = markdown.ROOT / ".dockerignore"
_ELSEWHERE = ("/opt/", "/dist")
"""What the first stage writes beside its working directory."""
_LEFT_OUT = ("PIP_NO_CACHE_DIR", "UV_NO_CACHE", "UV_LINK_MODE", "UV_COMPILE_BYTECODE")
"""Not set here: an image keeps no cache, a test that is run again and again does;
and an image starts quicker with bytecode of everything, where a test needs that of little.
"""
_HASTE = {"PIP_NO_COMPILE": "1", "PIP_QUIET": "1", "UV_QUIET": "1"}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One instruction, its continued lines joined."""

    name: str
    value: str

    @property
    def pairs(self) -> dict[str, str]:
        """What ENV and LABEL set."""
        return dict(part.split("=", 1) for part in shlex.split(self.value))


def stages(path: Path = DOCKERFILE) -> list[list[Step]]:
    """The steps of each stage, its FROM first."""
    found: list[list[Step]] = []
    for entry in DockerfileParser(str(path)).structure:
        if entry["instruction"] == "COMMENT":
            continue
        if entry["instruction"] == "FROM":
            found.append([])
        found[-1].append(Step(name=entry["instruction"], value=entry["value"]))
    return found


def steps(stage: Sequence[Step], name: str) -> list[Step]:
    """The steps of this name."""
    return [step for step in stage if step.name == name]


def run(stage: Sequence[Step], root: Path) -> None:
    """Carries out the stage's steps under `root`, as an image's file system.

    Raises CalledProcessError, and AssertionError for a step that is not known here.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, **_HASTE, "PATH": path}
    where = root
    for step in stage:
        match step.name:
            case "FROM":
                continue
            case "ENV":
                variables |= {k: text for k, text in step.pairs.items() if k not in _LEFT_OUT}
            case "WORKDIR":
                where = root / step.value.lstrip("/")
                where.mkdir(parents=True, exist_ok=True)
            case "COPY":
                _copy(step, where)
            case "RUN":
                subprocess.run(
                    ["sh", "-c", _placed(step.value, root)], cwd=where, env=variables, check=True
                )
            case _:
                raise AssertionError(f"{step.name} {step.value}: unknown here")


def sources(stage: Sequence[Step]) -> Iterator[str]:
    """What the stage copies out of the repository."""
    for step in steps(stage, "COPY"):
        if not step.value.startswith("--from="):
            yield from shlex.split(step.value)[:-1]


def is_sent(path: str) -> bool:
    """Whether the builder is given this path at all: the last line that matches decides."""
    sent = True
    for line in IGNORED.read_text().splitlines():
        pattern = line.strip().removeprefix("!").removeprefix("**/")
        if not pattern or pattern.startswith("#"):
            continue
        parts = Path(path).parts if line.startswith("**/") else (path, Path(path).parts[0])
        if any(fnmatch.fnmatch(part, pattern) for part in parts):
            sent = line.startswith("!")
    return sent


def _copy(step: Step, where: Path) -> None:
    *names, target = shlex.split(step.value)
    for name in names:
        source = markdown.ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(source, where / target, ignore=ignored)
        else:
            shutil.copy(source, where / target)


def _placed(command: str, root: Path) -> str:
    for path in _ELSEWHERE:
        command = command.replace(f" {path}", f" {root}{path}")
    if command.startswith("/"):
        command = f"{root}{command}"
    return command
