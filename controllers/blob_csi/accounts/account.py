"""Reconciles the profiles' containers in one storage account, with as few requests as possible.

One request lists all containers with their metadata; the list is valid for some time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import structlog

from controllers.blob_csi import names
from controllers.blob_csi.accounts import ownership
from controllers.blob_csi.accounts.ownership import (
    ContainerOwner,
    ContainerState,
    OwnershipMetadata,
)
from controllers.blob_csi.facts import Unavailable
from controllers.runtime.external.errors import ExternalError
from controllers.runtime.external.system import ExternalSystem

logger = structlog.stdlib.get_logger(__name__)

_MAX_STEPS = 4
"""More than any sequence of states up to IN_SYNC has."""
_MISSING_RETRY_SECONDS = 60.0
_CONTAINER_RETRY_SECONDS = 5.0


class AccountClient(Protocol):
    """Requests to one account, as ``client.AzureClient``. Every method raises ExternalError."""

    account: str

    async def list_containers(self) -> dict[str, Mapping[str, str]]: ...
    async def get_metadata(self, name: str) -> Mapping[str, str] | None: ...
    async def create_container(self, name: str, metadata: Mapping[str, str]) -> bool: ...
    def lease(self, name: str) -> AbstractAsyncContextManager[Any]: ...
    async def set_metadata(self, name: str, metadata: Mapping[str, str], lease: Any) -> None: ...
    async def delete_container(self, name: str, lease: Any) -> None: ...
    async def close(self) -> None: ...


class AccountReconciler:
    """One storage account. In a dry run it changes nothing.

    ``system`` bounds and counts the requests. ``clock`` returns monotonic seconds.
    """

    def __init__(
        self,
        client: AccountClient,
        system: ExternalSystem,
        *,
        verify_seconds: float,
        dry_run: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send no request. A list of containers is valid for ``verify_seconds``."""
        self.client = client
        self.system = system
        self.account = client.account
        self._verify_seconds = verify_seconds
        self._dry_run = dry_run
        self._clock = clock
        self._containers: dict[str, OwnershipMetadata | None] = {}
        self._listed_at = float("-inf")
        self._list_lock = asyncio.Lock()

    def is_in_sync(self, owner: ContainerOwner) -> bool:
        """Return whether a valid list shows that the owner's container is in sync."""
        return self._is_list_valid() and self._state(owner) is ContainerState.IN_SYNC

    async def reconcile(
        self, owner: ContainerOwner, *, create: bool, profiles: frozenset[str]
    ) -> Unavailable | None:
        """Bring the owner's container into sync. Returns why it is unavailable, or None.

        With ``create`` a missing container is created. ``profiles`` are the names of all Profiles.
        """
        if self.is_in_sync(owner):
            return None
        try:
            return await self.system.call(
                lambda: self._reconcile(owner, profiles, create=create),
                tenant=owner.profile,
                request=(owner, create),
            )
        except ExternalError as error:
            return Unavailable(
                reason=error.reason,
                message=error.message,
                retry_after=error.retry_after,
                action_required=error.action_required,
            )

    async def containers(self) -> Mapping[str, OwnershipMetadata | None]:
        """Return the metadata of every container from a valid list. Call it by the ``system``."""
        async with self._list_lock:  # one request serves all that wait
            if not self._is_list_valid():
                found = await self.client.list_containers()
                self._containers = {
                    name: ownership.parse_metadata(one) for name, one in found.items()
                }
                self._listed_at = self._clock()
        return self._containers

    async def refresh(self, name: str) -> Mapping[str, str] | None:
        """Return the current metadata of one container, or None if it does not exist."""
        metadata = await self.client.get_metadata(name)
        self.store(name, metadata)
        return metadata

    def store(self, name: str, metadata: Mapping[str, str] | None) -> None:
        """Update the list: the container has this metadata, or None: it does not exist."""
        if metadata is None:
            self._containers.pop(name, None)
        else:
            self._containers[name] = ownership.parse_metadata(metadata)

    async def close(self) -> None:
        """Wait some seconds for requests in flight, then close the connections."""
        await self.system.close()
        await self.client.close()

    def _is_list_valid(self) -> bool:
        return self._clock() - self._listed_at < self._verify_seconds

    def _state(self, owner: ContainerOwner) -> ContainerState:
        name = _container(owner)
        exists = name in self._containers
        return ownership.determine_state(owner, self._containers.get(name), exists=exists)

    async def _reconcile(
        self, owner: ContainerOwner, profiles: frozenset[str], *, create: bool
    ) -> Unavailable | None:
        name = _container(owner)
        await self.containers()
        state = self._state(owner)
        if state is ContainerState.IN_SYNC:
            return None
        may_create = create and not self._dry_run
        if state is ContainerState.MISSING and may_create and await self._create(owner):
            return None
        for _ in range(_MAX_STEPS):
            await self.refresh(name)
            match state := self._state(owner):
                case ContainerState.IN_SYNC:
                    return None
                case (
                    ContainerState.NAME_CONFLICT
                    | ContainerState.OWNER_UNKNOWN
                    | ContainerState.OWNED_BY_OTHER
                    | ContainerState.FORMER_OWNER
                ):
                    metadata = self._containers.get(name)
                    return ownership.refusal(
                        state,
                        owner,
                        metadata,
                        account=self.account,
                        owner_exists=metadata is not None and metadata.profile in profiles,
                    )
                case ContainerState.MISSING if not create:
                    return _missing(owner, self.account)
                case _ if self._dry_run:
                    return None
                case ContainerState.MISSING:
                    await self._create(owner)
                case ContainerState.ADOPTABLE | ContainerState.OUTDATED:
                    await self._write_metadata(state, owner)
        raise ExternalError(
            "ContainerModifiedConcurrently",
            f"container {name} of storage account {self.account} was modified concurrently; will"
            " retry",
            retry_after=_CONTAINER_RETRY_SECONDS,
        )

    async def _create(self, owner: ContainerOwner) -> bool:
        """Create the container. Returns False if another client created it first."""
        metadata = owner.metadata.to_metadata()
        created = await self.client.create_container(_container(owner), metadata)
        if created:
            self.store(_container(owner), metadata)
            self._log("container created", owner)
        return created

    async def _write_metadata(self, state: ContainerState, owner: ContainerOwner) -> None:
        """Write the ownership metadata if the state is still the same under a lease."""
        name = _container(owner)
        async with self.client.lease(name) as lease:
            existing = await self.refresh(name)
            if self._state(owner) is state:
                await self.client.set_metadata(name, owner.metadata.to_metadata(existing), lease)
                self._log("container metadata updated", owner)

    def _log(self, event: str, owner: ContainerOwner) -> None:
        fields = {"container": _container(owner), "profile": owner.profile, "uid": owner.uid}
        logger.info(event, account=self.account, **fields)


def _container(owner: ContainerOwner) -> str:
    """Return the container's name. Profiles without a valid one are never reconciled."""
    return names.container_name(owner.profile) or ""


def _missing(owner: ContainerOwner, account: str) -> Unavailable:
    message = (
        f"container {_container(owner)!r} does not exist in storage account {account}, and all"
        " instances of the account are read-only; create the container or add a writable instance"
    )
    return Unavailable(
        reason="ContainerMissing", message=message, retry_after=_MISSING_RETRY_SECONDS
    )
