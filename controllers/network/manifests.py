"""Further policies that an operator gives as manifests. Pure."""

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
    if resource_names.is_subdomain(text):
        return text
    what = "a DNS subdomain: lower case letters, digits, '-' and '.', a letter or digit at the ends"
    raise ValueError(f"{text!r} cannot be a policy's name: expected {what}")


class Metadata(Part):
    """What an operator may say of an object beside its content: the namespace is each profile's."""

    name: Annotated[str, AfterValidator(_name)]
    labels: Mapping[LabelKey, LabelValue] = Field(default={})
    annotations: Mapping[LabelKey, str] = Field(default={})


class PolicyManifest(Part):
    """A NetworkPolicy without a namespace; ``${namespace}`` in it stands for the profile's."""

    api_version: Literal["networking.k8s.io/v1"] = Field(
        default="networking.k8s.io/v1", alias="apiVersion"
    )
    kind: Literal["NetworkPolicy"] = "NetworkPolicy"
    metadata: Metadata
    spec: Mapping[str, Any]

    @property
    def is_personal(self) -> bool:
        """Whether it differs from profile to profile."""
        return bool(templates.addressed(self.spec, "") != self.spec)

    def spec_for(self, namespace: str) -> dict[str, Any]:
        """The spec in one namespace, as the API server returns it."""
        return Spec.model_validate(templates.addressed(self.spec, namespace)).completed()


def read(given: object, *, where: str) -> tuple[list[PolicyManifest], list[config_tables.Problem]]:
    """The manifests of a list, and all that is wrong with it."""
    if not isinstance(given, list | tuple):
        why = f"{given!r} is not a list: expected NetworkPolicies as they are applied"
        return [], [config_tables.problem(why, given, where)]
    found: list[PolicyManifest] = []
    problems: list[config_tables.Problem] = []
    for number, item in enumerate(given):
        wrong = list(_problems_of_spec(item, where, str(number), "spec"))
        try:
            found.append(PolicyManifest.model_validate(item))
        except ValidationError as error:
            wrong = [*problems_of(error, where, str(number)), *wrong]
        problems += wrong
    return found, problems


def _problems_of_spec(item: object, *where: str) -> Iterator[config_tables.Problem]:
    """What is wrong with the spec of a manifest, where it has one."""
    spec = item.get("spec") if isinstance(item, Mapping) else None
    if not isinstance(spec, Mapping):
        return
    try:
        # The longest name that a namespace can have: what fits with it fits with all.
        Spec.model_validate(templates.addressed(spec, _LONGEST_NAMESPACE))
    except ValidationError as error:
        yield from problems_of(error, *where)


def problems_of(error: ValidationError, *where: str) -> Iterator[config_tables.Problem]:
    """What pydantic found, at this place of the settings."""
    for each in error.errors(include_url=False):
        why = config_tables.message_of(each)
        if each["type"] == "extra_forbidden":
            why = f"{why}: expected those of a NetworkPolicy, without namespace and status"
        yield config_tables.problem(why, each["input"], *where, *map(str, each["loc"]))
