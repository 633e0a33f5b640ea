"""Calls the command line in the small world of `samples`."""

from collections.abc import Mapping

from typer.testing import CliRunner, Result

from profiles_controller.cli import app as cli_app
from tests.support.cli import samples


def call(
    *arguments: str,
    runtime: samples.Runtime | None = None,
    environment: Mapping[str, str] | None = None,
    given: str = "",
) -> Result:
    app = cli_app.build(samples.world(runtime, environment=environment))
    return CliRunner().invoke(app, list(arguments), input=given, env={"COLUMNS": "80"})
