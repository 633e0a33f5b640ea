"""Observe a namespace: whether pipelines are enabled, and which key its Secret should hold."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from controllers.findings import Finding
from controllers.manifests import Body
from controllers.pipelines import names
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.desired import Facts, adoptable_secret
from controllers.pipelines.objectstore.provider import ObjectStore
from controllers.pipelines.objectstore.spec import AccountSpec, Credentials, OldObjects
from controllers.profiles import Profile
from controllers.runtime import CacheReader, ExternalError, Waiting
from controllers.runtime.apply.changeset import Action, Change

NOT_WRITABLE = "SecretNotWritable"
"""Reason: no key is created, because the plan would not write the Secret."""
_PENDING_SECONDS = 60.0
_PLACEHOLDER = Credentials(access_key="", secret_key="")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretContent:
    """What the cache stores of a namespace's Secret."""

    key: Credentials | None
    """None if the Secret has no valid pair of keys."""
    version: str
    """The resourceVersion: any change can decide whether the Secret may be written."""


def transform_namespace(body: Body) -> bool | None:
    """Return True if pipelines are enabled in the namespace, else None."""
    labels = body["metadata"].get("labels") or {}
    return True if labels.get(names.ENABLED_LABEL) == "true" else None


def map_namespace(body: Body) -> Collection[str]:
    """Map a Namespace to the Profile of the same name."""
    return (str(body["metadata"]["name"]),)


def transform_secret(body: Body) -> SecretContent | None:
    """Return the content of the Secret with the namespace's key; None for other Secrets."""
    metadata = body["metadata"]
    if metadata["name"] != names.SECRET:
        return None
    return SecretContent(
        key=read_key(body.get("data")), version=str(metadata.get("resourceVersion", ""))
    )


def read_key(data: object) -> Credentials | None:
    """Return the key in a Secret's ``data``; None if a half is missing, empty or not Base64."""
    if not isinstance(data, Mapping):
        return None
    try:
        access_key, secret_key = (
            base64.b64decode(str(data[key]), validate=True).decode()
            for key in (names.ACCESS_KEY, names.SECRET_KEY)
        )
    except (KeyError, ValueError):
        return None
    if not access_key or not secret_key:
        return None
    return Credentials(access_key=access_key, secret_key=secret_key)


async def observe(
    profile: Profile, cache: CacheReader, settings: PipelinesSettings, store: ObjectStore
) -> Facts:
    """Return the facts of a namespace; in an enabled one, with its key from the object store."""
    if not cache.get("Namespace", "", profile.namespace):
        return Facts(enabled=False)
    content: SecretContent | None = cache.get("Secret", profile.namespace, names.SECRET)
    in_secret = content.key if content else None
    spec, findings = account_spec(profile, settings)
    # The store must not issue a key that no Secret can hold: it would issue another each time.
    manifest = adoptable_secret(profile.namespace, in_secret or _PLACEHOLDER)
    if (blocked := cache.blocked_write(profile, manifest)) is not None:
        return _blocked(blocked, in_secret, findings)
    try:
        result = await store.ensure_key(spec, in_secret)
    except ExternalError as error:
        return Facts(key=in_secret, findings=findings, error=error.outcome())
    if isinstance(result, Finding):
        return Facts(findings=[*findings, result])
    return Facts(key=result, findings=findings)


def _blocked(blocked: Change, in_secret: Credentials | None, findings: list[Finding]) -> Facts:
    message = f"{blocked.key} {blocked.detail}; no key is created until it can be written"
    if blocked.action is Action.PENDING:
        error = Waiting(NOT_WRITABLE, message, after=_PENDING_SECONDS)
        return Facts(key=in_secret, findings=findings, error=error)
    finding = Finding(reason=NOT_WRITABLE, message=message)
    return Facts(key=in_secret, findings=[*findings, finding])


def account_spec(
    profile: Profile, settings: PipelinesSettings
) -> tuple[AccountSpec, list[Finding]]:
    """Return the Profile's account, and findings about its annotations."""
    annotation = profile.annotations.get(names.OLD_OBJECTS_ANNOTATION, "").strip()
    choices = [one.value for one in OldObjects]
    findings = []
    if annotation and annotation not in choices:
        findings.append(
            Finding(
                reason="InvalidOldObjects",
                message=(
                    f"annotation {names.OLD_OBJECTS_ANNOTATION}={annotation!r} is not valid; using"
                    f" the default {settings.old_objects}. Set it to one of {', '.join(choices)}"
                ),
            )
        )
        annotation = ""
    spec = AccountSpec(
        namespace=profile.namespace,
        uid=profile.uid,
        old_objects=OldObjects(annotation or settings.old_objects),
        old_objects_by_default=not annotation,
        generation=profile.annotations.get(names.KEY_GENERATION_ANNOTATION, ""),
    )
    return spec, findings
