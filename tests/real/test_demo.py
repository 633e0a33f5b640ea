"""The demo as a continuous build sees it, without a terminal; each run has its own cluster."""

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
TOOK = r"\d+ ms|\d+\.\d s"


@contextlib.contextmanager
def started(scratch: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A demo whose temporary files lie in `scratch`."""
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
    """What it says up to the line with this word."""
    said = []
    for line in process.stdout or ():
        said.append(line)
        if word in line:
            return "".join(said)
    raise AssertionError(f"{word!r} is nowhere in:\n{''.join(said)}")


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
    """What a whole run says; it must end well."""
    with started(scratch) as process:
        said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    return said


def test_every_damaged_object_is_put_back_and_told_with_its_time(output: str) -> None:
    # blob-csi has no storage account in the demo, and so nothing to make.
    for controller in (one for one in registered.TOGETHER if one.name != "blob-csi"):
        kinds = "|".join(own.kind for own in controller.default_owned())
        for what, verdict in (("deleted", "made anew"), ("unlabelled", "labelled again")):
            told = rf"^\S+ +({kinds}) \S+ {what} +{verdict} +({TOOK})$"
            assert re.search(told, output, re.MULTILINE), (controller.name, what)
    assert re.search(r"label quotas\S+=250 +followed", output)
    assert re.search(r"label quotas\S+=plenty +default kept, told", output)
    assert re.search(r"the suite restarts, objects deleted meanwhile +made anew", output)
    assert re.search(rf"{tenants.NEWCOMER.name} +a new tenant's namespace appears", output)
    assert "All is as it should be." in output


def test_the_table_has_every_profile_and_every_controller(output: str) -> None:
    table = output.partition("PROFILE")[2].partition("What befalls")[0]

    for controller in registered.TOGETHER:
        assert controller.name.partition("-")[0].upper() in table
    for tenant in tenants.TENANTS:
        row = rf"^{tenant.name} +(ready|NOT|paused) "
        assert re.search(row, table, re.MULTILINE), tenant.name
    assert "'plenty' is not a quantity" in table


def test_without_a_terminal_lines_are_plain(output: str) -> None:
    assert not re.search(r"[^\n\x20-\x7e─…]", output)
    assert max(len(line) for line in output.splitlines()) <= 100


def test_nothing_is_left_behind(output: str, scratch: Path) -> None:
    assert output
    assert not list(scratch.iterdir())
    assert running_below(scratch) == []


def test_a_suite_that_dies_fails_the_demo_and_its_log_is_named(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        read_until(process, "What befalls")
        for pid in running_below(tmp_path, "profiles_controller all"):
            os.kill(pid, signal.SIGKILL)
        said, _ = process.communicate(timeout=SECONDS)

    (folder,) = tmp_path.iterdir()
    assert process.returncode == 1, said
    assert "FAILED: the suite ended by itself with code -9" in said
    assert str(folder) in said
    assert (folder / "suite.log").read_text()
    assert running_below(tmp_path) == []


def test_an_interrupted_demo_ends_what_it_started(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        read_until(process, "Kubeflow")
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=SECONDS)

    assert process.returncode == 130, said
    assert "interrupted; everything is stopped" in said
    assert not list(tmp_path.iterdir())
    assert running_below(tmp_path) == []


def test_keep_leaves_a_cluster_that_repairs_and_says_how_to_end_it(tmp_path: Path) -> None:
    with started(tmp_path, "--keep") as process:
        said, _ = process.communicate(timeout=SECONDS)

    group = int(re.findall(r"kill -KILL -- -(\d+)", said)[0])
    try:
        assert process.returncode == 0, said
        kubeconfig = Path(re.findall(r"KUBECONFIG=(\S+)", said)[0])
        assert kubeconfig.is_file()
        difference = [sys.executable, "-m", "profiles_controller", "diff", "all"]
        subprocess.run(
            [*difference, tenants.BYSTANDERS[0].name, "--kubeconfig", kubeconfig], check=True
        )
    finally:
        os.killpg(group, signal.SIGKILL)
    waiting.until(lambda: running_below(tmp_path) == [], "cluster and suite have ended")
