"""What is remembered of the objects that stand in another light by their content. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from controllers.gitea import desired, names
from controllers.gitea.config import GiteaSettings
from controllers.gitea.postgres import accounts
from controllers.gitea.postgres.accounts import Account
from controllers.manifests import COMPONENT_LABEL, Body
from controllers.profiles import API_GROUP, PAUSED_ANNOTATION, read_boolean


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is remembered of a profile's Secret."""

    account: Account | None
    owners: tuple[str, ...]
    """UIDs of the Profiles that control it; what is no Profile counts as one, without a UID."""
    hands_off: bool
    """Nothing can be written to it: its password must stay what it is."""


def keep_application(settings: GiteaSettings) -> Callable[[Body], desired.Application | None]:
    """Of those of this classification, where they deploy; but not of one on its way out."""

    def keep(body: Body) -> desired.Application | None:
        metadata = body["metadata"]
        if metadata.get("namespace") != settings.argocd_namespace or (
            names.profile_of(metadata["name"], settings.classification) is None
            or metadata.get("deletionTimestamp")
        ):
            return None
        destination = (body.get("spec") or {}).get("destination") or {}
        return desired.Application(
            destination=str(destination.get("namespace") or ""),
            finalizer=names.FINALIZER in (metadata.get("finalizers") or ()),
        )

    return keep


def keep_secret(settings: GiteaSettings) -> Callable[[Body], Held | None]:
    """Of the Secret of this classification."""

    def keep(body: Body) -> Held | None:
        metadata = body["metadata"]
        if metadata["name"] != names.secret(settings.classification):
            return None
        return Held(
            account=accounts.parse(body.get("data") or {}, names.SECRET_KEY),
            owners=tuple(_owner(reference) for reference in metadata.get("ownerReferences") or ()),
            hands_off=_is_unwritable(metadata),
        )

    return keep


def _is_unwritable(metadata: Mapping[str, Any]) -> bool:
    """Paused, or on its way out."""
    annotation = (metadata.get("annotations") or {}).get(PAUSED_ANNOTATION, "")
    return read_boolean(annotation.strip()) is True or "deletionTimestamp" in metadata


def _owner(reference: Mapping[str, Any]) -> str:
    group = str(reference.get("apiVersion", "")).partition("/")[0]
    is_profile = group == API_GROUP and bool(reference.get("controller"))
    return str(reference.get("uid")) if is_profile else ""


def keep_route(settings: GiteaSettings) -> Callable[[Body], bool | None]:
    """Whether it is ours by its label; None for every other VirtualService."""

    def keep(body: Body) -> bool | None:
        metadata = body["metadata"]
        if metadata["name"] != names.virtual_service(settings.classification):
            return None
        component = (metadata.get("labels") or {}).get(COMPONENT_LABEL)
        return bool(component == names.component(settings.classification))

    return keep
