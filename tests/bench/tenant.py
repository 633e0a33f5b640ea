"""A new tenant: from the creation of its namespace until all its objects exist."""

import asyncio
import time
from collections import Counter

from controllers.profiles import parse_profile
from controllers.runtime.objects.kinds import KINDS
from tests.bench import workload
from tests.bench.environment import ControllerProcess, Environment, report_progress
from tests.bench.rows import Budget, Row, at_most
from tests.bench.watcher import Json, Watcher
from tests.support.cluster import kubeflow

SAMPLES = 30
SECONDS = 60.0
PAUSE_SECONDS = 0.1
COLD_START_PROFILES = 1000
"""Profiles of the cold start during which tenants are created."""
KNOWN_SECONDS = 0.3
"""From the Profile to its namespace, so that the suite receives the Profile first."""
IDLE_BUDGET = 30.0
"""Milliseconds for the network policies of one tenant while the suite is idle."""
COLD_START_BUDGET = 1000.0
"""Milliseconds for the same during a cold start."""


class Arrivals:
    """Counts the objects of a namespace as they arrive."""

    def __init__(self, which: str, profile: Json) -> None:
        wanted = workload.manifests(which, parse_profile(profile))
        self._missing = Counter(manifest.kind for _, manifest in wanted)
        self.kinds = tuple(self._missing)
        self.complete: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def handle(self, arrived: float, kind: str, body: Json) -> None:
        labels = body["metadata"].get("labels") or {}
        if kind != "ADDED" or "app.kubernetes.io/component" not in labels or self.complete.done():
            return
        self._missing[body["kind"]] -= 1
        if not any(self._missing.values()):
            self.complete.set_result(arrived)


async def sample(watcher: Watcher, name: str, which: str, pause: float) -> float:
    """Milliseconds from the request for the namespace to the event of the last object."""
    profile = await watcher.request("POST", kubeflow.PROFILES, kubeflow.profile_manifest(name))
    created = time.monotonic()
    arrivals = Arrivals(which, profile)
    for kind in arrivals.kinds:
        await watcher.watch(KINDS[kind].path(name), arrivals.handle)
    await asyncio.sleep(max(0.0, pause - (time.monotonic() - created)))
    start = time.monotonic()
    await watcher.request("POST", "/api/v1/namespaces", kubeflow.namespace_manifest(profile))
    async with asyncio.timeout(SECONDS):
        complete = await arrivals.complete
    await watcher.stop()
    return (complete - start) * 1000


async def measure_idle(
    environment: Environment, which: str, *, samples: int = SAMPLES, pause: float = 0.0
) -> list[float]:
    """New tenants one after the other, while the suite is idle."""
    found = []
    async with Watcher.opened(environment.plane) as watcher:
        for number in range(samples):
            name = f"new-{which}-{time.monotonic_ns()}-{number}"
            found.append(await sample(watcher, name, which, pause))
            await asyncio.sleep(PAUSE_SECONDS)
    return found


async def measure_in_cold_start(
    environment: Environment, process: ControllerProcess
) -> list[float]:
    """New tenants until the cold start is complete."""
    found = []
    process.wait_for("first", SECONDS)
    async with Watcher.opened(environment.plane) as watcher:
        while process.milestone("reconciled") is None:
            name = f"new-cold-{time.monotonic_ns()}"
            found.append(await sample(watcher, name, workload.NETWORK, 0.0))
            await asyncio.sleep(PAUSE_SECONDS)
    return found


def idle_rows(environment: Environment, which: str = workload.NETWORK) -> list[Row]:
    found = []
    is_all = which == workload.ALL
    controllers = "all controllers in one process" if is_all else "network"
    budgets: list[Budget] = [] if is_all else [at_most(IDLE_BUDGET)]
    for name, pause, when in (
        ("known", KNOWN_SECONDS, "namespace after the suite has received the Profile"),
        ("kubeflow", 0.0, "namespace right after the Profile"),
    ):
        samples = asyncio.run(measure_idle(environment, which, pause=pause))
        title = f"new tenant, {controllers}: {when}"
        row = Row(name=f"tenant.{which}.{name}", title=title, unit="ms", samples=samples,
                  budgets=budgets)  # fmt: skip
        report_progress(f"  {title}: {row.measured} ms")
        found.append(row)
    return found


def cold_start_rows(environment: Environment) -> list[Row]:
    """Adds tenants to an environment in which no controller runs."""
    before = len(environment.profiles)
    environment.add_tenants(COLD_START_PROFILES)
    expect = before + COLD_START_PROFILES
    with environment.controllers(workload.NETWORK, expect=expect) as process:
        samples = asyncio.run(measure_in_cold_start(environment, process))
    title = f"new tenant, network, during a cold start of {COLD_START_PROFILES} profiles"
    row = Row(name="tenant.cold", title=title, unit="ms", samples=samples,
              budgets=[at_most(COLD_START_BUDGET, "max")])  # fmt: skip
    report_progress(f"  {title}: {row.measured} ms, {len(samples)} samples")
    return [row]
