"""Settings of a controller that are lists of texts, and flags of its subcommand as well."""

import dataclasses
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field
from typer.testing import CliRunner

from controllers.runtime.controller import Command
from profiles_controller.cli import app as cli_app
from tests.support.cli import samples


class Teams(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    support_teams: str = Field(default="", description="who helps")


TEAMS = dataclasses.replace(
    samples.controller("teams", Teams), command=Command(flags=("support_teams",))
)
REGISTRY = (*samples.REGISTRY, TEAMS)


def call(*arguments: str, **environment: str) -> tuple[samples.Runtime, Any]:
    runtime = samples.Runtime()
    app = cli_app.build(samples.world(runtime, environment=environment, registry=REGISTRY))
    return runtime, CliRunner().invoke(app, list(arguments), env={"COLUMNS": "300"})


def teams(*arguments: str, **environment: str) -> str:
    runtime, result = call("teams", *arguments, **environment)
    assert result.exit_code == 0, result.output
    [(_, settings)] = runtime.assemblies
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
def test_a_list_is_repeated_or_separated_by_commas(
    arguments: tuple[str, ...], expected: str
) -> None:
    assert expected == teams(*arguments)


def test_the_flag_counts_before_the_variable_and_one_without_text_means_none() -> None:
    assert teams("--support-teams", "flag", TEAMS_SUPPORT_TEAMS="variable") == "flag"
    assert teams("--support-teams", "", TEAMS_SUPPORT_TEAMS="variable") == ""
    assert teams("--support-teams=", TEAMS_SUPPORT_TEAMS="variable") == ""
    assert teams(TEAMS_SUPPORT_TEAMS="variable") == "variable"


def test_help_shows_the_flag_with_its_variable() -> None:
    _, result = call("teams", "--help")

    told = " ".join(result.stdout.split())
    assert "--support-teams TEXT[,TEXT...]" in told
    assert "[env: TEAMS_SUPPORT_TEAMS | default: none]" in told


@pytest.mark.parametrize("command", ["quotas", "all"])
def test_no_other_command_takes_it(command: str) -> None:
    _, result = call(command, "--support-teams", "a")

    assert result.exit_code == 2
