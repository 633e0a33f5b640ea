"""The settings of the rbac controller, checked as a whole when they are parsed."""

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

# What Kubeflow's ClusterRole aggregate-to-kubeflow-pipelines-edit lets a member do, and reading.
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


class Bound(StrEnum):
    """What the RoleBinding ``ml-pipeline`` binds the Profile's owner to."""

    CLUSTER_ROLE = "ClusterRole"
    """The ClusterRole ``ml-pipeline``, which the platform keeps, and which is broad."""
    ROLE = "Role"
    """The Role ``profile-pipelines`` of the namespace."""
    NONE = "none"
    """Nothing: there is no such RoleBinding."""


def _entries(value: object) -> object:
    """The parts of a text between commas, as Go's flags read it: quoted ones may hold a comma."""
    if isinstance(value, str):
        try:
            value = [part for line in csv.reader([value], skipinitialspace=True) for part in line]
        except csv.Error as error:
            raise ValueError(f"{error}: expected texts, separated by commas") from error
    if not isinstance(value, list | tuple):
        raise ValueError(f"{value!r} is no list: expected texts, separated by commas or as a list")  # noqa: TRY004 - pydantic collects ValueErrors only
    parts = [part.strip() if isinstance(part, str) else part for part in value]
    return tuple(part for part in parts if part != "")


def _once(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(parts))


def _some(verbs: Verbs) -> Verbs:
    if not verbs:
        raise ValueError("no verb: expected at least one, or null instead of the list")
    return verbs


Group = Annotated[str, config_tables.validator(rules.group_refusal)]
Groups = Annotated[tuple[Group, ...], BeforeValidator(_entries), AfterValidator(_once)]
ApiGroup = Annotated[str, config_tables.validator(rules.api_group_refusal)]
Resource = Annotated[str, config_tables.validator(rules.resource_refusal)]
Verb = Annotated[str, config_tables.validator(rules.verb_refusal)]
VerbList = Annotated[
    tuple[Verb, ...], BeforeValidator(_entries), AfterValidator(_once), AfterValidator(_some)
]


class RbacSettings(BaseModel):
    """Whom every profile namespace lets in besides those whom Kubeflow lets in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    support_groups: Annotated[Groups, NoDecode] = Field(
        default=(), description="Groups that the ClusterRole profile-support is bound to."
    )
    ml_pipeline: Bound = Field(
        default=Bound.CLUSTER_ROLE,
        description="what the RoleBinding ml-pipeline binds the owner to",
    )
    pipeline_verbs: Mapping[ApiGroup, Mapping[Resource, VerbList]] = Field(
        default={group: dict(table) for group, table in DEFAULT_VERBS.items()},
        description=(
            "API group -> resource -> verbs of the Role profile-pipelines; merged over the"
            " default, null drops a resource or a group"
        ),
    )
    cross_namespace_access: bool = Field(
        default=False,
        description=f"whether the Profile's annotation {names.ALLOW_FROM} lets namespaces in",
    )

    @field_validator("pipeline_verbs", mode="before")
    @classmethod
    def _merged(cls, given: Any) -> Any:
        """The default with what is given put in; what is no table is left for the type to tell."""
        if not isinstance(given, Mapping):
            return given
        merged: dict[Any, Any] = {group: dict(table) for group, table in DEFAULT_VERBS.items()}
        for group, table in given.items():
            if isinstance(table, Mapping):
                whole = {**merged.get(group, {}), **table}
                merged[group] = {key: verbs for key, verbs in whole.items() if verbs is not None}
            else:
                merged[group] = table
        return {
            group: table for group, table in merged.items() if table is not None and table != {}
        }

    @model_validator(mode="after")
    def _bindable(self) -> RbacSettings:
        if self.ml_pipeline is Bound.ROLE and not self.pipeline_verbs:
            raise ValueError(
                "ml_pipeline is Role, but pipeline_verbs leaves no rule for that Role: expected"
                f" ml_pipeline to be {Bound.NONE}, or verbs for at least one resource"
            )
        return self
