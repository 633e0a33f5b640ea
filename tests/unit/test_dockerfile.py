"""The content of the Dockerfile. tests/real/test_image.py runs its steps."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.docs import markdown
from tests.support.image import dockerfile

BUILD, FINAL = dockerfile.stages()
PINNED = re.compile(r"^python:(?P<version>3\.\d+)\.\d+-slim-\w+@sha256:[0-9a-f]{64}( AS \w+)?$")
LABEL = "org.opencontainers.image."


def test_both_stages_have_the_same_pinned_base() -> None:
    froms = [stage[0].value for stage in (BUILD, FINAL)]

    assert all(PINNED.match(each) for each in froms)
    assert froms[0].removesuffix(" AS build") == froms[1]


def test_the_final_stage_uses_the_paths_of_its_python() -> None:
    match = PINNED.match(FINAL[0].value)
    assert match

    (removal,) = dockerfile.steps(FINAL, "RUN")
    assert set(re.findall(r"python3\.\d+", removal.value)) == {f"python{match['version']}"}


def test_the_final_stage_installs_nothing_and_has_no_installer() -> None:
    (removal,) = dockerfile.steps(FINAL, "RUN")

    assert removal.value.startswith("rm -rf ")
    assert {"/usr/local/bin/pip*"} < set(removal.value.split())
    assert not re.search(r"\b(apt|apt-get|gcc|install|venv)\b", removal.value)
    assert [step.value for step in dockerfile.steps(FINAL, "COPY")] == [
        "--from=build /opt/venv /opt/venv"
    ]


def test_the_user_is_numeric_and_not_root() -> None:
    (user,) = dockerfile.steps(FINAL, "USER")

    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user.value)
    assert [step.value for step in dockerfile.steps(FINAL, "ENTRYPOINT")] == [
        '["profiles-controller"]'
    ]


def test_labels_describe_the_content() -> None:
    labels = {
        key: text for step in dockerfile.steps(FINAL, "LABEL") for key, text in step.pairs.items()
    }
    arguments = {step.value.partition("=")[0] for step in dockerfile.steps(FINAL, "ARG")}

    assert {key.removeprefix(LABEL) for key in labels} >= {
        "title", "description", "licenses", "version", "revision", "created", "source",
        "base.name",
    }  # fmt: skip
    assert FINAL[0].value.startswith(labels[f"{LABEL}base.name"].rpartition("/")[2])
    assert {text[1:] for text in labels.values() if text.startswith("$")} == arguments


def test_every_requirement_is_installed_by_hash() -> None:
    installs = [line for step in dockerfile.steps(BUILD, "RUN") for line in step.value.split("&&")]
    locked = [line for line in installs if " install " in line and "/dist/" not in line]

    assert len(locked) == 2
    assert all("--require-hashes -r requirements" in line for line in locked)
    for name in ("requirements.lock", "requirements-build.lock"):
        text = (markdown.ROOT / name).read_text()
        assert len(re.findall(r"^[a-z].*==", text, re.MULTILINE)) <= text.count("--hash=sha256:")


def test_the_build_context_contains_only_what_is_copied() -> None:
    copied = set(dockerfile.sources(BUILD))

    assert all(map(dockerfile.is_sent, copied))
    listed = subprocess.run(
        ("git", "ls-files"), cwd=markdown.ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    sent = {path for path in listed if dockerfile.is_sent(path)}
    assert {Path(path).parts[0] for path in sent} == copied


@pytest.mark.parametrize("path", [".git", "tests/conftest.py", ".venv/bin/python", "docs/a.md"])
def test_the_build_context_omits_what_the_image_does_not_need(path: str) -> None:
    assert not dockerfile.is_sent(path)


@pytest.mark.parametrize("path", ["controllers/__pycache__/a.pyc", "cmd/x/__pycache__"])
def test_the_build_context_omits_caches(path: str) -> None:
    assert not dockerfile.is_sent(path)
