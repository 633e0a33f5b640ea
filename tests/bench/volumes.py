"""Volumes of blob-csi: three of own containers and ten of shared buckets for each profile.

Against a real Azurite. There is no controller manager, so nothing is bound: what the binder costs
is not the suite's.
"""

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.bench import counts, probes
from tests.bench.reports import Row, at_most
from tests.bench.stages import Stage, say
from tests.support.azure import Azurite, stages
from tests.support.cluster import waiting
from tests.support.cluster.suite import Suite, Suites
from tests.support.controlplane import Json

SHARED = 10
OBJECTS = 2 * (SHARED + len(stages.VOLUMES))
"""Of each profile."""
PROFILES = 1000
"""More do not fit: the shared buckets of so many are a ConfigMap of a third of its limit."""
SECONDS = 1800.0
CHANGES = 20
POLL_SECONDS = 0.01
VOLUMES = "/api/v1/persistentvolumes"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """One start, from the process's to the last profile looked at, or written."""

    seconds: float
    cpu: float
    writes: int


def rows(stage: Stage, folder: Path) -> list[Row]:
    """Cold start, restart, and one bucket's readers changed."""
    profiles = len(stage.profiles)
    folder.mkdir(parents=True)
    azurite = Azurite.start(folder / "azurite")
    try:
        stages.install(stage.plane)
        grants = buckets(profiles)
        stages.grant(stage.plane, grants)
        with Suites(stage.plane, folder / "suites", forgiving=True) as suites:
            with starting(stage, suites, folder, azurite) as (_, cold):
                pass
            with starting(stage, suites, folder, azurite) as (suite, again):
                memory = probes.settled_memory(suite.pid)
                changes, looked = change(stage, suite, grants)
    finally:
        azurite.stop()
    return tabled(profiles, (cold, again), memory, (changes, looked))


def buckets(profiles: int) -> list[Json]:
    """As many as there are profiles: each is read by ten of them, and written by one."""
    names = [f"tenant-{number:05d}" for number in range(profiles)]
    return [
        stages.bucket(
            f"bucket-{number:05d}",
            [names[(number + step) % profiles] for step in range(SHARED)],
            [names[number]],
        )
        for number in range(profiles)
    ]


@contextlib.contextmanager
def starting(
    stage: Stage, suites: Suites, folder: Path, azurite: Azurite
) -> Iterator[tuple[Suite, Start]]:
    """A process that has looked at every profile and written all that it has to write."""
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump({stages.BLOB: stages.settings(azurite)}))
    before, began = counts.writes(stage.plane), time.monotonic()
    command = ("--config", str(file), "--resync", "600")
    suite = suites.start(stages.BLOB, *command, kubeconfig=stage.plane.kubeconfig, variables={})
    suite.wait_ready()
    profiles = len(stage.profiles)
    waiting.until(lambda: reconciled(suite) >= profiles, "all are reconciled", seconds=SECONDS)
    waiting.until(
        lambda: counts.total(stage.plane, VOLUMES) >= profiles * OBJECTS // 2,
        "all volumes are there",
        seconds=SECONDS,
    )
    seconds, cpu = time.monotonic() - began, probes.cpu_seconds(suite.pid)
    counts.until_still(stage.plane)
    made = counts.writes(stage.plane) - before
    volumes = {what: count for what, count in made.items() if "persistentvolume" in what}
    say(f"  {seconds:.1f} s, {cpu:.1f} s of CPU, {reconciled(suite):.0f} reconciles, {volumes}")
    try:
        yield suite, Start(seconds=seconds, cpu=cpu, writes=sum(volumes.values()))
    finally:
        suite.stop()


def reconciled(suite: Suite) -> float:
    return suite.total("controller_runtime_reconcile_total", controller=stages.BLOB)


def change(stage: Stage, suite: Suite, grants: list[Json]) -> tuple[list[float], list[float]]:
    """Another reader for a bucket: milliseconds until his volume is there, profiles looked at."""
    profiles, times, looked = len(grants), [], []
    for number in range(CHANGES):
        bucket = grants[number]
        reader = f"tenant-{(number + profiles // 2) % profiles:05d}"
        grants[number] = {**bucket, "readers": [*bucket["readers"], reader]}
        before = reconciled(suite)
        path = stages.shared_paths(reader, bucket["bucketName"])[0]
        began = time.monotonic()
        stages.grant(stage.plane, grants)
        waiting.until(
            lambda path=path: stages.found(stage.plane, [path]),  # type: ignore[misc]
            path,
            pause=POLL_SECONDS,
        )
        times.append((time.monotonic() - began) * 1000)
        counts.until_still(stage.plane)
        looked.append(reconciled(suite) - before)
    return times, looked


def tabled(
    profiles: int,
    starts: tuple[Start, Start],
    memory: probes.Memory,
    changed: tuple[list[float], list[float]],
) -> list[Row]:
    (cold, again), (changes, looked) = starts, changed
    what = f"{profiles} profiles of {OBJECTS // 2} volumes"
    per_write = cold.cpu / max(cold.writes, 1) * 1000
    return [
        Row(name="volume.cold", what=f"cold start, {what}", unit="s", samples=[cold.seconds]),
        Row(name="volume.cold.cpu", what="… client CPU a write", unit="ms", samples=[per_write]),
        Row(name="volume.restart", what=f"restart, {what}", unit="s", samples=[again.seconds]),
        Row(name="volume.restart.cpu", what="… client CPU", unit="s", samples=[again.cpu]),
        Row(name="volume.restart.writes", what="… writes", unit="", samples=[again.writes],
            budgets=[at_most(0, "max")]),
        Row(name="volume.memory", what="… memory at rest", unit="MiB", samples=[memory.rss]),
        Row(name="volume.change", what="a bucket has another reader: until his volume is there",
            unit="ms", samples=changes),
        Row(name="volume.change.looked", what="… profiles looked at", unit="", samples=looked,
            budgets=[at_most(3, "max")], note="his own; once more where the API server answers"),
    ]  # fmt: skip
