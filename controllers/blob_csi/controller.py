"""The blob-csi controller: what it owns and watches, and the rights that it needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from controllers.blob_csi import desired, names, observe, volumes
from controllers.blob_csi.accounts import secrets, storage_accounts
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.facts import Facts
from controllers.blob_csi.grants import poller
from controllers.blob_csi.observe import BlobCsiExternal
from controllers.blob_csi.volumes import ObservedClaim, ObservedVolume
from controllers.runtime import (
    Access,
    Body,
    Controller,
    ExternalFactory,
    Owned,
    ProfileGone,
    Rule,
    RulesForNames,
    Watch,
    always,
    by_namespace,
    no_profiles,
)


async def collect_garbage(external: BlobCsiExternal, profile_gone: ProfileGone) -> None:
    """Delete the containers of deleted Profiles, if configured."""
    await external.accounts.collect_garbage(profile_gone)


def watches(settings: BlobCsiSettings) -> Sequence[Watch]:
    """Return what the controller reads: of Secrets and ConfigMaps those of these settings only."""
    single: list[tuple[str, Any, tuple[str, str]]] = [
        ("Secret", secrets.parse_secret, (ref.namespace, ref.name))
        for ref in dict.fromkeys(one.secret_ref for one in settings.instances)
    ]
    if (config_map := observe.config_map(settings)) is not None:
        single.append(("ConfigMap", poller.transform_config_map, config_map))
    return (
        Watch(kind=volumes.VOLUME_KIND, transform=_transform_volume, map=_map_volume),
        Watch(kind=volumes.CLAIM_KIND, transform=_transform_claim, map=by_namespace),
        Watch(kind="Pod", transform=_transform_pod, map=by_namespace, deletable=True),
        Watch(kind="Namespace", transform=storage_accounts.transform_namespace, map=no_profiles),
        *(
            Watch(kind=kind, transform=transform, map=no_profiles, object=one)
            for kind, transform, one in single
        ),
    )


def _transform_volume(body: Body) -> ObservedVolume | None:
    """Store the volumes of this suite or driver, and those that one of its claims could bind."""
    volume = volumes.parse_volume(body)
    labelled = names.PROFILE_LABEL in (body["metadata"].get("labels") or {})
    is_relevant = volume.driver == names.DRIVER or volume.managed or labelled
    return volume if is_relevant or not (body.get("spec") or {}).get("storageClassName") else None


def _transform_claim(body: Body) -> ObservedClaim | None:
    """Store the claims of this suite, and those that could bind to one of its volumes."""
    claim = volumes.parse_claim(body)
    return claim if claim.managed or claim.storage_class == "" else None


def _transform_pod(body: Body) -> tuple[str, ...] | None:
    return volumes.mounted_claims(body) or None


def _map_volume(body: Body) -> Collection[str]:
    claim = (body.get("spec") or {}).get("claimRef") or {}
    profile = volumes.owner_name(body["metadata"]) or claim.get("namespace")
    return (profile,) if profile else ()


def _read(resource: str) -> Rule:
    return Rule(groups=("",), resources=(resource,), verbs=("list", "watch"))


CONTROLLER = Controller(
    name="blob-csi",
    summary="Azure Blob Storage volumes: the containers of each profile, and shared buckets",
    settings=BlobCsiSettings,
    facts=Facts(),
    observe=observe.observe,
    desired=desired.desired,
    owned=always(
        Owned(kind=volumes.VOLUME_KIND, adopt_legacy=names.is_legacy_volume),
        Owned(kind=volumes.CLAIM_KIND, adopt_legacy=names.is_legacy_claim),
    ),
    watches=watches,
    external=ExternalFactory(connect=BlobCsiExternal, collect_garbage=collect_garbage),
    access=Access(
        # The rules that follow from the watched objects, as data for the chart.
        by_settings=(
            RulesForNames(setting="instances", key="secret_ref", rule=_read("secrets")),
            RulesForNames(
                setting="config_map",
                while_set=tuple(
                    f"fdi_{classification}_{origin}_storage_account"
                    for classification in ("unclass", "protected_b")
                    for origin in ("internal", "external")
                ),
                rule=_read("configmaps"),
            ),
        ),
    ),
)
