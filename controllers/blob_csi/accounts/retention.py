"""Containers of Profiles that are gone: marked so when that is first seen, deleted much later.

A Profile that comes back meanwhile, of the same owner, has its mark renewed and so keeps its data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum

import structlog

from controllers.blob_csi import names
from controllers.blob_csi.accounts import ownership
from controllers.blob_csi.accounts.account import Keeper
from controllers.blob_csi.accounts.ownership import Mark
from controllers.blob_csi.accounts.troubles import AccountError
from controllers.runtime.controller import ProfileGone

logger = structlog.stdlib.get_logger(__name__)


class Fate(Enum):
    """What becomes of a container."""

    KEPT = "nobody's by its mark, another cluster's, or that of a Profile that may be there"
    ORPHANED = "its Profile is gone, and that is not written down yet: the delay begins"
    AWAITED = "its Profile is gone, not for long enough"
    OVER = "its Profile has been gone for the whole delay: deleted"


def determine_fate(
    name: str,
    mark: Mark | None,
    *,
    cluster: str,
    profile_gone: ProfileGone,
    now: datetime,
    delay: timedelta,
) -> Fate:
    """What becomes of the container of this name and mark."""
    if mark is None or not mark.uid or mark.cluster != cluster:
        return Fate.KEPT
    if name != names.container_name(mark.profile) or not profile_gone(mark.profile, mark.uid):
        return Fate.KEPT
    if mark.gone is None:
        return Fate.ORPHANED
    return Fate.OVER if now - mark.gone >= delay else Fate.AWAITED


async def sweep(
    keeper: Keeper,
    cluster: str,
    profile_gone: ProfileGone,
    *,
    days: float,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """One look at all containers of an account. Raises AccountError and SparedError.

    One container's own trouble, such as a lease of somebody else, is left to the next look.
    """
    delay = timedelta(days=days)

    def fate_of(name: str, mark: Mark | None) -> Fate:
        return determine_fate(
            name, mark, cluster=cluster, profile_gone=profile_gone, now=now(), delay=delay
        )

    async def act(name: str, fate: Fate) -> None:
        async with keeper.store.leased(name) as lease:
            metadata = await keeper.look(name)
            mark = ownership.mark_of(metadata)
            if mark is None or fate_of(name, mark) is not fate:
                return  # its Profile came back, or somebody else was quicker
            told = {"container": name, "profile": mark.profile, "uid": mark.uid}
            if fate is Fate.ORPHANED:
                gone = replace(mark, gone=now())
                await keeper.store.write(name, gone.metadata(metadata), lease)
                keeper.remember(name, gone.metadata(metadata))
                logger.info("container orphaned", account=keeper.account, days=days, **told)
            else:
                await keeper.store.delete(name, lease)
                keeper.remember(name, None)
                logger.warning("container deleted", account=keeper.account, **told)

    async def look() -> None:
        for name, mark in list((await keeper.marks()).items()):
            fate = fate_of(name, mark)
            if fate in (Fate.KEPT, Fate.AWAITED):
                continue
            try:
                await act(name, fate)
            except AccountError as error:
                if error.everybody:
                    raise
                logger.info("container left for later", error=error.message)

    await keeper.asked(look)
