"""What the informers know of a tenant's keys, and what the Profile says about them."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from controllers.findings import Finding
from controllers.manifests import COMPONENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, Body
from controllers.pipelines import names
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.objectstore.provider import Credentials, Decision, Tenant
from controllers.profiles import PAUSED_ANNOTATION, Profile, read_boolean
from controllers.runtime.objects import cached_object


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the Secret of a namespace holds, and whether it may be written."""

    credentials: Credentials | None
    """None where it is not readable as a pair of keys."""
    why_not: str = ""
    """Why it is not to be written; empty when it may be."""


def keep_namespace(body: Body) -> bool | None:
    """Whether the namespace takes part; None is no."""
    labels = body["metadata"].get("labels") or {}
    return True if labels.get(names.ENABLED_LABEL) == "true" else None


def map_namespace(body: Body) -> Collection[str]:
    """Map a Namespace to the Profile of the same name."""
    return (str(body["metadata"]["name"]),)


def keep_secret(body: Body) -> Held | None:
    """The keys, of the one Secret that has them; nothing of any other Secret."""
    metadata = body["metadata"]
    if metadata["name"] != names.SECRET:
        return None
    return Held(credentials=read_keys(body.get("data")), why_not=_why_not(metadata))


def read_keys(data: object) -> Credentials | None:
    """Both keys out of a Secret's ``data``; None when one is missing, empty or unreadable."""
    if not isinstance(data, Mapping):
        return None
    try:
        access, secret = (
            base64.b64decode(str(data[key]), validate=True).decode()
            for key in (names.ACCESS_KEY, names.SECRET_KEY)
        )
    except (KeyError, ValueError):
        return None
    return Credentials(access_key=access, secret_key=secret) if access and secret else None


def _why_not(metadata: Mapping[str, object]) -> str:
    """The same rules as the plan's, so that no key is made that could not be kept."""
    annotations = metadata.get("annotations") or {}
    if isinstance(annotations, Mapping):
        paused = str(annotations.get(PAUSED_ANNOTATION, "")).strip()
        if read_boolean(paused):
            return f"is paused by its annotation {PAUSED_ANNOTATION}"
    labels = metadata.get("labels") or {}
    references = metadata.get("ownerReferences") or ()
    if isinstance(references, list) and references:
        ours = any(
            cached_object.is_profile_reference(one)
            or cached_object.is_namespace_reference(one, metadata)
            for one in references
        )
        return "" if ours else "belongs to another owner"
    marked = isinstance(labels, Mapping) and labels.get(MANAGED_BY_LABEL) == MANAGED_BY
    if marked and isinstance(labels, Mapping) and labels.get(COMPONENT_LABEL) == "pipelines":
        return ""
    return "was not made by us"


def tenant(profile: Profile, settings: PipelinesSettings) -> tuple[Tenant, list[Finding]]:
    """Whom a key is for, and what is wrong with what the Profile says of it."""
    said = profile.annotations.get(names.OLD_OBJECTS_ANNOTATION, "").strip()
    choices = ("", *names.OLD_OBJECTS)
    findings = []
    if said not in choices:
        findings.append(
            Finding(
                reason="InvalidOldObjects",
                message=(
                    f"annotation {names.OLD_OBJECTS_ANNOTATION} is {said!r}: expected one of"
                    f" {', '.join(names.OLD_OBJECTS)}; {settings.old_objects} stays in force"
                ),
            )
        )
        said = ""
    decided = said or settings.old_objects
    decision = Decision.UNDECIDED if decided == "refuse" else Decision(decided)
    generation = profile.annotations.get(names.KEY_GENERATION_ANNOTATION, "")
    found = Tenant(
        namespace=profile.namespace,
        uid=profile.uid,
        decision=decision,
        for_all=not said,
        generation=generation,
    )
    return found, findings
