"""The names that the gitea controller uses in the cluster and on the Postgres server. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

CONTROLLER = "gitea"
CLASSIFICATIONS = ("unclassified", "protected-b")
SECRET_KEY = "database"  # noqa: S105 - the key of a Secret, not a secret
BANNER_KEY = "body_inner_pre.tmpl"
"""The custom template that Gitea shows at the top of each page."""
FINALIZER = "resources-finalizer.argocd.argoproj.io"
"""With this finalizer Argo CD deletes the deployed resources before the Application."""
GATEWAY = "kubeflow/kubeflow-gateway"

_MAX_IDENTIFIER = 63
"""Bytes (NAMEDATALEN - 1). Postgres truncates longer identifiers without an error."""
_HASH_LENGTH = 16


def component(classification: str) -> str:
    """Return the name of a variant in labels, Lease and condition."""
    return f"{CONTROLLER}-{classification}"


def application(profile: str, classification: str) -> str:
    """Return the name of a profile's Argo CD Application."""
    return f"gitea-{profile}-{classification}"


def profile_of(application_name: str, classification: str) -> str | None:
    """Return the profile of an Application; None if the name is not one of this classification."""
    prefix, suffix = "gitea-", f"-{classification}"
    if not (application_name.startswith(prefix) and application_name.endswith(suffix)):
        return None
    return application_name[len(prefix) : -len(suffix)] or None


def secret(classification: str) -> str:
    """Return the name of the Secret with the database's address and credentials."""
    return f"gitea-postgresql-secret-{classification}"


def virtual_service(classification: str) -> str:
    """Return the name of the VirtualService that routes browsers to Gitea."""
    return f"gitea-virtualservice-{classification}"


def service_entry(classification: str) -> str:
    """Return the name of the ServiceEntry that lets Gitea connect to Postgres."""
    return f"gitea-postgresql-service-entry-{classification}"


def database(profile: str) -> str:
    """Return the name of a profile's role and database: at most 63 bytes, unique.

    A profile's name is a DNS label (RFC 1123): lower-case letters, digits and hyphens, and no
    hyphen at the ends. So an underscore stands for a hyphen, and only a shortened name ends in one.
    """
    full = "gitea_" + profile.replace("-", "_")
    if len(full) <= _MAX_IDENTIFIER:
        return full
    digest = hashlib.sha256(profile.encode()).hexdigest()[:_HASH_LENGTH]
    return f"{full[: _MAX_IDENTIFIER - _HASH_LENGTH - 2]}_{digest}_"


def is_legacy(*legacy_names: str) -> Callable[[Mapping[str, Any]], bool]:
    """Return a predicate on metadata: the object has one of the names that the older suite used."""
    return lambda metadata: metadata.get("name") in legacy_names
