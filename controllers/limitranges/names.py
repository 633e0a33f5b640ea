"""The names that the limitranges controller uses on the cluster. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LIMIT_RANGE = "default-container-limits"
"""The LimitRange of a profile namespace, by the name that the older suite gave it as well."""

LABEL_PREFIX = "limitranges.statcan.gc.ca"


def is_legacy(metadata: Mapping[str, Any]) -> bool:
    """Whether an object is the older suite's, which labelled none, and so ours to take over."""
    return bool(metadata.get("name") == LIMIT_RANGE) and not metadata.get("labels")
