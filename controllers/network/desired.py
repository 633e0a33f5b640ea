"""The NetworkPolicies of a profile, and the findings about its labels. Pure.

Content that does not depend on a profile is built once for the settings
(``NetworkSettings.by_group``) and shared between manifests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controllers.desired import Desired
from controllers.findings import Finding
from controllers.manifests import Manifest
from controllers.network import names, rules
from controllers.network.config import NetworkSettings, Policy
from controllers.profiles import Profile

INVALID = "InvalidBoolean"
_BOOLEANS = "1, t, T, true, TRUE, True, 0, f, F, false, FALSE or False"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the network controller observes besides the Profile."""

    api_server: Mapping[str, Any] | None = None
    """The egress rule to the published addresses of the API server, in the form in which the API
    server returns such a rule; None while there are none."""


def desired(profile: Profile, facts: Facts, settings: NetworkSettings) -> Desired:
    """Return the policies of every group that the profile is entitled to, and the extra ones."""
    return Desired(objects=_objects(profile, facts, settings), findings=_findings(profile))


def _objects(profile: Profile, facts: Facts, settings: NetworkSettings) -> list[Manifest]:
    namespace, groups = profile.namespace, rules.groups_of(profile)
    policies = [
        policy
        for group, members in settings.by_group.items()
        if group in groups
        for policy in members
    ]
    return [
        Manifest(
            kind="NetworkPolicy",
            namespace=namespace,
            name=policy.name,
            content=_content(policy, namespace, facts, settings),
            labels=policy.labels,
            annotations=policy.annotations,
        )
        for policy in (*policies, *settings.extra)
    ]


def _content(
    policy: Policy, namespace: str, facts: Facts, settings: NetworkSettings
) -> Mapping[str, Any]:
    if policy.name == names.API_SERVER and facts.api_server and settings.discover_api_server:
        spec = policy.content["spec"]
        return {"spec": {**spec, "egress": [*spec["egress"], facts.api_server]}}
    return policy.content if policy.manifest is None else policy.content_for(namespace)


def _findings(profile: Profile) -> list[Finding]:
    """Return one finding for each label that is not a boolean."""
    return [
        Finding(
            reason=INVALID,
            message=(
                f"label {label} is invalid: {text!r} is not a boolean; expected {_BOOLEANS};"
                " the label has no effect"
            ),
        )
        for label, text in rules.invalid_labels(profile)
    ]
