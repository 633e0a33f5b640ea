"""The names that the gitea controller uses on the cluster and on the Postgres server. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

CONTROLLER = "gitea"
CLASSIFICATIONS = ("unclassified", "protected-b")
SECRET_KEY = "database"  # noqa: S105 - the key of a Secret, and none itself
BANNER_KEY = "body_inner_pre.tmpl"
"""The file of Gitea's custom templates that is shown first on each page."""
FINALIZER = "resources-finalizer.argocd.argoproj.io"
"""With it Argo CD deletes what an Application deployed before the Application goes."""
GATEWAY = "kubeflow/kubeflow-gateway"

_LONGEST = 63
"""Bytes of an identifier (NAMEDATALEN - 1): Postgres cuts longer ones without an error."""
_HASH = 16


def component(classification: str) -> str:
    """What runs, by its labels, Lease and condition."""
    return f"{CONTROLLER}-{classification}"


def application(profile: str, classification: str) -> str:
    """The Argo CD Application of a profile."""
    return f"gitea-{profile}-{classification}"


def profile_of(application_name: str, classification: str) -> str | None:
    """The profile that an Application of this name is for, or None when it is none of ours."""
    start, end = "gitea-", f"-{classification}"
    whole = application_name.startswith(start) and application_name.endswith(end)
    return application_name[len(start) : -len(end)] or None if whole else None


def secret(classification: str) -> str:
    """The Secret that Gitea reads its database's address and password from."""
    return f"gitea-postgresql-secret-{classification}"


def virtual_service(classification: str) -> str:
    """The VirtualService that brings browsers to Gitea."""
    return f"gitea-virtualservice-{classification}"


def service_entry(classification: str) -> str:
    """The ServiceEntry that lets Gitea reach Postgres."""
    return f"gitea-postgresql-service-entry-{classification}"


def identifier(profile: str) -> str:
    """Role and database of a profile: at most 63 bytes, and no two profiles have the same.

    A profile's name is a DNS label (RFC 1123): lower case, digits and hyphens, none at its ends. So
    underscores stand for hyphens only, and a name that ends in one is that of no other profile:
    that is how names end that would be cut.
    """
    whole = "gitea_" + profile.replace("-", "_")
    if len(whole) <= _LONGEST:
        return whole
    digest = hashlib.sha256(profile.encode()).hexdigest()[:_HASH]
    return f"{whole[: _LONGEST - _HASH - 2]}_{digest}_"


def legacy(*known: str) -> Callable[[Mapping[str, Any]], bool]:
    """Whether metadata is that of an older suite's object of one of these names."""
    return lambda metadata: metadata.get("name") in known
