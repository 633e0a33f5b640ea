"""The settings of limitranges: what is merged, what is refused, all of it at once."""

import pytest

from controllers.limitranges import rules
from controllers.limitranges.config import DEFAULT, LimitRangesSettings
from tests.support import builders


def limits(**settings: object) -> LimitRangesSettings:
    return LimitRangesSettings.model_validate(settings)


def test_the_defaults_are_those_of_the_specification() -> None:
    assert limits().default == limits().default_request == {"cpu": "250m", "memory": "256M"}
    assert limits().max == limits().min == limits().max_limit_request_ratio == {}


def test_the_defaults_are_settings_that_would_be_accepted() -> None:
    assert limits(default=dict(DEFAULT)) == limits(default={})
    assert [rules.conflict(limits().item, resource) for resource in DEFAULT] == [None, None]


def test_a_table_is_merged_over_the_default_and_null_drops_a_key() -> None:
    settings = limits(default={"cpu": "1", "memory": None}, max={"cpu": 2})
    assert settings.default == {"cpu": "1"}
    assert settings.default_request == DEFAULT
    assert settings.max == {"cpu": "2"}


def test_all_wrong_settings_of_limitranges_are_named_at_once() -> None:
    said = builders.validation_errors(
        LimitRangesSettings,
        {
            "default": {"cpu": "x", "pods": "1"},
            "default_request": {"memory": "1G"},
            "max": {"ephemeral-storage": "1Gi"},
            "min": {"ephemeral-storage": "2Gi", "nvidia.com/gpu": "0.5"},
            "max_limit_request_ratio": {"hugepages-2Mi": "0.5"},
            "defaults": {},
        },
    )
    assert said.keys() == {
        "default cpu",
        "default pods",
        "default_request memory",
        "max ephemeral-storage",
        "min nvidia.com/gpu",
        "max_limit_request_ratio hugepages-2Mi",
        "defaults",
    }
    assert all("expected" in text for text in said.values())
    assert "defaultRequest.memory 1G is above default.memory 256M" in said["default_request memory"]


# settings; a part of what is said, or None where the API server takes them
RULES: list[tuple[dict[str, dict[str, object]], str | None]] = [
    ({"max": {"cpu": "200m"}}, "default.cpu 250m is above max.cpu 200m"),
    ({"max": {"cpu": "250m"}}, None),
    ({"min": {"cpu": "300m"}}, "min.cpu 300m is above default.cpu 250m"),
    ({"min": {"cpu": "250m"}, "max": {"cpu": "0.25"}}, None),
    ({"min": {"cpu": 3}, "max": {"cpu": 2}}, "min.cpu 3 is above max.cpu 2"),
    ({"default": {"cpu": "1"}, "default_request": {"cpu": "2"}}, "defaultRequest.cpu 2 is above"),
    ({"default": {"cpu": None}, "max": {"cpu": "100m"}}, "defaultRequest.cpu 250m is above max"),
    ({"default": {"cpu": None}, "default_request": {"cpu": None}, "min": {"cpu": "9"}}, None),
    ({"max_limit_request_ratio": {"cpu": "0.9"}}, "maxLimitRequestRatio.cpu 0.9 is below 1"),
    ({"max_limit_request_ratio": {"cpu": 1}}, None),
    (
        {"default": {"cpu": "1"}, "max_limit_request_ratio": {"cpu": 2}},
        "default.cpu 1 is not within maxLimitRequestRatio.cpu 2 times defaultRequest.cpu 250m",
    ),
    (
        {"default_request": {"cpu": "0"}, "max_limit_request_ratio": {"cpu": 2}},
        "default.cpu 250m is not within maxLimitRequestRatio.cpu 2 times defaultRequest.cpu 0",
    ),
    (
        {"min": {"cpu": "200m"}, "max": {"cpu": 1}, "max_limit_request_ratio": {"cpu": "6"}},
        "maxLimitRequestRatio.cpu 6 is above max.cpu 1 divided by min.cpu 200m",
    ),
    ({"min": {"cpu": "200m"}, "max": {"cpu": 1}, "max_limit_request_ratio": {"cpu": 5}}, None),
    ({"min": {"cpu": 0}, "max": {"cpu": 1}, "max_limit_request_ratio": {"cpu": 50}}, None),
    (
        {"default": {"a.com/x": 2}, "default_request": {"a.com/x": 1}},
        "default.a.com/x 2 differs from defaultRequest.a.com/x 1",
    ),
    ({"default": {"a.com/x": 2}}, None),
    ({"default": {"hugepages-2Mi": "4Mi"}, "default_request": {"hugepages-2Mi": "4096Ki"}}, None),
]


@pytest.mark.parametrize(("settings", "said"), RULES)
def test_amounts_that_contradict_each_other_are_refused_as_the_api_server_does(
    settings: dict[str, dict[str, object]], said: str | None
) -> None:
    if said is None:
        LimitRangesSettings.model_validate(settings)
        return
    (message,) = builders.validation_errors(LimitRangesSettings, settings).values()
    assert said in message
    assert "expected" in message


def test_what_the_api_server_adds_is_stated() -> None:
    item = limits(
        default={"cpu": None, "memory": "1Gi"},
        default_request={"cpu": None, "memory": None},
        max={"cpu": "2", "memory": "2Gi"},
        min={"cpu": "1", "hugepages-2Mi": "2Mi"},
    ).item
    assert rules.with_defaults(item) == {
        "max": {"cpu": "2", "memory": "2Gi"},
        "min": {"cpu": "1", "hugepages-2Mi": "2Mi"},
        "default": {"cpu": "2", "memory": "1Gi"},
        "defaultRequest": {"cpu": "2", "memory": "1Gi", "hugepages-2Mi": "2Mi"},
    }
