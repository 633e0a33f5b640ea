"""The settings of quotas: what is merged, what is refused, all of it at once."""

import pytest
from pydantic import BaseModel, ValidationError

from controllers import resource_names
from controllers.limitranges.config import LimitRangesSettings
from controllers.quotas.config import DEFAULT_HARD, DEFAULT_LABELS, QuotasSettings
from tests.support import builders


def quotas(**settings: object) -> QuotasSettings:
    return QuotasSettings.model_validate(settings)


def test_the_defaults_are_those_of_the_specification() -> None:
    assert quotas().hard == {
        "requests.cpu": "70",
        "limits.cpu": "70",
        "requests.memory": "368G",
        "limits.memory": "368G",
        "requests.storage": "100T",
        "pods": "100",
        "services.nodeports": "0",
        "services.loadbalancers": "0",
        "requests.nvidia.com/gpu": "2",
    }


def test_the_defaults_are_settings_that_would_be_accepted() -> None:
    assert quotas(hard=dict(DEFAULT_HARD), labels=dict(DEFAULT_LABELS)) == quotas(hard={})


def test_a_table_is_merged_over_the_default_and_null_drops_a_key() -> None:
    hard = quotas(hard={"pods": "7", "services": "3", "limits.cpu": None}).hard
    expected = {**DEFAULT_HARD, "pods": "7", "services": "3"}
    del expected["limits.cpu"]
    assert expected == hard


def test_dropping_a_missing_key_is_valid() -> None:
    assert quotas(hard={"secrets": None}).hard == DEFAULT_HARD


@pytest.mark.parametrize(("number", "text"), [(7, "7"), (0.5, "0.5"), (1e3, "1000.0"), (0, "0")])
def test_numbers_of_yaml_and_json_are_accepted(number: float, text: str) -> None:
    assert quotas(hard={"requests.cpu": number}).hard["requests.cpu"] == text


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        quotas().hard = {}


def test_every_key_is_the_name_of_its_label_but_for_those_with_a_short_one() -> None:
    settings = quotas(
        hard={"requests.amd.com/gpu": "1"},
        labels={"requests.amd.com/gpu": "amd-gpu", "requests.nvidia.com/gpu": "nvidia-gpu"},
    )
    keys = {*DEFAULT_HARD, "requests.amd.com/gpu"}
    expected = {key: key for key in keys if "/" not in key}
    expected |= {"amd-gpu": "requests.amd.com/gpu", "nvidia-gpu": "requests.nvidia.com/gpu"}
    assert expected == settings.label_names


def test_a_default_key_can_go_together_with_its_label() -> None:
    without = {"requests.nvidia.com/gpu": None}
    assert "gpu" not in quotas(hard=without).label_names
    assert quotas(hard=without, labels={"pods": "gpu"}).label_names["gpu"] == "pods"


def test_all_wrong_settings_of_quotas_are_named_at_once() -> None:
    said = builders.validation_errors(
        QuotasSettings,
        {
            "hard": {
                "pods": 1.5,
                "requests.cpu": "1K",
                "limits.cpu": [1],
                "limits.memory": True,
                "requests.memory": "-1",
                "gpus": "1",
                "requests.amd.com/gpu": "2",
                "count/deployments.apps": "3",
                "requests.intel.com/gpu": "1",
            },
            "labels": {
                "services": "x",
                "requests.nvidia.com/gpu": "pods",
                "requests.intel.com/gpu": "a b",
                "requests.amd.com/gpu": 3.5,
                "requests.storage": {},
            },
            "typo": 1,
        },
    )
    assert said.keys() == {
        "hard pods",
        "hard requests.cpu",
        "hard limits.cpu",
        "hard limits.memory",
        "hard requests.memory",
        "hard gpus",
        "labels count/deployments.apps",
        "labels services",
        "labels requests.nvidia.com/gpu",
        "labels requests.intel.com/gpu",
        "labels requests.storage",
        "typo",
    }
    assert all("expected" in text for text in said.values())
    assert "'1.5' is not an integer" in said["hard pods"]
    assert "'1K' is not a quantity" in said["hard requests.cpu"]
    assert "[1] is not a valid value" in said["hard limits.cpu"]
    assert "'-1' is negative" in said["hard requests.memory"]
    assert "'gpus' is not a resource of a ResourceQuota" in said["hard gpus"]
    assert "a short name for 'count/deployments.apps'" in said["labels count/deployments.apps"]
    assert "'services' is not in hard" in said["labels services"]
    assert "both 'pods' and 'requests.nvidia.com/gpu'" in said["labels requests.nvidia.com/gpu"]
    assert "'a b' is not a valid label name" in said["labels requests.intel.com/gpu"]
    assert "unknown setting 'typo'; expected one of hard, labels" in said["typo"]


@pytest.mark.parametrize("name", ["a" * 64, "", "-a", "a/b", "a b", "é"])
def test_a_short_name_that_no_label_can_have_is_refused(name: str) -> None:
    said = builders.validation_errors(QuotasSettings, {"labels": {"requests.nvidia.com/gpu": name}})
    assert said.keys() == {"labels requests.nvidia.com/gpu"}


def test_two_resources_cannot_share_a_short_name() -> None:
    labels = {"requests.amd.com/gpu": "gpu"}
    said = builders.validation_errors(
        QuotasSettings, {"hard": {"requests.amd.com/gpu": "1"}, "labels": labels}
    )
    assert said == {
        "labels requests.amd.com/gpu": (
            "'quotas.statcan.gc.ca/gpu' would override both 'requests.nvidia.com/gpu' and"
            " 'requests.amd.com/gpu': expected a different name"
        )
    }


@pytest.mark.parametrize("model", [QuotasSettings, LimitRangesSettings])
@pytest.mark.parametrize("table", [5, "foo", [], True])
def test_a_value_that_is_not_a_table_is_invalid(model: type[BaseModel], table: object) -> None:
    first, second, *_ = model.model_fields
    said = builders.validation_errors(model, {first: table, second: table})
    assert said.keys() == {first, second}
    assert all("expected a mapping" in text for text in said.values())


@pytest.mark.parametrize("model", [QuotasSettings, LimitRangesSettings])
def test_a_value_that_is_not_a_mapping_of_settings_is_invalid(model: type[BaseModel]) -> None:
    assert builders.validation_errors(model, "foo").keys() == {""}


def test_the_schema_allows_numbers_and_null() -> None:
    for model in (QuotasSettings, LimitRangesSettings):
        for table in model.model_json_schema()["properties"].values():
            assert table["additionalProperties"] == {"type": ["string", "number", "null"]}


def test_every_default_is_an_amount_of_its_resource() -> None:
    for key, text in DEFAULT_HARD.items():
        assert resource_names.quota_name_error(key) is None
        assert resource_names.amount_error(key, text) is None
