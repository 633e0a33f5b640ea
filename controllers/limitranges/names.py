"""Names of the limitranges controller's objects in the cluster. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LIMIT_RANGE = "default-container-limits"
"""The LimitRange of a profile namespace. The older suite used the same name."""

LABEL_PREFIX = "limitranges.statcan.gc.ca"


def is_legacy(metadata: Mapping[str, Any]) -> bool:
    """Whether the older suite created the object: its objects have no labels."""
    return bool(metadata.get("name") == LIMIT_RANGE) and not metadata.get("labels")
