"""A recorded request, its target, and the ways in which it can fail."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from controllers.manifests import Body, Key
from controllers.runtime.client.client import JSON
from controllers.runtime.errors import ApiError, UnreachableError
from controllers.runtime.objects.kinds import KINDS, Kind

_KINDS = {(kind.group, kind.plural): kind for kind in KINDS.values()}
_TERM = re.compile(r"([^,=() ]+)(?:=([^,]*)| in \(([^)]*)\))(?:,|$)")


class Failure(Enum):
    """How a request fails."""

    CONFLICT = "409 Conflict without effect"
    THROTTLED = "429 TooManyRequests without effect"
    FORBIDDEN = "403 Forbidden without effect"
    INTERNAL_ERROR = "500 InternalError without effect"
    LOST_BEFORE = "the connection is lost before the request took effect"
    LOST_AFTER = "the connection is lost after the request took effect"

    def error(self, request: "Request") -> Exception:
        """The exception of the client."""
        match self:
            case Failure.CONFLICT:
                return conflict(f"{request}: induced")
            case Failure.THROTTLED:
                return ApiError(code=429, reason="TooManyRequests", message="induced")
            case Failure.FORBIDDEN:
                return ApiError(code=403, reason="Forbidden", message="induced")
            case Failure.INTERNAL_ERROR:
                return ApiError(code=500, reason="InternalError", message="induced")
            case _:
                return UnreachableError("induced: connection reset")


class Target(NamedTuple):
    """The target of a path. `name` is empty for a collection."""

    kind: Kind
    version: str
    namespace: str
    name: str
    subresource: str

    @property
    def key(self) -> Key:
        return Key(self.kind.name, self.namespace, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request. `method` is WATCH for a watch."""

    method: str
    path: str
    body: Body | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON

    @property
    def target(self) -> Target:
        return parse(self.path)

    @property
    def kind(self) -> str:
        """The name of the kind."""
        return self.target.kind.name

    def __str__(self) -> str:
        """`POST ResourceQuota alice/quotas`, and the subresource if there is one."""
        target = self.target
        name = target.name
        if self.method == "POST" and self.body is not None:
            name = self.body["metadata"]["name"]
        where = "/".join(part for part in (target.namespace, name) if part)
        parts = (self.method, target.kind.name, where, target.subresource)
        return " ".join(part for part in parts if part)


def parse(path: str) -> Target:
    """Parses a URL path. Raises KeyError for a resource that is not in the table of kinds."""
    root, *parts = path.strip("/").split("/")
    group = parts.pop(0) if root == "apis" else ""
    version = parts.pop(0)
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2:
        namespace = parts[1]
        parts = parts[2:]
    plural, name, subresource = [*parts, "", ""][:3]
    return Target(_KINDS[group, plural], version, namespace, name, subresource)


def selects(selector: str, body: Body) -> bool:
    """Whether the labels match `key=value` and `key in (a,b)` terms."""
    labels = body["metadata"].get("labels") or {}
    at = 0
    while at < len(selector):
        term = _TERM.match(selector, at)
        if term is None:
            raise AssertionError(f"selector {selector!r} is not supported at {at}")
        key, value, values = term.groups()
        accepted = [value] if values is None else values.split(",")
        if labels.get(key) not in accepted:
            return False
        at = term.end()
    return True


def selects_fields(selector: str, body: Body) -> bool:
    """Whether the fields match `path=value` and `path!=value` terms. A missing field is empty."""
    for term in filter(None, selector.split(",")):
        path, _, value = term.partition("=")
        found: Any = body
        for part in path.removesuffix("!").split("."):
            found = (found or {}).get(part)
        if ((found or "") == value) is path.endswith("!"):
            return False
    return True


def conflict(message: str) -> ApiError:
    return ApiError(code=409, reason="Conflict", message=message)


def not_found(message: str) -> ApiError:
    return ApiError(code=404, reason="NotFound", message=message)


def expired() -> ApiError:
    return ApiError(code=410, reason="Expired", message="too old resource version")
