"""Settings of a controller that are lists of texts and flags of its command."""

import dataclasses

import pytest
from pydantic import BaseModel, ConfigDict, Field
from typer.testing import Result

from controllers.runtime.controller import Command
from tests.support.cli import run, sample_controllers
from tests.support.cli.fake_runtime import FakeRuntime


class TeamSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    support_teams: str = Field(default="", description="Teams with access.")


TEAMS = dataclasses.replace(
    sample_controllers.controller("teams", TeamSettings), command=Command(flags=("support_teams",))
)
REGISTRY = (*sample_controllers.REGISTRY, TEAMS)


def call(*arguments: str, **environment: str) -> tuple[FakeRuntime, Result]:
    runtime = FakeRuntime()
    result = run.call(
        *arguments, runtime=runtime, environment=environment, registry=REGISTRY, columns=300
    )
    return runtime, result


def teams(*arguments: str, **environment: str) -> str:
    runtime, result = call("teams", *arguments, **environment)
    assert result.exit_code == 0, result.output
    [(_, settings)] = runtime.controllers
    return str(settings.support_teams)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), ""),
        (("--support-teams", ""), ""),
        (("--support-teams", "a"), "a"),
        (("--support-teams=a,b",), "a,b"),
        (("--support-teams", "a", "--support-teams", "b,c"), "a,b,c"),
    ],
)
def test_a_list_flag_is_repeated_or_separated_by_commas(
    arguments: tuple[str, ...], expected: str
) -> None:
    assert expected == teams(*arguments)


def test_the_flag_precedes_the_variable_and_an_empty_flag_means_none() -> None:
    assert teams("--support-teams", "flag", TEAMS_SUPPORT_TEAMS="variable") == "flag"
    assert teams("--support-teams", "", TEAMS_SUPPORT_TEAMS="variable") == ""
    assert teams("--support-teams=", TEAMS_SUPPORT_TEAMS="variable") == ""
    assert teams(TEAMS_SUPPORT_TEAMS="variable") == "variable"


def test_help_shows_the_flag_with_its_variable() -> None:
    _, result = call("teams", "--help")

    output = " ".join(result.stdout.split())
    assert "--support-teams TEXT[,TEXT...]" in output
    assert "[env: TEAMS_SUPPORT_TEAMS | default: none]" in output


@pytest.mark.parametrize("command", ["quotas", "all"])
def test_other_commands_reject_the_flag(command: str) -> None:
    _, result = call(command, "--support-teams", "a")

    assert result.exit_code == 2
