"""The external systems of the blob-csi controller, and what it observes for one profile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from controllers.blob_csi import volumes
from controllers.blob_csi.accounts.storage_accounts import ReadCache, StorageAccounts
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.facts import Facts, Unavailable
from controllers.blob_csi.grants import resolve
from controllers.blob_csi.grants.poller import BucketSources
from controllers.blob_csi.grants.sources import Origin
from controllers.blob_csi.volumes import ObservedVolume
from controllers.runtime import (
    ALL_PROFILES,
    CacheReader,
    ComponentStatus,
    Enqueue,
    Profile,
    ProfileGone,
    Waiting,
)


class Accounts(Protocol):
    """The storage accounts; ``StorageAccounts`` implements it."""

    def update_secrets(self, read: ReadCache) -> bool: ...
    async def unavailable(
        self,
        profile: Profile,
        volumes: Mapping[str, ObservedVolume],
        profiles: frozenset[str],
    ) -> Mapping[str, Unavailable]: ...
    async def collect_garbage(self, profile_gone: ProfileGone) -> None: ...
    def components(self) -> list[ComponentStatus]: ...
    async def close(self) -> None: ...


class BlobCsiExternal:
    """The storage accounts, and the sources of shared buckets."""

    def __init__(
        self,
        settings: BlobCsiSettings,
        *,
        dry_run: bool,
        accounts: Accounts | None = None,
        sources: BucketSources | None = None,
    ) -> None:
        """Send no request. In a dry run no storage account is changed."""
        self.accounts = accounts or StorageAccounts(settings, dry_run=dry_run)
        self.sources = sources or BucketSources(settings)
        self._config_map = config_map(settings)
        self._changed = asyncio.Event()
        self._read = asyncio.Event()

    async def run(self, cache: CacheReader, enqueue: Enqueue) -> None:
        """Poll the gateways, and read the Secrets and the ConfigMap whenever they change."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.sources.run(enqueue))
            while True:
                self._changed.clear()
                if self.accounts.update_secrets(cache.get):
                    enqueue(ALL_PROFILES)
                if self._config_map is not None:
                    documents = cache.get("ConfigMap", *self._config_map)
                    self.sources.update_config_map(documents, enqueue)
                self._read.set()
                await self._changed.wait()

    def watched_object_changed(self) -> None:
        """Handle a change of a Secret or of the ConfigMap."""
        self._changed.set()

    async def wait_synced(self) -> None:
        """Wait until the Secrets and all sources were read once; bounded in time."""
        await self._read.wait()
        await self.sources.wait_synced()

    def components(self) -> list[ComponentStatus]:
        """Return the status of each storage account and of each source."""
        return [*self.accounts.components(), *self.sources.components()]

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(self.accounts.close(), self.sources.close())


async def observe(
    profile: Profile, cache: CacheReader, settings: BlobCsiSettings, external: BlobCsiExternal
) -> Facts:
    """Observe the grants, the containers in Azure, and the objects on the cluster."""
    await external.wait_synced()
    existing = cache.list_for_profile(volumes.VOLUME_KIND, profile.name)
    unavailable = await external.accounts.unavailable(profile, existing, cache.profiles)
    # The rest is read without waiting, so that all of it is of the same moment.
    facts = Facts(
        buckets=external.sources.buckets_of(profile.namespace),
        failing=external.sources.failing,
        unavailable=unavailable,
        claims=cache.list(volumes.CLAIM_KIND, profile.namespace),
        pods=_pods(profile, cache),
        error=waiting(unavailable.values()),
    )
    return replace(facts, volumes=_volumes(profile, cache, facts, settings))


def config_map(settings: BlobCsiSettings) -> tuple[str, str] | None:
    """Return namespace and name of the ConfigMap of shared buckets; None if no source needs it."""
    if all(source.origin is Origin.GATEWAY for source in settings.sources):
        return None
    return settings.config_map_namespace, settings.config_map


def waiting(unavailable: Iterable[Unavailable]) -> Waiting | None:
    """Return the error of the containers that are retried, after the shortest of their delays."""
    delays = {one: one.retry_after for one in unavailable if one.retry_after is not None}
    if not delays:
        return None
    return Waiting(
        next(iter(delays)).reason,
        "; ".join(dict.fromkeys(one.message for one in delays)),
        after=min(delays.values()),
        warn=any(one.action_required for one in delays),
    )


def _volumes(
    profile: Profile, cache: CacheReader, facts: Facts, settings: BlobCsiSettings
) -> Mapping[str, ObservedVolume]:
    """Return the profile's volumes, and all volumes with the name of a desired one."""
    found = dict(cache.list_for_profile(volumes.VOLUME_KIND, profile.name))
    for name in resolve.volume_names(profile.namespace, facts, settings):
        if name not in found and (other := cache.get(volumes.VOLUME_KIND, "", name)) is not None:
            found[name] = other
    return found


def _pods(profile: Profile, cache: CacheReader) -> Mapping[str, tuple[str, ...]]:
    """Return for each claim the names of the Pods that mount it."""
    pods: dict[str, tuple[str, ...]] = {}
    for pod, claims in cache.list("Pod", profile.namespace).items():
        for claim in claims:
            pods[claim] = (*pods.get(claim, ()), pod)
    return pods
