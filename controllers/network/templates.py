"""The policy templates in the folder ``policies``. They are parsed once."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml

FOLDER = "policies"
NAMESPACE = "${namespace}"
"""Placeholder of the profile's namespace in an additional policy."""

_WHOLE = re.compile(r"\$\{(peers|ports)\.([a-z0-9-]+)\}")


@functools.cache
def read(name: str) -> Mapping[str, Any]:
    """Return the content of ``policies/<name>.yaml``. It is shared and must not be modified."""
    file = resources.files(__package__).joinpath(FOLDER, f"{name}.yaml")
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return MappingProxyType(content)


def fill(template: Any, tables: Mapping[str, Mapping[str, Any]]) -> Any:
    """Return the template with ``${table.entry}`` replaced by the entries of the tables.

    A field whose entry is None is omitted. Raises KeyError for a missing entry.
    """
    if isinstance(template, str):
        match = _WHOLE.fullmatch(template)
        return tables[match[1]][match[2]] if match else template
    if isinstance(template, list):
        return [fill(item, tables) for item in template]
    if not isinstance(template, Mapping):
        return template
    filled = {key: fill(value, tables) for key, value in template.items()}
    return {key: value for key, value in filled.items() if value is not None}


def placeholders(template: Any) -> frozenset[tuple[str, str]]:
    """Return table and entry of every placeholder in the template."""
    if isinstance(template, str):
        match = _WHOLE.fullmatch(template)
        return frozenset({(match[1], match[2])}) if match else frozenset()
    parts = template.values() if isinstance(template, Mapping) else template
    if isinstance(parts, bool | int | None):
        return frozenset()
    return frozenset().union(*map(placeholders, parts))


def with_namespace(value: Any, namespace: str) -> Any:
    """Return a copy with ``${namespace}`` replaced by the profile's namespace."""
    if isinstance(value, str):
        return value.replace(NAMESPACE, namespace)
    if isinstance(value, list):
        return [with_namespace(item, namespace) for item in value]
    if isinstance(value, Mapping):
        return {
            with_namespace(key, namespace): with_namespace(item, namespace)
            for key, item in value.items()
        }
    return value
