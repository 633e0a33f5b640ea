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
# The first violated pair is reported: the pairs with the most helpful messages come first.
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
    """The amounts of one resource in an item with defaults."""

    resource: str
    texts: Mapping[str, str]
    values: Mapping[str, Fraction]

    def text(self, field: str) -> str:
        """Return the field with its amount: ``max.cpu 2``."""
        return f"{field}.{self.resource} {self.texts[field]}"

    def has(self, *fields: str) -> bool:
        """Whether the resource has an amount in all these fields."""
        return all(field in self.values for field in fields)


def with_defaults(item: Item) -> dict[str, dict[str, str]]:
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
    completed = with_defaults(item)
    texts = {field: table[resource] for field, table in completed.items() if resource in table}
    values = {field: quantities.parse_amount(text) for field, text in texts.items()}
    amounts = _Amounts(resource=resource, texts=texts, values=values)
    return next((reason for predicate in _PREDICATES if (reason := predicate(amounts))), None)


def _bounds_are_crossed(amounts: _Amounts) -> str | None:
    for low, high in _ASCENDING:
        if amounts.has(low, high) and amounts.values[low] > amounts.values[high]:
            return f"{amounts.text(low)} is above {amounts.text(high)}: {_ORDER}"
    return None


def _ratio_is_below_one(amounts: _Amounts) -> str | None:
    if amounts.has("maxLimitRequestRatio") and amounts.values["maxLimitRequestRatio"] < 1:
        return f"{amounts.text('maxLimitRequestRatio')} is below 1: expected 1 or more"
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
            f"{amounts.text('maxLimitRequestRatio')} is above {amounts.text('max')} divided by"
            f" {amounts.text('min')}: expected a ratio that the bounds allow"
        )
    return None


def _defaults_exceed_the_ratio(amounts: _Amounts) -> str | None:
    if not amounts.has("maxLimitRequestRatio", "default", "defaultRequest"):
        return None
    limit, request = amounts.values["default"], amounts.values["defaultRequest"]
    if 0 < limit <= request * amounts.values["maxLimitRequestRatio"]:
        return None
    return (
        f"{amounts.text('default')} is not within {amounts.text('maxLimitRequestRatio')} times"
        f" {amounts.text('defaultRequest')}: expected defaults above 0 within the ratio,"
        " because otherwise a container without limits cannot start"
    )


def _limit_of_a_device_differs_from_its_request(amounts: _Amounts) -> str | None:
    if resource_names.allows_overcommit(amounts.resource):
        return None
    if not amounts.has("default", "defaultRequest"):
        return None
    if amounts.values["default"] == amounts.values["defaultRequest"]:
        return None
    return (
        f"{amounts.text('default')} differs from {amounts.text('defaultRequest')}: expected the"
        " same amount, because huge pages and devices cannot be overcommitted"
    )


_PREDICATES: tuple[Callable[[_Amounts], str | None], ...] = (
    _bounds_are_crossed,
    _ratio_is_below_one,
    _bounds_are_too_close_for_the_ratio,
    _defaults_exceed_the_ratio,
    _limit_of_a_device_differs_from_its_request,
)
