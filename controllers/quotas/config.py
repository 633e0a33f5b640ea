"""Settings of the quotas controller. Parsing reports all errors together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from controllers import config_tables, resource_names
from controllers.quotas import names

DEFAULT_HARD = MappingProxyType(
    {
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
)
DEFAULT_LABELS = MappingProxyType({"requests.nvidia.com/gpu": "gpu"})


class QuotasSettings(BaseModel):
    """The ResourceQuota of every profile namespace, and the names of the labels that override it.

    Both tables are merged into their defaults: an entry changes or adds one key, null removes one.
    If ``hard`` is empty there is no ResourceQuota.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hard: Mapping[str, config_tables.Amount] = Field(
        default=dict(DEFAULT_HARD),
        description="spec.hard of the ResourceQuota; merged into the default, null removes a key",
    )
    labels: Mapping[str, config_tables.Amount] = Field(
        default=dict(DEFAULT_LABELS),
        description=(
            f"NAME of the label {names.LABEL_PREFIX}/NAME for each key of hard; required for keys"
            " with a slash, by default the key itself"
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _checked(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        hard, _, problems = config_tables.merge(DEFAULT_HARD, data.get("hard", {}), "hard")
        labels, given, errors = config_tables.merge(
            DEFAULT_LABELS, data.get("labels", {}), "labels"
        )
        problems += errors
        problems += config_tables.amount_problems(hard, "hard", resource_names.quota_name_error)
        problems += _label_problems(hard, labels, given)
        problems += config_tables.unknown_problems(data, cls.model_fields)
        config_tables.raise_problems(cls.__name__, problems)
        return {"hard": hard, "labels": labels}

    @cached_property
    def label_names(self) -> Mapping[str, str]:
        """Label name without prefix -> the key of ``hard`` that the label overrides."""
        return {self.labels.get(key, key): key for key in self.hard}


def _label_problems(
    hard: Mapping[str, str], labels: Mapping[str, str], given: Mapping[str, object]
) -> Iterator[config_tables.Problem]:
    for key, name in labels.items():
        if key in given and key not in hard:
            why = f"{key!r} is not in hard: expected one of {', '.join(hard)}"
            yield config_tables.problem(why, name, "labels", key)
    used_by: dict[str, str] = {}
    for key in hard:
        name = labels.get(key, key)
        error = _label_error(key, name, short=key in labels, taken_by=used_by.get(name))
        used_by.setdefault(name, key)
        if error:
            yield config_tables.problem(error, name, "labels", key)


def _label_error(key: str, name: str, *, short: bool, taken_by: str | None) -> str | None:
    """Return why a label with this name cannot override the key, or None."""
    label = f"{names.LABEL_PREFIX}/{name}"
    if taken_by is not None:
        return f"{label!r} would override both {taken_by!r} and {key!r}: expected a different name"
    if resource_names.is_name_part(name):
        return None
    what = (
        "at most 63 letters, digits, '-', '_' and '.', starting and ending with a letter or digit"
    )
    if short:
        return f"{name!r} is not a valid label name: expected {what}"
    return f"{label!r} is not a valid label: expected a short name for {key!r}, of {what}"
