"""Names of the network controller's objects in the cluster. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GITEA_LABEL = "sourcecontrol.statcan.gc.ca/enabled"
CLOUD_MAIN_LABEL = "state.aaw.statcan.gc.ca/exists-non-cloud-main-user"
S3_LABEL = "s3.statcan.gc.ca/enabled"

API_SERVER = "allow-api-server-egress"
OBJECT_STORE = "allow-pipelines-object-store-egress"
DRIVER = "allow-pipelines-driver-egress"
ARTIFACT_PROXY = "allow-artifact-proxy-ingress"
DEFAULT_DENY = "protected-b-default-deny"

ENDPOINTS = ("default", "kubernetes")
"""The EndpointSlice in which the API server publishes its addresses, by namespace and name."""

SAME_NAMES = frozenset(
    {
        "notebooks-allow-system-to-notebook",
        "allow-ingress-from-knative-serving",
        "allow-egress-to-cluster-local-gateway",
        "unclassified-allow-same-namespace",
        "unclassified-allow-egress",
        "unclassified-allow-egress-to-ingress-gateway",
        "notebooks-protected-b-allow-https-egress",
        "vault-egress",
        "unclassified-elasticsearch-egress",
        "allow-jfrog-egress",
        "unclassified-pipelines-egress",
        "allow-egress-protb-notebook-to-trino-protb-system",
        "allow-egress-notebook-to-trino-system",
        "allow-gitea-to-postgres",
        "gitea-allow-system-to-gitea",
        "allow-gitea-http-egress-prot-b",
        "allow-gitea-http-ingress-prot-b",
        "allow-employee-egress-to-cloud-main-system",
        "s3proxy-allow-ingress",
    }
)
"""Policies that the older suite created as well, with the same names."""

RETIRED = frozenset(
    {
        "notebooks-unclassified-pipelines-egress",
        "notebooks-allow-ingress-gateway",
        "protected-b-notebooks-allow-ingress",
        "protected-b-allow-system",
        DEFAULT_DENY,
        "notebooks-allow-ingress",
        "protected-b-minio-egress",
        "unclassified-minio-egress",
    }
)
"""Policies that the older suite created and later removed. ``DEFAULT_DENY`` is in use again."""

_LEGACY = SAME_NAMES | RETIRED


def is_legacy(metadata: Mapping[str, Any]) -> bool:
    """Whether the older suite created the object: its policies have no labels."""
    return metadata.get("name") in _LEGACY and not metadata.get("labels")
