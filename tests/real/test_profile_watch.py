"""The Profile watch recovers where kopf alone would wait for ever."""

import asyncio
import time
from typing import Any

import kopf
import pytest

from controllers.runtime.cache.profiles import ProfileStore
from controllers.runtime.client import config
from controllers.runtime.manager.profile_watch.watch import ProfileWatch
from controllers.runtime.options import Connection, Shard
from tests.support.cluster import kubeflow
from tests.support.controlplane import ControlPlane

pytestmark = pytest.mark.xdist_group("profiles")

SECONDS = 60.0


async def test_a_crd_that_kopf_missed_is_found_after_a_restart(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kopf searches when a CRD changes, and never finds a kind that is served a moment later."""
    kubeflow.create_tenants(control_plane, ["missed"])
    operator, runs = kopf.operator, []
    found = await config.load(Connection(kubeconfig=control_plane.kubeconfig))

    async def misses_once(**settings: Any) -> None:
        runs.append(settings)
        if len(runs) == 1:  # kopf itself, but it searches for another kind
            settings["registry"] = kopf.OperatorRegistry()
            kopf.on.login(registry=settings["registry"])(login)
            kopf.on.event("absent.example.ca", registry=settings["registry"])(nothing)
        await operator(**settings)

    async def login(**_: Any) -> kopf.AiohttpSession:
        session = found.session()
        session.headers.update(await found.headers())
        return kopf.AiohttpSession(server=found.server, aiohttp_session=session)

    async def nothing(**_: Any) -> None:
        """Never called."""

    monkeypatch.setattr(kopf, "operator", misses_once)
    profiles = ProfileStore(Shard(), lambda _name, _profile: None)
    watch = ProfileWatch(found, profiles, clock=time.monotonic)
    watch.start()
    try:
        async with asyncio.timeout(SECONDS):
            while not profiles.synced:  # noqa: ASYNC110 - filled from another thread
                await asyncio.sleep(0.05)
    finally:
        await watch.stop()
        await found.close()

    assert profiles.get("missed") is not None
    assert 2 == len(runs)
