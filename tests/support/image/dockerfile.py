"""The stages of the Dockerfile, and their steps, which run without a container engine."""

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
_OUTSIDE_PATHS = ("/opt/", "/dist")
"""Paths that the first stage writes outside its working directory."""
_OMITTED = ("PIP_NO_CACHE_DIR", "UV_NO_CACHE", "UV_LINK_MODE", "UV_COMPILE_BYTECODE")
"""Variables that are not set: repeated tests need a cache, and no bytecode of all modules."""
_QUICK = {"PIP_NO_COMPILE": "1", "PIP_QUIET": "1", "UV_QUIET": "1"}


@dataclass(frozen=True, kw_only=True)
class Step:
    """An instruction, with its continued lines joined."""

    name: str
    value: str

    @property
    def pairs(self) -> dict[str, str]:
        """The variables or labels of ENV and LABEL."""
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
    """Runs the steps of a stage, with `root` as the file system of the image.

    Raises CalledProcessError, or AssertionError for an unsupported instruction.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, **_QUICK, "PATH": path}
    where = root
    for step in stage:
        match step.name:
            case "FROM":
                continue
            case "ENV":
                variables |= {k: text for k, text in step.pairs.items() if k not in _OMITTED}
            case "WORKDIR":
                where = root / step.value.lstrip("/")
                where.mkdir(parents=True, exist_ok=True)
            case "COPY":
                _copy(step, where)
            case "RUN":
                subprocess.run(
                    ["sh", "-c", _under(step.value, root)], cwd=where, env=variables, check=True
                )
            case _:
                raise AssertionError(f"{step.name} {step.value}: unsupported")


def sources(stage: Sequence[Step]) -> Iterator[str]:
    """The paths that the stage copies from the repository."""
    for step in steps(stage, "COPY"):
        if not step.value.startswith("--from="):
            yield from shlex.split(step.value)[:-1]


def is_sent(path: str) -> bool:
    """Whether the build context includes this path. The last line that matches decides."""
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


def _under(command: str, root: Path) -> str:
    for path in _OUTSIDE_PATHS:
        command = command.replace(f" {path}", f" {root}{path}")
    if command.startswith("/"):
        command = f"{root}{command}"
    return command
