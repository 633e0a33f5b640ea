"""What the blob-csi controller owns and watches, and whom it asks outside Kubernetes."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Protocol

from controllers.blob_csi import desired, names, observations
from controllers.blob_csi import instances as blob_csi_instances
from controllers.blob_csi.accounts import accounts, troubles
from controllers.blob_csi.accounts import secrets as accounts_secrets
from controllers.blob_csi.accounts.accounts import Accounts
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.grants.poller import Followers, keep_config_map
from controllers.blob_csi.grants.resolve import Facts, Withheld, granted
from controllers.blob_csi.grants.sources import Origin
from controllers.blob_csi.instances import SecretRef
from controllers.manifests import Body
from controllers.profiles import Profile
from controllers.runtime.controller import (
    Controller,
    IsGone,
    Named,
    Owned,
    Part,
    Rule,
    View,
    Wake,
    Watched,
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
    async def sweep(self, is_gone: IsGone) -> None: ...
    def parts(self) -> list[Part]: ...
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

    async def run(self, view: View, wake: Wake) -> None:
        """Reads Secrets and the ConfigMap whenever they change, and asks gateways meanwhile."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.followers.follow(wake))
            while True:
                self._noticed.clear()
                if self.accounts.read(view.kept):
                    wake(None)
                if (place := _config_map(self.settings)) is not None:
                    self.followers.read(view.kept("ConfigMap", *place), wake)
                self._looked.set()
                await self._noticed.wait()

    def noticed(self) -> None:
        """A Secret or the ConfigMap has changed."""
        self._noticed.set()

    async def looked(self) -> None:
        """Returns once all was read and each gateway asked, whatever came of it; bounded."""
        await self._looked.wait()
        await self.followers.asked()

    def parts(self) -> list[Part]:
        """Each storage account and each source."""
        return [*self.accounts.parts(), *self.followers.parts()]

    def health(self) -> str:
        """Which of them are in trouble."""
        return "; ".join(f"{one.name}: {one.trouble}" for one in self.parts() if one.trouble)

    async def close(self) -> None:
        """Gives connections back."""
        await self.accounts.close()


async def gather(profile: Profile, view: View) -> Facts:
    """What the sources say, what is on the cluster, and which containers cannot be had."""
    outside: Outside = view.outside
    await outside.looked()
    seen = view.concerning(_VOLUME, profile.name)
    withheld = await outside.accounts.withheld(profile, seen, view.profiles)
    # Only now, and without waiting again: all of it is to be of one moment.
    followers = outside.followers
    facts = Facts(answers=followers.answers, failing=followers.failing, withheld=withheld)
    return replace(
        facts,
        volumes=_volumes(profile, view, facts),
        claims=view.all_kept(_CLAIM, profile.namespace),
        pods=_pods(profile, view),
    )


def _volumes(profile: Profile, view: View, facts: Facts) -> Mapping[str, observations.Volume]:
    """The profile's, and whosever have the names of those that it should have."""
    volumes = dict(view.concerning(_VOLUME, profile.name))
    for wish in granted(profile.namespace, facts, view.outside.settings).wishes:
        name = wish.volume.name
        if name not in volumes and (found := view.kept(_VOLUME, "", name)) is not None:
            volumes[name] = found
    return volumes


def _pods(profile: Profile, view: View) -> Mapping[str, tuple[str, ...]]:
    """Of each claim the pods that hold it."""
    pods: dict[str, tuple[str, ...]] = {}
    for pod, claims in view.all_kept("Pod", profile.namespace).items():
        for claim in claims:
            pods[claim] = (*pods.get(claim, ()), pod)
    return pods


def trouble(facts: Facts) -> Exception | None:
    """Which storage accounts did not answer."""
    return troubles.waiting(facts.withheld.values())


async def chore(outside: Outside, is_gone: IsGone) -> None:
    """Containers of Profiles that are gone, where their data shall go with them."""
    await outside.accounts.sweep(is_gone)


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


def _wakes_volume(body: Body) -> str | None:
    claim = (body.get("spec") or {}).get("claimRef") or {}
    return observations.owner_name(body["metadata"]) or claim.get("namespace")


def _wakes_namespace(body: Body) -> str | None:
    return str(body["metadata"]["namespace"])


def _config_map(settings: BlobCsiSettings) -> tuple[str, str] | None:
    """Namespace and name of the ConfigMap of shared buckets, where it is read at all."""
    if all(source.origin is Origin.GATEWAY for source in settings.storages):
        return None
    return settings.config_map_namespace, settings.config_map


def _watched(
    secrets: Collection[SecretRef], config_map: tuple[str, str] | None
) -> tuple[Watched, ...]:
    def one(kind: str, keep: Any, only: tuple[str, str]) -> Watched:
        return Watched(kind=kind, keep=keep, wakes=None, only=only)

    found = [one("Secret", accounts_secrets.read, (ref.namespace, ref.name)) for ref in secrets]
    if config_map is not None:
        found.append(one("ConfigMap", keep_config_map, config_map))
    return (
        Watched(kind=_VOLUME, keep=_keep_volume, wakes=_wakes_volume),
        Watched(kind=_CLAIM, keep=_keep_claim, wakes=_wakes_namespace),
        Watched(kind="Pod", keep=_keep_pod, wakes=_wakes_namespace, removable=True),
        Watched(kind="Namespace", keep=accounts.keep_cluster, wakes=None),
        *found,
    )


def as_set(settings: BlobCsiSettings) -> Controller[Any, Any]:
    """The controller that reads the Secrets and the ConfigMap of these settings, and no other."""
    secrets = dict.fromkeys(one.secret_ref for one in settings.instances)
    return replace(CONTROLLER, watched=_watched(tuple(secrets), _config_map(settings)))


def _reads(resource: str) -> Rule:
    return Rule(groups=("",), resources=(resource,), verbs=("list", "watch"))


CONTROLLER = Controller(
    name="blob-csi",
    summary="Each profile's containers in Azure, and the shared buckets that it was given",
    settings=BlobCsiSettings,
    facts=Facts(),
    owned=(
        Owned(kind=_VOLUME, legacy=names.is_legacy_volume),
        Owned(kind=_CLAIM, legacy=names.is_legacy_claim),
    ),
    watched=_watched(
        tuple(dict.fromkeys(one.secret_ref for one in blob_csi_instances.DEFAULT)), None
    ),
    desired=desired.desired,
    findings=desired.findings,
    spared=desired.spared,
    removed=desired.removed,
    gather=gather,
    connect=Outside,
    trouble=trouble,
    chore=chore,
    variant=as_set,
    # The same that follows from what is watched, told as data for the chart.
    configured_rules=(
        Named(setting="instances", key="secret_ref", rule=_reads("secrets")),
        Named(
            setting="config_map",
            while_set=tuple(
                f"fdi_{classification}_{origin}_storage_account"
                for classification in ("unclass", "protected_b")
                for origin in ("internal", "external")
            ),
            rule=_reads("configmaps"),
        ),
    ),
)
