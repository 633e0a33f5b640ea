"""Runs commands with a fake runtime."""

import re
from collections.abc import Mapping, Sequence

from typer.testing import CliRunner, Result

from controllers.runtime.controller import AnyController
from profiles_controller.cli import app as cli_app
from tests.support.cli import fake_runtime
from tests.support.cli.sample_controllers import REGISTRY


def call(
    *arguments: str,
    runtime: fake_runtime.FakeRuntime | None = None,
    environment: Mapping[str, str] | None = None,
    registry: Sequence[AnyController] = REGISTRY,
    stdin: str = "",
    columns: int = 80,
) -> Result:
    dependencies = fake_runtime.dependencies(runtime, environment=environment, registry=registry)
    app = cli_app.build(dependencies)
    return CliRunner().invoke(app, list(arguments), input=stdin, env={"COLUMNS": str(columns)})


def cells(output: str) -> list[list[str]]:
    """Returns the cells of each line of a printed table."""
    return [re.split(" {3,}", line) for line in output.splitlines()]
