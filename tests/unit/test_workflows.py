"""Permissions of the workflows, and their shell. `task check` validates their schema."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from profiles_controller import version
from tests.support.docs import markdown

FOLDER = markdown.ROOT / ".github" / "workflows"
PATHS = sorted(FOLDER.glob("*.yml"))
PUBLISH = FOLDER / "publish.yml"
SHA = "0123456789abcdef0123456789abcdef01234567"

each_workflow = pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.name))


def jobs(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())["jobs"]
    return found


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in jobs(path).values():
        yield from job.get("steps", ())


def script(job: str, name: str) -> str:
    (found,) = (step for step in jobs(PUBLISH)[job]["steps"] if step["name"] == name)
    return str(found["run"])


@each_workflow
def test_every_action_is_pinned_by_commit_with_its_version_as_comment(path: Path) -> None:
    used = re.findall(r"^\s*(?:- )?uses: (.*)$", path.read_text(), re.MULTILINE)

    assert used
    for action in used:
        pinned = re.fullmatch(r"[\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*", action)
        assert pinned or action.startswith("./"), action


def test_an_action_is_pinned_by_the_same_commit_everywhere() -> None:
    pins = {step["uses"] for path in PATHS for step in steps(path) if "uses" in step}

    assert len(pins) == len({pin.partition("@")[0] for pin in pins})


@each_workflow
def test_permissions_are_granted_per_job_and_none_by_default(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["permissions"] == {}
    assert all("permissions" in job for job in jobs(path).values())


def test_only_jobs_that_push_have_write_permissions() -> None:
    writing = {
        (job, right)
        for path in PATHS
        for job, body in jobs(path).items()
        for right, level in body["permissions"].items()
        if level == "write"
    }

    assert writing == {
        (job, right) for job in ("image", "chart") for right in ("packages", "id-token")
    }


@each_workflow
def test_no_checkout_persists_credentials(path: Path) -> None:
    checkouts = [step for step in steps(path) if "actions/checkout" in step.get("uses", "")]

    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@each_workflow
def test_no_script_contains_an_expression(path: Path) -> None:
    assert not [step for step in steps(path) if "${{" in step.get("run", "")]


def test_nothing_is_published_before_the_gate() -> None:
    needs = {name: job.get("needs") for name, job in jobs(PUBLISH).items()}

    assert needs == {"gate": None, "image": "gate", "chart": "image", "bump": ["image", "chart"]}
    names = [step["name"] for step in jobs(PUBLISH)["image"]["steps"]]
    assert names.index("Scan") < names.index("Push") < names.index("Sign and attest the SBOM")


def named(tmp_path: Path, kind: str, ref: str) -> tuple[int, dict[str, str], str]:
    """Run the step that names the image, in the repository, as a runner does."""
    output = tmp_path / "output"
    output.touch()
    variables = {
        "PATH": os.environ["PATH"],
        "GITHUB_OUTPUT": str(output),
        "GITHUB_REF_TYPE": kind,
        "GITHUB_REF_NAME": ref,
        "GITHUB_REPOSITORY": "StatCan/Profiles-Controller",
        "GITHUB_SHA": SHA,
        "REGISTRY": "registry.example.ca",
    }
    done = subprocess.run(
        ("bash", "-eo", "pipefail", "-c", script("image", "Name the image")),
        cwd=markdown.ROOT, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
    return done.returncode, outputs, done.stdout


def test_a_commit_on_main_publishes_an_image_with_its_sha(tmp_path: Path) -> None:
    code, outputs, _ = named(tmp_path, "branch", "main")

    image = "registry.example.ca/statcan/profiles-controller"
    assert (code, outputs["image"], outputs["tag"]) == (0, image, SHA)
    assert outputs["tags"] == f"{image}:{SHA}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.+", outputs["created"])


def test_a_tag_also_publishes_an_image_with_its_version(tmp_path: Path) -> None:
    code, outputs, _ = named(tmp_path, "tag", f"v{version()}")

    image = outputs["image"]
    assert (code, outputs["tag"], outputs["version"]) == (0, version(), version())
    assert outputs["tags"] == f"{image}:{SHA},{image}:{version()}"


def test_a_tag_that_is_not_the_version_of_the_project_fails(tmp_path: Path) -> None:
    code, outputs, printed = named(tmp_path, "tag", "v99.0.0")

    assert (code, outputs) == (1, {})
    assert f"tag v99.0.0 does not match version {version()} of pyproject.toml" in printed
