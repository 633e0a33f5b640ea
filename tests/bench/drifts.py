"""Drift: an owned object is deleted or edited; the time until it is as it was."""

import asyncio
import random
import time

from tests.bench import cold, counts, synthetic
from tests.bench.reports import Row, at_most, spread
from tests.bench.stages import Stage, say
from tests.bench.watcher import Json, Watcher

SAMPLES = 150
SECONDS = 10.0
PAUSE_SECONDS = 0.04
"""Between two samples: the suite tells of the one before meanwhile."""
EDIT = {"spec": {"podSelector": {"matchLabels": {"edited-by": "somebody"}}}}


class Repairs:
    """Waits for one object's repair at a time."""

    def __init__(self) -> None:
        self._spec: Json = {}
        self._place = ("", "")
        self._repaired: asyncio.Future[float] | None = None

    def expect(self, namespace: str, name: str) -> asyncio.Future[float]:
        """The moment at which the object has been seen broken, and whole again."""
        self._place = (namespace, name)
        self._spec = synthetic.policies()[name]
        self._repaired = asyncio.get_running_loop().create_future()
        return self._repaired

    def take(self, arrived: float, kind: str, body: Json) -> None:
        metadata = body["metadata"]
        waiting = self._repaired is not None and not self._repaired.done()
        if not waiting or (metadata["namespace"], metadata["name"]) != self._place:
            return
        assert self._repaired is not None
        if kind != "DELETED" and body["spec"] == self._spec:
            self._repaired.set_result(arrived)


async def sample(watcher: Watcher, repairs: Repairs, namespace: str, *, delete: bool) -> float:
    """Milliseconds from sending the change to seeing the repair."""
    name = random.choice(list(synthetic.policies()))  # noqa: S311 -- which one matters to nobody
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/{name}"
    repaired = repairs.expect(namespace, name)
    began = time.monotonic()
    if delete:
        await watcher.request("DELETE", path)
    else:
        await watcher.request("PATCH", path, EDIT, "application/merge-patch+json")
    async with asyncio.timeout(SECONDS):
        return (await repaired - began) * 1000


async def measure(stage: Stage, *, delete: bool) -> list[float]:
    """On profiles at random, one after the other, while the suite runs."""
    repairs = Repairs()
    samples = []
    async with Watcher.opened(stage.plane) as watcher:
        await watcher.watch(counts.POLICIES, repairs.take)
        for profile in random.choices(stage.profiles, k=SAMPLES):  # noqa: S311 -- as above
            name = profile["metadata"]["name"]
            samples.append(await sample(watcher, repairs, name, delete=delete))
            await asyncio.sleep(PAUSE_SECONDS)
    return samples


def measured(stage: Stage) -> dict[str, list[float]]:
    """What whoever repairs there now takes, the suite or the bare client."""
    return {
        name: asyncio.run(measure(stage, delete=name == "deleted"))
        for name in ("deleted", "edited")
    }


def rows(
    ours: dict[str, list[float]],
    bare: dict[str, list[float]],
    profiles: int,
    scale: float | None = None,
) -> list[Row]:
    budgets = [at_most(8), at_most(20, "p99")]
    result = []
    for name, samples in ours.items():
        what = f"drift, {profiles} profiles: a policy {name}, until repaired"
        row = Row(
            name=f"drift.{name}", what=what, unit="ms", samples=samples, budgets=budgets,
            bare=bare[name],
        )  # fmt: skip
        say(f"  {name}: {row.measured} ms, bare client {spread(row.bare)}")
        result.append(row)
        if scale is not None:
            result.append(
                Row(
                    name=f"drift.{name}.scaled", what=cold.SCALED, unit="ms", budgets=budgets,
                    samples=[one * scale for one in samples],
                )
            )  # fmt: skip
    return result
