"""Items and fields that a controller adds to an object that others own. Pure.

An annotation of the object records what the controller added, so that it later removes that and
nothing else. A record counts only while the controller's field manager owns the annotation
(``metadata.managedFields``): after an edit by another manager nothing counts as added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from controllers.manifests import Addition, Body, field_manager

_MISSING = object()


def annotation(component: str) -> str:
    """Return the key of the annotation that records what a controller added."""
    return f"profiles-controller.statcan.gc.ca/added-by-{component}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What a controller added: items of lists and values of fields, by dotted path."""

    items: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything was added."""
        return bool(self.items or self.fields)

    def to_json(self) -> str:
        """Return the value of the annotation."""
        record = {"fields": self.fields, "items": self.items}
        return orjson.dumps(record, option=orjson.OPT_SORT_KEYS).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedState:
    """The shared paths of one object, and what one controller added to them."""

    values: Mapping[str, Any]
    """The value at each shared path; absent paths are left out."""
    added: Added


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """The values and the record that an object should have."""

    values: Mapping[str, Any]
    """Changed paths only; None removes the field."""
    added: Added
    conflicts: tuple[str, ...] = ()
    """Paths of fields to which others have set another value."""


def state_of(body: Body, paths: Iterable[str], component: str) -> SharedState:
    """Return the state of an object that the API server sent."""
    found = {path: _value_at(body, path) for path in paths}
    metadata = body["metadata"]
    text = (metadata.get("annotations") or {}).get(annotation(component))
    added = _parse(text) if text and _is_ours(metadata, component) else Added()
    values = {path: value for path, value in found.items() if value is not _MISSING}
    return SharedState(values=values, added=added)


def update(state: SharedState, addition: Addition | None) -> Update:
    """Return what changes so that the object has the addition; None withdraws what was added."""
    items = addition.items if addition is not None else {}
    fields = addition.fields if addition is not None else {}
    values: dict[str, Any] = {}
    added_items: dict[str, Sequence[Any]] = {}
    added_fields: dict[str, Any] = {}
    conflicts: list[str] = []
    for path in dict.fromkeys((*state.added.items, *items)):
        before = list(state.values.get(path) or ())
        after, ours = _update_list(before, state.added.items.get(path, ()), items.get(path, ()))
        if after != before:
            values[path] = after or None
        if ours:
            added_items[path] = ours
    for path in dict.fromkeys((*state.added.fields, *fields)):
        current = state.values.get(path, _MISSING)
        unchanged = current is not _MISSING and current == state.added.fields.get(path, _MISSING)
        desired = fields.get(path, _MISSING)
        if desired is _MISSING:
            if unchanged:
                values[path] = None
        elif current is _MISSING or (unchanged and current != desired):
            values[path] = added_fields[path] = desired
        elif unchanged:
            added_fields[path] = desired
        elif current != desired:
            conflicts.append(path)
    return Update(
        values=values,
        added=Added(items=added_items, fields=added_fields),
        conflicts=tuple(conflicts),
    )


def is_current(state: SharedState, change: Update) -> bool:
    """Whether the object needs no write."""
    return not change.values and change.added == state.added


def merge_patch(change: Update, component: str, resource_version: str) -> Body:
    """Return the JSON merge patch, with the resourceVersion as precondition."""
    record = change.added.to_json() if change.added else None
    patch: Body = {
        "metadata": {
            "resourceVersion": resource_version,
            "annotations": {annotation(component): record},
        }
    }
    for path, value in change.values.items():
        target = patch
        *parents, leaf = path.split(".")
        for parent in parents:
            target = target.setdefault(parent, {})
        target[leaf] = value
    return patch


def _update_list(
    before: Sequence[Any], added: Sequence[Any], desired: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """Return the list that should be there, and those of its items that the controller added."""
    after = list(before)
    for item in added:
        if item not in desired and item in after:
            after.remove(item)
    missing = [item for item in desired if item not in after]
    ours = [item for item in desired if item in added or item in missing]
    return [*after, *missing], ours


def _value_at(body: Body, path: str) -> Any:
    value: Any = body
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return _MISSING
        value = value[part]
    return value


def _parse(text: str) -> Added:
    try:
        record = orjson.loads(text)
        items = {str(path): list(found) for path, found in record["items"].items()}
        return Added(items=items, fields=dict(record["fields"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        return Added()


def _is_ours(metadata: Mapping[str, Any], component: str) -> bool:
    """Whether the controller's field manager owns the annotation; True without managed fields."""
    entries = metadata.get("managedFields") or ()
    field_key = f"f:{annotation(component)}"
    return not entries or any(
        entry.get("manager") == field_manager(component)
        and field_key in _annotations_of(entry.get("fieldsV1") or {})
        for entry in entries
    )


def _annotations_of(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (fields.get("f:metadata") or {}).get("f:annotations") or {}
    return found
