"""The objects of a profile's Gitea, and what is to be said of its opting in and out. Pure."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from controllers.desired import Desired
from controllers.findings import Finding, Severity
from controllers.gitea import names, routes
from controllers.gitea.config import GiteaSettings
from controllers.gitea.postgres import accounts
from controllers.manifests import Manifest
from controllers.profiles import Profile, read_boolean

INVALID = "InvalidOptIn"
OPTED_OUT = "OptedOut"


UNKNOWN = accounts.Account(user="(of Postgres)", password="(of Postgres)")  # noqa: S106 - says so
"""Where no server is asked: ``render`` and dry runs show no password."""


class Stance(Enum):
    """How a profile stands to its Gitea."""

    OPTED_IN = "it wants one"
    KEPT = "it wants none, and what there is stays"
    STOPPED = "it wants none, and Argo CD takes away what it deployed"
    DETACHED = "it wants none, and what Argo CD deployed goes on without it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What is known of the Argo CD Application of this name."""

    destination: str
    finalizer: bool = False
    """Whether Argo CD takes away what it deployed before the Application goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What ``gather`` learnt."""

    account: accounts.Account | None = None
    """None: no account is known to work, so that the Secret is left as it is."""
    application: Application | None = None
    route: bool = False
    """Whether there is a VirtualService of ours, and not only an older suite's."""
    trouble: Exception | None = None


def stance(profile: Profile, settings: GiteaSettings) -> Stance:
    """By the profile's label; one that is no boolean changes nothing that is there."""
    text = profile.labels.get(settings.source_control_enabled_label)
    wants = read_boolean(text) if text is not None else False
    if wants:
        return Stance.OPTED_IN
    outs = {"stop": Stance.STOPPED, "detach": Stance.DETACHED}
    return Stance.KEPT if wants is None else outs.get(settings.opt_out, Stance.KEPT)


def leaving(profile: Profile, facts: Facts, settings: GiteaSettings) -> bool:
    """Whether the Application must get or lose Argo CD's finalizer before it may go."""
    application = facts.application
    if application is None or application.destination != profile.namespace:
        return False
    match stance(profile, settings):
        case Stance.STOPPED:
            return not application.finalizer
        case Stance.DETACHED:
            return application.finalizer
        case _:
            return False


def desired(profile: Profile, facts: Facts, settings: GiteaSettings) -> Desired:
    """Return the objects of the profile's Gitea, and the findings about opting in and out."""
    return Desired(
        objects=_objects(profile, facts, settings),
        findings=_findings(profile, facts, settings),
        error=facts.trouble,
    )


def _objects(profile: Profile, facts: Facts, settings: GiteaSettings) -> list[Manifest]:
    """Return all objects after an opt-in; otherwise those that stay, none of them created."""
    stands = stance(profile, settings)
    application = _application(profile, facts, settings)
    around = [
        _banner(profile, settings),
        _service_entry(profile, settings),
        *_routes(profile, settings),
    ]
    if stands is Stance.OPTED_IN:
        return [application, _secret(profile, facts, settings), *around]
    kept = [_left_alone(profile, settings)]
    if stands is not Stance.STOPPED:
        deployed = facts.application is not None and stands is Stance.KEPT
        # An older suite gave every profile a VirtualService, with or without a Gitea behind it.
        kept += (one for one in around if one.kind != "VirtualService" or facts.route or deployed)
    if leaving(profile, facts, settings):
        finalizers = {names.FINALIZER: stands is Stance.STOPPED}
        kept.append(replace(application, finalizers=finalizers))
    elif stands is Stance.KEPT:
        kept.append(application)
    return [replace(one, update_only=True) for one in kept]


def _findings(profile: Profile, facts: Facts, settings: GiteaSettings) -> list[Finding]:
    """Return findings for an invalid label, and for a Gitea that runs after an opt-out."""
    key = settings.source_control_enabled_label
    text = profile.labels.get(key)
    if text is not None and read_boolean(text) is None:
        why = f'label {key}: "{text}" is no boolean; expected "true" or "false"'
        return [Finding(reason=INVALID, message=f"{why}; it counts as not set")]
    if stance(profile, settings) is Stance.KEPT and facts.application is not None:
        message = (
            f"opted out by label {key}, and Gitea is kept: Application"
            f" {settings.argocd_namespace}/{_name(profile, settings)} and the database stay until"
            " somebody deletes them"
        )
        return [Finding(reason=OPTED_OUT, message=message, severity=Severity.NOTICE)]
    return []


def _name(profile: Profile, settings: GiteaSettings) -> str:
    return names.application(profile.name, settings.classification)


def _application(profile: Profile, facts: Facts, settings: GiteaSettings) -> Manifest:
    there = facts.application
    automated = {"automated": {"prune": True, "selfHeal": True}}
    return Manifest(
        kind="Application",
        namespace=settings.argocd_namespace,
        name=_name(profile, settings),
        # An older suite's has no owner; what it deploys, and where, tells whose it is.
        adoptable=there is not None and there.destination == profile.namespace,
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


def _secret(profile: Profile, facts: Facts, settings: GiteaSettings) -> Manifest:
    if facts.account is None:
        return replace(_left_alone(profile, settings), update_only=True)
    text = accounts.lines(
        facts.account,
        database=names.identifier(profile.name),
        host=settings.database_host,
        ssl_mode="disable" if settings.psql_sslmode == "disable" else "require",
    )
    encoded = base64.b64encode(text.encode()).decode()
    content = {"type": "Opaque", "data": {names.SECRET_KEY: encoded}}
    return replace(_left_alone(profile, settings), create_only=False, content=content)


def _left_alone(profile: Profile, settings: GiteaSettings) -> Manifest:
    """The Secret, whatever it holds: it must not be pruned."""
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


def _routes(profile: Profile, settings: GiteaSettings) -> Sequence[Manifest]:
    """What is protected is reached from within the cluster alone."""
    if settings.classification != "unclassified":
        return ()
    name = names.virtual_service(settings.classification)
    spec = {
        "gateways": [names.GATEWAY],
        "hosts": ["*"],
        "http": routes.http(profile.namespace, settings),
    }
    return (_istio("VirtualService", profile, name, spec),)


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
