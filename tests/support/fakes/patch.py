"""JSON merge patch (RFC 7386), and the part of server-side apply that the kinds need."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

_LIST_KEYS = ("uid", "name", "containerPort", "port", "mountPath")


def merge_patch(target: Any, patch: Any) -> Any:
    """The patched target: null removes a field, lists are replaced."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def apply(live: Any, stated: Any, before: Any) -> Any:
    """The result of an apply by a field manager, whose previous apply was `before`.

    Fields that it no longer states are removed. Lists of objects with a key are merged by it.
    """
    if isinstance(stated, Mapping):
        return _apply_mapping(live, stated, before)
    if isinstance(stated, Sequence) and not isinstance(stated, str):
        return _apply_list(live, stated, before)
    return stated


def _apply_mapping(live: Any, stated: Mapping[str, Any], before: Any) -> dict[str, Any]:
    old = before if isinstance(before, Mapping) else {}
    result = dict(live) if isinstance(live, Mapping) else {}
    for key in set(old) - set(stated):
        result.pop(key, None)
    for key, value in stated.items():
        result[key] = apply(result.get(key), value, old.get(key))
    return result


def _apply_list(live: Any, stated: Sequence[Any], before: Any) -> list[Any]:
    key = _list_key([*stated, *(live or ())])
    if key is None:
        return list(copy.deepcopy(stated))
    old = {item[key]: item for item in before or ()}
    new = {item[key]: item for item in stated}
    there = [item for item in live or () if item[key] in new or item[key] not in old]
    merged = [apply(item, new.get(item[key], item), old.get(item[key])) for item in there]
    known = {item[key] for item in there}
    return [*merged, *(item for name, item in new.items() if name not in known)]


def _list_key(items: Sequence[Any]) -> str | None:
    if not items or not all(isinstance(item, Mapping) for item in items):
        return None
    return next((key for key in _LIST_KEYS if all(key in item for item in items)), None)
