"""Deletes the containers of deleted Profiles after a delay.

The metadata of a container stores when its Profile was first observed as deleted. A Profile that
is recreated within the delay with the same owner gets its container back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum

import structlog

from controllers.blob_csi import names
from controllers.blob_csi.accounts import ownership
from controllers.blob_csi.accounts.account import AccountReconciler
from controllers.blob_csi.accounts.ownership import OwnershipMetadata
from controllers.runtime import ProfileGone
from controllers.runtime.external.errors import ExternalError, Scope

logger = structlog.stdlib.get_logger(__name__)


class RetentionState(Enum):
    """Whether a container is retained."""

    IN_USE = "without an owner, of another cluster, or its Profile may exist: retained"
    ORPHANED = "its Profile is deleted: the time is stored in its metadata"
    RETAINED = "its Profile is deleted, and the delay has not passed: retained"
    EXPIRED = "its Profile is deleted, and the delay has passed: deleted"


def determine_retention(
    name: str,
    metadata: OwnershipMetadata | None,
    *,
    cluster: str,
    profile_gone: ProfileGone,
    now: datetime,
    delay: timedelta,
) -> RetentionState:
    """Return the state of the container with this name and metadata."""
    if metadata is None or not metadata.uid or metadata.cluster != cluster:
        return RetentionState.IN_USE
    if name != names.container_name(metadata.profile):
        return RetentionState.IN_USE
    if not profile_gone(metadata.profile, metadata.uid):
        return RetentionState.IN_USE
    if metadata.gone is None:
        return RetentionState.ORPHANED
    return RetentionState.EXPIRED if now - metadata.gone >= delay else RetentionState.RETAINED


async def collect_garbage(
    account: AccountReconciler,
    cluster: str,
    profile_gone: ProfileGone,
    *,
    days: float,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Check all containers of an account once. Raises ExternalError if the account fails.

    An error of one container, such as a lease of another client, is retried with the next call.
    """
    delay = timedelta(days=days)

    def determine(name: str, metadata: OwnershipMetadata | None) -> RetentionState:
        return determine_retention(
            name, metadata, cluster=cluster, profile_gone=profile_gone, now=now(), delay=delay
        )

    async def act(name: str, state: RetentionState) -> None:
        async with account.client.lease(name) as lease:
            existing = await account.refresh(name)
            metadata = ownership.parse_metadata(existing)
            if metadata is None or determine(name, metadata) is not state:
                return  # the Profile was recreated, or another process acted first
            fields = {"container": name, "profile": metadata.profile, "uid": metadata.uid}
            match state:
                case RetentionState.ORPHANED:
                    orphaned = replace(metadata, gone=now()).to_metadata(existing)
                    await account.client.set_metadata(name, orphaned, lease)
                    account.store(name, orphaned)
                    logger.info("container orphaned", account=account.account, days=days, **fields)
                case RetentionState.EXPIRED:
                    await account.client.delete_container(name, lease)
                    account.store(name, None)
                    logger.warning("container deleted", account=account.account, **fields)

    containers = await account.system.run(account.containers)
    for name, metadata in list(containers.items()):
        state = determine(name, metadata)
        if metadata is None or state in (RetentionState.IN_USE, RetentionState.RETAINED):
            continue
        try:
            await account.system.run(
                lambda name=name, state=state: act(name, state),  # type: ignore[misc]
                tenant=metadata.profile,
            )
        except ExternalError as error:
            if error.scope is Scope.SYSTEM:
                raise
            logger.info("container not deleted; will retry", error=error.message)
