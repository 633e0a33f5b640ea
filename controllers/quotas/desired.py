"""The ResourceQuota of a profile, and the findings about its overrides. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from controllers import overrides, quantities
from controllers.desired import Desired
from controllers.findings import Finding, Severity
from controllers.manifests import Manifest
from controllers.profiles import Profile
from controllers.quotas import names
from controllers.quotas.config import QuotasSettings

INVALID = "InvalidQuota"
UNKNOWN = "UnknownQuota"
STRICTER = "StricterQuota"

# Kubernetes counts the same usage under both names of a pair.
_ALIASES = {
    "cpu": "requests.cpu",
    "memory": "requests.memory",
    "ephemeral-storage": "requests.ephemeral-storage",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the quotas controller observes besides the Profile."""

    kubeflow_hard: Mapping[str, str] = field(default_factory=dict)
    """``spec.hard`` of Kubeflow's own quota in the namespace; empty when there is none."""


def desired(profile: Profile, facts: Facts, settings: QuotasSettings) -> Desired:
    """Return the one ResourceQuota, and the findings about overrides by label."""
    return Desired(
        objects=_objects(profile, settings), findings=_findings(profile, facts, settings)
    )


def _objects(profile: Profile, settings: QuotasSettings) -> list[Manifest]:
    """Return the ResourceQuota; nothing when the settings limit nothing."""
    if not settings.hard:
        return []
    amounts = {**settings.hard, **_overrides(profile, settings)}
    hard = {key: quantities.canonicalize_amount(text) for key, text in amounts.items()}
    return [
        Manifest(
            kind="ResourceQuota",
            namespace=profile.namespace,
            name=names.QUOTA,
            content={"spec": {"hard": hard}},
        )
    ]


def _findings(profile: Profile, facts: Facts, settings: QuotasSettings) -> list[Finding]:
    """Return one finding for each label that is invalid, unknown or above Kubeflow's quota."""
    labels = _parse(profile, settings)
    found = [
        overrides.invalid_label(
            _label(name),
            error,
            reason=INVALID,
            in_force=f"using the default {settings.hard[settings.label_names[name]]}",
        )
        for name, error in labels.invalid.items()
    ]
    found += (
        overrides.unknown_label(_label(name), name, reason=UNKNOWN, names=settings.label_names)
        for name in labels.unknown
    )
    found += _limited(labels.valid, facts, settings)
    return found


def _parse(profile: Profile, settings: QuotasSettings) -> overrides.Overrides:
    return overrides.parse(profile.labels, prefix=names.LABEL_PREFIX, names=settings.label_names)


def _overrides(profile: Profile, settings: QuotasSettings) -> dict[str, str]:
    valid = _parse(profile, settings).valid
    return {settings.label_names[name]: text for name, text in valid.items()}


def _label(name: str) -> str:
    return f"{names.LABEL_PREFIX}/{name}"


def _limited(
    overridden: Mapping[str, str], facts: Facts, settings: QuotasSettings
) -> Iterator[Finding]:
    for name, text in overridden.items():
        limit = _kubeflow_limit(settings.label_names[name], facts)
        if limit is not None and quantities.parse(limit[1]) < quantities.parse(text):
            yield Finding(
                reason=STRICTER,
                message=(
                    f"label {_label(name)} requests {text}, but ResourceQuota"
                    f" {names.KUBEFLOW_QUOTA} limits {limit[0]} to {limit[1]}, and the lower"
                    " limit applies; raise it in spec.resourceQuotaSpec of the Profile, or lower"
                    " the label"
                ),
                severity=Severity.NOTICE,
            )


def _kubeflow_limit(key: str, facts: Facts) -> tuple[str, str] | None:
    """Return the key and the amount of Kubeflow's lowest limit on the same resource."""
    same = _ALIASES.get(key, key)
    limits = [
        (value, limited, text)
        for limited, text in facts.kubeflow_hard.items()
        if _ALIASES.get(limited, limited) == same and (value := _bounded_value(text)) is not None
    ]
    return min(limits)[1:] if limits else None


def _bounded_value(text: str) -> Fraction | None:
    """Return the value; None when it is beyond the bounds of an override."""
    try:
        return quantities.parse(text)
    except quantities.QuantityError:
        return None
