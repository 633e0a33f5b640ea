"""Additional policies that the settings contain as manifests. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from controllers import config_tables, resource_names
from controllers.network import templates
from controllers.network.selectors import LabelKey, LabelValue, Part
from controllers.network.specs import Spec

_LONGEST_NAMESPACE = "n" * 63


def _name(text: str) -> str:
    if resource_names.is_dns_subdomain(text):
        return text
    what = "a DNS subdomain: lower-case letters, digits, '-' and '.'"
    raise ValueError(f"{text!r} is not a valid name of a NetworkPolicy: expected {what}")


class Metadata(Part):
    """Metadata without a namespace, which is that of each profile."""

    name: Annotated[str, AfterValidator(_name)]
    labels: Mapping[LabelKey, LabelValue] = Field(default={})
    annotations: Mapping[LabelKey, str] = Field(default={})


class PolicyManifest(Part):
    """A NetworkPolicy. ``${namespace}`` in it is replaced by the profile's namespace."""

    api_version: Literal["networking.k8s.io/v1"] = Field(
        default="networking.k8s.io/v1", alias="apiVersion"
    )
    kind: Literal["NetworkPolicy"] = "NetworkPolicy"
    metadata: Metadata
    spec: Mapping[str, Any]

    @property
    def is_per_namespace(self) -> bool:
        """Whether the policy differs between profiles."""
        return bool(templates.with_namespace(self.spec, "") != self.spec)

    def spec_for(self, namespace: str) -> dict[str, Any]:
        """Return the spec in one namespace, as the API server returns it."""
        return Spec.model_validate(templates.with_namespace(self.spec, namespace)).with_defaults()


def read(given: object, *, where: str) -> tuple[list[PolicyManifest], list[config_tables.Problem]]:
    """Return the manifests of a list, and all problems."""
    if not isinstance(given, list | tuple):
        why = f"{given!r} is not a list: expected manifests of NetworkPolicies"
        return [], [config_tables.problem(why, given, where)]
    parsed: list[PolicyManifest] = []
    problems: list[config_tables.Problem] = []
    for number, item in enumerate(given):
        errors = list(_problems_of_spec(item, where, str(number), "spec"))
        try:
            parsed.append(PolicyManifest.model_validate(item))
        except ValidationError as error:
            errors = [*problems_of(error, where, str(number)), *errors]
        problems += errors
    return parsed, problems


def _problems_of_spec(item: object, *where: str) -> Iterator[config_tables.Problem]:
    """Yield the problems in the spec of a manifest."""
    spec = item.get("spec") if isinstance(item, Mapping) else None
    if not isinstance(spec, Mapping):
        return
    try:
        # A spec that is valid with the longest possible name of a namespace is valid with all.
        Spec.model_validate(templates.with_namespace(spec, _LONGEST_NAMESPACE))
    except ValidationError as error:
        yield from problems_of(error, *where)


def problems_of(error: ValidationError, *where: str) -> Iterator[config_tables.Problem]:
    """Yield the problems of a validation error; ``where`` is the path in the settings."""
    for each in error.errors(include_url=False):
        why = config_tables.message_of(each)
        if each["type"] == "extra_forbidden":
            why = f"{why}: expected fields of a NetworkPolicy, without namespace and status"
        yield config_tables.problem(why, each["input"], *where, *map(str, each["loc"]))
