"""The resources that the API server accepts in quotas and limits, and their amounts. Pure.

The rules are those of Kubernetes' pkg/apis/core/helper and pkg/apis/core/validation, 1.36. The API
server accepts what is valid here: it would refuse a whole object for one invalid amount.
"""

from __future__ import annotations

import re
from fractions import Fraction

from controllers import quantities

_COMPUTE_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_INTEGER_RESOURCES = frozenset(
    {
        "configmaps",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "services",
        "services.loadbalancers",
        "services.nodeports",
    }
)
_QUOTA_RESOURCES = _INTEGER_RESOURCES.union(
    _COMPUTE_RESOURCES,
    (f"requests.{resource}" for resource in (*_COMPUTE_RESOURCES, "storage")),
    (f"limits.{resource}" for resource in _COMPUTE_RESOURCES),
)
_HUGE_PAGES = "hugepages-"
_NATIVE_DOMAIN = "kubernetes.io/"

_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_MAX_NAME_LENGTH = 63
_MAX_SUBDOMAIN_LENGTH = 253

# The API server computes the remainder of thousandths in 64 bits. Beyond that it accepts multiples
# of 10^9, and for all other numbers the product overflows.
_MAX_IN_THOUSANDTHS = quantities.MAX_VALUE // 1000
_UNCHECKED_SUFFIXES = ("G", "T", "P", "E", "e9", "e12", "e15", "e18")


def is_name_part(text: str) -> bool:
    """Return whether the text is valid as the name part of a label key or a resource name."""
    return len(text) <= _MAX_NAME_LENGTH and _NAME.fullmatch(text) is not None


def is_qualified_name(text: str) -> bool:
    """Return whether the text is a name, or a DNS subdomain, a slash and a name."""
    prefix, slash, name = text.rpartition("/")
    return is_name_part(name) and (not slash or is_dns_subdomain(prefix))


def is_dns_subdomain(text: str) -> bool:
    """Return whether the text is a DNS subdomain (RFC 1123), as names of objects must be."""
    return len(text) <= _MAX_SUBDOMAIN_LENGTH and _SUBDOMAIN.fullmatch(text) is not None


def is_integer_resource(resource: str) -> bool:
    """Return whether amounts must be integers: objects, devices, and all names with a slash."""
    return resource in _INTEGER_RESOURCES or "/" in resource


def allows_overcommit(resource: str) -> bool:
    """Return whether a container's limit may differ from its request: not for devices."""
    native = "/" not in resource or _NATIVE_DOMAIN in resource
    return native and not resource.startswith(_HUGE_PAGES)


def quota_name_error(resource: str) -> str | None:
    """Return why the name is not valid in ``spec.hard`` of a ResourceQuota, or None."""
    if not is_qualified_name(resource):
        return f"{resource!r} is not a resource name; expected NAME or DOMAIN/NAME"
    huge = resource.removeprefix("requests.").startswith(_HUGE_PAGES)
    if "/" in resource or huge or resource in _QUOTA_RESOURCES:
        return None
    names = ", ".join(sorted(_QUOTA_RESOURCES))
    return f"{resource!r} is not a resource of a ResourceQuota; expected {names}, or DOMAIN/NAME"


def container_name_error(resource: str) -> str | None:
    """Return why the name is not valid for containers in a LimitRange, or None."""
    if not is_qualified_name(resource):
        return f"{resource!r} is not a resource name; expected NAME or DOMAIN/NAME"
    if "/" not in resource:
        if resource in _COMPUTE_RESOURCES or resource.startswith(_HUGE_PAGES):
            return None
        names = ", ".join(_COMPUTE_RESOURCES)
        return f"{resource!r} is not a resource of containers; expected {names}, or DOMAIN/NAME"
    if _NATIVE_DOMAIN in resource or _is_extended(resource):
        return None
    return f"{resource!r} is not a resource of containers; expected DOMAIN/NAME as nodes report it"


def amount_error(resource: str, text: str) -> str | None:
    """Return why the text is not a valid amount of the resource; None if it is valid.

    The reason begins with the text in quotes and ends with what is expected.
    """
    try:
        value = quantities.parse(text)
    except quantities.QuantityError as error:
        return str(error)
    if value < 0:
        return f"{text!r} is negative; expected 0 or more"
    if not is_integer_resource(resource):
        return None
    if not quantities.is_integer(value):
        return f"{text!r} is not an integer, as {resource} requires; expected 0, 1, 2 ..."
    if not _server_accepts_integer(resource, value, quantities.canonicalize(text)):
        return (
            f"{text!r} is out of bounds for {resource} in the API server;"
            f" expected at most {_MAX_IN_THOUSANDTHS}"
        )
    return None


def _is_extended(resource: str) -> bool:
    """Return IsExtendedResourceName of a name with a slash. The API server requires integers."""
    fits_in_quota = is_qualified_name(f"requests.{resource}")
    return _NATIVE_DOMAIN not in resource and not resource.startswith("requests.") and fits_in_quota


def _server_accepts_integer(resource: str, value: Fraction, canonical: str) -> bool:
    """Return whether the check of the API server accepts an integer amount."""
    checked = resource in _INTEGER_RESOURCES or _is_extended(resource)
    if not checked or value <= _MAX_IN_THOUSANDTHS or canonical.endswith(_UNCHECKED_SUFFIXES):
        return True
    # Go's remainder: of the product after overflow, and of its magnitude.
    wrapped = (int(value) * 1000 + 2**63) % 2**64 - 2**63
    return abs(wrapped) % 1000 == 0
