"""A new tenant: from its namespace's creation until all its objects are there."""

import asyncio
import time
from collections import Counter

from controllers.profiles import parse_profile
from controllers.runtime.objects.kinds import KINDS
from tests.bench import synthetic
from tests.bench.reports import Row, at_most
from tests.bench.stages import Stage, Suite, say
from tests.bench.watcher import Json, Watcher
from tests.support.cluster import kubeflow

SAMPLES = 30
SECONDS = 60.0
PAUSE_SECONDS = 0.1
CROWD = 1000
"""Profiles of the cold start during which tenants are made."""
ACQUAINTED_SECONDS = 0.3
"""From the Profile to its namespace, where the suite shall know the one before the other."""


class Arrivals:
    """Counts a namespace's objects as they come."""

    def __init__(self, which: str, profile: Json) -> None:
        wanted = synthetic.manifests(which, parse_profile(profile))
        self._missing = Counter(manifest.kind for _, manifest in wanted)
        self.kinds = tuple(self._missing)
        self.complete: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def take(self, arrived: float, kind: str, body: Json) -> None:
        labels = body["metadata"].get("labels") or {}
        if kind != "ADDED" or "app.kubernetes.io/component" not in labels or self.complete.done():
            return
        self._missing[body["kind"]] -= 1
        if not any(self._missing.values()):
            self.complete.set_result(arrived)


async def sample(watcher: Watcher, name: str, which: str, pause: float) -> float:
    """Milliseconds from sending the namespace to seeing the last object."""
    profile = await watcher.request("POST", kubeflow.PROFILES, kubeflow.profile_manifest(name))
    known = time.monotonic()
    arrivals = Arrivals(which, profile)
    for kind in arrivals.kinds:
        await watcher.watch(KINDS[kind].path(name), arrivals.take)
    await asyncio.sleep(max(0.0, pause - (time.monotonic() - known)))
    began = time.monotonic()
    await watcher.request("POST", "/api/v1/namespaces", kubeflow.namespace_manifest(profile))
    async with asyncio.timeout(SECONDS):
        complete = await arrivals.complete
    await watcher.stop()
    return (complete - began) * 1000


async def measure(
    stage: Stage, which: str, *, samples: int = SAMPLES, pause: float = 0.0
) -> list[float]:
    """New tenants one after the other, while the suite idles."""
    found = []
    async with Watcher.opened(stage.plane) as watcher:
        for number in range(samples):
            name = f"new-{which}-{time.monotonic_ns()}-{number}"
            found.append(await sample(watcher, name, which, pause))
            await asyncio.sleep(PAUSE_SECONDS)
    return found


async def measure_in_crowd(stage: Stage, suite: Suite) -> list[float]:
    """New tenants for as long as the cold start goes on."""
    found = []
    suite.wait_for("first", SECONDS)
    async with Watcher.opened(stage.plane) as watcher:
        while suite.mark("reconciled") is None:
            name = f"new-crowd-{time.monotonic_ns()}"
            found.append(await sample(watcher, name, synthetic.NETWORK, 0.0))
            await asyncio.sleep(PAUSE_SECONDS)
    return found


def idle_rows(stage: Stage, which: str = synthetic.NETWORK) -> list[Row]:
    result = []
    many = which == synthetic.ALL
    who = "all controllers in one process" if many else "network"
    bound = 300 if many else 30
    for name, pause, when in (
        ("known", ACQUAINTED_SECONDS, "namespace after the Profile is known"),
        ("kubeflow", 0.0, "namespace right after the Profile"),
    ):
        samples = asyncio.run(measure(stage, which, pause=pause))
        what = f"new tenant, {who}: {when}"
        row = Row(name=f"tenant.{which}.{name}", what=what, unit="ms", samples=samples,
                  budgets=[at_most(bound)])  # fmt: skip
        say(f"  {what}: {row.measured} ms")
        result.append(row)
    return result


def crowd_rows(stage: Stage) -> list[Row]:
    """Adds the crowd to a stage on which no suite runs."""
    before = len(stage.profiles)
    stage.add_tenants(CROWD)
    with stage.suite(synthetic.NETWORK, expect=before + CROWD) as suite:
        samples = asyncio.run(measure_in_crowd(stage, suite))
    what = f"new tenant, network, while a cold start of {CROWD} profiles goes on"
    row = Row(name="tenant.crowd", what=what, unit="ms", samples=samples,
              budgets=[at_most(1000, "max")])  # fmt: skip
    say(f"  {what}: {row.measured} ms, {len(samples)} samples")
    return [row]
