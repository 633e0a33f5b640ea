"""Settings of the rbac controller. Parsing reports all errors together."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from controllers import config_tables
from controllers.rbac import names, rules

Verbs = tuple[str, ...]
_READ: Verbs = ("get", "list", "watch")
_WRITE: Verbs = ("create", "delete", "update")
_ALL: Verbs = ("*",)

# The rules of Kubeflow's ClusterRole aggregate-to-kubeflow-pipelines-edit, and read access.
DEFAULT_VERBS: Mapping[str, Mapping[str, Verbs]] = MappingProxyType(
    {
        "pipelines.kubeflow.org": MappingProxyType(
            {
                "pipelines": (*_READ, *_WRITE),
                "pipelines/versions": (*_READ, *_WRITE),
                "experiments": (*_READ, "archive", "unarchive", "create", "delete"),
                "runs": (
                    *_READ, "archive", "unarchive", "create", "delete", "retry", "terminate",
                    "reportMetrics", "readArtifact",
                ),
                "jobs": (*_READ, "create", "delete", "enable", "disable"),
                "visualizations": (*_READ, "create"),
            }
        ),
        "kubeflow.org": MappingProxyType({"scheduledworkflows": _ALL}),
        "argoproj.io": MappingProxyType(
            {
                "workflows": _ALL,
                "workflowtemplates": _ALL,
                "cronworkflows": _ALL,
                "workfloweventbindings": _ALL,
                "workflowtaskresults": _ALL,
            }
        ),
    }
)  # fmt: skip


class PipelineRole(StrEnum):
    """The role that the RoleBinding ``ml-pipeline`` grants to the Profile's owner."""

    CLUSTER_ROLE = "ClusterRole"
    """The ClusterRole ``ml-pipeline``, which the platform manages and which is broad."""
    ROLE = "Role"
    """The Role ``profile-pipelines`` of the namespace."""
    NONE = "none"
    """No role: the RoleBinding is not created."""


def _entries(value: object) -> object:
    """Return the parts of a comma-separated text. As in Go's flags, quotes may contain commas."""
    if isinstance(value, str):
        try:
            value = [part for line in csv.reader([value], skipinitialspace=True) for part in line]
        except csv.Error as error:
            raise ValueError(f"{error}: expected comma-separated texts") from error
    if not isinstance(value, list | tuple):
        raise ValueError(f"{value!r} is not a list: expected comma-separated texts or a list")  # noqa: TRY004 - pydantic collects ValueErrors only
    parts = [part.strip() if isinstance(part, str) else part for part in value]
    return tuple(part for part in parts if part != "")


def _without_duplicates(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(parts))


def _not_empty(verbs: Verbs) -> Verbs:
    if not verbs:
        raise ValueError(
            "the list is empty: expected at least one verb, or null instead of the list"
        )
    return verbs


Group = Annotated[str, config_tables.validator(rules.group_error)]
Groups = Annotated[
    tuple[Group, ...], BeforeValidator(_entries), AfterValidator(_without_duplicates)
]
ApiGroup = Annotated[str, config_tables.validator(rules.api_group_error)]
Resource = Annotated[str, config_tables.validator(rules.resource_error)]
Verb = Annotated[str, config_tables.validator(rules.verb_error)]
VerbList = Annotated[
    tuple[Verb, ...],
    BeforeValidator(_entries),
    AfterValidator(_without_duplicates),
    AfterValidator(_not_empty),
]


class RbacSettings(BaseModel):
    """Access to every profile namespace beyond what Kubeflow grants."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    support_groups: Annotated[Groups, NoDecode] = Field(
        default=(), description="groups that the ClusterRole profile-support is bound to"
    )
    ml_pipeline: PipelineRole = Field(
        default=PipelineRole.CLUSTER_ROLE,
        description="role that the RoleBinding ml-pipeline grants to the owner",
    )
    pipeline_verbs: Mapping[ApiGroup, Mapping[Resource, VerbList]] = Field(
        default={group: dict(table) for group, table in DEFAULT_VERBS.items()},
        description=(
            "verbs of the Role profile-pipelines, by API group and resource; merged into the"
            " default, null removes a resource or a group"
        ),
    )
    cross_namespace_access: bool = Field(
        default=False,
        description=f"whether the annotation {names.ALLOW_FROM} grants access to other namespaces",
    )

    @field_validator("pipeline_verbs", mode="before")
    @classmethod
    def _merged(cls, given: Any) -> Any:
        """Merge a table into the default; the type rejects a value that is not a table."""
        if not isinstance(given, Mapping):
            return given
        merged: dict[Any, Any] = {group: dict(table) for group, table in DEFAULT_VERBS.items()}
        for group, table in given.items():
            if isinstance(table, Mapping):
                combined = {**merged.get(group, {}), **table}
                merged[group] = {key: verbs for key, verbs in combined.items() if verbs is not None}
            else:
                merged[group] = table
        return {
            group: table for group, table in merged.items() if table is not None and table != {}
        }

    @model_validator(mode="after")
    def _bindable(self) -> RbacSettings:
        if self.ml_pipeline is PipelineRole.ROLE and not self.pipeline_verbs:
            raise ValueError(
                "ml_pipeline is Role, but pipeline_verbs leaves no rule for that Role: expected"
                f" ml_pipeline to be {PipelineRole.NONE}, or verbs for at least one resource"
            )
        return self
