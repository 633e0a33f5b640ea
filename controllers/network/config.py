"""Settings of the network controller, and the policies that follow from them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal, NamedTuple, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from controllers import config_tables
from controllers.network import manifests, names, templates
from controllers.network.manifests import PolicyManifest
from controllers.network.rules import Group
from controllers.network.specs import Peer, Port, Spec, plain

ANY = "any"
Peers = tuple[Peer, ...]
Ports = tuple[Port, ...] | Literal["any"]

_EMPTY = {
    "peers": (
        "expected at least one, because an empty list would allow every peer; to allow none,"
        " disable the policies that use the name"
    ),
    "ports": f"expected at least one, or the word {ANY}",
}
_ITEM: Mapping[str, TypeAdapter[Any]] = {"peers": TypeAdapter(Peer), "ports": TypeAdapter(Port)}
_BOOLEAN: TypeAdapter[bool] = TypeAdapter(bool)


class Policy(NamedTuple):
    """A policy: the same for all profiles or, with ``manifest``, one for each namespace."""

    name: str
    content: Mapping[str, Any]
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    manifest: PolicyManifest | None = None

    def content_for(self, namespace: str) -> Mapping[str, Any]:
        """Return the top-level fields of the object in one namespace."""
        return {"spec": self.manifest.spec_for(namespace)} if self.manifest else self.content


class NetworkSettings(BaseModel):
    """Which policies are enabled, and the peers and ports that their templates name.

    Each table is merged into its default: an entry changes one name, null keeps its default.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True
    )

    policies: Mapping[str, bool] = Field(
        default={},
        description="whether a policy is enabled, by policy name; others have their default",
    )
    peers: Mapping[str, Peers] = Field(
        default={}, validate_default=True, description="peers or CIDRs, by name in peers.yaml"
    )
    ports: Mapping[str, Ports] = Field(
        default={}, validate_default=True, description="ports, or any, by name in ports.yaml"
    )
    extra_policies: tuple[PolicyManifest, ...] = Field(
        default=(), description="additional NetworkPolicies, as manifests without a namespace"
    )
    discover_api_server: bool = Field(
        default=True,
        description="allow pipelines to reach the addresses that the API server publishes",
    )
    pipelines_controller: bool = Field(
        default=True, description="allow the traffic that the pipelines controller requires"
    )
    driver_mode: Literal["pod", "sidecar", "central"] = Field(
        default="pod", description="driver mode of the pipelines controller"
    )
    artifacts_proxy_enabled: bool = Field(
        default=False,
        validation_alias=AliasChoices("artifacts_proxy_enabled", "ARTIFACTS_PROXY_ENABLED"),
        description="whether namespaces have the artifact proxy of Kubeflow Pipelines",
    )

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, Mapping):
            return handler(data)
        given = data.get("extra_policies")
        extra, problems = manifests.read(() if given is None else given, where="extra_policies")
        problems += _name_problems(extra)
        known = (*_template_names(), *(one.metadata.name for one in extra))
        policies, errors = _parse_switches(data.get("policies"), known)
        problems += errors
        checked = {**data, "policies": policies, "extra_policies": tuple(extra)}
        for table in ("peers", "ports"):
            checked[table], errors = _merge(table, data.get(table))
            problems += errors
        return config_tables.validate_together(cls.__name__, problems, lambda: handler(checked))

    @cached_property
    def by_group(self) -> Mapping[Group, tuple[Policy, ...]]:
        """The enabled policies, by the group of profiles that gets them."""
        values: dict[str, dict[str, Any]] = {
            "peers": {name: [plain(one) for one in peers] for name, peers in self.peers.items()},
            "ports": {
                name: None if isinstance(ports, str) else [plain(one) for one in ports]
                for name, ports in self.ports.items()
            },
        }
        return {
            group: tuple(
                Policy(name, {"spec": _spec(template, values)})
                for name, template in templates.read(group.value).items()
                if self._is_enabled(name)
            )
            for group in Group
        }

    @cached_property
    def extra(self) -> tuple[Policy, ...]:
        """The enabled additional policies."""
        return tuple(
            Policy(
                one.metadata.name,
                {"spec": one.spec_for("")} if not one.is_per_namespace else {},
                one.metadata.labels,
                one.metadata.annotations,
                one if one.is_per_namespace else None,
            )
            for one in self.extra_policies
            if self._is_enabled(one.metadata.name)
        )

    def _is_enabled(self, name: str) -> bool:
        by_default = {
            names.OBJECT_STORE: self.pipelines_controller,
            names.DRIVER: self.driver_mode == "central",
            names.ARTIFACT_PROXY: self.artifacts_proxy_enabled,
            names.DEFAULT_DENY: False,
        }
        return self.policies.get(name, by_default.get(name, True))


def _spec(template: Any, values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return Spec.model_validate(templates.fill(template, values)).with_defaults()


def _template_names() -> Iterable[str]:
    return (name for group in Group for name in templates.read(group.value))


def _name_problems(extra: Iterable[PolicyManifest]) -> Iterable[config_tables.Problem]:
    taken = set(_template_names())
    for number, one in enumerate(extra):
        name = one.metadata.name
        if name in taken:
            why = f"{name!r} is the name of another policy: expected a different name"
            yield config_tables.problem(
                why, name, "extra_policies", str(number), "metadata", "name"
            )
        taken.add(name)


def _parse_switches(
    given: object, known: Iterable[str]
) -> tuple[dict[str, bool], Iterable[config_tables.Problem]]:
    entries, problems = _entries(given, "policies", frozenset(known))
    switches: dict[str, bool] = {}
    for name, value in entries.items():
        try:
            switches[name] = _BOOLEAN.validate_python(value)
        except ValidationError:
            why = f"{value!r} is not a boolean: expected true or false"
            problems.append(config_tables.problem(why, value, "policies", name))
    return switches, problems


def _merge(table: str, given: object) -> tuple[dict[str, Any], list[config_tables.Problem]]:
    """Return the default table with the given entries, parsed."""
    default = templates.read(table)
    entries, problems = _entries(given, table, default)
    merged: dict[str, Any] = {}
    for name, value in {**default, **entries}.items():
        if table == "ports" and value == ANY:
            merged[name] = ANY
        elif not isinstance(value, list | tuple) or not value:
            actual = "the list is empty" if value in ([], ()) else f"{value!r} is not a list"
            why = f"{actual}: {_EMPTY[table]}"
            problems.append(config_tables.problem(why, value, table, name))
        else:
            merged[name], errors = _parse_items(table, name, value)
            problems += errors
    return merged, problems


def _parse_items(
    table: str, name: str, given: Iterable[object]
) -> tuple[tuple[Any, ...], list[config_tables.Problem]]:
    parsed: list[Any] = []
    problems: list[config_tables.Problem] = []
    for number, item in enumerate(given):
        try:
            parsed.append(_ITEM[table].validate_python(item))
        except ValidationError as error:
            problems += manifests.problems_of(error, table, name, str(number))
    return tuple(parsed), problems


def _entries(
    given: object, table: str, known: Iterable[str]
) -> tuple[dict[str, object], list[config_tables.Problem]]:
    """Return the given entries by name, without null and unknown entries, and the problems."""
    if given is None or isinstance(given, Mapping):
        entries = {str(name): value for name, value in (given or {}).items() if value is not None}
    else:
        why = f"{given!r} is not a table: expected a mapping of names"
        return {}, [config_tables.problem(why, given, table)]
    problems = []
    for name in sorted(entries.keys() - set(known)):
        nearest = difflib.get_close_matches(name, known, n=1)
        hint = (
            f"did you mean {nearest[0]!r}?"
            if nearest
            else f"expected one of {', '.join(sorted(known))}"
        )
        value = entries.pop(name)
        problems.append(
            config_tables.problem(f"{name!r} is not a name in {table}; {hint}", value, table, name)
        )
    return entries, problems
