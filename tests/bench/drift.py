"""Drift: an owned object is deleted or edited; the time until it is repaired."""

import asyncio
import random
import time

from tests.bench import apiserver, workload
from tests.bench.environment import Environment, report_progress
from tests.bench.rows import Row, at_most, ratio, spread
from tests.bench.watcher import Json, Watcher

SAMPLES = 150
SECONDS = 10.0
PAUSE_SECONDS = 0.04
"""Between two samples, in which the suite reports the previous one."""
EDIT = {"spec": {"podSelector": {"matchLabels": {"edited-by": "somebody"}}}}


class Repair:
    """Waits for the repair of one object at a time."""

    def __init__(self) -> None:
        self._spec: Json = {}
        self._key = ("", "")
        self._repaired: asyncio.Future[float] | None = None

    def expect(self, namespace: str, name: str) -> asyncio.Future[float]:
        """Return the time at which a watch reports the object with its desired spec."""
        self._key = (namespace, name)
        self._spec = workload.policies()[name]
        self._repaired = asyncio.get_running_loop().create_future()
        return self._repaired

    def handle(self, arrived: float, kind: str, body: Json) -> None:
        metadata = body["metadata"]
        waiting = self._repaired is not None and not self._repaired.done()
        if not waiting or (metadata["namespace"], metadata["name"]) != self._key:
            return
        assert self._repaired is not None
        if kind != "DELETED" and body["spec"] == self._spec:
            self._repaired.set_result(arrived)


async def sample(watcher: Watcher, repair: Repair, namespace: str, *, delete: bool) -> float:
    """Milliseconds from the request that changes the object to the event of the repair."""
    name = random.choice(list(workload.policies()))  # noqa: S311 - not for cryptography
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/{name}"
    repaired = repair.expect(namespace, name)
    start = time.monotonic()
    if delete:
        await watcher.request("DELETE", path)
    else:
        await watcher.request("PATCH", path, EDIT, "application/merge-patch+json")
    async with asyncio.timeout(SECONDS):
        return (await repaired - start) * 1000


async def measure_one(environment: Environment, *, delete: bool) -> list[float]:
    """Random profiles, one after the other."""
    repair = Repair()
    samples = []
    async with Watcher.opened(environment.plane) as watcher:
        await watcher.watch(apiserver.POLICIES, repair.handle)
        for profile in random.choices(environment.profiles, k=SAMPLES):  # noqa: S311 - as above
            name = profile["metadata"]["name"]
            samples.append(await sample(watcher, repair, name, delete=delete))
            await asyncio.sleep(PAUSE_SECONDS)
    return samples


def measure(environment: Environment) -> dict[str, list[float]]:
    """The time of the process that repairs objects now: the suite or the bare client."""
    return {
        name: asyncio.run(measure_one(environment, delete=name == "deleted"))
        for name in ("deleted", "edited")
    }


def rows(ours: dict[str, list[float]], bare: dict[str, list[float]], profiles: int) -> list[Row]:
    found = []
    for change, samples in ours.items():
        name = f"drift.{change}"
        title = f"drift, {profiles} profiles: a policy {change}, until repaired"
        row = Row(name=name, title=title, unit="ms", samples=samples, bare=bare[change])
        report_progress(f"  {change}: {row.measured} ms, bare client {spread(row.bare)}")
        found += [
            row,
            ratio(name, "median", samples, bare[change], at_most(1.5, "value")),
            ratio(name, "p99", samples, bare[change], at_most(3, "value")),
        ]
    return found
