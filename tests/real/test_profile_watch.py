"""The Profile watch, where kopf alone would wait for good."""

import asyncio
import time
from typing import Any

import kopf
import pytest

from controllers.runtime.cache.profiles import ProfileStore
from controllers.runtime.client import config
from controllers.runtime.manager.profile_watch import watch as profile_watch_watch
from controllers.runtime.options import Connection, Shard
from tests.support.cluster import kubeflow
from tests.support.controlplane import ControlPlane

pytestmark = pytest.mark.xdist_group("profiles")

SECONDS = 60.0


async def test_a_crd_that_kopf_has_overlooked_is_found_all_the_same(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks for a kind when a CRD changes; one served a moment later it never finds."""
    kubeflow.create_tenants(control_plane, ["overlooked"])
    operator, begun = kopf.operator, []

    async def overlooks_once(**settings: Any) -> None:
        begun.append(settings)
        if len(begun) == 1:  # kopf as it is, but for what it looks for
            settings["registry"] = kopf.OperatorRegistry()
            kopf.on.login(registry=settings["registry"])(watch._login)
            kopf.on.event("absent.example.ca", registry=settings["registry"])(nothing)
        await operator(**settings)

    async def nothing(**_: Any) -> None:
        """Never called."""

    monkeypatch.setattr(kopf, "operator", overlooks_once)
    profiles = ProfileStore(Shard(), lambda _name, _profile: None)
    found = await config.load(Connection(kubeconfig=control_plane.kubeconfig))
    watch = profile_watch_watch.ProfileWatch(found, profiles, clock=time.monotonic)
    watch.start()
    try:
        async with asyncio.timeout(SECONDS):
            while not profiles.synced:  # noqa: ASYNC110 - filled from another thread
                await asyncio.sleep(0.05)
    finally:
        await watch.stop()
        await found.close()

    assert profiles.get("overlooked") is not None
    assert 2 == len(begun)
