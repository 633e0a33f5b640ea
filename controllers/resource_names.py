"""Which resources the API server knows in quotas and limits, and which amounts it takes of each.

The facts are those of Kubernetes' pkg/apis/core/helper and pkg/apis/core/validation, 1.36. What is
accepted here the server accepts as well: one refused amount would have it refuse the whole object,
and with it every other key. Pure.
"""

from __future__ import annotations

import re
from fractions import Fraction

from controllers import quantities

_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_COUNTED = frozenset(
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
_IN_QUOTAS = _COUNTED.union(
    _COMPUTE,
    (f"requests.{resource}" for resource in (*_COMPUTE, "storage")),
    (f"limits.{resource}" for resource in _COMPUTE),
)
_HUGE_PAGES = "hugepages-"
_NATIVE = "kubernetes.io/"

_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_LONGEST_NAME = 63
_LONGEST_SUBDOMAIN = 253

# The server looks for a remainder in thousandths, in 64 bits. Where these do not suffice, it lets
# multiples of 10^9 pass; for all others it lets the product wrap around, and finds what it finds.
_LARGEST_IN_THOUSANDTHS = quantities.LARGEST // 1000
_UNCHECKED = ("G", "T", "P", "E", "e9", "e12", "e15", "e18")


def is_name(text: str) -> bool:
    """Whether it can be the name part of a label key, or a resource's name."""
    return len(text) <= _LONGEST_NAME and _NAME.fullmatch(text) is not None


def is_qualified(text: str) -> bool:
    """Whether it is a name, or a DNS subdomain, a slash and a name."""
    prefix, slash, name = text.rpartition("/")
    return is_name(name) and (not slash or is_subdomain(prefix))


def is_subdomain(text: str) -> bool:
    """Whether it is a DNS subdomain (RFC 1123), as most objects' names must be."""
    return len(text) <= _LONGEST_SUBDOMAIN and _SUBDOMAIN.fullmatch(text) is not None


def is_counted(resource: str) -> bool:
    """Whether only whole numbers of it make sense: objects, devices, whatever has a slash."""
    return resource in _COUNTED or "/" in resource


def allows_overcommit(resource: str) -> bool:
    """Whether a container's limit may differ from its request: not so for devices, huge pages."""
    native = "/" not in resource or _NATIVE in resource
    return native and not resource.startswith(_HUGE_PAGES)


def quota_name_refusal(resource: str) -> str | None:
    """Why it cannot be a key of a ResourceQuota's ``spec.hard``; None when it can."""
    if not is_qualified(resource):
        return f"{resource!r} is not a resource's name: expected NAME or DOMAIN/NAME"
    huge = resource.removeprefix("requests.").startswith(_HUGE_PAGES)
    if "/" in resource or huge or resource in _IN_QUOTAS:
        return None
    known = ", ".join(sorted(_IN_QUOTAS))
    return f"{resource!r} is no resource that quotas know: expected one of {known}, or DOMAIN/NAME"


def container_name_refusal(resource: str) -> str | None:
    """Why it cannot be a resource of a container in a LimitRange; None when it can."""
    if not is_qualified(resource):
        return f"{resource!r} is not a resource's name: expected NAME or DOMAIN/NAME"
    if "/" not in resource:
        if resource in _COMPUTE or resource.startswith(_HUGE_PAGES):
            return None
        known = ", ".join(_COMPUTE)
        return f"{resource!r} is no resource of containers: expected {known}, or DOMAIN/NAME"
    if _NATIVE in resource or _is_extended(resource):
        return None
    return f"{resource!r} is no resource of containers: expected DOMAIN/NAME as nodes report it"


def amount_refusal(resource: str, text: str) -> str | None:
    """Why the text cannot be an amount of the resource; None when it can.

    The reason begins with the text in quotes and ends with what is right.
    """
    try:
        value = quantities.parse(text)
    except quantities.QuantityError as error:
        return str(error)
    if value < 0:
        return f"{text!r} is negative: expected 0 or more"
    if not is_counted(resource):
        return None
    if not quantities.is_whole(value):
        return f"{text!r} is a fraction, and {resource} only come whole: expected 0, 1, 2 ..."
    if not _passes_the_server(resource, value, quantities.spell(text)):
        return (
            f"{text!r} is out of bounds: the API server takes no such number of {resource};"
            f" expected at most {_LARGEST_IN_THOUSANDTHS}"
        )
    return None


def _is_extended(resource: str) -> bool:
    """As IsExtendedResourceName, for a name with a slash: the server checks that it comes whole."""
    fits_in_quota = is_qualified(f"requests.{resource}")
    return _NATIVE not in resource and not resource.startswith("requests.") and fits_in_quota


def _passes_the_server(resource: str, value: Fraction, spelled: str) -> bool:
    """Whether the server's own check sees that a whole number of a counted resource is whole."""
    checked = resource in _COUNTED or _is_extended(resource)
    if not checked or value <= _LARGEST_IN_THOUSANDTHS or spelled.endswith(_UNCHECKED):
        return True
    # Go's remainder: of the product as it wraps around, and of its magnitude.
    wrapped = (int(value) * 1000 + 2**63) % 2**64 - 2**63
    return abs(wrapped) % 1000 == 0
