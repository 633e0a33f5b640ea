"""Volumes of blob-csi: three for own containers and ten for shared buckets per profile.

The storage is a real Azurite. There is no controller manager, so that no claim is bound: the cost
of the binder is not that of the suite.
"""

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.bench import apiserver, procfs
from tests.bench.environment import Environment, report_progress
from tests.bench.rows import Row, at_most
from tests.support.azure import Azurite, objects
from tests.support.cluster import waiting
from tests.support.cluster.manager_process import Launcher, ManagerProcess
from tests.support.controlplane import Json

SHARED = 10
OBJECTS = 2 * (SHARED + len(objects.INSTANCES))
"""Per profile."""
PROFILES = 1000
"""The maximum: the shared buckets of more profiles do not fit into a ConfigMap."""
SECONDS = 1800.0
CHANGES = 20
POLL_SECONDS = 0.01
VOLUMES = "/api/v1/persistentvolumes"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """One start, until every profile is reconciled and every volume exists."""

    seconds: float
    cpu: float
    writes: int


def rows(environment: Environment, folder: Path) -> list[Row]:
    """Cold start, restart, and changes of the readers of a bucket."""
    profiles = len(environment.profiles)
    folder.mkdir(parents=True)
    azurite = Azurite.start(folder / "azurite")
    try:
        objects.install(environment.plane)
        grants = buckets(profiles)
        objects.write_buckets(environment.plane, grants)
        with Launcher(environment.plane, folder / "suites", allow_denied=True) as suites:
            with start(environment, suites, folder, azurite) as (_, cold):
                pass
            with start(environment, suites, folder, azurite) as (suite, again):
                memory = procfs.settled_memory(suite.pid)
                changes, reconciles = change(environment, suite, grants)
    finally:
        azurite.stop()
    return results(profiles, (cold, again), memory, (changes, reconciles))


def buckets(profiles: int) -> list[Json]:
    """One per profile; ten profiles read each of them, and one writes it."""
    names = [f"tenant-{number:05d}" for number in range(profiles)]
    return [
        objects.bucket(
            f"bucket-{number:05d}",
            [names[(number + step) % profiles] for step in range(SHARED)],
            [names[number]],
        )
        for number in range(profiles)
    ]


@contextlib.contextmanager
def start(
    environment: Environment, suites: Launcher, folder: Path, azurite: Azurite
) -> Iterator[tuple[ManagerProcess, Start]]:
    """Start a process, and wait until it has reconciled every profile and written all objects."""
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump({objects.CONTROLLER: objects.settings(azurite)}))
    before, start_time = apiserver.writes(environment.plane), time.monotonic()
    command = ("--config", str(file), "--resync", "600")
    suite = suites.start(
        objects.CONTROLLER, *command, kubeconfig=environment.plane.kubeconfig, variables={}
    )
    suite.wait_ready()
    profiles = len(environment.profiles)
    waiting.until(lambda: reconciled(suite) >= profiles, "all are reconciled", seconds=SECONDS)
    waiting.until(
        lambda: apiserver.total(environment.plane, VOLUMES) >= profiles * OBJECTS // 2,
        "all volumes exist",
        seconds=SECONDS,
    )
    seconds, cpu = time.monotonic() - start_time, procfs.cpu_seconds(suite.pid)
    apiserver.wait_until_quiet(environment.plane)
    made = apiserver.writes(environment.plane) - before
    volumes = {what: count for what, count in made.items() if "persistentvolume" in what}
    report_progress(
        f"  {seconds:.1f} s, {cpu:.1f} s of CPU, {reconciled(suite):.0f} reconciles, {volumes}"
    )
    try:
        yield suite, Start(seconds=seconds, cpu=cpu, writes=sum(volumes.values()))
    finally:
        suite.stop()


def reconciled(suite: ManagerProcess) -> float:
    return suite.total("controller_runtime_reconcile_total", controller=objects.CONTROLLER)


def change(
    environment: Environment, suite: ManagerProcess, grants: list[Json]
) -> tuple[list[float], list[float]]:
    """Add a reader to a bucket: milliseconds until the reader's volume exists, and reconciles."""
    profiles, times, reconciles = len(grants), [], []
    for number in range(CHANGES):
        bucket = grants[number]
        reader = f"tenant-{(number + profiles // 2) % profiles:05d}"
        grants[number] = {**bucket, "readers": [*bucket["readers"], reader]}
        before = reconciled(suite)
        path = objects.shared_paths(reader, bucket["bucketName"])[0]
        start_time = time.monotonic()
        objects.write_buckets(environment.plane, grants)
        waiting.until(
            lambda path=path: objects.existing(environment.plane, [path]),  # type: ignore[misc]
            path,
            pause=POLL_SECONDS,
        )
        times.append((time.monotonic() - start_time) * 1000)
        apiserver.wait_until_quiet(environment.plane)
        reconciles.append(reconciled(suite) - before)
    return times, reconciles


def results(
    profiles: int,
    starts: tuple[Start, Start],
    memory: procfs.Memory,
    changed: tuple[list[float], list[float]],
) -> list[Row]:
    (cold, again), (changes, reconciles) = starts, changed
    title = f"{profiles} profiles of {OBJECTS // 2} volumes"
    per_write = cold.cpu / max(cold.writes, 1) * 1000
    return [
        Row(name="volume.cold", title=f"cold start, {title}", unit="s", samples=[cold.seconds]),
        Row(name="volume.cold.cpu", title="… client CPU per write", unit="ms", samples=[per_write]),
        Row(name="volume.restart", title=f"restart, {title}", unit="s", samples=[again.seconds]),
        Row(name="volume.restart.cpu", title="… client CPU", unit="s", samples=[again.cpu]),
        Row(name="volume.restart.writes", title="… writes", unit="", samples=[again.writes],
            budgets=[at_most(0, "max")]),
        Row(name="volume.memory", title="… memory when idle", unit="MiB", samples=[memory.rss]),
        Row(name="volume.change", title="a bucket has another reader: until the volume exists",
            unit="ms", samples=changes),
        Row(name="volume.change.reconciles", title="… reconciles", unit="", samples=reconciles,
            budgets=[at_most(3, "max")],
            note="of the reader; once more after the response of the API server"),
    ]  # fmt: skip
