"""Kubernetes' validation of subjects, rules and names of namespaces. Pure.

Subjects and rules after ``pkg/apis/rbac/validation`` of Kubernetes, names after
``k8s.io/apimachinery/pkg/util/validation``.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from controllers import resource_names
from controllers.profiles import Owner
from controllers.rbac import names

USER, GROUP, SERVICE_ACCOUNT = "User", "Group", "ServiceAccount"

_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_RESOURCE = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:/[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)?")
_VERB = re.compile(r"[A-Za-z]+|\*", re.ASCII)
# A binding to these would open every profile to all users or all workloads of the cluster.
_BROAD_GROUPS = frozenset(
    {"system:authenticated", "system:unauthenticated", "system:serviceaccounts"}
)


def is_namespace(text: str) -> bool:
    """Whether the text is a valid name of a namespace: a DNS label (RFC 1123)."""
    return _NAMESPACE.fullmatch(text) is not None


def group_error(name: str) -> str | None:
    """Return why a group cannot be a support group, or None."""
    if name in _BROAD_GROUPS:
        return (
            f"{name!r} would grant every user access to every profile: expected a group of people"
        )
    return None


def api_group_error(name: str) -> str | None:
    """Return why the Role cannot have rules for the API group, or None."""
    if name == names.API_GROUP:
        return f"{name!r} would let members grant permissions: expected a group such as argoproj.io"
    if resource_names.is_dns_subdomain(name) and "." in name:
        return None
    return f"{name!r} is not an API group: expected a name with a dot, such as argoproj.io"


def resource_error(name: str) -> str | None:
    """Return why the Role cannot have rules for the resource, or None."""
    if _RESOURCE.fullmatch(name):
        return None
    return (
        f"{name!r} is not a resource: expected a plural in lower case, such as workflows,"
        " or one with its subresource, such as pipelines/versions"
    )


def verb_error(verb: str) -> str | None:
    """Return why a rule cannot have the verb, or None."""
    if _VERB.fullmatch(verb):
        return None
    return f"{verb!r} is not a verb: expected letters, such as get or readArtifact, or *"


def owner_error(owner: Owner) -> str | None:
    """Return why the API server would reject the Profile's owner as a subject, or None."""
    for rule in _OWNER_RULES:
        if reason := rule(owner):
            return reason
    return None


def _name_is_empty(owner: Owner) -> str | None:
    return None if owner.name else "spec.owner.name is empty: expected the name of a subject"


def _kind_is_unknown(owner: Owner) -> str | None:
    if owner.kind in (USER, GROUP, SERVICE_ACCOUNT):
        return None
    return f"spec.owner.kind is {owner.kind!r}: expected {USER}, {GROUP} or {SERVICE_ACCOUNT}"


def _api_group_is_wrong(owner: Owner) -> str | None:
    expected = ("",) if owner.kind == SERVICE_ACCOUNT else ("", names.API_GROUP)
    if owner.api_group in expected:
        return None
    valid = "none" if owner.kind == SERVICE_ACCOUNT else names.API_GROUP
    return f"spec.owner.apiGroup of a {owner.kind} is {owner.api_group!r}: expected {valid}"


def _account_name_is_invalid(owner: Owner) -> str | None:
    if owner.kind != SERVICE_ACCOUNT or resource_names.is_dns_subdomain(owner.name):
        return None
    return (
        f"spec.owner.name is {owner.name!r}, not a valid {SERVICE_ACCOUNT} name: expected at most"
        " 253 lower-case letters, digits, '-' and '.', starting and ending with a letter or digit"
    )


_OWNER_RULES: tuple[Callable[[Owner], str | None], ...] = (
    _name_is_empty,
    _kind_is_unknown,
    _api_group_is_wrong,
    _account_name_is_invalid,
)
