"""The documents agree with the chart."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.chart import render
from tests.support.cluster import manager_process
from tests.support.docs import markdown

RUNBOOK = markdown.read("docs/runbook.md")
INSTALLING = markdown.read("docs/installing.md")
ADDRESS = "https://git.example.ca/docs/runbook.md"
EVERYTHING = render.CHART / "ci" / "everything-values.yaml"


def alerts() -> list[dict[str, Any]]:
    values = {"prometheusRule": {"runbookUrl": ADDRESS, "renderMode": "alwaysRender"}}
    (rule,) = render.of_kind(render.render(EVERYTHING, values), "PrometheusRule").values()
    return [one for one in rule["spec"]["groups"][0]["rules"] if "alert" in one]


def values_of(name: str) -> dict[str, Any]:
    """Return the example in the section of this name."""
    (text,) = INSTALLING.section(name).examples("yml")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def images(values: dict[str, Any]) -> dict[str, str]:
    deployments = render.of_kind(render.render(values), "Deployment")
    return {name: render.container(one)["image"] for name, one in deployments.items()}


def test_every_alert_links_to_its_entry_in_the_runbook() -> None:
    links = {one["alert"]: one["annotations"]["runbook_url"] for one in alerts()}

    assert links
    for name, link in links.items():
        address, _, anchor = link.partition("#")
        assert address == ADDRESS
        assert anchor in RUNBOOK.section("Alerts").anchors, name


def test_the_runbook_has_no_entry_without_an_alert() -> None:
    headings = RUNBOOK.section("Alerts").anchors - {"alerts"}

    assert headings == {one["alert"].lower() for one in alerts()}


@pytest.mark.parametrize(
    "text",
    [text for each in markdown.everything() for text in each.examples("yml")],
)
def test_the_chart_accepts_the_examples_of_values(text: str) -> None:
    assert render.of_kind(render.render(yaml.safe_load(text)), "Deployment")


@pytest.mark.parametrize("text", INSTALLING.examples("yaml"))
def test_the_chart_accepts_the_values_of_an_application(text: str) -> None:
    values = yaml.safe_load(text)["spec"]["source"]["helm"]["valuesObject"]

    assert all(image.endswith(f":{values['image']['tag']}") for image in images(values).values())


def test_one_controllers_tag_changes_one_deployment() -> None:
    values = values_of("One controller's image")

    tag = values["controllers"]["network"]["image"]["tag"]
    changed = {name for name, image in images(values).items() if image.endswith(f":{tag}")}
    assert changed == {"network"}
    assert len(images(values)) > 5


def test_status_accepts_the_settings_of_a_process(tmp_path: Path) -> None:
    manifests = render.render(EVERYTHING)
    maps = [one for one in manifests if "config.yaml" in (one.get("data") or {})]

    assert len(maps) > 5
    for number, one in enumerate(maps):
        file = tmp_path / f"{number}.yaml"
        file.write_text(one["data"]["config.yaml"])
        done = manager_process.run(
            "status", "--config", str(file), "--kubeconfig", "/nowhere/kubeconfig"
        )
        assert done.returncode == 2
        assert "cannot use /nowhere/kubeconfig" in done.stderr, done.stderr


def test_the_runbook_names_the_configmap_with_the_settings() -> None:
    manifests = render.render({})
    names = {one["metadata"]["name"] for one in manifests if one["kind"] == "ConfigMap"}

    assert f"{render.RELEASE}-profiles-controller-quotas" in names
    assert render.config(manifests, "quotas")
    assert "configmap profiles-controller-quotas" in RUNBOOK.text
