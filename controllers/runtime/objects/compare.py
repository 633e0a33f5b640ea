"""Compares contents: normalised, and for mode APPLY on the stated fields only. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from controllers import quantities
from controllers.manifests import Body
from controllers.runtime.objects.kinds import Kind


def normalise(kind: Kind, content: Mapping[str, Any]) -> Body:
    """Return the content without nulls and ignorable empty values, and quantities by value."""
    result: Body = _without_nulls(content)
    for path in kind.empty_is_absent:
        result = _rewritten(result, path.split("."), lambda value: value or None)
    for path in kind.quantities:
        result = _rewritten(result, path.split("."), quantities.comparable)
    return result


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(item) for item in value]
    return value


def _rewritten(value: Any, path: Sequence[str], rewrite: Callable[[Any], Any]) -> Any:
    """Return a copy with the values at the path rewritten, or removed where that returns None."""
    if not path:
        return rewrite(value)
    head, rest = path[0], path[1:]
    if isinstance(value, dict):
        keys = list(value) if head == "*" else [head] if head in value else []
        result = dict(value)
        for key in keys:
            item = _rewritten(result[key], rest, rewrite)
            if item is None:
                del result[key]
            else:
                result[key] = item
        return result
    if isinstance(value, list) and head == "*":
        return [_rewritten(item, rest, rewrite) for item in value]
    return value


def contains(kind: Kind, have: Mapping[str, Any], want: Mapping[str, Any]) -> bool:
    """Whether every field that ``want`` states has its value in ``have`` (mode APPLY).

    In a list that Kubernetes merges by key (``Kind.list_map_keys``) others may add items, and the
    order does not matter.
    """
    return _covers(normalise(kind, have), normalise(kind, want), kind, "")


def _covers(have: Any, want: Any, kind: Kind, path: str) -> bool:
    if isinstance(want, Mapping):
        return isinstance(have, Mapping) and all(
            key in have and _covers(have[key], value, kind, f"{path}.{key}" if path else key)
            for key, value in want.items()
        )
    if not isinstance(want, Sequence) or isinstance(want, str):
        return bool(have == want)
    if not isinstance(have, Sequence) or isinstance(have, str):
        return False
    inside = f"{path}.*"
    if keys := kind.list_map_keys.get(path):
        return all(_has_item(have, item, keys, kind, inside) for item in want)
    return len(have) == len(want) and all(
        _covers(one, other, kind, inside) for one, other in zip(have, want, strict=True)
    )


def _has_item(
    have: Sequence[Any], item: Mapping[str, Any], keys: Sequence[str], kind: Kind, path: str
) -> bool:
    """Whether there is exactly one item with these keys, and it has the stated fields."""
    named = {key: item[key] for key in keys if key in item}
    found = [one for one in have if isinstance(one, Mapping) and named.items() <= one.items()]
    return len(found) == 1 and _covers(found[0], item, kind, path)
