"""Output of commands on a real terminal."""

import os
import re
import sys
import textwrap

import pytest

from tests.support.cli import terminal
from tests.support.docs import markdown

PROGRAM = """
    import sys
    from controllers.runtime.apply.changeset import Action, ChangeSet
    from controllers.runtime.commands.oneshot_summary import ResultKind
    from controllers.runtime.commands.status_report import (
        ProfileState, ProfileStatus, StatusReport,
    )
    from profiles_controller.cli import app
    from tests.support.cli import fake_runtime

    def report(state, message):
        status = ProfileStatus(profile="alice", controller="quotas", state=state, since="",
                               message=message, objects={"ResourceQuota": 1}, drift=())
        return StatusReport(statuses=(status,), profiles=1)

    before = report(ProfileState.NOT_READY, "namespace alice does not exist " * 5)
    after = report(ProfileState.READY, "ResourceQuota quotas is in place")
    changes = ChangeSet((fake_runtime.change(Action.UPDATE, "spec.hard.pods"),))
    results = (fake_runtime.result(kind=ResultKind.CHANGED, changes=changes),)
    runtime = fake_runtime.FakeRuntime(reports=(before, after), results=results)
    app.build(fake_runtime.dependencies(runtime))(sys.argv[1:])
"""


def run(*arguments: str, columns: int = 100) -> tuple[int, str]:
    command = (sys.executable, "-c", textwrap.dedent(PROGRAM), *arguments)
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(markdown.ROOT)}
    return terminal.run_on_terminal(command, variables, columns=columns)


def test_a_terminal_shows_colours_and_one_line_per_row() -> None:
    code, output = run("status")

    titles, row, summary = output.splitlines()
    assert code == 1
    assert "PROFILE" in titles
    assert "\x1b[1;31mNotReady" in row
    assert "…" in row
    assert summary == "1 profile: 1 NotReady"


def test_a_table_fits_a_narrow_terminal() -> None:
    _, output = run("status", columns=72)

    lines = re.sub(r"\x1b\[[0-9;]*m", "", output).splitlines()
    assert "alice" in lines[1]
    assert "…" in lines[1]
    assert max(map(len, lines)) <= 72


def test_a_wide_table_shows_the_whole_message() -> None:
    _, output = run("status", "-o", "wide")

    assert "…" not in output
    assert output.count("namespace") == 5


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (("quotas", "--once"), "\x1b[32mchanged"),
        (("diff", "quotas"), "\x1b[33mupdate"),
        (("list",), "Manages quotas."),
    ],
)
def test_every_command_prints_the_same_kind_of_table(command: tuple[str, ...], text: str) -> None:
    _, output = run(*command)

    assert text in output
    assert "CONTROLLER" in output.splitlines()[0]


@pytest.mark.parametrize("output_format", ["table", "wide"])
def test_watch_draws_in_place_and_restores_the_screen(output_format: str) -> None:
    code, output = run("status", "--watch", "-o", output_format)

    assert code == 0
    entered, left = output.index("\x1b[?1049h"), output.index("\x1b[?1049l")
    assert entered < output.index("does not exist") < output.index("is in place") < left
    assert output.index("1 profile: 1 NotReady") < output.index("does not exist")


def test_data_is_plain_on_a_terminal_too() -> None:
    code, output = run("status", "-o", "json")

    assert (code, "\x1b" in output) == (1, False)
    assert '"state": "NotReady"' in output
