"""Labels, selectors and address blocks as the API server accepts and returns them. Pure.

The facts are those of ValidateNetworkPolicy and of label selectors in Kubernetes 1.36. The API
server accepts every value that is valid here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from controllers import resource_names

_IN = ("In", "NotIn")
_HAS_LENGTH = re.compile(r"/\d{1,3}\Z", re.ASCII)


class Part(BaseModel):
    """A part of a NetworkPolicy, with the field names of the API and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _key(text: str) -> str:
    if resource_names.is_qualified_name(text):
        return text
    raise ValueError(f"{text!r} is not a valid label: expected NAME or DOMAIN/NAME")


def _value(text: str) -> str:
    if not text or resource_names.is_name_part(text):
        return text
    what = (
        "at most 63 letters, digits, '-', '_' and '.', starting and ending with a letter or digit"
    )
    raise ValueError(f"{text!r} is not a valid label value: expected {what}")


def _cidr(text: str) -> str:
    expected = "ADDRESS/LENGTH, such as 10.0.0.0/8, without bits set after the prefix"
    message = f"{text!r} is not a CIDR: expected {expected}"
    if not _HAS_LENGTH.search(text):
        raise ValueError(message)
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError(message) from None


LabelKey = Annotated[str, AfterValidator(_key)]
LabelValue = Annotated[str, AfterValidator(_value)]
Cidr = Annotated[str, AfterValidator(_cidr)]


class Requirement(Part):
    """An item of ``matchExpressions``."""

    key: LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[LabelValue, ...] = ()

    @model_validator(mode="after")
    def _values_match_the_operator(self) -> Self:
        if bool(self.values) is (self.operator in _IN):
            return self
        expected = "at least one value" if self.operator in _IN else "no values"
        raise ValueError(f"expected {expected} with operator {self.operator} of {self.key}")


class Selector(Part):
    """A label selector; an empty one selects everything."""

    match_labels: Mapping[LabelKey, LabelValue] = Field(default={}, alias="matchLabels")
    match_expressions: tuple[Requirement, ...] = Field(default=(), alias="matchExpressions")


class IPBlock(Part):
    """Addresses in a block and not in its exceptions."""

    cidr: Cidr
    excepted: tuple[Cidr, ...] = Field(default=(), alias="except")

    @model_validator(mode="after")
    def _exceptions_are_inside(self) -> Self:
        whole = ipaddress.ip_network(self.cidr)
        for text in self.excepted:
            part = ipaddress.ip_network(text)
            if part.version != whole.version or part == whole or not _covers(whole, part):
                raise ValueError(
                    f"except {text} is not a part of {self.cidr}: expected a smaller block"
                )
        return self


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _covers(whole: _Network, part: _Network) -> bool:
    return whole.prefixlen <= part.prefixlen and part.network_address in whole
