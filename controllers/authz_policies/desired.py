"""The AuthorizationPolicies of a profile, and the findings about excluded subjects. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controllers.authz_policies import names, rules
from controllers.authz_policies.config import AuthzPoliciesSettings, Operation
from controllers.desired import Desired
from controllers.findings import Finding
from controllers.manifests import Manifest
from controllers.profiles import Profile

LEFT_OUT = "SubjectLeftOut"

_MOST_FINDINGS = 10
"""Whoever may write RoleBindings decides how many are wrong; events are not theirs to fill."""

Spec = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom the policy admits: a User or a Group, and where that is written."""

    kind: str
    name: str
    where: str
    """Such as ``spec.owner`` or ``RoleBinding user-jane-clusterrole-edit``; for messages only."""

    @property
    def refusal(self) -> str | None:
        """Why it cannot stand in a policy; None when it can."""
        match self.kind:
            case "User":
                return rules.name_refusal(self.name)
            case "Group":
                return rules.group_refusal(self.name)
            case _:
                return (
                    "no header names it: expected a User, a Group, or a ServiceAccount's namespace"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What is known of a RoleBinding with the annotation ``role``: its Users and Groups."""

    role: str
    subjects: tuple[tuple[str, str], ...]
    """Kind and name of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the authz-policies controller knows besides the Profile."""

    bindings: tuple[tuple[str, Binding], ...] = ()
    """The RoleBindings of the namespace by their names, in that order."""


def desired(profile: Profile, facts: Facts, settings: AuthzPoliciesSettings) -> Desired:
    """Return the policies, and one finding for each excluded subject."""
    return Desired(
        objects=_objects(profile, facts, settings), findings=_findings(profile, facts, settings)
    )


def _objects(profile: Profile, facts: Facts, settings: AuthzPoliciesSettings) -> list[Manifest]:
    """Return up to two policies: what protected-b notebooks block, and who is admitted."""
    manifests = []
    if settings.block_transfer and (blocked := _blocked(profile, settings)):
        manifests.append(_policy(profile, names.BLOCK_TRANSFER, blocked, settings))
    if settings.owner_access:
        access = _access(profile, facts, settings)
        manifests.append(_policy(profile, names.OWNER_ACCESS, access, settings))
    return manifests


def _findings(profile: Profile, facts: Facts, settings: AuthzPoliciesSettings) -> list[Finding]:
    """Return one finding for each user and group that is excluded, up to a bound."""
    if not settings.owner_access:
        return []
    refused = {
        (one.where, one.kind, one.name): why
        for one in _subjects(profile, facts, settings)
        if (why := one.refusal)
    }
    told = [
        f"{where}: {kind} is left out of {names.KIND} {names.OWNER_ACCESS}: {why}"
        for (where, kind, _), why in refused.items()
    ]
    if len(told) > _MOST_FINDINGS:
        rest = len(told) - _MOST_FINDINGS
        told = [*told[:_MOST_FINDINGS], f"{rest} more users and groups are left out likewise"]
    return [Finding(reason=LEFT_OUT, message=message) for message in told]


def _policy(profile: Profile, name: str, spec: Spec, settings: AuthzPoliciesSettings) -> Manifest:
    if settings.waypoint:
        # A waypoint knows no labels of pods, and a policy has either targetRefs or a selector.
        gateway = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
        spec = {key: value for key, value in spec.items() if key != "selector"}
        spec["targetRefs"] = [{**gateway, "name": settings.waypoint}]
    return Manifest(
        kind=names.KIND,
        namespace=profile.namespace,
        name=name,
        content={"spec": spec},
        # The older suite's has no owner, and would keep a rule in force that anybody can satisfy.
        adoptable=name == names.OWNER_ACCESS,
    )


# What is blocked


def _blocked(profile: Profile, settings: AuthzPoliciesSettings) -> Spec:
    """The DENY; empty when the settings block nothing."""
    blocked = list(settings.blocked_operations)
    if settings.block_rewritten:
        blocked += settings.blocked_rewritten_operations
    operations = [_operation(one, profile.namespace) for one in blocked]
    if settings.block_unmatchable:
        operations += _unmatchable(blocked)
    if not operations:
        return {}
    return {
        "selector": {"matchLabels": dict(names.PROTECTED_B)},
        "action": "DENY",
        "rules": [{"to": [{"operation": operation} for operation in operations]}],
    }


def _operation(operation: Operation, namespace: str) -> Spec:
    paths = (path.replace(rules.NAMESPACE, namespace) for path in operation.paths)
    return {"methods": _values(operation.methods), "paths": _values(paths)}


def _unmatchable(blocked: Sequence[Operation]) -> Iterator[Spec]:
    """What would slip past a template because of a character that Envoy's have no word for."""
    methods = {
        method
        for operation in blocked
        if any(rules.REST in path for path in operation.paths)
        for method in operation.methods
    }
    if methods:
        yield {"methods": _values(methods), "notPaths": [f"/{rules.REST}"]}


# Who may come in


def _access(profile: Profile, facts: Facts, settings: AuthzPoliciesSettings) -> Spec:
    """The ALLOW: a request that satisfies one of its rules comes in."""
    subjects = [one for one in _subjects(profile, facts, settings) if not one.refusal]
    users = [settings.user_prefix + one.name for one in subjects if one.kind == "User"]
    groups = [
        value for one in subjects if one.kind == "Group" for value in rules.group_values(one.name)
    ]
    allowed = [
        *_named_in(settings.user_header, users, settings),
        *_named_in(settings.groups_header, groups, settings),
        {"from": _source("namespaces", [profile.namespace])},
        *_open(settings),
        *_culling(settings),
    ]
    return {"action": "ALLOW", "rules": allowed}


def _named_in(header: str, values: Sequence[str], settings: AuthzPoliciesSettings) -> list[Spec]:
    """The header has one of the values, and comes from somebody whose word counts."""
    if not values:
        return []
    rule: Spec = {}
    if settings.trusted_principals:
        rule["from"] = _source("principals", settings.trusted_principals)
    rule["when"] = [{"key": f"request.headers[{header}]", "values": _values(values)}]
    return [rule]


def _open(settings: AuthzPoliciesSettings) -> list[Spec]:
    paths = _values(settings.open_paths)
    return [{"to": [{"operation": {"paths": paths}}]}] if paths else []


def _culling(settings: AuthzPoliciesSettings) -> list[Spec]:
    principals, paths = settings.notebook_controller_principals, _values(settings.culling_paths)
    if not principals or not paths:
        return []
    operation = {"methods": ["GET"], "paths": paths}
    return [{"from": _source("principals", principals), "to": [{"operation": operation}]}]


def _source(attribute: str, values: Iterable[str]) -> list[Mapping[str, Any]]:
    return [{"source": {attribute: _values(values)}}]


def _values(values: Iterable[str]) -> list[str]:
    """In an order of their own, so that no other order causes a write."""
    return sorted(set(values))


def _subjects(profile: Profile, facts: Facts, settings: AuthzPoliciesSettings) -> Iterator[Subject]:
    """The owner, and the contributors whose role is admitted."""
    yield _owner(profile)
    for name, binding in facts.bindings:
        if binding.role in settings.contributor_roles:
            for kind, subject in binding.subjects:
                yield Subject(kind=kind, name=subject, where=f"RoleBinding {name}")


def _owner(profile: Profile) -> Subject:
    owner, where = profile.owner, f"spec.owner of Profile {profile.name}"
    if owner.kind == "ServiceAccount" and owner.namespace and owner.name:
        # As which user the API server, and a gateway that reads its tokens, knows the account.
        name = f"system:serviceaccount:{owner.namespace}:{owner.name}"
        return Subject(kind="User", name=name, where=where)
    return Subject(kind=owner.kind, name=owner.name, where=where)
