"""The fields that our server-side apply owns, by ``metadata.managedFields``. Pure.

A field that an earlier apply stated and the manifest no longer states must be removed: an apply
without it does that. Only the managed fields show it; the value could be another manager's.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from typing import Any

import orjson

_NOT_COMPARED = "f:ownerReferences"
"""Differs by Profile; the predicates of the plan compare it."""


def applied_fields(metadata: Mapping[str, Any], manager: str) -> str:
    """Return the fields that this manager owns by an apply, as interned JSON, or ""."""
    for entry in metadata.get("managedFields") or ():
        ours = entry.get("manager") == manager and entry.get("operation") == "Apply"
        if ours and not entry.get("subresource"):
            fields = dict(entry.get("fieldsV1") or {})
            if described := fields.get("f:metadata"):
                compared = {key: one for key, one in described.items() if key != _NOT_COMPARED}
                fields["f:metadata"] = compared
            return sys.intern(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS).decode())
    return ""


def states_all(body: Mapping[str, Any], owned: str) -> bool:
    """Whether the body states every field of ``owned``, a result of ``applied_fields``."""
    return not owned or _states(body, _parsed(owned))


@functools.lru_cache(maxsize=1024)
def _parsed(owned: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = orjson.loads(owned)
    return found


def _states(value: Any, fields: Mapping[str, Any]) -> bool:
    return all(_states_one(value, key, inner) for key, inner in fields.items())


def _states_one(value: Any, path: str, inner: Mapping[str, Any]) -> bool:
    """One element of FieldsV1: a field, an item of a list by its keys, or a member of a set."""
    sort, _, name = path.partition(":")
    match sort:
        case "f":
            return isinstance(value, Mapping) and name in value and _states(value[name], inner)
        case "k":
            keys = orjson.loads(name)
            return any(_has(item, keys) and _states(item, inner) for item in _items(value))
        case "v":
            return orjson.loads(name) in _items(value)
        case _:  # "." is the value itself
            return True


def _has(item: Any, keys: Mapping[str, Any]) -> bool:
    """Whether it is the item with these keys; a missing key has the server's default."""
    return isinstance(item, Mapping) and all(item.get(key, one) == one for key, one in keys.items())


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
