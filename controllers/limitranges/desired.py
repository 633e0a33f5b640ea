"""The LimitRange of a profile, and the findings about its overrides. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from controllers import overrides, quantities
from controllers.desired import Desired
from controllers.findings import Finding
from controllers.limitranges import names, rules
from controllers.limitranges.config import LimitRangesSettings
from controllers.manifests import Manifest
from controllers.profiles import Profile

INVALID = "InvalidLimit"
UNKNOWN = "UnknownLimit"

# The fields of the item that labels override, and the prefix of the labels' names.
_OVERRIDABLE = {"default": "default", "defaultRequest": "defaultrequest"}

LimitKey = tuple[str, str]
"""A field of the item, and a resource."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    """Which overrides apply, and why others do not."""

    item: rules.Item
    """The item with the overrides that are applied."""
    invalid: Mapping[str, str]
    """Label name -> error."""
    unknown: tuple[str, ...]


def desired(profile: Profile, _facts: object, settings: LimitRangesSettings) -> Desired:
    """Return the one LimitRange, and the findings about overrides by label."""
    decision = _decide(profile, settings)
    return Desired(objects=_objects(profile, decision), findings=_findings(decision, settings))


def _objects(profile: Profile, decision: _Decision) -> list[Manifest]:
    """Return the LimitRange; nothing when the settings have no resource."""
    item = rules.with_defaults(decision.item)
    if not item:
        return []
    amounts = {
        field: {resource: quantities.canonicalize_amount(text) for resource, text in table.items()}
        for field, table in item.items()
    }
    return [
        Manifest(
            kind="LimitRange",
            namespace=profile.namespace,
            name=names.LIMIT_RANGE,
            content={"spec": {"limits": [{"type": "Container", **amounts}]}},
        )
    ]


def _findings(decision: _Decision, settings: LimitRangesSettings) -> list[Finding]:
    """Return one finding for each label that is invalid or overrides nothing."""
    keys = _keys(settings)
    in_force = rules.with_defaults(decision.item)
    found = []
    for name, error in decision.invalid.items():
        field, resource = keys[name]
        used = f"using {field}.{resource} {in_force[field][resource]}"
        found.append(overrides.invalid_label(_label(name), error, reason=INVALID, in_force=used))
    found += (
        overrides.unknown_label(_label(name), name, reason=UNKNOWN, names=keys)
        for name in decision.unknown
    )
    return found


def _label(name: str) -> str:
    return f"{names.LABEL_PREFIX}/{name}"


def _keys(settings: LimitRangesSettings) -> dict[str, LimitKey]:
    """Return label name -> the key that it overrides. A resource with a slash has no label."""
    in_force = rules.with_defaults(settings.item)
    return {
        f"{start}.{resource}": (field, resource)
        for field, start in _OVERRIDABLE.items()
        for resource in in_force.get(field, ())
        if "/" not in resource
    }


def _decide(profile: Profile, settings: LimitRangesSettings) -> _Decision:
    keys = _keys(settings)
    labels = overrides.parse(
        profile.labels,
        prefix=names.LABEL_PREFIX,
        names={name: resource for name, (_, resource) in keys.items()},
    )
    item, invalid = settings.item, dict(labels.invalid)
    for resource in {keys[name][1]: None for name in labels.valid}:
        given = {
            keys[name]: text for name, text in labels.valid.items() if keys[name][1] == resource
        }
        applied, conflicts = _resolve(item, resource, given)
        item = _override(item, applied)
        invalid |= {name: conflicts[key] for name, key in keys.items() if key in conflicts}
    return _Decision(item=item, invalid=dict(sorted(invalid.items())), unknown=labels.unknown)


def _resolve(
    item: rules.Item, resource: str, given: Mapping[LimitKey, str]
) -> tuple[Mapping[LimitKey, str], Mapping[LimitKey, str]]:
    """Return the overrides of one resource that are consistent, and why the others are not."""
    applied: Mapping[LimitKey, str] = next(
        choice
        for choice in _choices(given)
        if not rules.conflict(_override(item, choice), resource)
    )
    # Every other override conflicts with the applied ones: the largest consistent choice applies.
    conflicts = {
        key: str(rules.conflict(_override(item, {**applied, key: text}), resource))
        for key, text in given.items()
        if key not in applied
    }
    return applied, conflicts


def _choices(given: Mapping[LimitKey, str]) -> Iterator[Mapping[LimitKey, str]]:
    """Yield the overrides to try: all, then the limit, then the request, then none."""
    yield given
    for field in _OVERRIDABLE:
        yield {key: text for key, text in given.items() if key[0] == field}
    yield {}


def _override(item: rules.Item, amounts: Mapping[LimitKey, str]) -> rules.Item:
    overridden = dict(item)
    for (field, resource), text in amounts.items():
        overridden[field] = {**overridden[field], resource: text}
    return overridden
