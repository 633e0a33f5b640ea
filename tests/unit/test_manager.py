"""The manager: what it enqueues, and its probes. tests/real cover its start and stop."""

import asyncio
from collections.abc import Sequence

import pytest

from controllers.manifests import Key
from controllers.profiles import Profile
from controllers.runtime.controller import AnyController, CacheReader
from controllers.runtime.manager.healthz import Check
from controllers.runtime.options import Options
from tests.support import builders
from tests.support.fakes import harness, virtual_time

pytestmark = pytest.mark.virtual_time


def errors(checks: Sequence[Check]) -> dict[str, str]:
    """The failed checks, without the Profile watch, which does not run here."""
    return {one.name: one.error for one in checks if one.error and one.name != "profiles"}


def sample(name: str = "samples") -> tuple[AnyController, builders.Settings]:
    return builders.controller(name), builders.Settings()


async def test_a_process_is_ready_once_every_list_is_complete() -> None:
    async with harness.running(sample()) as process:
        checks = process.health.readyz()

        assert {} == errors(checks)
        assert ["profiles", "informer/Namespace", "informer/ConfigMap", "leading"] == [
            one.name for one in checks
        ]


async def test_a_short_outage_of_a_watch_is_shown_and_a_long_one_fails_readyz() -> None:
    async with harness.running(sample()) as process:
        process.cluster.unreachable = True
        process.cluster.break_watches()
        await asyncio.sleep(30.0)
        assert {} == errors(process.health.readyz())
        notes = {one.name: one.note for one in process.health.readyz()}
        assert "watch down for 30 s: API server unreachable" in notes["informer/ConfigMap"]

        await asyncio.sleep(40.0)
        assert {"informer/Namespace", "informer/ConfigMap"} == set(errors(process.health.readyz()))

        process.cluster.unreachable = False
        await asyncio.sleep(10.0)
        assert {} == errors(process.health.readyz())


async def test_a_hanging_reconcile_fails_livez() -> None:
    async def observe(
        _profile: Profile, _cache: CacheReader, _settings: object, _external: object
    ) -> None:
        await asyncio.sleep(1000.0)

    options = Options(listen=None, hang_timeout=300.0)
    controller = builders.controller(observe=observe)
    async with harness.running(
        (controller, builders.Settings()), options=options, settle=False
    ) as process:
        heartbeat = asyncio.create_task(process.health.heartbeat())
        await asyncio.sleep(299.0)
        assert {} == errors(process.health.livez())
        await asyncio.sleep(10.0)
        assert (
            "a reconcile has been running for 309 s"
            == errors(process.health.livez())["workers/samples"]
        )
        heartbeat.cancel()


async def test_a_missing_heartbeat_fails_livez() -> None:
    async with harness.running(sample()) as process:
        await asyncio.sleep(400.0)  # no heartbeat

        assert "blocked for" in errors(process.health.livez())["event-loop"]


async def test_backoffs_end_when_the_api_server_is_back_after_an_outage() -> None:
    async with harness.running(sample()) as process:
        process.cluster.unreachable = True
        for name in ("bob", "carol"):
            harness.put_tenant(process.cluster, name, uid=f"uid-{name}")
        process.cluster.break_watches()
        queue = process.manager.reconcilers["samples"].queue
        for _ in range(12):
            queue.add_rate_limited("alice")
        await asyncio.sleep(100.0)
        process.cluster.unreachable = False
        began = virtual_time.now()
        await virtual_time.until(
            lambda: len(process.cluster.objects.all_of("ConfigMap")) == 3,
            "every profile is reconciled",
        )

        assert virtual_time.now() - began < 10.0


async def test_a_namespace_enqueues_its_profile_for_every_controller() -> None:
    async with harness.running(sample("one"), sample("other")) as process:
        queues = {n: r.queue for n, r in process.manager.reconcilers.items()}
        before = {name: queue.adds for name, queue in queues.items()}
        process.cluster.objects.edit(
            Key("Namespace", "", "alice"), lambda body: body["metadata"]["labels"].update(a="b")
        )
        await virtual_time.turns()
        assert [1, 1] == [queue.adds - before[name] for name, queue in queues.items()]


async def test_an_object_without_a_profile_enqueues_nothing() -> None:
    async with harness.running(sample()) as process:
        process.cluster.requests.clear()
        process.cluster.objects.put(builders.namespace_body("stranger", uid="uid-stranger"))
        body = builders.object_body(
            namespace="stranger",
            owners=[builders.profile_reference("stranger", "uid-stranger")],
        )
        process.cluster.objects.put(body)
        await process.settled()

        assert [] == process.cluster.requests


async def test_a_standby_process_enqueues_nothing_until_it_leads() -> None:
    cluster = harness.tenants("alice", "bob")
    async with harness.running(sample(), cluster=cluster, leading=False) as process:
        harness.put_tenant(cluster, "carol", uid="uid-carol")
        cluster.objects.edit(
            Key("Namespace", "", "alice"), lambda body: body["metadata"]["labels"].update(a="b")
        )
        await asyncio.sleep(3600.0)
        text = process.manager.context.metrics.exposition().decode()
        values = dict(
            line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("workqueue_")
        )
        assert {"0.0"} == set(values.values())
        assert [] == cluster.written()

        process.manager.start_workers()
        await process.settled()

        assert 3 == len(cluster.objects.all_of("ConfigMap"))
        series = process.manager.context.metrics.exposition().decode().splitlines()
        assert 'workqueue_queue_duration_seconds_bucket{le="60.0",name="samples"} 3.0' in series


async def test_dropped_events_are_in_the_metrics() -> None:
    async with harness.running(sample()) as process:
        recorder = process.manager.context.recorder
        assert recorder is not None
        recorder.dropped = 2

        text = process.manager.context.metrics.exposition().decode()
        assert "profiles_controller_events_dropped_total 2.0" in text.splitlines()
