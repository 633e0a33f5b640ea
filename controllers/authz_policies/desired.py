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

EXCLUDED = "SubjectExcluded"

_MAX_FINDINGS = 10
"""Maximum number of findings: each is an event, and users may write any number of RoleBindings."""

Spec = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A User or Group that the policy should admit, and its source."""

    kind: str
    name: str
    source: str
    """For messages: ``spec.owner of Profile jane`` or ``RoleBinding user-jane-edit``."""

    @property
    def error(self) -> str | None:
        """Why a policy cannot contain it, or None."""
        match self.kind:
            case "User":
                return rules.name_error(self.name)
            case "Group":
                return rules.group_error(self.name)
            case _:
                return (
                    "no header contains it: expected a User, Group or ServiceAccount with namespace"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A RoleBinding with the annotation ``role``: its Users and Groups."""

    role: str
    subjects: tuple[tuple[str, str], ...]
    """Kind and name of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the authz-policies controller observes besides the Profile."""

    bindings: tuple[tuple[str, Binding], ...] = ()
    """The RoleBindings of the namespace with their names, sorted by name."""


def desired(profile: Profile, facts: Facts, settings: AuthzPoliciesSettings) -> Desired:
    """Return the policies, and one finding for each excluded subject."""
    return Desired(
        objects=_objects(profile, facts, settings), findings=_findings(profile, facts, settings)
    )


def _objects(profile: Profile, facts: Facts, settings: AuthzPoliciesSettings) -> list[Manifest]:
    """Return up to two policies: blocked requests to protected-b notebooks, and access."""
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
    excluded = {
        (one.source, one.kind, one.name): error
        for one in _subjects(profile, facts, settings)
        if (error := one.error)
    }
    messages = [
        f"{source}: {kind} is excluded from {names.KIND} {names.OWNER_ACCESS}: {error}"
        for (source, kind, _), error in excluded.items()
    ]
    if len(messages) > _MAX_FINDINGS:
        rest = len(messages) - _MAX_FINDINGS
        messages = [*messages[:_MAX_FINDINGS], f"{rest} more users and groups are excluded"]
    return [Finding(reason=EXCLUDED, message=message) for message in messages]


def _policy(profile: Profile, name: str, spec: Spec, settings: AuthzPoliciesSettings) -> Manifest:
    if settings.waypoint:
        # A waypoint does not select by pod labels; a policy has either targetRefs or a selector.
        gateway = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
        spec = {key: value for key, value in spec.items() if key != "selector"}
        spec["targetRefs"] = [{**gateway, "name": settings.waypoint}]
    return Manifest(
        kind=names.KIND,
        namespace=profile.namespace,
        name=name,
        content={"spec": spec},
        # The older suite's policy has no owner, and its rule admits every caller.
        adoptable=name == names.OWNER_ACCESS,
    )


# Blocked requests


def _blocked(profile: Profile, settings: AuthzPoliciesSettings) -> Spec:
    """Return the spec of the DENY policy; empty when the settings block nothing."""
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
    return {"methods": _values(operation.methods), "paths": _paths(operation.paths, namespace)}


def _paths(paths: Iterable[str], namespace: str) -> list[str]:
    return _values(path.replace(rules.NAMESPACE, namespace) for path in paths)


def _unmatchable(blocked: Sequence[Operation]) -> Iterator[Spec]:
    """Yield the operation for paths with characters that no template of Envoy matches."""
    methods = {
        method
        for operation in blocked
        if any(rules.REST in path for path in operation.paths)
        for method in operation.methods
    }
    if methods:
        yield {"methods": _values(methods), "notPaths": [f"/{rules.REST}"]}


# Access


def _access(profile: Profile, facts: Facts, settings: AuthzPoliciesSettings) -> Spec:
    """Return the spec of the ALLOW policy, which admits a request that matches one of its rules."""
    subjects = [one for one in _subjects(profile, facts, settings) if not one.error]
    users = [settings.user_prefix + one.name for one in subjects if one.kind == "User"]
    groups = [
        value for one in subjects if one.kind == "Group" for value in rules.group_values(one.name)
    ]
    allowed = [
        *_header_rule(settings.user_header, users, settings),
        *_header_rule(settings.groups_header, groups, settings),
        {"from": _source("namespaces", [profile.namespace])},
        *_open(profile, settings),
        *_culling(profile, settings),
    ]
    return {"action": "ALLOW", "rules": allowed}


def _header_rule(header: str, values: Sequence[str], settings: AuthzPoliciesSettings) -> list[Spec]:
    """Return the rule for requests of trusted callers with one of these values in the header."""
    if not values:
        return []
    rule: Spec = {}
    if settings.trusted_principals:
        rule["from"] = _source("principals", settings.trusted_principals)
    rule["when"] = [{"key": f"request.headers[{header}]", "values": _values(values)}]
    return [rule]


def _open(profile: Profile, settings: AuthzPoliciesSettings) -> list[Spec]:
    paths = _paths(settings.open_paths, profile.namespace)
    return [{"to": [{"operation": {"paths": paths}}]}] if paths else []


def _culling(profile: Profile, settings: AuthzPoliciesSettings) -> list[Spec]:
    principals = settings.notebook_controller_principals
    paths = _paths(settings.culling_paths, profile.namespace)
    if not principals or not paths:
        return []
    operation = {"methods": ["GET"], "paths": paths}
    return [{"from": _source("principals", principals), "to": [{"operation": operation}]}]


def _source(attribute: str, values: Iterable[str]) -> list[Mapping[str, Any]]:
    return [{"source": {attribute: _values(values)}}]


def _values(values: Iterable[str]) -> list[str]:
    """Return the values sorted: another order in the settings must not cause a write."""
    return sorted(set(values))


def _subjects(profile: Profile, facts: Facts, settings: AuthzPoliciesSettings) -> Iterator[Subject]:
    """Yield the owner, and the contributors with an admitted role."""
    yield _owner(profile)
    for name, binding in facts.bindings:
        if binding.role in settings.contributor_roles:
            for kind, subject in binding.subjects:
                yield Subject(kind=kind, name=subject, source=f"RoleBinding {name}")


def _owner(profile: Profile) -> Subject:
    owner, source = profile.owner, f"spec.owner of Profile {profile.name}"
    if owner.kind == "ServiceAccount" and owner.namespace and owner.name:
        # The user name of the account for the API server, and for a gateway that reads its tokens.
        name = f"system:serviceaccount:{owner.namespace}:{owner.name}"
        return Subject(kind="User", name=name, source=source)
    return Subject(kind=owner.kind, name=owner.name, source=source)
