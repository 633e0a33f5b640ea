"""One process over the cluster in memory: the real Manager, without kopf, in virtual time.

It stands in for the Profile watch: a change of a Profile in the cluster's store has effect at once.
"""

import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from controllers.manifests import Body, Key
from controllers.profiles import parse_profile
from controllers.runtime.client.client import RestClient
from controllers.runtime.controller import ConfiguredController
from controllers.runtime.manager.healthz import Health
from controllers.runtime.manager.manager import Manager
from controllers.runtime.options import Options
from controllers.runtime.reconcile.metrics import Metrics
from controllers.runtime.reconcile.result import Report
from tests.support import builders
from tests.support.builders import kubeflow_objects
from tests.support.fakes import FakeCluster, virtual_time
from tests.support.fakes.object_tracker import ObjectChange

_SOON = 45.0
"""Seconds. A reconcile that is delayed by more, such as after a refusal, counts as settled."""


@dataclass(frozen=True, kw_only=True)
class Harness:
    """A running manager. A test calls `settled` before it compares."""

    cluster: FakeCluster
    manager: Manager

    async def settled(self) -> None:
        """Returns once the queues are empty and watches, conditions and events are processed."""
        await virtual_time.until(self._quiet, "everything settles", seconds=600.0)

    @property
    def health(self) -> Health:
        """The health that the probes report."""
        return self.manager.health

    async def resync(self) -> None:
        """Enqueues every profile, and returns once all is settled."""
        for name in self.manager.profiles:
            for reconciler in self.manager.reconcilers.values():
                reconciler.queue.add(name)
        await self.settled()

    async def reconcile(self, controller: str, profile: str = "alice") -> Report:
        """Reconciles a profile outside the workers; returns the report."""
        known = self.manager.profiles.get(profile)
        assert known is not None
        return await self.manager.reconcilers[controller].reconcile(known)

    def conditions(self, name: str = "alice") -> dict[str, tuple[str, str]]:
        """Status and message of each condition of the Profile, by type."""
        body = self.cluster.objects.read(Key("Profile", "", name))
        found = (body.get("status") or {}).get("conditions") or ()
        return {one["type"]: (one["status"], one["message"]) for one in found}

    def events(self) -> list[tuple[str, str, str]]:
        """Type, reason and message of each event, sorted."""
        events = self.cluster.objects.all_of("Event")
        return sorted((one["type"], one["reason"], one["message"]) for one in events)

    def _quiet(self) -> bool:
        manager = self.manager
        conditions, recorder = manager.context.conditions, manager.context.recorder
        queues = [one.queue for one in manager.reconcilers.values()]
        return (
            self.cluster.delivered
            and all(queue.idle for queue in queues)
            and all(
                seconds > _SOON for queue in queues for seconds in queue.delayed_seconds().values()
            )
            and (conditions is None or conditions.idle)
            and (recorder is None or recorder.idle)
        )


@contextlib.asynccontextmanager
async def running(
    *controllers: ConfiguredController,
    cluster: FakeCluster | None = None,
    options: Options | None = None,
    settle: bool = True,
    leading: bool = True,
) -> AsyncIterator[Harness]:
    """A process with these controllers. Its caches are synced; with `settle` it has settled.

    Without `leading` it reconciles nothing until a test calls `start_workers` of its manager.
    """
    cluster = cluster or tenants()
    options = options or Options(listen=None)
    manager = Manager(
        controllers, cast("RestClient", cluster), options, Metrics(), clock=virtual_time.now
    )
    watch = _profile_watch(manager)
    manager.start_informers()
    uids = {}
    for body in cluster.objects.all_of("Profile"):
        manager.profiles.upsert(parse_profile(body))
        uids[body["metadata"]["name"]] = body["metadata"]["uid"]
    manager.profiles.replace(uids, str(cluster.objects.version))
    cluster.objects.listeners.append(watch)
    try:
        await manager.wait_for_cache_sync()
        if leading:
            manager.start_workers()
        harness = Harness(cluster=cluster, manager=manager)
        if settle:
            await harness.settled()
        yield harness
    finally:
        cluster.objects.listeners.remove(watch)
        await manager.stop()
        _verify_kubeflow_objects(cluster)
        gc.unfreeze()


def _verify_kubeflow_objects(cluster: FakeCluster) -> None:
    """No controller may own an object of Kubeflow's: it would delete it after an opt-out."""
    for kind, names in kubeflow_objects.NAMES.items():
        for body in cluster.objects.all_of(kind):
            adopted = kubeflow_objects.owned_by_a_controller(body)
            name = body["metadata"]["name"]
            assert not (adopted and name in names), (
                f"{kind} {name} belongs to Kubeflow: declare it in Controller.shared"
            )


def tenants(*names: str, **profile: Any) -> FakeCluster:
    """A cluster with these Profiles, by default alice, and their namespaces."""
    cluster = FakeCluster()
    for name in names or ("alice",):
        put_tenant(cluster, name, **profile)
    return cluster


def put_tenant(cluster: FakeCluster, name: str = "alice", **profile: Any) -> Body:
    """Creates a Profile and its namespace; returns the stored Profile."""
    stored = cluster.objects.put(builders.profile_body(name, version=0, **profile))
    cluster.objects.put(builders.namespace_body(name, uid=stored["metadata"]["uid"]))
    return stored


def _profile_watch(manager: Manager) -> Callable[[ObjectChange], None]:
    def handle(change: ObjectChange) -> None:
        if change.key.kind != "Profile":
            return
        if change.after is not None:
            manager.profiles.upsert(parse_profile(change.after))
        elif change.before is not None:
            metadata = change.before["metadata"]
            manager.profiles.delete(metadata["name"], metadata["uid"])

    return handle


def names_of(bodies: Sequence[Body]) -> list[str]:
    """`namespace/name` of each object."""
    return [f"{one['metadata'].get('namespace', '')}/{one['metadata']['name']}" for one in bodies]
