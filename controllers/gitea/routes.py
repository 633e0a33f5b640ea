"""How a browser comes to a profile's Gitea, and to no other's. Pure.

All profiles' routes are behind one gateway and one host, in an order that nobody promises. So each
rule matches its own profile only, and at most one rule of all matches a request.
"""

from __future__ import annotations

from typing import Any

from controllers.gitea.config import GiteaSettings


def http(namespace: str, settings: GiteaSettings) -> list[dict[str, Any]]:
    """``spec.http`` of the VirtualService."""
    base = f"/{settings.url_prefix}/"
    home = f"{base}{namespace}/"
    service = f"{settings.service_url}.{namespace}.svc.cluster.local"
    # Compared as it is sent: Envoy decodes no parameter, and takes the first of several.
    match: dict[str, Any] = {
        "uri": {"exact": base},
        "queryParams": {"ns": {"exact": namespace}},
    }
    if settings.kubeflow_root_url:
        # The frame of the dashboard's own page of this profile: who asks for another is nowhere.
        page = f"{settings.kubeflow_root_url.rstrip('/')}/_{base}?ns={namespace}"
        match["headers"] = {"referer": {"exact": page}}
    return [
        {
            "name": f"gitea-route-{settings.classification}",
            "match": [{"uri": {"prefix": home}}],
            "rewrite": {"uri": "/"},
            "route": [
                {"destination": {"host": service, "port": {"number": settings.service_port}}}
            ],
        },
        {
            "name": f"gitea-redirect-{settings.classification}",
            "match": [match],
            "redirect": {"uri": home},
        },
    ]
