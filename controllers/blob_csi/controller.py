"""What the blob-csi controller owns and watches, and whom it asks outside Kubernetes."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from controllers.blob_csi import desired, names, observations
from controllers.blob_csi.accounts import accounts, troubles
from controllers.blob_csi.accounts import secrets as accounts_secrets
from controllers.blob_csi.accounts.accounts import Accounts
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.grants.poller import Followers, keep_config_map
from controllers.blob_csi.grants.resolve import Facts, Withheld, granted
from controllers.blob_csi.grants.sources import Origin
from controllers.manifests import Body
from controllers.profiles import Profile
from controllers.runtime import (
    ALL_PROFILES,
    Access,
    CacheReader,
    ComponentStatus,
    Controller,
    Enqueue,
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

_VOLUME, _CLAIM = "PersistentVolume", "PersistentVolumeClaim"


class Keeps(Protocol):
    """As ``accounts.Accounts``."""

    def read(self, kept: accounts.Kept) -> bool: ...
    async def withheld(
        self,
        profile: Profile,
        volumes: Mapping[str, observations.Volume],
        profiles: frozenset[str],
    ) -> Mapping[str, Withheld]: ...
    async def sweep(self, profile_gone: ProfileGone) -> None: ...
    def components(self) -> list[ComponentStatus]: ...
    async def close(self) -> None: ...


class Outside:
    """Storage accounts, and the sources of shared buckets; with what opens and holds them."""

    def __init__(
        self,
        settings: BlobCsiSettings,
        *,
        dry_run: bool,
        accounts: Keeps | None = None,
        followers: Followers | None = None,
    ) -> None:
        """Asks nothing yet. In a dry run nothing is changed outside."""
        self.settings = settings
        self.accounts = accounts or Accounts(settings, dry_run=dry_run)
        self.followers = followers or Followers(settings)
        self._noticed = asyncio.Event()
        self._looked = asyncio.Event()

    async def run(self, cache: CacheReader, enqueue: Enqueue) -> None:
        """Reads Secrets and the ConfigMap whenever they change, and asks gateways meanwhile."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.followers.follow(enqueue))
            while True:
                self._noticed.clear()
                if self.accounts.read(cache.get):
                    enqueue(ALL_PROFILES)
                if (place := _config_map(self.settings)) is not None:
                    self.followers.read(cache.get("ConfigMap", *place), enqueue)
                self._looked.set()
                await self._noticed.wait()

    def noticed(self) -> None:
        """A Secret or the ConfigMap has changed."""
        self._noticed.set()

    async def looked(self) -> None:
        """Returns once all was read and each gateway asked, whatever came of it; bounded."""
        await self._looked.wait()
        await self.followers.asked()

    def components(self) -> list[ComponentStatus]:
        """Each storage account and each source."""
        return [*self.accounts.components(), *self.followers.components()]

    def health(self) -> str:
        """Which of them are in trouble."""
        return "; ".join(f"{one.name}: {one.error}" for one in self.components() if one.error)

    async def close(self) -> None:
        """Gives connections back."""
        await self.accounts.close()


async def observe(
    profile: Profile, cache: CacheReader, settings: BlobCsiSettings, outside: Outside
) -> Facts:
    """Read what the sources grant, what the cluster has, and which containers are unavailable."""
    await outside.looked()
    seen = cache.list_for_profile(_VOLUME, profile.name)
    withheld = await outside.accounts.withheld(profile, seen, cache.profiles)
    # Only now, and without waiting again: all of it is to be of one moment.
    followers = outside.followers
    facts = Facts(answers=followers.answers, failing=followers.failing, withheld=withheld)
    return replace(
        facts,
        error=troubles.waiting(withheld.values()),
        volumes=_volumes(profile, cache, facts, settings),
        claims=cache.list(_CLAIM, profile.namespace),
        pods=_pods(profile, cache),
    )


def _volumes(
    profile: Profile, cache: CacheReader, facts: Facts, settings: BlobCsiSettings
) -> Mapping[str, observations.Volume]:
    """The profile's, and whosever have the names of those that it should have."""
    volumes = dict(cache.list_for_profile(_VOLUME, profile.name))
    for wish in granted(profile.namespace, facts, settings).wishes:
        name = wish.volume.name
        if name not in volumes and (found := cache.get(_VOLUME, "", name)) is not None:
            volumes[name] = found
    return volumes


def _pods(profile: Profile, cache: CacheReader) -> Mapping[str, tuple[str, ...]]:
    """Of each claim the pods that hold it."""
    pods: dict[str, tuple[str, ...]] = {}
    for pod, claims in cache.list("Pod", profile.namespace).items():
        for claim in claims:
            pods[claim] = (*pods.get(claim, ()), pod)
    return pods


async def collect_garbage(outside: Outside, profile_gone: ProfileGone) -> None:
    """Containers of Profiles that are gone, where their data shall go with them."""
    await outside.accounts.sweep(profile_gone)


def _keep_volume(body: Body) -> observations.Volume | None:
    """Those of ours, of our driver, and all that a claim of ours could be bound to."""
    volume = observations.volume_of(body)
    labelled = names.PROFILE_LABEL in (body["metadata"].get("labels") or {})
    is_known = volume.driver == names.DRIVER or volume.marked or labelled
    return volume if is_known or not (body.get("spec") or {}).get("storageClassName") else None


def _keep_claim(body: Body) -> observations.Claim | None:
    """Those of ours, and all that could be bound to a volume of ours."""
    claim = observations.claim_of(body)
    return claim if claim.marked or claim.storage_class == "" else None


def _keep_pod(body: Body) -> tuple[str, ...] | None:
    return observations.claims_of_pod(body) or None


def _map_volume(body: Body) -> Collection[str]:
    claim = (body.get("spec") or {}).get("claimRef") or {}
    profile = observations.owner_name(body["metadata"]) or claim.get("namespace")
    return (profile,) if profile else ()


def _config_map(settings: BlobCsiSettings) -> tuple[str, str] | None:
    """Namespace and name of the ConfigMap of shared buckets, where it is read at all."""
    if all(source.origin is Origin.GATEWAY for source in settings.storages):
        return None
    return settings.config_map_namespace, settings.config_map


def watches(settings: BlobCsiSettings) -> Sequence[Watch]:
    """Return what the controller reads: no Secret and ConfigMap but those of these settings."""
    single: list[tuple[str, Any, tuple[str, str]]] = [
        ("Secret", accounts_secrets.read, (ref.namespace, ref.name))
        for ref in dict.fromkeys(one.secret_ref for one in settings.instances)
    ]
    if (config_map := _config_map(settings)) is not None:
        single.append(("ConfigMap", keep_config_map, config_map))
    return (
        Watch(kind=_VOLUME, transform=_keep_volume, map=_map_volume),
        Watch(kind=_CLAIM, transform=_keep_claim, map=by_namespace),
        Watch(kind="Pod", transform=_keep_pod, map=by_namespace, deletable=True),
        Watch(kind="Namespace", transform=accounts.keep_cluster, map=no_profiles),
        *(
            Watch(kind=kind, transform=transform, map=no_profiles, object=one)
            for kind, transform, one in single
        ),
    )


def _reads(resource: str) -> Rule:
    return Rule(groups=("",), resources=(resource,), verbs=("list", "watch"))


CONTROLLER = Controller(
    name="blob-csi",
    summary="Each profile's containers in Azure, and the shared buckets that it was given",
    settings=BlobCsiSettings,
    facts=Facts(),
    observe=observe,
    desired=desired.desired,
    owned=always(
        Owned(kind=_VOLUME, adopt_legacy=names.is_legacy_volume),
        Owned(kind=_CLAIM, adopt_legacy=names.is_legacy_claim),
    ),
    watches=watches,
    external=ExternalFactory(connect=Outside, collect_garbage=collect_garbage),
    access=Access(
        # The same that follows from what is watched, as data for the chart.
        by_settings=(
            RulesForNames(setting="instances", key="secret_ref", rule=_reads("secrets")),
            RulesForNames(
                setting="config_map",
                while_set=tuple(
                    f"fdi_{classification}_{origin}_storage_account"
                    for classification in ("unclass", "protected_b")
                    for origin in ("internal", "external")
                ),
                rule=_reads("configmaps"),
            ),
        ),
    ),
)
