"""The parts of one process: informers, controllers and their workers."""

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
from controllers.runtime.client import client
from controllers.runtime.controller import ALL_PROFILES, AnyController, Runnable
from controllers.runtime.external.garbage import GarbageCollector
from controllers.runtime.manager.healthz import Health
from controllers.runtime.manager.profile_watch.watch import ProfileWatch
from controllers.runtime.options import Options
from controllers.runtime.reconcile.metrics import Metrics
from controllers.runtime.reconcile.reconciler import Reconciler, World
from controllers.runtime.status.conditions import ConditionWriter
from controllers.runtime.status.events import EventRecorder
from controllers.runtime.workqueue import Priority

logger = structlog.stdlib.get_logger(__name__)

Assembly = tuple[AnyController, Any]
"""A controller and its settings."""

_THRESHOLDS = (10_000, 10, 10)
"""Fourteen times what Python begins with: a write leaves little that only a search would find."""
_WHILE_LISTING = (100_000, 50, 50)
_TICK = 0.02
_STOP_SECONDS = 20.0
_TELL_SECONDS = 5.0


class Manager:
    """The parts of one process, made in the event loop that runs them."""

    def __init__(
        self,
        assemblies: Sequence[Assembly],
        cluster: client.RestClient,
        options: Options,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` gives monotonic seconds, from any thread."""
        self._options = options
        self._cluster = cluster
        self._clock = clock
        self._recovered_at = float("-inf")
        self.profiles = ProfileStore(options.shard, self._profile_changed)
        self.informers = informer.new_informers(
            assemblies,
            cluster,
            informer.Callbacks(
                enqueue=self._enqueue,
                notify=self._notify,
                synced=self._enqueue_all,  # profiles that wait for the kind
                recovered=self._retry_now,
            ),
            clock=self._clock,
            in_shard=options.shard.holds,
        )
        backlog = cluster.low_priority()
        conditions, recorder = None, None
        if not options.dry_run:
            conditions = ConditionWriter(backlog, self.profiles, clock=clock)
            recorder = EventRecorder(backlog, clock=clock, identity=socket.gethostname())
        self.world = World(
            cluster=cluster,
            backlog=backlog,
            profiles=self.profiles,
            informers=self.informers,
            metrics=metrics,
            conditions=conditions,
            recorder=recorder,
            clock=self._clock,
            adopted_namespaces=options.adopted_namespaces,
            known=options.known,
        )
        metrics.informers.update(self.informers)
        metrics.recorder = self.world.recorder
        self.reconcilers = {
            controller.name: Reconciler(controller, settings, self.world)
            for controller, settings in assemblies
        }
        metrics.externals.update(
            (name, one.external)
            for name, one in self.reconcilers.items()
            if one.external is not None
        )
        self.garbage_collectors = [
            GarbageCollector(
                each.controller, each.external, self._profile_gone, resync=options.resync
            )
            for each in self.reconcilers.values()
            if each.controller.external and each.controller.external.collect_garbage
        ]
        for name, reconciler in self.reconcilers.items():
            metrics.prepare(name, [own.kind for own in reconciler.owned], options.workers)
        self.watch = ProfileWatch(cluster.config, self.profiles, clock=self._clock)
        self.health = Health(
            self.profiles, self.watch, self.informers, self.reconcilers, options, clock=self._clock
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._workers: set[asyncio.Task[None]] = set()
        self.failed = asyncio.Event()

    # -- events ---------------------------------------------------------------------------------

    def _enqueue(self, profile: str, controller: str | None, priority: Priority, /) -> None:
        # A standby keeps no line: it would be as old as the other's reign, and says nothing.
        if not self._workers:
            return
        if profile in ALL_PROFILES:
            self._enqueue_each(controller)
            return
        if self.profiles.get(profile) is None:
            return
        for name, reconciler in self.reconcilers.items():
            if controller in (None, name):
                reconciler.queue.add(profile, priority)

    def _profile_changed(self, name: str, profile: Profile | None) -> None:
        if profile is not None:
            self._enqueue(name, None, Priority.NORMAL if self.profiles.synced else Priority.LOW)
            return
        for reconciler in self.reconcilers.values():
            reconciler.forget(name)
        for collector in self.garbage_collectors:
            collector.profile_deleted()
        if self.world.conditions is not None:
            self.world.conditions.forget(name)

    def _profile_gone(self, name: str, uid: str) -> bool:
        known = self.profiles.get(name)
        there = known is not None and known.uid == uid
        return self.profiles.synced and self._options.shard.holds(uid) and not there

    def _retry_now(self) -> None:
        """Retry what failed, because the API server is reachable again after an outage.

        Every informer reports the recovery; the first report counts.
        """
        if self._clock() - self._recovered_at < reflector.OUTAGE:
            return
        self._recovered_at = self._clock()
        for reconciler in self.reconcilers.values():
            reconciler.queue.retry_now()
        if self.world.conditions is not None:
            self.world.conditions.retry_now()

    def _notify(self, controller: str) -> None:
        external = self.reconcilers[controller].external
        if isinstance(external, Runnable):
            external.noticed()

    def _enqueue_for(self, controller: str, profiles: Collection[str], /) -> None:
        """Add profiles to one controller's queue."""
        for profile in profiles:
            self._enqueue(profile, controller, Priority.NORMAL)

    def _enqueue_all(self) -> None:
        self._enqueue_each(None)

    def _enqueue_each(self, controller: str | None) -> None:
        for name in self.profiles:
            self._enqueue(name, controller, Priority.LOW)

    # -- life -----------------------------------------------------------------------------------

    def start_informers(self) -> None:
        """Begin to list and watch everything but the Profiles."""
        # A list makes much garbage that counting references frees; to look for cycles in it while
        # the memory grows costs a third of the time.
        gc.set_threshold(*_WHILE_LISTING)
        for name, one in self.informers.items():
            self._spawn(one.run(), f"informer {name}")

    async def synced(self) -> None:
        """Wait until the first lists are complete; a kind that the cluster lacks is not waited for.

        Then what is outside and works by itself begins.

        The Profiles are fed by ``watch`` or by ``list_profiles``.
        """
        while not self._listed():  # noqa: ASYNC110 - a dozen parts, one of them in a thread
            await asyncio.sleep(_TICK)
        # What is remembered from here on lives long: never look for garbage in it again.
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
        _give_back()
        for name, reconciler in self.reconcilers.items():
            if isinstance(reconciler.external, Runnable):
                enqueue = partial(self._enqueue_for, name)
                self._spawn(reconciler.external.run(reconciler.cache, enqueue), f"outside {name}")

    def _listed(self) -> bool:
        return self.profiles.synced and all(
            one.synced or (one.reflector.not_served and one.kind.optional)
            for one in self.informers.values()
        )

    def start_workers(self) -> None:
        """Begin to reconcile, all profiles first, to tell, and to resync."""
        self._spawn(self._resync(), "resync")
        if self.world.conditions is not None:
            self._spawn(self.world.conditions.run(), "conditions")
        if self.world.recorder is not None:
            self._spawn(self.world.recorder.run(), "events")
        if not self._options.dry_run:
            for collector in self.garbage_collectors:
                self._spawn(collector.run(), f"garbage collector {collector.controller}")
        for name, reconciler in self.reconcilers.items():
            for _ in range(self._options.workers):
                task = self._spawn(reconciler.work(), f"worker {name}")
                self._workers.add(task)
        self._enqueue_all()

    async def stop(self, *, grace: float = _STOP_SECONDS, cut: asyncio.Event | None = None) -> None:
        """Take no new work, finish what runs (bounded), say what is to be said, and end.

        ``cut`` ends the patience at once, also when it is set meanwhile.
        """
        for reconciler in self.reconcilers.values():
            reconciler.queue.shut_down()
        if self._workers:
            await _ended_or(cut, asyncio.wait(self._workers, timeout=grace))
            hung = sum(not worker.done() for worker in self._workers)
            if hung:
                logger.warning("reconciles cut off", count=hung, after_seconds=grace)
        away = any(one.reflector.down_since is not None for one in self.informers.values())
        if self._workers and not away and not (cut and cut.is_set()):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TELL_SECONDS):
                    await _ended_or(cut, self.drain())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        externals = [one.external for one in self.reconcilers.values() if one.external is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TELL_SECONDS):
                await asyncio.gather(*(one.close() for one in externals))

    async def drain(self) -> None:
        """Say on the cluster what is still to be said."""
        if self.world.conditions is not None:
            await self.world.conditions.flush()
        if self.world.recorder is not None:
            await self.world.recorder.flush()

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(self._options.resync)
            self._enqueue_all()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            return
        logger.error(
            "a part of the process failed", part=task.get_name(), exc_info=task.exception()
        )
        self.failed.set()


async def _ended_or(cut: asyncio.Event | None, work: Coroutine[Any, Any, Any]) -> None:
    """Wait for the work, but no longer than until ``cut``."""
    tasks = [asyncio.ensure_future(work)]
    if cut is not None:
        tasks.append(asyncio.ensure_future(cut.wait()))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _give_back() -> None:
    """What the lists needed for a moment goes back to the system, where malloc would keep it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
    if trim is not None:
        trim(0)
