"""Evaluates AuthorizationPolicies as Istio does. A field that no controller uses is an error.

By security.istio.io of Istio 1.31: DENY is evaluated before ALLOW. One rule must match; all fields
of a rule must match, and one entry of each list. A value matches exactly, as a prefix (`x*`), as a
suffix (`*x`) or if it is present (`*`). A path with `{*}` or `{**}` is a URI template of Envoy
(uri_template_internal.cc), whose segments contain neither `*` nor `=`. The query is ignored.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Policy = Mapping[str, Any]
"""An AuthorizationPolicy's `spec`."""

_PCHAR = r"A-Za-z0-9\-._~%!$&'()+,;:@"
_HEADER_KEY = re.compile(r"request\.headers\[([^\]]+)\]")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to a workload. `principal` is the identity of the caller, empty without mTLS."""

    method: str = "GET"
    path: str = "/"
    principal: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """The namespace of the caller, from the principal."""
        found = re.search(r"/ns/([^/]+)/sa/", self.principal)
        return found[1] if found else ""

    @property
    def bare_path(self) -> str:
        """The path without query and fragment, as Envoy compares it."""
        return re.split(r"[?#]", self.path, maxsplit=1)[0]


def is_allowed(
    policies: Iterable[Policy], request: Request, labels: Mapping[str, str] | None = None
) -> bool:
    """Whether the request reaches a pod with these labels."""
    bound = [one for one in policies if _selects(one, labels or {})]
    denying = [one for one in bound if one.get("action") == "DENY"]
    allowing = [one for one in bound if one.get("action", "ALLOW") == "ALLOW"]
    assert len(denying) + len(allowing) == len(bound)
    if any(_matches(one, request) for one in denying):
        return False
    return not allowing or any(_matches(one, request) for one in allowing)


def _selects(policy: Policy, labels: Mapping[str, str]) -> bool:
    _only(policy, "selector", "targetRefs", "action", "rules")
    assert not ("selector" in policy and "targetRefs" in policy)
    selector = policy.get("selector", {})
    _only(selector, "matchLabels")
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def _matches(policy: Policy, request: Request) -> bool:
    return any(_rule(one, request) for one in policy.get("rules", ()))


def _rule(rule: Mapping[str, Any], request: Request) -> bool:
    _only(rule, "from", "to", "when")
    return (
        _any(rule.get("from"), lambda one: _source(one, request))
        and _any(rule.get("to"), lambda one: _operation(one, request))
        and all(_condition(one, request) for one in rule.get("when", ()))
    )


def _any(entries: Sequence[Any] | None, holds: Callable[[Any], bool]) -> bool:
    return entries is None or any(holds(one) for one in entries)


def _source(entry: Mapping[str, Any], request: Request) -> bool:
    _only(entry, "source")
    source = entry["source"]
    _only(source, "principals", "namespaces")
    assert source
    return _listed(source, "principals", request.principal, text_matches) and _listed(
        source, "namespaces", request.namespace, text_matches
    )


def _operation(entry: Mapping[str, Any], request: Request) -> bool:
    _only(entry, "operation")
    operation = entry["operation"]
    _only(operation, "methods", "paths", "notPaths")
    assert operation
    excepted = any(path_matches(one, request.bare_path) for one in operation.get("notPaths", ()))
    return (
        _listed(operation, "methods", request.method, text_matches)
        and _listed(operation, "paths", request.bare_path, path_matches)
        and not excepted
    )


def _condition(condition: Mapping[str, Any], request: Request) -> bool:
    _only(condition, "key", "values")
    if condition["key"] == "source.namespace":
        return any(text_matches(one, request.namespace) for one in condition["values"])
    key = _HEADER_KEY.fullmatch(condition["key"])
    assert key, f"unknown key {condition['key']}"
    value = request.headers.get(key[1])
    return value is not None and any(text_matches(one, value) for one in condition["values"])


def _listed(
    holder: Mapping[str, Any], name: str, value: str, matches: Callable[[str, str], bool]
) -> bool:
    assert holder.get(name) != [], f"Istio rejects an empty list of {name}"
    return name not in holder or any(matches(one, value) for one in holder[name])


def text_matches(pattern: str, value: str) -> bool:
    """Whether a value matches: presence, suffix, prefix or exactly."""
    if pattern == "*":
        return bool(value)
    if pattern.startswith("*"):
        return value.endswith(pattern[1:])
    if pattern.endswith("*"):
        return value.startswith(pattern[:-1])
    return value == pattern


def path_matches(pattern: str, path: str) -> bool:
    """Whether a path matches a template, or otherwise a value."""
    if "{*}" not in pattern and "{**}" not in pattern:
        return text_matches(pattern, path)
    assert pattern.startswith("/")
    segments = pattern[1:].split("/")
    assert "{**}" not in segments[:-1], "Istio requires {**} to be last"
    if len(segments) > 1 and not segments[-1]:  # Envoy matches a final "/" literally
        segments.pop()
        end = "/"
    else:
        end = ""
    return re.fullmatch("/" + "/".join(map(_segment, segments)) + end, path) is not None


def _segment(segment: str) -> str:
    if segment == "{*}":
        return f"[{_PCHAR}]+"
    if segment == "{**}":
        return f"[{_PCHAR}/]*"
    assert re.fullmatch(f"[{_PCHAR}]+", segment), f"not a segment of a template: {segment!r}"
    return re.escape(segment)


def _only(holder: Mapping[str, Any], *known: str) -> None:
    assert holder.keys() <= set(known), f"unknown to this evaluator: {holder.keys() - set(known)}"
