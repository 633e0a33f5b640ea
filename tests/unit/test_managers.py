"""One process: whom it wakes, and what its probes say. Starting and stopping it: tests/real."""

import asyncio
from collections.abc import Sequence

import pytest

from controllers.manifests import Key
from controllers.profiles import Profile
from controllers.runtime.controller import AnyController, CacheReader
from controllers.runtime.manager.servers import Check
from controllers.runtime.options import Options
from tests.support.builders import live_objects
from tests.support.fakes import event_loop, harness

pytestmark = pytest.mark.virtual_time


def troubles(checks: Sequence[Check]) -> dict[str, str]:
    """What is wrong, by check; the Profile watch, which is not run here, left out."""
    return {one.name: one.trouble for one in checks if one.trouble and one.name != "profiles"}


def sample(name: str = "samples") -> tuple[AnyController, live_objects.Settings]:
    return live_objects.controller(name), live_objects.Settings()


async def test_it_is_ready_once_every_list_is_complete() -> None:
    async with harness.running(sample()) as process:
        checks = process.health.ready()

        assert {} == troubles(checks)
        assert ["profiles", "informer/Namespace", "informer/ConfigMap", "leading"] == [
            one.name for one in checks
        ]


async def test_it_is_ready_while_a_watch_is_down_for_a_moment_and_says_so() -> None:
    async with harness.running(sample()) as process:
        process.cluster.down = True
        process.cluster.lose_watches()
        await asyncio.sleep(30.0)
        assert {} == troubles(process.health.ready())
        notes = {one.name: one.note for one in process.health.ready()}
        assert "watch down for 30 s: API server unreachable" in notes["informer/ConfigMap"]

        await asyncio.sleep(40.0)
        assert {"informer/Namespace", "informer/ConfigMap"} == set(troubles(process.health.ready()))

        process.cluster.down = False
        await asyncio.sleep(10.0)
        assert {} == troubles(process.health.ready())


async def test_it_is_not_live_while_a_reconcile_hangs() -> None:
    async def observe(
        _profile: Profile, _cache: CacheReader, _settings: object, _external: object
    ) -> None:
        await asyncio.sleep(1000.0)

    options = Options(listen=None, hang_bound=300.0)
    controller = live_objects.controller(observe=observe)
    async with harness.running(
        (controller, live_objects.Settings()), options=options, settle=False
    ) as process:
        beating = asyncio.create_task(process.health.beat())
        await asyncio.sleep(299.0)
        assert {} == troubles(process.health.live())
        await asyncio.sleep(10.0)
        assert "a reconcile runs for 309 s" == troubles(process.health.live())["workers/samples"]
        beating.cancel()


async def test_it_is_not_live_while_its_loop_does_not_turn() -> None:
    async with harness.running(sample()) as process:
        await asyncio.sleep(400.0)  # nobody beats

        assert "blocked for" in troubles(process.health.live())["loop"]


async def test_a_server_that_is_back_finds_nobody_waiting_out_a_long_backoff() -> None:
    async with harness.running(sample()) as process:
        process.cluster.down = True
        for name in ("bob", "carol"):
            harness.put_tenant(process.cluster, name, uid=f"uid-{name}")
        process.cluster.lose_watches()
        queue = process.manager.reconcilers["samples"].queue
        for _ in range(12):
            queue.add_rate_limited("alice")
        await asyncio.sleep(100.0)
        process.cluster.down = False
        began = event_loop.now()
        await event_loop.until(
            lambda: len(process.cluster.objects.all_of("ConfigMap")) == 3, "all are served"
        )

        assert event_loop.now() - began < 10.0


async def test_a_namespace_wakes_every_controller_and_an_object_only_its_own() -> None:
    async with harness.running(sample("one"), sample("other")) as process:
        queues = {n: r.queue for n, r in process.manager.reconcilers.items()}
        before = {name: queue.adds for name, queue in queues.items()}
        process.cluster.objects.edit(
            Key("Namespace", "", "alice"), lambda body: body["metadata"]["labels"].update(a="b")
        )
        await event_loop.turns()
        assert [1, 1] == [queue.adds - before[name] for name, queue in queues.items()]


async def test_an_object_of_nobody_known_wakes_nobody() -> None:
    async with harness.running(sample()) as process:
        process.cluster.requests.clear()
        process.cluster.objects.put(live_objects.namespace_body("stranger", uid="uid-stranger"))
        body = live_objects.object_body(
            namespace="stranger",
            owners=[live_objects.profile_reference("stranger", "uid-stranger")],
        )
        process.cluster.objects.put(body)
        await process.settled()

        assert [] == process.cluster.requests


async def test_a_standby_has_nothing_in_line_and_looks_at_every_profile_once_it_leads() -> None:
    cluster = harness.tenants("alice", "bob")
    async with harness.running(sample(), cluster=cluster, leading=False) as process:
        harness.put_tenant(cluster, "carol", uid="uid-carol")
        cluster.objects.edit(
            Key("Namespace", "", "alice"), lambda body: body["metadata"]["labels"].update(a="b")
        )
        await asyncio.sleep(3600.0)
        exposed = process.manager.world.metrics.exposition().decode()
        figures = dict(
            line.rsplit(" ", 1) for line in exposed.splitlines() if line.startswith("workqueue_")
        )
        assert {"0.0"} == set(figures.values())
        assert [] == cluster.written()

        process.manager.start_workers()
        await process.settled()

        assert 3 == len(cluster.objects.all_of("ConfigMap"))
        series = process.manager.world.metrics.exposition().decode().splitlines()
        assert 'workqueue_queue_duration_seconds_bucket{le="60.0",name="samples"} 3.0' in series


async def test_what_the_recorder_drops_is_in_the_metrics() -> None:
    async with harness.running(sample()) as process:
        recorder = process.manager.world.recorder
        assert recorder is not None
        recorder.dropped = 2

        exposed = process.manager.world.metrics.exposition().decode()
        assert "profiles_controller_events_dropped_total 2.0" in exposed.splitlines()
