"""The manager runs the informers, the controllers and their workers of one process."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import socket
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from functools import partial
from typing import Any

import structlog

from controllers.profiles import Profile
from controllers.runtime.cache import informer, reflector
from controllers.runtime.cache.profiles import ProfileStore
from controllers.runtime.client import client as rest_client
from controllers.runtime.controller import ALL_PROFILES, ConfiguredController, Runnable
from controllers.runtime.external.garbage import GarbageCollector
from controllers.runtime.manager.healthz import Health
from controllers.runtime.manager.profile_watch.watch import ProfileWatch
from controllers.runtime.options import Options
from controllers.runtime.reconcile.metrics import Metrics
from controllers.runtime.reconcile.reconciler import Context, Reconciler
from controllers.runtime.status.conditions import ConditionWriter
from controllers.runtime.status.events import EventRecorder
from controllers.runtime.workqueue import Priority, WorkQueues

logger = structlog.stdlib.get_logger(__name__)

_GC_THRESHOLDS = (10_000, 10, 10)
"""Fourteen times Python's default: a write leaves few reference cycles."""
_GC_THRESHOLDS_LISTING = (100_000, 50, 50)
_SYNC_POLL_SECONDS = 0.02
_STOP_SECONDS = 20.0
_FLUSH_SECONDS = 5.0
_CLOSE_SECONDS = 5.0


class Manager:
    """The informers, reconcilers and writers of status of one process, in one event loop."""

    def __init__(
        self,
        controllers: Sequence[ConfiguredController],
        client: rest_client.RestClient,
        options: Options,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Must be called in the event loop. ``clock`` returns monotonic seconds, in any thread."""
        self._options = options
        self._clock = clock
        self._recovered_at = float("-inf")
        self.profiles = ProfileStore(options.shard, self._profile_changed)
        self._queues = WorkQueues(self.profiles, all_profiles=ALL_PROFILES)
        self.informers = informer.new_informers(
            controllers,
            client,
            informer.Callbacks(
                enqueue=self._queues.enqueue,
                notify=self._notify,
                synced=self._queues.enqueue_all,  # Profiles that wait for the kind
                recovered=self._retry_now,
            ),
            clock=clock,
            in_shard=options.shard.contains,
        )
        low_priority = client.low_priority()
        conditions, recorder = None, None
        if not options.dry_run:
            conditions = ConditionWriter(low_priority, self.profiles, clock=clock)
            recorder = EventRecorder(low_priority, clock=clock, identity=socket.gethostname())
        self.context = Context(
            client=client,
            low_priority_client=low_priority,
            profiles=self.profiles,
            informers=self.informers,
            metrics=metrics,
            conditions=conditions,
            recorder=recorder,
            clock=clock,
            adopted_namespaces=options.adopted_namespaces,
            controllers=options.controller_names,
        )
        metrics.register_informers(self.informers)
        if recorder is not None:
            metrics.register_recorder(recorder)
        self.reconcilers = {
            controller.name: Reconciler(controller, settings, self.context)
            for controller, settings in controllers
        }
        for name, reconciler in self.reconcilers.items():
            self._queues.register(name, reconciler.queue)
            if reconciler.external is not None:
                metrics.register_external(name, reconciler.external)
        self.garbage_collectors = [
            GarbageCollector(
                one.controller, one.external, self._profile_gone, resync=options.resync
            )
            for one in self.reconcilers.values()
            if one.controller.external and one.controller.external.collect_garbage
        ]
        for name, reconciler in self.reconcilers.items():
            metrics.register_controller(
                name, [own.kind for own in reconciler.owned], options.workers
            )
        self.watch = ProfileWatch(client.config, self.profiles, clock=clock)
        self.health = Health(
            self.profiles, self.watch, self.informers, self.reconcilers, options, clock=clock
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._workers: set[asyncio.Task[None]] = set()
        self.failed = asyncio.Event()
        """Set when a task ended with an error."""

    # -- events ---------------------------------------------------------------------------------

    def _enqueue_for(self, controller: str, profiles: Collection[str], /) -> None:
        for profile in profiles:
            self._queues.enqueue(profile, controller, Priority.NORMAL)

    def _profile_changed(self, name: str, profile: Profile | None) -> None:
        if profile is not None:
            priority = Priority.NORMAL if self.profiles.synced else Priority.LOW
            self._queues.enqueue(name, None, priority)
            return
        for reconciler in self.reconcilers.values():
            reconciler.forget(name)
        for collector in self.garbage_collectors:
            collector.profile_deleted()
        if self.context.conditions is not None:
            self.context.conditions.forget(name)

    def _profile_gone(self, name: str, uid: str) -> bool:
        profile = self.profiles.get(name)
        exists = profile is not None and profile.uid == uid
        return self.profiles.synced and self._options.shard.contains(uid) and not exists

    def _retry_now(self) -> None:
        """Retry what failed, because the API server is reachable again after an outage.

        Every informer reports the recovery; the first report counts.
        """
        if self._clock() - self._recovered_at < reflector.OUTAGE:
            return
        self._recovered_at = self._clock()
        self._queues.retry_now()
        if self.context.conditions is not None:
            self.context.conditions.retry_now()

    def _notify(self, controller: str) -> None:
        external = self.reconcilers[controller].external
        if isinstance(external, Runnable):
            external.watched_object_changed()

    # -- life cycle -----------------------------------------------------------------------------

    def start_informers(self) -> None:
        """Start to list and watch every kind but Profiles."""
        # Reference counting frees what a list leaves. The cycle collector would take a third of
        # the time while the memory grows.
        gc.set_threshold(*_GC_THRESHOLDS_LISTING)
        for name, one in self.informers.items():
            self._spawn(one.run(), f"informer {name}")

    async def wait_for_cache_sync(self) -> None:
        """Wait until the first lists are complete, then start the tasks of external systems.

        Does not wait for an optional kind that the cluster does not serve. ``watch`` or
        ``list_profiles`` fills the store of Profiles.
        """
        while not self._synced():  # noqa: ASYNC110 - a dozen informers and a thread
            await asyncio.sleep(_SYNC_POLL_SECONDS)
        # The caches live long: the collector need not search them again.
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        _trim_memory()
        for name, reconciler in self.reconcilers.items():
            if isinstance(reconciler.external, Runnable):
                enqueue = partial(self._enqueue_for, name)
                self._spawn(reconciler.external.run(reconciler.cache, enqueue), f"external {name}")

    def _synced(self) -> bool:
        return self.profiles.synced and all(
            one.synced or (one.reflector.not_served and one.kind.optional)
            for one in self.informers.values()
        )

    def start_workers(self) -> None:
        """Start to reconcile, beginning with every Profile, and to write status."""
        self._spawn(self._resync(), "resync")
        if self.context.conditions is not None:
            self._spawn(self.context.conditions.run(), "conditions")
        if self.context.recorder is not None:
            self._spawn(self.context.recorder.run(), "events")
        if not self._options.dry_run:
            for collector in self.garbage_collectors:
                self._spawn(collector.run(), f"garbage collector {collector.controller}")
        for name, reconciler in self.reconcilers.items():
            for _ in range(self._options.workers):
                task = self._spawn(reconciler.work(), f"worker {name}")
                self._workers.add(task)
        self._queues.start()

    async def stop(
        self, *, grace: float = _STOP_SECONDS, abort: asyncio.Event | None = None
    ) -> None:
        """Finish the reconciles in progress within ``grace`` seconds, write status, and stop.

        ``abort`` ends the grace period at once, also when it is set later.
        """
        self._queues.shut_down()
        if self._workers:
            await _wait_unless(abort, asyncio.wait(self._workers, timeout=grace))
            running = sum(not worker.done() for worker in self._workers)
            if running:
                logger.warning("cancelled running reconciles", count=running, after_seconds=grace)
        down = any(
            one.reflector.down_since is not None and not one.reflector.not_served
            for one in self.informers.values()
        )
        if self._workers and not down and not (abort and abort.is_set()):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await _wait_unless(abort, self.flush_status())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        externals = [one.external for one in self.reconcilers.values() if one.external is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.gather(*(one.close() for one in externals))

    async def flush_status(self) -> None:
        """Attempt every pending write of a condition or an event."""
        if self.context.conditions is not None:
            await self.context.conditions.flush()
        if self.context.recorder is not None:
            await self.context.recorder.flush()

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(self._options.resync)
            self._queues.enqueue_all()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            return
        logger.error("task failed", task=task.get_name(), exc_info=task.exception())
        self.failed.set()


async def _wait_unless(abort: asyncio.Event | None, work: Coroutine[Any, Any, Any]) -> None:
    """Wait for the work, at most until ``abort`` is set."""
    tasks = [asyncio.ensure_future(work)]
    if abort is not None:
        tasks.append(asyncio.ensure_future(abort.wait()))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _trim_memory() -> None:
    """Return the memory of the lists to the system; malloc would keep it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only in glibc
    if trim is not None:
        trim(0)
