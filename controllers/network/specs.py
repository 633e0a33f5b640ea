"""The spec of a NetworkPolicy, validated as by the API server, with its defaults. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StrictInt, StrictStr, model_validator

from controllers.network.selectors import IPBlock, Part, Selector

_HIGHEST = 65535
_PORT = re.compile(
    r"(?:(?P<number>\d{1,5})(?:-(?P<end>\d{1,5}))?|(?P<name>[a-z0-9-]+))(?:/(?P<protocol>[A-Z]+))?",
    re.ASCII,
)
_PORT_ACCEPTS = (
    "a number from 1 to 65535, a range such as 8000-8080, or a port name (at most 15 of a-z, 0-9"
    " and '-', including a letter), followed by /UDP or /SCTP if it is not TCP"
)
_PEER_ACCEPTS = (
    "expected either podSelector, namespaceSelector or both, or ipBlock alone, or a CIDR"
)


class Port(Part):
    """A port by number or name, or all ports of a protocol."""

    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    port: StrictInt | StrictStr | None = None
    end_port: StrictInt | None = Field(default=None, alias="endPort")

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if isinstance(given, str):
            return _parse(given)
        if _is_number(given):
            return {"port": given}
        if isinstance(given, Mapping | Port):
            return given
        raise _port_error(given)

    @model_validator(mode="after")
    def _is_within_bounds(self) -> Self:
        if isinstance(self.port, int):
            if not 1 <= self.port <= (self.end_port or self.port) <= _HIGHEST:
                raise _port_error(self.port if self.end_port is None else self._range())
        elif self.end_port is not None or (self.port is not None and not _is_port_name(self.port)):
            raise _port_error(self.port if self.end_port is None else self._range())
        return self

    def _range(self) -> str:
        return f"{self.port}-{self.end_port}"


def _parse(text: str) -> dict[str, Any]:
    match = _PORT.fullmatch(text)
    if match is None or match["protocol"] not in (None, "TCP", "UDP", "SCTP"):
        raise _port_error(text)
    number, end, name, protocol = match.group("number", "end", "name", "protocol")
    port: dict[str, Any] = {"port": int(number) if number else name, "protocol": protocol or "TCP"}
    return {**port, "endPort": int(end)} if end else port


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_port_name(text: str) -> bool:
    """Whether the text is a service name of RFC 6335, as IsValidPortName of Kubernetes."""
    match = re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?", text, re.ASCII)
    return bool(match) and "--" not in text and any(letter.isalpha() for letter in text)


def _port_error(value: object) -> ValueError:
    return ValueError(f"{value!r} is not a port: expected {_PORT_ACCEPTS}")


class Peer(Part):
    """The other side of the traffic: pods that match both selectors, or addresses."""

    pod_selector: Selector | None = Field(default=None, alias="podSelector")
    namespace_selector: Selector | None = Field(default=None, alias="namespaceSelector")
    ip_block: IPBlock | None = Field(default=None, alias="ipBlock")

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"ipBlock": {"cidr": given}}
        if isinstance(given, Mapping | Peer):
            return given
        raise ValueError(f"{given!r} is not a peer: {_PEER_ACCEPTS}")

    @model_validator(mode="after")
    def _has_selectors_or_block(self) -> Self:
        selected = bool(self.pod_selector or self.namespace_selector)
        if selected is not (self.ip_block is not None):
            return self
        raise ValueError(_PEER_ACCEPTS)


class IngressRule(Part):
    """Allowed sources and ports."""

    peers: tuple[Peer, ...] = Field(default=(), alias="from")
    ports: tuple[Port, ...] = ()


class EgressRule(Part):
    """Allowed destinations and ports."""

    peers: tuple[Peer, ...] = Field(default=(), alias="to")
    ports: tuple[Port, ...] = ()


Direction = Literal["Ingress", "Egress"]


def _none_as_empty(value: Any) -> Any:
    return () if value is None else value


class Spec(Part):
    """The spec. Missing ``policyTypes`` are derived from the rules, as in the API server."""

    pod_selector: Selector = Field(default=Selector(), alias="podSelector")
    policy_types: tuple[Direction, ...] = Field(default=(), alias="policyTypes")
    ingress: Annotated[tuple[IngressRule, ...], BeforeValidator(_none_as_empty)] = ()
    egress: Annotated[tuple[EgressRule, ...], BeforeValidator(_none_as_empty)] = ()

    @model_validator(mode="after")
    def _has_each_type_once(self) -> Self:
        if len(set(self.policy_types)) == len(self.policy_types):
            return self
        raise ValueError("expected Ingress, Egress or both in policyTypes, each once")

    def with_defaults(self) -> dict[str, Any]:
        """Return the spec as the API server does: with its defaults, without empty fields."""
        types = self.policy_types or ("Ingress", *(("Egress",) if self.egress else ()))
        return {**plain(self), "podSelector": plain(self.pod_selector), "policyTypes": [*types]}


def plain(part: Part) -> dict[str, Any]:
    """Return a part as JSON with the API's field names, without empty fields.

    Empty selectors and rules remain: an empty selector is not a missing one.
    """
    fields: dict[str, Any] = {}
    for name, field in type(part).model_fields.items():
        value = _plain_value(getattr(part, name))
        if value not in (None, {}, []) or isinstance(getattr(part, name), Part):
            fields[field.alias or name] = value
    return fields


def _plain_value(value: Any) -> Any:
    if isinstance(value, Part):
        return plain(value)
    if isinstance(value, tuple):
        return [_plain_value(item) for item in value]
    return dict(value) if isinstance(value, dict) else value
