"""The names that the quotas controller uses on the cluster. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

QUOTA = "quotas"
"""The ResourceQuota of a profile namespace, by the name that the older suite gave it as well."""

KUBEFLOW_QUOTA = "kf-resource-quota"
"""What Kubeflow makes of ``spec.resourceQuotaSpec``; it stands beside ours and is never touched."""

LABEL_PREFIX = "quotas.statcan.gc.ca"


def is_legacy(metadata: Mapping[str, Any]) -> bool:
    """Whether an object is the older suite's, which labelled none, and so ours to take over."""
    return bool(metadata.get("name") == QUOTA) and not metadata.get("labels")
