"""How Kubernetes completes an item of a LimitRange, and which items it rejects. Pure.

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
"""An item without its type: field of the API -> resource -> amount."""

FIELDS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")

_ORDER = "expected min <= defaultRequest <= default <= max"
# In this order, so that the most helpful of several reasons is reported.
_ASCENDING = (
    ("min", "max"),
    ("default", "max"),
    ("min", "default"),
    ("defaultRequest", "max"),
    ("min", "defaultRequest"),
    ("defaultRequest", "default"),
)
_MAX_IN_THOUSANDTHS = quantities.MAX_VALUE // 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Amounts:
    """The amounts of one resource in a completed item."""

    resource: str
    texts: Mapping[str, str]
    values: Mapping[str, Fraction]

    def named(self, field: str) -> str:
        """Return the field with its amount: ``max.cpu 2``."""
        return f"{field}.{self.resource} {self.texts[field]}"

    def has(self, *fields: str) -> bool:
        """Whether it has an amount in all these fields."""
        return all(field in self.values for field in fields)


def completed(item: Item) -> dict[str, dict[str, str]]:
    """Return the item with the values that the API server adds, without empty tables.

    The API server derives ``default`` from ``max``, and ``defaultRequest`` from ``default``, then
    from ``min``. The manifest states them, so that it equals the stored object.
    """
    limits = {**item["max"], **item["default"]}
    requests = {**item["min"], **limits, **item["defaultRequest"]}
    complete = {**item, "default": limits, "defaultRequest": requests}
    return {field: dict(complete[field]) for field in FIELDS if complete[field]}


def conflict(item: Item, resource: str) -> str | None:
    """Return why the amounts of one resource are inconsistent, or None.

    Either the API server rejects the item, or admission would reject every container that uses its
    defaults. All amounts must be valid quantities.
    """
    complete = completed(item)
    texts = {field: table[resource] for field, table in complete.items() if resource in table}
    values = {field: quantities.parse_amount(text) for field, text in texts.items()}
    amounts = _Amounts(resource=resource, texts=texts, values=values)
    return next((reason for predicate in _PREDICATES if (reason := predicate(amounts))), None)


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
    """Computed as in the API server: in floating point, with integers for large values."""
    if not amounts.has("maxLimitRequestRatio", "min", "max"):
        return None
    exact = [amounts.values[field] for field in ("maxLimitRequestRatio", "min", "max")]
    ratio, low, high = (math.ceil(value) for value in exact)
    scale = 1
    if max(ratio, low, high) < _MAX_IN_THOUSANDTHS:
        scale = 1000
        ratio, low, high = (math.ceil(value * 1000) for value in exact)
    if low and float(ratio) / scale > float(high) / float(low):
        return (
            f"{amounts.named('maxLimitRequestRatio')} is above {amounts.named('max')} divided by"
            f" {amounts.named('min')}: expected a ratio that the bounds allow"
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
        " because otherwise no container without limits can start"
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


_PREDICATES: tuple[Callable[[_Amounts], str | None], ...] = (
    _bounds_are_crossed,
    _ratio_is_below_one,
    _bounds_are_too_close_for_the_ratio,
    _defaults_break_the_ratio,
    _limit_of_a_device_differs_from_its_request,
)
