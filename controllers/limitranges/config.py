"""The settings of the limitranges controller, checked as a whole when they are parsed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from controllers import config_tables, resource_names
from controllers.limitranges import rules

DEFAULT = MappingProxyType({"cpu": "250m", "memory": "256M"})
_NONE: Mapping[str, str] = MappingProxyType({})

# Setting -> field of the API.
FIELDS = MappingProxyType(
    {
        "max": "max",
        "min": "min",
        "max_limit_request_ratio": "maxLimitRequestRatio",
        "default_request": "defaultRequest",
        "default": "default",
    }
)
_DEFAULTS = {"default": DEFAULT, "default_request": DEFAULT}


class LimitRangesSettings(BaseModel):
    """What a container gets that states no request or limit, and between what bounds it stays.

    Every table goes by resource (cpu, memory, ephemeral-storage, hugepages-*, DOMAIN/NAME) and is
    merged over its default: an entry changes or adds one key, null drops one. What is left out the
    API server derives: ``default`` from ``max``, ``default_request`` from ``default``, then from
    ``min``. When nothing is set there is no LimitRange.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: Mapping[str, config_tables.Amount] = Field(
        default=dict(DEFAULT), description="limit of a container that states none"
    )
    default_request: Mapping[str, config_tables.Amount] = Field(
        default=dict(DEFAULT), description="request of a container that states none"
    )
    max: Mapping[str, config_tables.Amount] = Field(default={}, description="highest limit")
    min: Mapping[str, config_tables.Amount] = Field(default={}, description="lowest request")
    max_limit_request_ratio: Mapping[str, config_tables.Amount] = Field(
        default={}, description="how many times its request a limit may be, at least 1"
    )

    @model_validator(mode="before")
    @classmethod
    def _checked(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        merged: dict[str, config_tables.Table] = {}
        given: dict[str, Mapping[str, object]] = {}
        problems = list(config_tables.unknown_problems(data, FIELDS))
        for setting in FIELDS:
            default = _DEFAULTS.get(setting, _NONE)
            merged[setting], given[setting], wrong = config_tables.merge(
                default, data.get(setting, {}), setting
            )
            problems += wrong
            problems += config_tables.amount_problems(
                merged[setting], setting, resource_names.container_name_refusal
            )
        # What is no amount cannot be compared: the rules go by the resources that are right so far.
        wrong_resources = {str(part) for each in problems for part in each["loc"][1:]}
        problems += _conflicts(merged, given, wrong_resources)
        config_tables.raise_problems(cls.__name__, problems)
        return merged

    @cached_property
    def item(self) -> rules.Item:
        """The tables by the API's names, as they are configured."""
        return {field: getattr(self, setting) for setting, field in FIELDS.items()}


def _conflicts(
    merged: Mapping[str, config_tables.Table],
    given: Mapping[str, Mapping[str, object]],
    excepted: Collection[str],
) -> Iterator[config_tables.Problem]:
    item = {field: merged[setting] for setting, field in FIELDS.items()}
    for resource in sorted({resource for table in merged.values() for resource in table}):
        why = None if resource in excepted else rules.conflict(item, resource)
        if why:
            # The defaults alone are right: one of the settings that were given made them wrong.
            where = next((each for each in FIELDS if resource in given[each]), "default")
            yield config_tables.problem(why, merged[where].get(resource), where, resource)
