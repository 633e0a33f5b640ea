"""The objects of a profile's Gitea, and the findings about its label. Pure."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from controllers.desired import Desired
from controllers.findings import Finding, Severity
from controllers.gitea import names
from controllers.gitea.config import GiteaSettings
from controllers.gitea.postgres import accounts
from controllers.gitea.postgres.accounts import DatabaseCredentials
from controllers.manifests import Manifest
from controllers.profiles import Profile, parse_bool

INVALID_OPT_IN = "InvalidOptIn"
OPTED_OUT = "OptedOut"

PLACEHOLDER_CREDENTIALS = DatabaseCredentials(
    user="(set by the controller)",
    password="(set by the controller)",  # noqa: S106 - no password
)
"""For ``render`` and dry runs, which connect to no server."""


class GiteaState(Enum):
    """What a profile's label and the setting ``opt_out`` request."""

    OPTED_IN = "the profile has a Gitea"
    RETAINED = "the profile opted out; all objects that exist stay"
    STOPPED = "the profile opted out; Argo CD deletes what it deployed"
    DETACHED = "the profile opted out; what Argo CD deployed continues to run"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedApplication:
    """The Argo CD Application of the profile, as it exists."""

    destination: str
    """The namespace that it deploys to."""
    has_finalizer: bool = False
    """Whether Argo CD deletes the deployed resources before the Application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What ``observe`` returns."""

    credentials: DatabaseCredentials | None = None
    """Credentials that open the database; None: the Secret stays as it is."""
    application: ObservedApplication | None = None
    has_virtual_service: bool = False
    """Whether a VirtualService of this controller exists; the older suite's does not count."""
    error: Exception | None = None


def determine_state(profile: Profile, settings: GiteaSettings) -> GiteaState:
    """Return the requested state. A label that is not a boolean changes nothing that exists."""
    text = profile.labels.get(settings.source_control_enabled_label)
    opted_in = parse_bool(text) if text is not None else False
    if opted_in:
        return GiteaState.OPTED_IN
    if opted_in is None:
        return GiteaState.RETAINED
    match settings.opt_out:
        case "stop":
            return GiteaState.STOPPED
        case "detach":
            return GiteaState.DETACHED
        case _:
            return GiteaState.RETAINED


def finalizer_is_wrong(profile: Profile, facts: Facts, settings: GiteaSettings) -> bool:
    """Return whether Argo CD's finalizer must change before the Application is deleted."""
    application = facts.application
    if application is None or application.destination != profile.namespace:
        return False
    match determine_state(profile, settings):
        case GiteaState.STOPPED:
            return not application.has_finalizer
        case GiteaState.DETACHED:
            return application.has_finalizer
        case _:
            return False


def desired(profile: Profile, facts: Facts, settings: GiteaSettings) -> Desired:
    """Return the objects of the profile's Gitea, and the findings about its label."""
    return Desired(
        objects=_objects(profile, facts, settings),
        findings=_findings(profile, facts, settings),
        error=facts.error,
    )


def _objects(profile: Profile, facts: Facts, settings: GiteaSettings) -> list[Manifest]:
    """Return all objects of a profile that opted in; otherwise those that stay if they exist."""
    application = _application(profile, facts, settings)
    virtual_service = _virtual_service(profile, settings)
    others = [_banner(profile, settings), _service_entry(profile, settings)]
    # The older suite created a VirtualService for every profile, also without a Gitea.
    own_virtual_service = virtual_service if facts.has_virtual_service else []
    leaving = _leaving_application(profile, facts, settings)
    match determine_state(profile, settings):
        case GiteaState.OPTED_IN:
            return [application, _secret(profile, facts, settings), *others, *virtual_service]
        case GiteaState.RETAINED:
            routes = virtual_service if facts.application else own_virtual_service
            staying = [*others, *routes, application]
        case GiteaState.DETACHED:
            staying = [*others, *own_virtual_service, *leaving]
        case GiteaState.STOPPED:
            staying = leaving
    staying = [unchanged_secret(profile, settings), *staying]
    return [replace(manifest, update_only=True) for manifest in staying]


def _findings(profile: Profile, facts: Facts, settings: GiteaSettings) -> list[Finding]:
    """Report a label that is not a boolean, and a Gitea whose profile opted out."""
    key = settings.source_control_enabled_label
    text = profile.labels.get(key)
    if text is not None and parse_bool(text) is None:
        message = (
            f'label {key}="{text}" is not a boolean; objects that exist stay, and none is created.'
            ' Set it to "true" or "false".'
        )
        return [Finding(reason=INVALID_OPT_IN, message=message)]
    state = determine_state(profile, settings)
    if state is GiteaState.RETAINED and facts.application is not None:
        message = (
            f"label {key} opts out, and the setting opt_out is keep: Application"
            f" {settings.argocd_namespace}/{_application_name(profile, settings)} and the database"
            " stay. Delete the Application, or opt in again."
        )
        return [Finding(reason=OPTED_OUT, message=message, severity=Severity.NOTICE)]
    return []


def _application_name(profile: Profile, settings: GiteaSettings) -> str:
    return names.application(profile.name, settings.classification)


def _application(profile: Profile, facts: Facts, settings: GiteaSettings) -> Manifest:
    observed = facts.application
    automated = {"automated": {"prune": True, "selfHeal": True}}
    return Manifest(
        kind="Application",
        namespace=settings.argocd_namespace,
        name=_application_name(profile, settings),
        # The older suite's Application has no owner. Its destination shows which profile it serves.
        adoptable=observed is not None and observed.destination == profile.namespace,
        content={
            "spec": {
                "project": settings.argocd_project,
                "destination": {"name": "in-cluster", "namespace": profile.namespace},
                "source": {
                    "repoURL": settings.argocd_source_repo_url,
                    "targetRevision": settings.argocd_source_target_revision,
                    "path": settings.argocd_source_path,
                },
                "syncPolicy": automated if settings.argocd_automated else {},
            }
        },
    )


def _leaving_application(profile: Profile, facts: Facts, settings: GiteaSettings) -> list[Manifest]:
    """Return the Application with the finalizer that it needs before it can be deleted."""
    if not finalizer_is_wrong(profile, facts, settings):
        return []
    cascade = determine_state(profile, settings) is GiteaState.STOPPED
    application = _application(profile, facts, settings)
    return [replace(application, finalizers={names.FINALIZER: cascade})]


def _secret(profile: Profile, facts: Facts, settings: GiteaSettings) -> Manifest:
    unchanged = unchanged_secret(profile, settings)
    if facts.credentials is None:
        return replace(unchanged, update_only=True)
    text = accounts.gitea_settings(
        facts.credentials,
        database=names.database(profile.name),
        host=settings.server_address,
        ssl_mode="disable" if settings.psql_sslmode == "disable" else "require",
    )
    encoded = base64.b64encode(text.encode()).decode()
    content = {"type": "Opaque", "data": {names.SECRET_KEY: encoded}}
    return replace(unchanged, create_only=False, content=content)


def unchanged_secret(profile: Profile, settings: GiteaSettings) -> Manifest:
    """Return the Secret with any data, so that it is not pruned."""
    return Manifest(
        kind="Secret",
        namespace=profile.namespace,
        name=names.secret(settings.classification),
        content={"type": "Opaque"},
        create_only=True,
        adoptable=True,
    )


def _banner(profile: Profile, settings: GiteaSettings) -> Manifest:
    return Manifest(
        kind="ConfigMap",
        namespace=profile.namespace,
        name=settings.banner_configmap_name,
        content={"data": {names.BANNER_KEY: _BANNERS[settings.classification]}},
    )


_BANNERS = {
    "unclassified": "Welcome to Gitea. This service is for unclassified content only. | "
    "Bienvenue à Gitea. Ce service est réservé au contenu Non classifié.",
    "protected-b": "Welcome to Gitea. This service is for content up to protected-b. | "
    "Bienvenue à Gitea. Ce service accepte le contenu coté Protégé-b au plus.",
}


def _virtual_service(profile: Profile, settings: GiteaSettings) -> list[Manifest]:
    """Return the VirtualService; none for protected data, which is reached in the cluster only."""
    if settings.classification != "unclassified":
        return []
    name = names.virtual_service(settings.classification)
    spec = {
        "gateways": [names.GATEWAY],
        "hosts": ["*"],
        "http": http_routes(profile.namespace, settings),
    }
    return [_istio("VirtualService", profile, name, spec)]


def http_routes(namespace: str, settings: GiteaSettings) -> list[dict[str, Any]]:
    """Return ``spec.http`` of a profile's VirtualService.

    The VirtualServices of all profiles share one gateway and one host, in undefined order. So each
    rule matches requests for its own profile only, and no request matches two rules.
    """
    base = f"/{settings.url_prefix}/"
    home = f"{base}{namespace}/"
    service = f"{settings.service_url}.{namespace}.svc.cluster.local"
    # Envoy compares the raw value, and the first one if the parameter is repeated.
    match: dict[str, Any] = {
        "uri": {"exact": base},
        "queryParams": {"ns": {"exact": namespace}},
    }
    if settings.kubeflow_root_url:
        # The dashboard's page of this profile. Pages of other profiles are not redirected.
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


def _service_entry(profile: Profile, settings: GiteaSettings) -> Manifest:
    port = {"name": "tcp-pgsql", "number": settings.psql_port, "protocol": "TCP"}
    spec = {
        "exportTo": ["."],
        "hosts": [settings.psql_hostname],
        "ports": [port],
        "resolution": "DNS",
    }
    return _istio("ServiceEntry", profile, names.service_entry(settings.classification), spec)


def _istio(kind: str, profile: Profile, name: str, spec: dict[str, Any]) -> Manifest:
    return Manifest(kind=kind, namespace=profile.namespace, name=name, content={"spec": spec})
