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

# Kubernetes counts both names of a pair on the same usage.
_TWINS = {
    "cpu": "requests.cpu",
    "memory": "requests.memory",
    "ephemeral-storage": "requests.ephemeral-storage",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the quotas controller knows besides the Profile."""

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
    read = _read(profile, settings)
    found = [
        overrides.invalid_label(
            _label(name),
            why,
            reason=INVALID,
            in_force=f"using the default {settings.hard[settings.label_names[name]]}",
        )
        for name, why in read.invalid.items()
    ]
    found += (
        overrides.unknown_label(_label(name), name, reason=UNKNOWN, names=settings.label_names)
        for name in read.unknown
    )
    found += _stricter(read.valid, facts, settings)
    return found


def _read(profile: Profile, settings: QuotasSettings) -> overrides.Overrides:
    return overrides.parse(profile.labels, prefix=names.LABEL_PREFIX, names=settings.label_names)


def _overrides(profile: Profile, settings: QuotasSettings) -> dict[str, str]:
    asked = _read(profile, settings).valid
    return {settings.label_names[name]: text for name, text in asked.items()}


def _label(name: str) -> str:
    return f"{names.LABEL_PREFIX}/{name}"


def _stricter(
    asked: Mapping[str, str], facts: Facts, settings: QuotasSettings
) -> Iterator[Finding]:
    for name, text in asked.items():
        limit = _kubeflow_limit(settings.label_names[name], facts)
        if limit is not None and quantities.parse(limit[1]) < quantities.parse(text):
            yield Finding(
                reason=STRICTER,
                message=(
                    f"label {_label(name)} asks for {text}, but ResourceQuota"
                    f" {names.KUBEFLOW_QUOTA} allows {limit[1]} ({limit[0]}), and the stricter"
                    " wins: raise it in the Profile's spec.resourceQuotaSpec, or ask for less"
                ),
                severity=Severity.NOTICE,
            )


def _kubeflow_limit(key: str, facts: Facts) -> tuple[str, str] | None:
    """The key and the amount of the strictest of Kubeflow's limits on the same resource."""
    same = _TWINS.get(key, key)
    limits = [
        (value, limited, text)
        for limited, text in facts.kubeflow_hard.items()
        if _TWINS.get(limited, limited) == same and (value := _bounded_value(text)) is not None
    ]
    return min(limits)[1:] if limits else None


def _bounded_value(text: str) -> Fraction | None:
    """The value; None where it is beyond what an override can ask for."""
    try:
        return quantities.parse(text)
    except quantities.QuantityError:
        return None
