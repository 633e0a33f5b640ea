"""The limitranges controller: what it wants, and what it says of overrides."""

from collections.abc import Sequence
from typing import Any

import pytest

from controllers.findings import Finding, Severity
from controllers.limitranges import controller, desired
from controllers.limitranges.config import LimitRangesSettings
from controllers.profiles import Profile
from tests.support import builders

PREFIX = "limitranges.statcan.gc.ca"
SETTINGS = LimitRangesSettings()
BOUNDED = LimitRangesSettings.model_validate(
    {"max": {"cpu": "2"}, "min": {"cpu": "100m"}, "max_limit_request_ratio": {"cpu": "4"}}
)


def labelled(labels: dict[str, str]) -> Profile:
    """A profile with labels by their names after the prefix."""
    return builders.profile(labels={f"{PREFIX}/{name}": text for name, text in labels.items()})


def item(labels: dict[str, str], settings: LimitRangesSettings = SETTINGS) -> dict[str, Any]:
    (manifest,) = desired.desired(labelled(labels), None, settings).objects
    (limits,) = manifest.content["spec"]["limits"]
    return dict(limits)


def found(labels: dict[str, str], settings: LimitRangesSettings = SETTINGS) -> Sequence[Finding]:
    return desired.desired(labelled(labels), None, settings).findings


@pytest.mark.parametrize(
    ("name", "labels", "settings"),
    [
        ("default", {}, {}),
        (
            "overrides",
            {
                "default.cpu": "1000m",
                "default.memory": "1024Mi",
                "defaultrequest.cpu": "0.5",
                "defaultrequest.memory": "256M",
            },
            {},
        ),
        ("one-refused", {"default.cpu": "1", "default.memory": "100M"}, {}),
        (
            "configured",
            {"default.memory": "2Gi"},
            {
                "default": {"cpu": None, "nvidia.com/gpu": 1},
                "default_request": {"cpu": "500m", "memory": None},
                "max": {"cpu": 4, "ephemeral-storage": "10Gi"},
                "min": {"cpu": "50m", "hugepages-2Mi": "2Mi"},
                "max_limit_request_ratio": {"cpu": 8.0},
            },
        ),
    ],
)
def test_the_limit_range_matches_the_golden_file(
    name: str, labels: dict[str, str], settings: dict[str, Any]
) -> None:
    profile = labelled(labels)
    manifests = desired.desired(profile, None, LimitRangesSettings.model_validate(settings)).objects
    assert builders.golden("limitranges", name) == builders.bodies(
        manifests, profile, component="limitranges"
    )


@pytest.mark.parametrize(
    ("name", "text", "field", "resource"),
    [
        ("default.cpu", "1", "default", "cpu"),
        ("default.memory", "1G", "default", "memory"),
        ("defaultrequest.cpu", "100m", "defaultRequest", "cpu"),
        ("defaultrequest.memory", "100M", "defaultRequest", "memory"),
    ],
)
def test_a_label_overrides_its_amount_and_no_other(
    name: str, text: str, field: str, resource: str
) -> None:
    expected = item({})
    expected[field] = {**expected[field], resource: text}
    assert expected == item({name: text})
    assert found({name: text}) == []


@pytest.mark.parametrize(
    "name", ["default.cpu", "default.memory", "defaultrequest.cpu", "defaultrequest.memory"]
)
@pytest.mark.parametrize("text", ["", "abc", "1K", "NaN", "1_0", "-1", "10E", "9Ei", "0.1n"])
def test_a_bad_label_leaves_the_default_and_the_other_amounts_in_force(
    name: str, text: str
) -> None:
    resource = name.rpartition(".")[2]
    other = "memory" if resource == "cpu" else "cpu"
    labels = {name: text, f"default.{other}": "2G"}
    expected = item({f"default.{other}": "2G"})
    assert expected == item(labels)
    (finding,) = found(labels)
    assert finding.severity is Severity.PROBLEM
    assert finding.reason == "InvalidLimit"
    assert f"label {PREFIX}/{name} is invalid: {text!r}" in finding.message
    assert "expected" in finding.message
    assert finding.message.endswith(f" {'250m' if resource == 'cpu' else '256M'}")


REQUEST_ABOVE = "defaultRequest.cpu {0} is above default.cpu {1}"
# labels; the resulting limit and request; the message for each rejected label
CONFLICTS: list[tuple[dict[str, str], str, str, dict[str, str]]] = [
    (
        {"defaultrequest.cpu": "300m"},
        *("250m", "250m"),
        {"defaultrequest.cpu": REQUEST_ABOVE.format("300m", "250m")},
    ),
    (
        {"default.cpu": "200m"},
        *("250m", "250m"),
        {"default.cpu": REQUEST_ABOVE.format("250m", "200m")},
    ),
    ({"default.cpu": "200m", "defaultrequest.cpu": "150m"}, "200m", "150m", {}),
    ({"default.cpu": "1", "defaultrequest.cpu": "500m"}, "1", "500m", {}),
    ({"default.cpu": "1", "defaultrequest.cpu": "1000m"}, "1", "1", {}),
    (
        {"default.cpu": "500m", "defaultrequest.cpu": "600m"},
        *("500m", "250m"),
        {"defaultrequest.cpu": REQUEST_ABOVE.format("600m", "500m")},
    ),
    (
        {"default.cpu": "150m", "defaultrequest.cpu": "200m"},
        *("250m", "200m"),
        {"default.cpu": REQUEST_ABOVE.format("200m", "150m")},
    ),
    (
        {"default.cpu": "200m", "defaultrequest.cpu": "x"},
        *("250m", "250m"),
        {
            "default.cpu": REQUEST_ABOVE.format("250m", "200m"),
            "defaultrequest.cpu": "'x' is not a quantity",
        },
    ),
]
BOUNDED_CONFLICTS: list[tuple[dict[str, str], str, str, dict[str, str]]] = [
    ({"default.cpu": "3"}, "250m", "250m", {"default.cpu": "default.cpu 3 is above max.cpu 2"}),
    (
        {"defaultrequest.cpu": "50m"},
        *("250m", "250m"),
        {"defaultrequest.cpu": "min.cpu 100m is above defaultRequest.cpu 50m"},
    ),
    (
        {"default.cpu": "3", "defaultrequest.cpu": "2500m"},
        *("250m", "250m"),
        {
            "default.cpu": "default.cpu 3 is above max.cpu 2",
            "defaultrequest.cpu": "defaultRequest.cpu 2500m is above max.cpu 2",
        },
    ),
    (
        {"default.cpu": "2"},
        *("250m", "250m"),
        {"default.cpu": "default.cpu 2 is not within maxLimitRequestRatio.cpu 4 times"},
    ),
    ({"default.cpu": "2", "defaultrequest.cpu": "500m"}, "2", "500m", {}),
    ({"default.cpu": "1"}, "1", "250m", {}),
]


@pytest.mark.parametrize(
    ("settings", "labels", "limit", "request_", "refused"),
    [
        *((SETTINGS, *conflict) for conflict in CONFLICTS),
        *((BOUNDED, *conflict) for conflict in BOUNDED_CONFLICTS),
    ],
)
def test_overrides_that_contradict_each_other_or_the_settings_are_refused(
    settings: LimitRangesSettings,
    labels: dict[str, str],
    limit: str,
    request_: str,
    refused: dict[str, str],
) -> None:
    result = item(labels, settings)
    assert (limit, request_) == (result["default"]["cpu"], result["defaultRequest"]["cpu"])
    assert result["default"]["memory"] == result["defaultRequest"]["memory"] == "256M"
    findings = found(labels, settings)
    assert [finding.message.split()[1] for finding in findings] == [
        f"{PREFIX}/{name}" for name in sorted(refused)
    ]
    for finding, name in zip(findings, sorted(refused), strict=True):
        assert refused[name] in finding.message
        assert "expected" in finding.message
        field = "default" if name.startswith("default.") else "defaultRequest"
        in_force = limit if field == "default" else request_
        assert finding.message.endswith(f"; using {field}.cpu {in_force}")


def test_a_request_that_is_not_configured_follows_the_overridden_limit() -> None:
    settings = LimitRangesSettings.model_validate({"default_request": {"memory": None}})
    result = item({"default.memory": "1Gi"}, settings)
    assert result["default"]["memory"] == result["defaultRequest"]["memory"] == "1Gi"


def test_every_default_can_be_overridden() -> None:
    settings = LimitRangesSettings.model_validate({"max": {"ephemeral-storage": "10Gi"}})
    result = item({"default.ephemeral-storage": "5Gi"}, settings)
    assert result["default"]["ephemeral-storage"] == "5Gi"
    assert found({"default.ephemeral-storage": "5Gi"}, settings) == []


@pytest.mark.parametrize("name", ["default.cpus", "cpu", "defaultRequest.cpu", "max.cpu"])
def test_an_unknown_label_is_reported(name: str) -> None:
    assert item({name: "1"}) == item({})
    (finding,) = found({name: "1"})
    assert finding.severity is Severity.NOTICE
    assert finding.reason == "UnknownLimit"
    assert f"label {PREFIX}/{name} overrides nothing; expected one of default" in finding.message


def test_without_any_amount_there_is_no_limit_range() -> None:
    nothing = {"cpu": None, "memory": None}
    settings = LimitRangesSettings.model_validate({"default": nothing, "default_request": nothing})
    assert desired.desired(builders.profile(), None, settings).objects == []


def test_the_limit_range_of_the_older_suite_is_adopted_by_name() -> None:
    (owned,) = controller.CONTROLLER.owned(controller.CONTROLLER.default_settings())
    assert owned.adopt_legacy is not None
    assert owned.adopt_legacy({"name": "default-container-limits"})
    assert not owned.adopt_legacy({"name": "theirs"})
