"""The NetworkPolicies that a profile should have, and what is to be said of its labels. Pure.

It runs for every profile, so what does not depend on one is made once, with the settings
(``NetworkSettings.by_group``), and shared between manifests.
"""

from __future__ import annotations

from controllers.findings import Finding
from controllers.manifests import Manifest
from controllers.network import rules
from controllers.network.config import NetworkSettings
from controllers.profiles import Profile

INVALID = "InvalidBoolean"
_BOOLEANS = "1, t, T, true, TRUE, True, 0, f, F, false, FALSE or False"


def desired(profile: Profile, _facts: object, settings: NetworkSettings) -> list[Manifest]:
    """The policies of every group that the profile is entitled to, and the further ones."""
    namespace, groups = profile.namespace, rules.groups_of(profile)
    policies = [
        policy for group, found in settings.by_group.items() if group in groups for policy in found
    ]
    return [
        Manifest(
            kind="NetworkPolicy",
            namespace=namespace,
            name=policy.name,
            content=policy.content if policy.manifest is None else policy.content_for(namespace),
            labels=policy.labels,
            annotations=policy.annotations,
        )
        for policy in (*policies, *settings.extra)
    ]


def findings(profile: Profile, _facts: object, _settings: NetworkSettings) -> list[Finding]:
    """One for each label that should be a boolean and is none."""
    return [
        Finding(
            reason=INVALID,
            message=(
                f"label {label} is refused: {text!r} is not a boolean: expected {_BOOLEANS};"
                " it counts as not set"
            ),
        )
        for label, text in rules.refused_labels(profile)
    ]
