"""The demo without a terminal, as in continuous integration. Each run has its own cluster."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo import tenants
from tests.support.builders import registered
from tests.support.cluster import waiting

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(300)]

SECONDS = 240.0
DURATION = r"\d+ ms|\d+\.\d s"


@contextlib.contextmanager
def started(scratch: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A running demo whose temporary files are in `scratch`."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.demo", *arguments],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], word: str) -> str:
    """The output up to the line that contains this text."""
    lines = []
    for line in process.stdout or ():
        lines.append(line)
        if word in line:
            return "".join(lines)
    raise AssertionError(f"{word!r} is missing in:\n{''.join(lines)}")


def running_below(scratch: Path, word: str = "") -> list[int]:
    """The processes whose command line names the folder, and the word."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            command = (folder / "cmdline").read_text(errors="replace").replace("\0", " ")
            if str(scratch) in command and word in command:
                found.append(int(folder.name))
    return found


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def output(scratch: Path) -> str:
    """The output of a complete run, which must succeed."""
    with started(scratch) as process:
        output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    return output


def test_every_damaged_object_is_repaired_and_its_time_printed(output: str) -> None:
    # blob-csi has no storage account in the demo, so it creates no object.
    for controller in (one for one in registered.RUN_BY_ALL if one.name != "blob-csi"):
        kinds = "|".join(own.kind for own in controller.default_owned())
        for what, outcome in (("deleted", "recreated"), ("label removed", "label restored")):
            line = rf"^\S+ +({kinds}) \S+ {what} +{outcome} +({DURATION})$"
            assert re.search(line, output, re.MULTILINE), (controller.name, what)
    assert re.search(r"label quotas\S+=250 +applied", output)
    assert re.search(r"label quotas\S+=plenty +reported, default", output)
    assert re.search(r"manager restarted after objects were deleted +recreated", output)
    assert re.search(rf"{tenants.NEW.name} +namespace of a new Profile created", output)
    assert "All checks passed." in output


def test_the_table_has_every_profile_and_every_controller(output: str) -> None:
    table = output.partition("PROFILE")[2].partition("Simulated failures")[0]

    for controller in registered.RUN_BY_ALL:
        assert controller.name.partition("-")[0].upper() in table
    for tenant in tenants.TENANTS:
        row = rf"^{tenant.name} +(ready|failed|paused) "
        assert re.search(row, table, re.MULTILINE), tenant.name
    assert "'plenty' is not a quantity" in table


def test_the_output_without_a_terminal_has_no_control_codes(output: str) -> None:
    assert not re.search(r"[^\n\x20-\x7e─…]", output)
    assert max(len(line) for line in output.splitlines()) <= 100


def test_a_finished_demo_leaves_no_file_and_no_process(output: str, scratch: Path) -> None:
    assert output
    assert not list(scratch.iterdir())
    assert running_below(scratch) == []


def test_a_killed_manager_fails_the_demo_with_the_path_of_its_log(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        read_until(process, "Simulated failures")
        for pid in running_below(tmp_path, "profiles_controller all"):
            os.kill(pid, signal.SIGKILL)
        output, _ = process.communicate(timeout=SECONDS)

    (folder,) = tmp_path.iterdir()
    assert process.returncode == 1, output
    assert "FAILED: the manager exited with code -9" in output
    assert str(folder) in output
    assert (folder / "manager.log").read_text()
    assert running_below(tmp_path) == []


def test_an_interrupted_demo_stops_what_it_started(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        read_until(process, "Kubeflow")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=SECONDS)

    assert process.returncode == 130, output
    assert "interrupted; everything is stopped" in output
    assert not list(tmp_path.iterdir())
    assert running_below(tmp_path) == []


def test_keep_leaves_a_working_cluster_and_prints_how_to_stop_it(tmp_path: Path) -> None:
    with started(tmp_path, "--keep") as process:
        output, _ = process.communicate(timeout=SECONDS)

    group = int(re.findall(r"kill -KILL -- -(\d+)", output)[0])
    try:
        assert process.returncode == 0, output
        kubeconfig = Path(re.findall(r"KUBECONFIG=(\S+)", output)[0])
        assert kubeconfig.is_file()
        difference = [sys.executable, "-m", "profiles_controller", "diff", "all"]
        subprocess.run(
            [*difference, tenants.UNTOUCHED[0].name, "--kubeconfig", kubeconfig], check=True
        )
    finally:
        os.killpg(group, signal.SIGKILL)
    waiting.until(lambda: running_below(tmp_path) == [], "cluster and manager have stopped")
