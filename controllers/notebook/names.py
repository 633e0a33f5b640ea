"""Names of the notebook controller's objects in the cluster. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

POD_DEFAULT = "protected-b"
"""The PodDefault of a profile namespace. The older suite used the same name."""

DESCRIPTION = "Run a Protected B notebook / Exécuter un bloc-notes protégé B"

SELECTOR_LABEL = "notebook.statcan.gc.ca/protected-b"
"""The label by which a notebook's pod selects the PodDefault."""

SELECTOR_VALUE = "true"
"""The only value that Kubeflow's form writes, for each PodDefault that a user selects."""

LABELS = MappingProxyType({"data.statcan.gc.ca/classification": "protected-b"})


def is_legacy(metadata: Mapping[str, Any]) -> bool:
    """Whether the older suite created the object: its objects have no labels."""
    return bool(metadata.get("name") == POD_DEFAULT) and not metadata.get("labels")
