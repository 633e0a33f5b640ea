"""Controllers with external systems, and with kinds that a cluster may lack."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from controllers.findings import Finding, Severity
from controllers.manifests import Key
from controllers.profiles import Profile
from controllers.runtime.controller import (
    AnyController,
    CacheReader,
    ExternalFactory,
    Owned,
    ProfileGone,
)
from controllers.runtime.errors import Terminal, UnreachableError, Waiting
from controllers.runtime.external.system import ComponentStatus
from controllers.runtime.objects.kinds import KINDS
from controllers.runtime.options import Options, Shard
from controllers.runtime.reconcile.result import outcome_of_error
from tests.support import builders
from tests.support.fakes import harness, virtual_time

pytestmark = pytest.mark.virtual_time


class System:
    """An external system that records the calls."""

    def __init__(self) -> None:
        self.collections: list[bool] = []
        self.gone: Callable[[str, str], bool] = lambda _name, _uid: False
        self.error: Exception | None = None
        self.dry_run: bool | None = None
        self.closed = False

    def components(self) -> list[ComponentStatus]:
        return []

    async def close(self) -> None:
        self.closed = True


async def collect_garbage(system: System, profile_gone: ProfileGone) -> None:
    system.gone = profile_gone
    system.collections.append(profile_gone("alice", "uid-alice"))
    if system.error:
        raise system.error


def controller(system: System, **fields: Any) -> AnyController:
    def connect(_settings: object, *, dry_run: bool) -> System:
        system.dry_run = dry_run
        return system

    async def observe(
        _profile: Profile, _cache: CacheReader, _settings: object, external: System
    ) -> Exception | None:
        return external.error

    return builders.controller(
        observe=observe,
        error=lambda _profile, error, _settings: error,
        external=ExternalFactory(connect=connect, collect_garbage=collect_garbage),
        **fields,
    )


def running(system: System, options: Options | None = None, **fields: Any) -> Any:
    assembly = (controller(system, **fields), builders.Settings())
    return harness.running(assembly, options=options)


async def test_the_external_system_is_connected_once_and_closed_at_the_end() -> None:
    system = System()
    async with running(system):
        assert system.dry_run is False
        assert not system.closed
    assert system.closed


async def test_objects_are_reconciled_while_the_external_system_fails() -> None:
    system = System()
    system.error = Waiting("StoreDown", "the store does not respond", after=60.0)
    async with running(system) as process:
        assert process.cluster.objects.read(Key("ConfigMap", "alice", "settings"))
        assert {"SamplesReady": ("False", "the store does not respond")} == process.conditions()

        system.error = None
        await virtual_time.until(
            lambda: process.conditions()["SamplesReady"][0] == "True", "it is ready", seconds=90.0
        )


async def test_findings_are_reported_while_the_external_system_fails() -> None:
    system = System()
    system.error = Waiting("StoreDown", "the store does not respond", after=60.0)
    problem = Finding(reason="LabelRefused", message="label x is refused")
    notice = Finding(reason="LabelOdd", message="label y is odd", severity=Severity.NOTICE)
    async with running(system, findings=lambda *_: (problem, notice)) as process:
        message = "the store does not respond; label x is refused"
        assert {"SamplesReady": ("False", message)} == process.conditions()
        reasons = [reason for kind, reason, _ in process.events() if kind == "Warning"]
        assert ["LabelOdd", "LabelRefused"] == reasons


async def test_observe_receives_the_names_of_all_profiles() -> None:
    seen: list[frozenset[str]] = []

    async def observe(
        _profile: Profile, cache: CacheReader, _settings: object, _external: object
    ) -> None:
        seen.append(cache.profiles)

    assembly = (builders.controller(observe=observe), builders.Settings())
    async with harness.running(assembly, cluster=harness.tenants("alice", "bob")):
        assert {frozenset({"alice", "bob"})} == set(seen)


@pytest.mark.parametrize(
    ("cause", "reason", "retried"),
    [
        (Waiting("StoreDown", "later", after=3.0), "StoreDown", False),
        (Terminal("StoreRejected", "never"), "StoreRejected", False),
        (UnreachableError("gone"), "Unreachable", True),
    ],
)
def test_the_error_of_desired_ends_a_reconcile_as_if_it_had_been_raised(
    cause: Exception, reason: str, *, retried: bool
) -> None:
    outcome = outcome_of_error(cause)

    assert (reason, retried, False) == (outcome.reason, outcome.retry, outcome.ready)
    assert getattr(cause, "after", None) == outcome.requeue_after


async def test_garbage_is_collected_at_the_start_at_each_resync_and_after_a_deletion() -> None:
    system = System()
    async with running(system, Options(listen=None, resync=600.0)) as process:
        await virtual_time.until(lambda: system.collections == [False], "the first collection")
        began = virtual_time.now()
        await virtual_time.until(lambda: len(system.collections) == 2, "the next", seconds=1000.0)
        assert 590.0 < virtual_time.now() - began <= 600.0

        process.cluster.objects.delete(Key("Profile", "", "alice"))
        await virtual_time.until(
            lambda: system.collections[2:] == [True], "soon after", seconds=5.0
        )


async def test_a_garbage_collection_that_fails_is_retried_with_backoff() -> None:
    system = System()
    system.error = OSError("broken")
    async with running(system) as process:
        await virtual_time.until(lambda: len(system.collections) > 3, "tried again", seconds=30.0)
        assert process.manager.failed.is_set() is False
        system.error = None


async def test_a_profile_is_deleted_only_if_this_process_can_determine_it() -> None:
    system = System()
    shard = next(
        one for one in (Shard(index=0, count=2), Shard(index=1, count=2)) if one.contains("uid-x")
    )
    async with running(system, Options(listen=None, shard=shard)) as process:
        await virtual_time.until(lambda: bool(system.collections), "the first collection")
        other = next(f"uid-{n}" for n in range(100) if not shard.contains(f"uid-{n}"))

        assert system.gone("x", "uid-x")
        assert not system.gone("x", other)
        process.manager.profiles.replace({"missing": "uid-x"}, "0")  # it is not synced any more
        assert not system.gone("x", "uid-x")


async def test_a_dry_run_collects_no_garbage() -> None:
    system = System()
    async with running(system, Options(listen=None, dry_run=True)) as process:
        await process.resync()

        assert system.dry_run is True
        assert [] == system.collections


async def test_an_optional_object_is_omitted_until_its_kind_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = dataclasses.replace(KINDS["LimitRange"], optional=True)
    monkeypatch.setattr("controllers.runtime.cache.informer.KINDS", {**KINDS, "LimitRange": kind})
    limits = builders.manifest("LimitRange", "limits", content={"spec": {"limits": []}})
    settings = builders.Settings(manifests=lambda _profile: [builders.manifest(), limits])
    owned = (
        Owned(kind="ConfigMap"),
        Owned(kind="LimitRange", optional=True),
    )
    cluster = harness.tenants()
    cluster.unserved.add(("LimitRange", "v1"))
    assembly = (builders.controller(owned=owned), settings)
    async with harness.running(assembly, cluster=cluster) as process:
        assert ("True", "ConfigMap settings is in place") == process.conditions()["SamplesReady"]

        cluster.unserved.clear()
        await virtual_time.until(
            lambda: cluster.objects.get(limits.key) is not None, "made once it is served"
        )
