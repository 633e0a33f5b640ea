"""Names of the quotas controller's objects in the cluster. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

QUOTA = "quotas"
"""The ResourceQuota of a profile namespace. The older suite used the same name."""

KUBEFLOW_QUOTA = "kf-resource-quota"
"""The ResourceQuota that Kubeflow creates from ``spec.resourceQuotaSpec``; never modified."""

LABEL_PREFIX = "quotas.statcan.gc.ca"


def is_legacy(metadata: Mapping[str, Any]) -> bool:
    """Whether the older suite created the object: its objects have no labels."""
    return bool(metadata.get("name") == QUOTA) and not metadata.get("labels")
