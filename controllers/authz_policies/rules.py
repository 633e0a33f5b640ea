"""Which values Istio accepts in an AuthorizationPolicy, and which would match too much. Pure.

The facts are security.istio.io's AuthorizationPolicy of Istio 1.31 (a value matches exactly; a
prefix ends with ``*``, a suffix starts with ``*``, and ``*`` matches everything), and Envoy's URI
templates, which evaluate ``{*}`` and ``{**}``.
"""

from __future__ import annotations

import re

NAMESPACE = "<ns>"
"""Placeholder of the profile's namespace in a path of the settings."""

ONE, REST = "{*}", "{**}"

# Envoy's characters of a segment: RFC 3986's pchar without "*" and "=".
_SEGMENT = re.compile(r"[A-Za-z0-9\-._~%!$&'()+,;:@]+")
_PATH = re.compile(r"[!-~]+")
_PRINCIPAL = re.compile(r"(\*|[a-z0-9]([a-z0-9._-]*[a-z0-9])?)/ns/[a-z0-9-]+/sa/[a-z0-9.-]+")
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")


def is_template(path: str) -> bool:
    """Whether Istio passes the path to Envoy as a URI template."""
    return ONE in path or REST in path


def path_error(path: str) -> str | None:
    """Return why Istio would reject the path or match other paths, or None."""
    if not _PATH.fullmatch(path) or "?" in path or "#" in path:
        return f"{path!r} is not a valid path: expected printable ASCII, without query or fragment"
    plain = path.replace(NAMESPACE, "ns")
    if is_template(plain):
        return _template_error(path, plain)
    if "{" in plain or "}" in plain:
        return f"{path!r} contains braces other than {ONE} and {REST}: expected only these"
    if not plain.startswith(("/", "*")) or "*" in plain[1:-1] or plain.count("*") > 1:
        return f"{path!r} is not a valid path: expected /..., /...*, *... or a template"
    return None


def _template_error(path: str, plain: str) -> str | None:
    first, *segments = plain.split("/")
    if first or REST in segments[:-1]:
        return (
            f"{path!r} is not a valid template: expected /..., with {REST} only as the last segment"
        )
    wrong = [
        segment
        for segment in segments
        if segment not in {ONE, REST, ""} and not _SEGMENT.fullmatch(segment)
    ]
    if wrong or "" in segments[:-1]:
        return (
            f"{path!r} is not a valid template: expected segments that are {ONE}, {REST}"
            " or plain text, and not empty"
        )
    return None


def principal_error(principal: str) -> str | None:
    """Return why the principal is invalid or matches several service accounts, or None."""
    if _PRINCIPAL.fullmatch(principal):
        return None
    return (
        f"{principal!r} is not one service account: expected TRUST-DOMAIN/ns/NAMESPACE/sa/NAME,"
        " where * may stand only for the whole trust domain"
    )


def header_error(name: str) -> str | None:
    """Return why the text is not a header name of HTTP/2, or None."""
    if _HEADER.fullmatch(name):
        return None
    return f"{name!r} is not a valid header: expected lower case, such as kubeflow-userid"


def name_error(name: str) -> str | None:
    """Return why a policy must not contain the name of a user or group, or None."""
    if not name:
        return "the name is empty: expected the name that the gateway sets in the header"
    if name.startswith("*") or name.endswith("*"):
        return (
            f"{name!r} starts or ends with *, which would admit others: expected a name without *"
        )
    return None


def group_error(name: str) -> str | None:
    """Return why a policy must not contain the group, or None.

    Besides the rules of ``name_error``: the header is a comma-separated list of groups.
    """
    if "," in name:
        return f"{name!r} contains a comma, which separates groups in the header: expected one name"
    return name_error(name)


def group_values(name: str) -> tuple[str, str, str]:
    """Return the values for the group alone, first or last: Istio cannot match in the middle."""
    return name, f"{name},*", f"*,{name}"
