"""The storage accounts of all instances: which containers of a profile are unavailable, and why.

A failing account affects only its own instances.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from controllers.blob_csi import names
from controllers.blob_csi.accounts import ownership, retention
from controllers.blob_csi.accounts.account import AccountClient, AccountReconciler
from controllers.blob_csi.accounts.ownership import ContainerOwner
from controllers.blob_csi.accounts.secrets import (
    KEY_FIELD,
    NAME_FIELD,
    AccountKey,
    InvalidSecret,
    SecretContent,
)
from controllers.blob_csi.config import AccountSettings, BlobCsiSettings
from controllers.blob_csi.facts import Unavailable
from controllers.blob_csi.instances import Instance, SecretRef
from controllers.blob_csi.volumes import ObservedVolume
from controllers.manifests import Body
from controllers.profiles import Profile
from controllers.runtime import ProfileGone
from controllers.runtime.backoff import Backoff
from controllers.runtime.external.errors import ExternalError
from controllers.runtime.external.system import ComponentStatus, ExternalSystem

CLUSTER_NAMESPACE = "kube-system"
"""The Namespace whose UID identifies the cluster: it exists as long as the cluster."""
BACKOFF = Backoff(initial=1.0, maximum=300.0)
"""The backoff of a failing account. An Azure account can ask for minutes (Retry-After)."""


class ReadCache(Protocol):
    """Returns the transformed value of a watched object, or None."""

    def __call__(self, kind: str, namespace: str, name: str, /) -> Any | None: ...


class Connect(Protocol):
    """Creates the client of an account. It sends no request."""

    def __call__(self, key: AccountKey, settings: AccountSettings, /) -> AccountClient: ...


def connect(key: AccountKey, settings: AccountSettings) -> AccountClient:
    """Create the client of an Azure storage account, or of an emulator."""
    # The import costs megabytes, which the processes of other controllers do not need.
    from controllers.blob_csi.accounts.client import AzureClient  # noqa: PLC0415

    return AzureClient(
        key, settings.endpoint_of(key.account), timeout=settings.storage_timeout_seconds
    )


def transform_namespace(body: Body) -> str | None:
    """Return the UID of the cluster's Namespace, and None for every other Namespace."""
    metadata = body["metadata"]
    return str(metadata["uid"]) if metadata["name"] == CLUSTER_NAMESPACE else None


class StorageAccounts:
    """All storage accounts. For one event loop; ``components`` may be called from any thread."""

    def __init__(
        self,
        settings: BlobCsiSettings,
        *,
        dry_run: bool = False,
        connect: Connect = connect,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send no request. In a dry run no account is changed."""
        self.secrets = tuple(dict.fromkeys(one.secret_ref for one in settings.instances))
        self._settings = settings
        self._dry_run = dry_run
        self._connect = connect
        self._clock = clock
        self._cluster = ""
        self._contents: Mapping[SecretRef, SecretContent | None] = dict.fromkeys(self.secrets)
        self._accounts: Mapping[AccountKey, AccountReconciler] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._container_names = ownership.ContainerNameIndex()

    def update_secrets(self, read: ReadCache) -> bool:
        """Read the Secrets from the cache. Returns whether any has changed."""
        self._cluster = read("Namespace", "", CLUSTER_NAMESPACE) or ""
        contents = {ref: read("Secret", ref.namespace, ref.name) for ref in self.secrets}
        if contents == self._contents:
            return False
        before, self._contents = self._accounts, contents
        keys = [one for one in contents.values() if isinstance(one, AccountKey)]
        self._accounts = {key: before.get(key) or self._reconciler(key) for key in keys}
        for key, account in before.items():
            if key not in self._accounts:
                self._start_close(account)
        return True

    async def unavailable(
        self,
        profile: Profile,
        volumes: Mapping[str, ObservedVolume],
        profiles: frozenset[str],
    ) -> Mapping[str, Unavailable]:
        """Reconcile the profile's containers. Returns the instances, by name, without a container.

        ``volumes`` are the existing volumes by name, at least those of this profile; ``profiles``
        the names of all Profiles.
        """
        if names.container_name(profile.name) is None:
            return {}
        groups: dict[SecretRef | AccountReconciler, list[Instance]] = {}
        for instance in self._settings.instances:
            ref, content = instance.secret_ref, self._contents[instance.secret_ref]
            group = self._accounts[content] if isinstance(content, AccountKey) else ref
            groups.setdefault(group, []).append(instance)
        results = await asyncio.gather(
            *(
                self._reconcile(one, group, profile, volumes, profiles)
                for one, group in groups.items()
            )
        )
        pairs = zip(groups.values(), results, strict=True)
        return {one.name: result for group, result in pairs if result is not None for one in group}

    async def collect_garbage(self, profile_gone: ProfileGone) -> None:
        """Delete the containers of deleted Profiles after the delay, if ``delete_data`` is set.

        Raises the error of the account that is retried first, after all accounts were tried.
        """
        if not self._settings.delete_data or self._dry_run or not self._cluster:
            return
        errors: list[ExternalError] = []
        days = self._settings.delete_data_after_days
        for account in self._writable_accounts():
            try:
                await retention.collect_garbage(account, self._cluster, profile_gone, days=days)
            except ExternalError as error:
                errors.append(error)
        if errors:
            raise min(errors, key=lambda one: one.retry_after or 0.0).outcome()

    def components(self) -> list[ComponentStatus]:
        """Return the status of each account and of each missing or invalid Secret."""
        secrets = [
            ComponentStatus(
                name=f"secret/{ref.namespace}/{ref.name}", error=_secret_error(ref, one)
            )
            for ref, one in self._contents.items()
            if not isinstance(one, AccountKey)
        ]
        return [*secrets, *(account.system.status() for account in self._accounts.values())]

    async def close(self) -> None:
        """Wait some seconds for requests in flight, then close all accounts."""
        for account in self._accounts.values():
            self._start_close(account)
        self._accounts = {}
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _writable_accounts(self) -> list[AccountReconciler]:
        """Return the accounts with a writable instance. In others nothing is deleted."""
        refs = (one.secret_ref for one in self._settings.instances if not one.read_only)
        contents = dict.fromkeys(self._contents[ref] for ref in refs)
        return [self._accounts[key] for key in contents if isinstance(key, AccountKey)]

    def _reconciler(self, key: AccountKey) -> AccountReconciler:
        system = ExternalSystem(
            f"storage-account/{key.account}",
            concurrency=self._settings.storage_requests,
            backoff=BACKOFF,
            clock=self._clock,
        )
        return AccountReconciler(
            self._connect(key, self._settings),
            system,
            verify_seconds=self._settings.storage_verify_minutes * 60,
            dry_run=self._dry_run,
            clock=self._clock,
        )

    def _start_close(self, account: AccountReconciler) -> None:
        task = asyncio.create_task(account.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _reconcile(
        self,
        account: SecretRef | AccountReconciler,
        instances: list[Instance],
        profile: Profile,
        volumes: Mapping[str, ObservedVolume],
        profiles: frozenset[str],
    ) -> Unavailable | None:
        if isinstance(account, SecretRef):
            message = _secret_error(account, self._contents[account])
            return Unavailable(reason="StorageAccountSecretInvalid", message=message)
        secrets = {(one.secret_ref.name, one.secret_ref.namespace) for one in instances}
        owner = self._owner(profile, secrets, volumes.values(), profiles)
        create = any(not one.read_only for one in instances)
        return await account.reconcile(owner, create=create, profiles=profiles)

    def _owner(
        self,
        profile: Profile,
        secrets: set[tuple[str, str]],
        volumes: Iterable[ObservedVolume],
        profiles: frozenset[str],
    ) -> ContainerOwner:
        container = names.container_name(profile.name) or ""
        annotation = profile.annotations.get(names.FORMER_DATA_ANNOTATION, "").strip()
        return ContainerOwner(
            profile=profile.name,
            uid=profile.uid,
            owner=ownership.owner_digest(profile),
            cluster=self._cluster,
            accepts_former_data="accept" in (annotation, self._settings.former_data),
            has_volume=any(
                one.owner_uid == profile.uid
                and one.secret in secrets
                and one.attributes.get("containerName") == container
                for one in volumes
            ),
            adopt_by_name=self._settings.adopt_by_name,
            name_conflicts=self._container_names.conflicts(profile.name, profiles),
        )


def _secret_error(ref: SecretRef, content: object) -> str:
    secret = f"Secret {ref.namespace}/{ref.name}"
    if isinstance(content, InvalidSecret):
        return f"{secret} has no valid storage account key: {content.message}"
    return f"{secret} does not exist; create it with the keys {NAME_FIELD} and {KEY_FIELD}"
