"""What Kubernetes makes of an item of a LimitRange, and when it refuses one. Pure.

The facts are SetDefaults_LimitRangeItem, ValidateLimitRange and the LimitRanger admission plugin of
Kubernetes 1.36, for items of type Container.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from controllers import quantities, resource_names

Item = Mapping[str, Mapping[str, str]]
"""An item less its type: field of the API -> resource -> amount."""

FIELDS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")

_ORDER = "expected min <= defaultRequest <= default <= max"
# In this order, so that the reason is the one that helps most where several hold.
_ASCENDING = (
    ("min", "max"),
    ("default", "max"),
    ("min", "default"),
    ("defaultRequest", "max"),
    ("min", "defaultRequest"),
    ("defaultRequest", "default"),
)
_LARGEST_IN_THOUSANDTHS = quantities.MAX_VALUE // 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Amounts:
    """What a completed item says of one resource."""

    resource: str
    texts: Mapping[str, str]
    values: Mapping[str, Fraction]

    def named(self, field: str) -> str:
        """The field with its amount: ``max.cpu 2``."""
        return f"{field}.{self.resource} {self.texts[field]}"

    def has(self, *fields: str) -> bool:
        """Whether it has an amount in all these fields."""
        return all(field in self.values for field in fields)


def completed(item: Item) -> dict[str, dict[str, str]]:
    """The item with what the API server adds, and without empty tables.

    The server derives a ``default`` from ``max``, and a ``defaultRequest`` from ``default``, then
    from ``min``. Stated here, so that what it returns is what was wanted.
    """
    limits = {**item["max"], **item["default"]}
    requests = {**item["min"], **limits, **item["defaultRequest"]}
    whole = {**item, "default": limits, "defaultRequest": requests}
    return {field: dict(whole[field]) for field in FIELDS if whole[field]}


def conflict(item: Item, resource: str) -> str | None:
    """Why the item cannot stand as far as the resource goes; None when it can.

    Either the API server refuses it, or admission would refuse every container that relies on its
    defaults. All amounts must be quantities within bounds.
    """
    whole = completed(item)
    texts = {field: table[resource] for field, table in whole.items() if resource in table}
    values = {field: quantities.parse_amount(text) for field, text in texts.items()}
    amounts = _Amounts(resource=resource, texts=texts, values=values)
    return next((reason for rule in _RULES if (reason := rule(amounts))), None)


def _bounds_are_crossed(amounts: _Amounts) -> str | None:
    for low, high in _ASCENDING:
        if amounts.has(low, high) and amounts.values[low] > amounts.values[high]:
            return f"{amounts.named(low)} is above {amounts.named(high)}: {_ORDER}"
    return None


def _ratio_is_below_one(amounts: _Amounts) -> str | None:
    if amounts.has("maxLimitRequestRatio") and amounts.values["maxLimitRequestRatio"] < 1:
        return f"{amounts.named('maxLimitRequestRatio')} is below 1: expected 1 or more"
    return None


def _bounds_are_too_close_for_the_ratio(amounts: _Amounts) -> str | None:
    """As the server computes it: in floating point, and whole numbers where they are large."""
    if not amounts.has("maxLimitRequestRatio", "min", "max"):
        return None
    exact = [amounts.values[field] for field in ("maxLimitRequestRatio", "min", "max")]
    ratio, low, high = (math.ceil(value) for value in exact)
    scale = 1
    if max(ratio, low, high) < _LARGEST_IN_THOUSANDTHS:
        scale = 1000
        ratio, low, high = (math.ceil(value * 1000) for value in exact)
    if low and float(ratio) / scale > float(high) / float(low):
        return (
            f"{amounts.named('maxLimitRequestRatio')} is above {amounts.named('max')} divided by"
            f" {amounts.named('min')}: expected a ratio that the bounds leave room for"
        )
    return None


def _defaults_break_the_ratio(amounts: _Amounts) -> str | None:
    if not amounts.has("maxLimitRequestRatio", "default", "defaultRequest"):
        return None
    limit, request = amounts.values["default"], amounts.values["defaultRequest"]
    if 0 < limit <= request * amounts.values["maxLimitRequestRatio"]:
        return None
    return (
        f"{amounts.named('default')} is not within {amounts.named('maxLimitRequestRatio')} times"
        f" {amounts.named('defaultRequest')}: expected defaults above 0 that keep the ratio,"
        " or no container without limits could start"
    )


def _limit_of_a_device_differs_from_its_request(amounts: _Amounts) -> str | None:
    if resource_names.allows_overcommit(amounts.resource):
        return None
    if not amounts.has("default", "defaultRequest"):
        return None
    if amounts.values["default"] == amounts.values["defaultRequest"]:
        return None
    return (
        f"{amounts.named('default')} differs from {amounts.named('defaultRequest')}: expected the"
        " same amount, as huge pages and devices are not overcommitted"
    )


_RULES: tuple[Callable[[_Amounts], str | None], ...] = (
    _bounds_are_crossed,
    _ratio_is_below_one,
    _bounds_are_too_close_for_the_ratio,
    _defaults_break_the_ratio,
    _limit_of_a_device_differs_from_its_request,
)
