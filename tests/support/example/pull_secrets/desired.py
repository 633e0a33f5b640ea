"""The pull secret of a profile, and where it is used. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from controllers.desired import Desired
from controllers.findings import Finding
from controllers.manifests import Addition, Key, Manifest
from controllers.profiles import Profile, parse_bool
from controllers.runtime.errors import Waiting
from tests.support.example.pull_secrets import names
from tests.support.example.pull_secrets.config import PullSecretsSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the pull-secrets controller observes besides the Profile."""

    credentials: str | None = None
    """The credentials in base64; None while the source Secret has none."""


def desired(profile: Profile, facts: Facts, settings: PullSecretsSettings) -> Desired:
    """Return the Secret, and the item of ``imagePullSecrets`` that refers to it."""
    text = profile.labels.get(names.LABEL, "true")
    enabled = parse_bool(text)
    if enabled is False:
        return Desired()
    findings = [] if enabled else [_invalid_label(text)]
    reference = Addition(
        kind="ServiceAccount",
        namespace=profile.namespace,
        name=names.SERVICE_ACCOUNT,
        items={"imagePullSecrets": [{"name": names.SECRET}]},
    )
    if facts.credentials is None:
        return Desired(
            additions=[reference],
            findings=findings,
            retain=frozenset({Key("Secret", profile.namespace, names.SECRET)}),
            error=_no_credentials(settings),
        )
    secret = Manifest(
        kind="Secret",
        namespace=profile.namespace,
        name=names.SECRET,
        content={
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": facts.credentials},
        },
    )
    return Desired(objects=[secret], additions=[reference], findings=findings)


def _invalid_label(text: str) -> Finding:
    return Finding(
        reason="InvalidBoolean",
        message=(
            f"label {names.LABEL}={text!r} is not a boolean; using the default true."
            " Set it to true or false."
        ),
    )


def _no_credentials(settings: PullSecretsSettings) -> Waiting:
    source = f"{settings.source_namespace}/{settings.source_name}"
    return Waiting(
        "CredentialsMissing",
        f"Secret {source} has no key {settings.source_key}; add it, or correct the settings"
        " source_namespace, source_name and source_key",
        warn=True,
    )
