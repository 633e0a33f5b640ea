"""The blob-csi controller: what it owns and watches, and the rights that it needs."""

from __future__ import annotations

from collections.abc import Collection

from controllers.blob_csi import desired, names, observe, volumes
from controllers.blob_csi.accounts import secrets, storage_accounts
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.facts import Facts
from controllers.blob_csi.grants import poller
from controllers.blob_csi.observe import BlobCsiExternal
from controllers.blob_csi.volumes import ObservedClaim, ObservedVolume
from controllers.runtime import (
    Body,
    Controller,
    ExternalFactory,
    ObjectsFromSetting,
    Owned,
    ProfileGone,
    Watch,
    always,
    by_namespace,
    no_profiles,
)


async def collect_garbage(external: BlobCsiExternal, profile_gone: ProfileGone) -> None:
    """Delete the containers of deleted Profiles, if configured."""
    await external.accounts.collect_garbage(profile_gone)


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
    watches=always(
        Watch(kind=volumes.VOLUME_KIND, transform=_transform_volume, map=_map_volume),
        Watch(kind=volumes.CLAIM_KIND, transform=_transform_claim, map=by_namespace),
        Watch(kind="Pod", transform=_transform_pod, map=by_namespace, deletable=True),
        Watch(kind="Namespace", transform=storage_accounts.transform_namespace, map=no_profiles),
        # The Secrets and the ConfigMap of the settings, and no other.
        Watch(
            kind="Secret",
            transform=secrets.parse_secret,
            map=no_profiles,
            object=ObjectsFromSetting(setting="instances", key="secret_ref"),
        ),
        Watch(
            kind="ConfigMap",
            transform=poller.transform_config_map,
            map=no_profiles,
            object=ObjectsFromSetting(
                setting="config_map",
                namespace="config_map_namespace",
                while_set=tuple(
                    f"fdi_{classification}_{origin}_storage_account"
                    for classification in ("unclass", "protected_b")
                    for origin in ("internal", "external")
                ),
            ),
        ),
    ),
    external=ExternalFactory(connect=BlobCsiExternal, collect_garbage=collect_garbage),
)
