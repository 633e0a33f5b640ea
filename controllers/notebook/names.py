"""The names that the notebook controller uses on the cluster. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

POD_DEFAULT = "protected-b"
"""The PodDefault of a profile namespace, by the name that the older suite gave it as well."""

DESCRIPTION = "Run a Protected B notebook / Exécuter un bloc-notes protégé B"

SELECTOR_LABEL = "notebook.statcan.gc.ca/protected-b"
"""The label by which a notebook's pod asks for the PodDefault."""

SELECTOR_VALUE = "true"
"""The value that Kubeflow's form writes for each PodDefault that a user ticks; it has no other."""

LABELS = MappingProxyType({"data.statcan.gc.ca/classification": "protected-b"})


def is_legacy(metadata: Mapping[str, Any]) -> bool:
    """Whether an object is the older suite's, which labelled none, and so ours to take over."""
    return bool(metadata.get("name") == POD_DEFAULT) and not metadata.get("labels")
