"""What `status` draws on a real terminal."""

import os
import sys
import textwrap

import pytest

from tests.support.cli import terminal
from tests.support.docs import markdown

PROGRAM = """
    import sys
    from controllers.runtime.commands.statuses import Look, Overview, State, Status
    from profiles_controller.cli import app
    from tests.support.cli import samples

    def overview(state, message):
        look = Look(objects={"ResourceQuota": 1}, drift=())
        row = Status(profile="alice", controller="quotas", state=state, since="", message=message,
                     look=look)
        return Overview(statuses=(row,), profiles=1)

    before = overview(State.NOT_READY, "namespace alice does not exist " * 5)
    after = overview(State.READY, "ResourceQuota quotas is in place")
    runtime = samples.Runtime(overviews=(before, after))
    app.build(samples.world(runtime))(sys.argv[1:])
"""


def shown(*arguments: str) -> tuple[int, str]:
    command = (sys.executable, "-c", textwrap.dedent(PROGRAM), *arguments)
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(markdown.ROOT)}
    return terminal.shown(command, variables)


def test_a_terminal_gets_colours_and_one_line_a_row() -> None:
    code, text = shown("status")

    lines = text.splitlines()
    assert code == 1
    assert "1 profile: 1 not ready" in lines[0]
    assert "\x1b[1;31mnot ready" in text
    assert "…" in lines[2]
    assert len(lines) == 3


@pytest.mark.parametrize("form", ["table", "wide"])
def test_watching_draws_in_place_and_gives_the_screen_back(form: str) -> None:
    code, text = shown("status", "--watch", "-o", form)

    assert code == 0
    entered, left = text.index("\x1b[?1049h"), text.index("\x1b[?1049l")
    assert entered < text.index("does not exist") < text.index("is in place") < left


def test_data_is_plain_on_a_terminal_too() -> None:
    code, text = shown("status", "-o", "json")

    assert (code, "\x1b" in text) == (1, False)
    assert '"state": "not ready"' in text
