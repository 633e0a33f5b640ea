"""Settings of the limitranges controller. Parsing reports all errors together."""

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
    """Defaults and bounds of requests and limits of containers.

    The keys of each table are resources (cpu, memory, ephemeral-storage, hugepages-*, DOMAIN/NAME).
    Each is merged into its default: an entry changes or adds one key, null removes one. The API
    server derives missing values: ``default`` from ``max``, ``default_request`` from ``default``,
    then from ``min``. If all tables are empty there is no LimitRange.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: Mapping[str, config_tables.Amount] = Field(
        default=dict(DEFAULT), description="default limit of a container"
    )
    default_request: Mapping[str, config_tables.Amount] = Field(
        default=dict(DEFAULT), description="default request of a container"
    )
    max: Mapping[str, config_tables.Amount] = Field(default={}, description="maximum limit")
    min: Mapping[str, config_tables.Amount] = Field(default={}, description="minimum request")
    max_limit_request_ratio: Mapping[str, config_tables.Amount] = Field(
        default={}, description="maximum ratio of limit to request, at least 1"
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
            merged[setting], given[setting], errors = config_tables.merge(
                default, data.get(setting, {}), setting
            )
            problems += errors
            problems += config_tables.amount_problems(
                merged[setting], setting, resource_names.container_name_error
            )
        # Invalid amounts cannot be compared: only resources without a problem are checked.
        invalid_resources = {str(part) for each in problems for part in each["loc"][1:]}
        problems += _conflicts(merged, given, invalid_resources)
        config_tables.raise_problems(cls.__name__, problems)
        return merged

    @cached_property
    def item(self) -> rules.Item:
        """The amounts by the names of the API's fields."""
        return {field: getattr(self, setting) for setting, field in FIELDS.items()}


def _conflicts(
    merged: Mapping[str, config_tables.Table],
    given: Mapping[str, Mapping[str, object]],
    excluded: Collection[str],
) -> Iterator[config_tables.Problem]:
    item = {field: merged[setting] for setting, field in FIELDS.items()}
    for resource in sorted({resource for table in merged.values() for resource in table}):
        why = None if resource in excluded else rules.conflict(item, resource)
        if why:
            # The defaults are consistent: one of the given settings causes the conflict.
            where = next((each for each in FIELDS if resource in given[each]), "default")
            yield config_tables.problem(why, merged[where].get(resource), where, resource)
