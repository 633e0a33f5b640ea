"""The parts of the chart that need no helm: generated files, versions, a key per controller."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers import registry
from controllers.runtime.controller import AnyController
from helm.generators import __main__ as generators
from helm.generators import declarations, readmes, schemas
from tests.support.chart import render
from tests.support.docs import markdown

VALUES = yaml.safe_load((render.CHART / "values.yaml").read_text())


def test_the_generated_files_are_up_to_date() -> None:
    assert generators.main(["--check"]) == 0


@pytest.mark.parametrize("module", [declarations, schemas, readmes])
def test_a_stale_file_is_listed_and_rewritten(
    module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "stale"
    stale.write_text(module.PATH.read_text() + "edited by hand")
    monkeypatch.setattr(module, "PATH", stale)

    assert generators.main(["--check"]) == 1
    assert "stale: stale. Run ./taskw generate" in capsys.readouterr().err
    assert generators.main([]) == 0
    assert generators.main(["--check"]) == 0


def test_another_argument_is_invalid_usage() -> None:
    assert generators.main(["--write"]) == 2


@pytest.mark.parametrize("controller", registry.controllers(), ids=lambda one: str(one.name))
def test_each_controller_has_a_key_in_the_values(controller: AnyController) -> None:
    assert controller.name in VALUES["controllers"], "add a key to values.yaml"
    own = VALUES["controllers"][controller.name]
    assert {"enabled", "settings"} <= own.keys()
    assert set(own.get("instances", {})) == set(controller.variants.names)


def test_the_everything_example_enables_every_controller() -> None:
    example = yaml.safe_load((render.CHART / "ci" / "everything-values.yaml").read_text())
    own = {
        name: VALUES["controllers"][name] | given
        for name, given in values_by_controller(example).items()
    }

    assert registry.by_name().keys() == {name for name in own if own[name]["enabled"]}, (
        "enable it in ci/everything-values.yaml, which the tests install"
    )


def values_by_controller(example: Any) -> dict[str, Any]:
    return {name: example["controllers"].get(name, {}) for name in VALUES["controllers"]}


def test_the_values_have_keys_of_registered_controllers_only() -> None:
    assert VALUES["controllers"].keys() <= registry.by_name().keys()


def test_the_versions_of_the_chart_equal_the_version_of_the_project() -> None:
    chart = yaml.safe_load((render.CHART / "Chart.yaml").read_text())
    project = tomllib.loads((markdown.ROOT / "pyproject.toml").read_text())["project"]

    assert project["version"] == chart["version"] == chart["appVersion"]


def test_every_value_is_described() -> None:
    described = {row.path for row in readmes.rows((render.CHART / "values.yaml").read_text())}

    def leaves(value: Any, path: tuple[str, ...]) -> set[tuple[str, ...]]:
        if path in described or not isinstance(value, dict):
            return {path}
        return set().union(*(leaves(inner, (*path, key)) for key, inner in value.items()))

    assert leaves(VALUES, ()) <= described


def test_the_values_contain_no_secret() -> None:
    schema = json.loads(schemas.PATH.read_text())
    settings = schema["properties"]["controllers"]["properties"]["pipelines"]["properties"]

    assert "aws_region" in settings["settings"]["properties"]
    assert "aws_secret_access_key" not in settings["settings"]["properties"]
    assert "AWS_SECRET_ACCESS_KEY" not in settings["settings"]["properties"]


def test_the_documents_list_the_values_of_the_older_chart() -> None:
    section = markdown.read("docs/operations.md").section("Values of the older chart")
    older = yaml.safe_load((render.CHART / "files" / "older-values.yaml").read_text())

    expected = [(one["key"], one.get("new", "nothing yet")) for one in older]
    documented = [tuple(cells[:2]) for cells in section.rows()]
    assert expected == documented
