"""The storage accounts that the instances name: which of a profile's containers it may have.

One account's trouble is its own: each has a backoff, a bound on its requests and on how long a
reconcile waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from controllers.blob_csi import names, observations
from controllers.blob_csi.accounts import ownership, retention
from controllers.blob_csi.accounts import secrets as accounts_secrets
from controllers.blob_csi.accounts.account import Keeper, Store
from controllers.blob_csi.accounts.ownership import Tenant
from controllers.blob_csi.accounts.secrets import AccountKey
from controllers.blob_csi.accounts.troubles import AccountError, SparedError, waiting
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.config_accounts import AccountSettings
from controllers.blob_csi.grants.resolve import Withheld
from controllers.blob_csi.instances import Instance, SecretRef
from controllers.manifests import Body
from controllers.profiles import Profile
from controllers.runtime.controller import ProfileGone
from controllers.runtime.external.system import ComponentStatus

CLUSTER_NAMESPACE = "kube-system"
"""Its UID is the cluster's: it lives as long."""
_WORKER_SECONDS = 5.0
"""A reconcile waits no longer for an account; what was asked goes on meanwhile."""
_SLOW_SECONDS = 2.0


class Kept(Protocol):
    """``CacheReader.kept``."""

    def __call__(self, kind: str, namespace: str, name: str, /) -> Any | None: ...


class Connect(Protocol):
    """Makes the client of an account; asks nothing yet."""

    def __call__(self, key: AccountKey, settings: AccountSettings, /) -> Store: ...


def connect(key: AccountKey, settings: AccountSettings) -> Store:
    """Azure's own client, or that of who speaks like Azure."""
    # Megabytes, and of no use to other controllers' processes.
    from controllers.blob_csi.accounts.client import Client  # noqa: PLC0415

    return Client(
        key,
        settings.endpoint_of(key.account),
        timeout=settings.storage_timeout_seconds,
        requests=settings.storage_requests,
    )


def keep_cluster(body: Body) -> str | None:
    """Projection of Namespaces: the UID of the one that stands for the cluster."""
    metadata = body["metadata"]
    return str(metadata["uid"]) if metadata["name"] == CLUSTER_NAMESPACE else None


class Accounts:
    """All of them. For one event loop, but for ``parts``."""

    def __init__(
        self,
        settings: BlobCsiSettings,
        *,
        dry_run: bool = False,
        connect: Connect = connect,
        make: Callable[..., Keeper] = Keeper,
    ) -> None:
        """Asks nothing yet. In a dry run nothing is changed in any account."""
        self.secrets = tuple(dict.fromkeys(one.secret_ref for one in settings.instances))
        self._settings = settings
        self._dry_run = dry_run
        self._connect = connect
        self._make = make
        self._cluster = ""
        self._found: Mapping[SecretRef, accounts_secrets.Found | None] = dict.fromkeys(self.secrets)
        self._keepers: Mapping[AccountKey, Keeper] = {}
        self._asked: dict[tuple[Keeper, Tenant], asyncio.Task[Withheld | None]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._claims = ownership.Claims()

    def read(self, kept: Kept) -> bool:
        """Takes the Secrets as they stand now; whether any has changed."""
        self._cluster = kept("Namespace", "", CLUSTER_NAMESPACE) or ""
        found = {ref: kept("Secret", ref.namespace, ref.name) for ref in self.secrets}
        if found == self._found:
            return False
        before, self._found = self._keepers, found
        wanted = [one for one in found.values() if isinstance(one, AccountKey)]
        self._keepers = {key: before.get(key) or self._keeper(key) for key in wanted}
        for key, keeper in before.items():
            if key not in self._keepers:
                self._spawn_close(keeper)
        return True

    async def withheld(
        self,
        profile: Profile,
        volumes: Mapping[str, observations.Volume],
        profiles: frozenset[str],
    ) -> Mapping[str, Withheld]:
        """The profile's instances, by name, whose container it cannot have now, and why.

        Makes and marks containers. ``volumes`` are those on the cluster, by name, of this profile
        at least; ``profiles`` the names of all that exist.
        """
        if names.container_name(profile.name) is None:
            return {}
        groups: dict[SecretRef | Keeper, list[Instance]] = {}
        for instance in self._settings.instances:
            found = self._found[instance.secret_ref]
            known = self._keepers[found] if isinstance(found, AccountKey) else instance.secret_ref
            groups.setdefault(known, []).append(instance)
        answers = await asyncio.gather(
            *(self._answer(one, group, profile, volumes, profiles) for one, group in groups.items())
        )
        pairs = zip(groups.values(), answers, strict=True)
        return {one.name: answer for group, answer in pairs if answer is not None for one in group}

    async def sweep(self, profile_gone: ProfileGone) -> None:
        """Marks containers of Profiles that are gone, and deletes them later, where it is set.

        Raises Waiting when an account could not be asked; the others were.
        """
        if not self._settings.delete_data or self._dry_run or not self._cluster:
            return
        troubles: list[Withheld] = []
        days = self._settings.delete_data_after_days
        for keeper in self._writable():
            try:
                await retention.sweep(keeper, self._cluster, profile_gone, days=days)
            except SparedError as error:
                troubles.append(error.withheld)
            except AccountError as error:
                troubles.append(keeper.breaker.withheld(error))
        if trouble := waiting(troubles):
            raise trouble

    def components(self) -> list[ComponentStatus]:
        """How each account and each unusable Secret is, from any thread."""
        found = []
        for ref, one in self._found.items():
            if not isinstance(one, AccountKey):
                found.append(ComponentStatus(name=f"secret/{ref}", error=_unusable(ref, one)))
        for key, keeper in self._keepers.items():
            last = keeper.breaker.last
            trouble = last.message if last else ""
            part = ComponentStatus(
                name=f"account/{key.account}", error=trouble, last_success=keeper.success
            )
            found.append(part)
        return found

    async def close(self) -> None:
        """Lets what is under way end, for some seconds."""
        for keeper in self._keepers.values():
            self._spawn_close(keeper)
        self._keepers = {}
        await asyncio.gather(*self._closing, return_exceptions=True)
        for task in self._asked.values():
            task.cancel()

    def _writable(self) -> list[Keeper]:
        """Those in which we make containers: in others nothing is deleted."""
        refs = (one.secret_ref for one in self._settings.instances if not one.read_only)
        found = dict.fromkeys(self._found[ref] for ref in refs)
        return [self._keepers[key] for key in found if isinstance(key, AccountKey)]

    def _keeper(self, key: AccountKey) -> Keeper:
        store = self._connect(key, self._settings)
        seconds = self._settings.storage_verify_minutes * 60
        return self._make(store, verify_seconds=seconds, dry_run=self._dry_run)

    def _spawn_close(self, keeper: Keeper) -> None:
        task = asyncio.create_task(keeper.store.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _answer(
        self,
        keeper: SecretRef | Keeper,
        instances: list[Instance],
        profile: Profile,
        volumes: Mapping[str, observations.Volume],
        profiles: frozenset[str],
    ) -> Withheld | None:
        if isinstance(keeper, SecretRef):
            message = _unusable(keeper, self._found[keeper])
            return Withheld(reason="StorageAccountUnknown", message=message)
        secrets = {(one.secret_ref.name, one.secret_ref.namespace) for one in instances}
        tenant = self._tenant(profile, secrets, volumes.values(), profiles)
        if keeper.knows(tenant):
            return None
        task = self._asked.get((keeper, tenant))
        if task is None:
            create = any(not one.read_only for one in instances)
            work = keeper.settle(tenant, create=create, profiles=profiles)
            task = self._asked[keeper, tenant] = asyncio.create_task(work)
            task.add_done_callback(lambda _: self._asked.pop((keeper, tenant), None))
        await asyncio.wait({task}, timeout=_WORKER_SECONDS)
        if task.done():
            return task.result()
        message = f"storage account {keeper.account}: no answer yet"
        return Withheld(reason="StorageAccountSlow", message=message, after=_SLOW_SECONDS)

    def _tenant(
        self,
        profile: Profile,
        secrets: set[tuple[str, str]],
        volumes: Iterable[observations.Volume],
        profiles: frozenset[str],
    ) -> Tenant:
        container = names.container_name(profile.name) or ""
        said = profile.annotations.get(names.FORMER_DATA_ANNOTATION, "").strip()
        return Tenant(
            profile=profile.name,
            uid=profile.uid,
            owner=ownership.owner_digest(profile),
            cluster=self._cluster,
            accepts="accept" in (said, self._settings.former_data),
            pointed=any(
                one.owner == profile.uid
                and one.secret in secrets
                and one.attributes.get("containerName") == container
                for one in volumes
            ),
            by_name=self._settings.adopt_by_name,
            rivals=self._claims.rivals(profile.name, profiles),
        )


def _unusable(ref: SecretRef, found: object) -> str:
    secret = f"Secret {ref.namespace}/{ref.name}"
    if isinstance(found, accounts_secrets.Unusable):
        return f"{secret} opens no storage account: {found.why}"
    expected = f"{accounts_secrets.NAME} and {accounts_secrets.KEY}"
    return f"{secret} does not exist: expected {expected} in it"
