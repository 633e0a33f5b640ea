"""One controller at work: take a profile's name, look at the whole profile, write what is missing.

A reconcile knows nothing but the name; whatever woke it, it gathers, plans, applies and reports.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controllers.findings import Finding
from controllers.manifests import Key, Manifest, field_manager
from controllers.profiles import PAUSED_ANNOTATION, Profile, is_paused
from controllers.runtime.apply import plan as apply_plan
from controllers.runtime.apply.apply import Applier
from controllers.runtime.apply.changeset import Change, ChangeSet
from controllers.runtime.apply.namespace import Standing, standing_of
from controllers.runtime.cache.informer import Informer
from controllers.runtime.cache.profiles import ProfileStore
from controllers.runtime.client.client import Client
from controllers.runtime.controller import AnyController, CacheReader
from controllers.runtime.errors import Terminal, Waiting
from controllers.runtime.reconcile.metrics import Metrics
from controllers.runtime.reconcile.reports import (
    REFUSED_RECHECK,
    STATUS,
    Report,
    outcome_without_error,
    pause_findings,
    with_problems,
)
from controllers.runtime.reconcile.result import Failed, Outcome, outcome_of
from controllers.runtime.status.conditions import ConditionWriter
from controllers.runtime.status.events import EventRecorder
from controllers.runtime.workqueue import Priority, ShutDown, WorkQueue

_PATIENT_FAILURES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What all reconcilers of a process share."""

    client: Client
    low_priority_client: Client
    """The same client; its writes let other writes go first."""
    profiles: ProfileStore
    informers: Mapping[str, Informer]
    metrics: Metrics
    conditions: ConditionWriter | None
    """None: nothing is told on the cluster (a dry run)."""
    recorder: EventRecorder | None
    clock: Callable[[], float] = time.monotonic
    adopted_namespaces: bool = False
    known: frozenset[str] = frozenset()
    """The names of all controllers there are; empty: not known."""

    @property
    def dry_run(self) -> bool:
        """Whether nothing at all may be written."""
        return self.conditions is None


@dataclass(frozen=True, slots=True)
class _CacheReader:
    """The informers' caches, restricted to what one controller watches."""

    controller: str
    informers: Mapping[str, Informer]
    known: ProfileStore
    siblings: frozenset[str]

    @property
    def profiles(self) -> frozenset[str]:
        return self.known.names

    def get(self, kind: str, namespace: str, name: str) -> Any | None:
        single = str(Key(kind, namespace, name))
        informer = self.informers[single if single in self.informers else kind]
        record = informer.store.get(namespace, name)
        return record.kept.get(self.controller) if record is not None and record.kept else None

    def list(self, kind: str, namespace: str) -> Mapping[str, Any]:
        return {
            name: record.kept[self.controller]
            for name, record in self.informers[kind].store.by_namespace(namespace).items()
            if record.kept and self.controller in record.kept
        }

    def list_for_profile(self, kind: str, profile: str) -> Mapping[str, Any]:
        return {
            name: record.kept[self.controller]
            for name, record in self.informers[kind].store.by_profile(profile)
            if record.kept and self.controller in record.kept
        }

    def blocked_write(self, profile: Profile, manifest: Manifest) -> Change | None:
        want = apply_plan.wanted(manifest, profile, self.controller, self.siblings)
        record = self.informers[manifest.kind].store.get(manifest.namespace, manifest.name)
        return apply_plan.blocked_write(want, record)


class Reconciler:
    """One controller with its settings, its queue and its workers."""

    def __init__(self, controller: AnyController, settings: Any, world: World) -> None:
        self.controller = controller
        wait, work = world.metrics.queue_observers(controller.name)
        self.queue = WorkQueue(clock=world.clock, observe_wait=wait, observe_work=work)
        self._settings = settings
        self._world = world
        factory = controller.external
        self.external: Any = factory and factory.connect(settings, dry_run=world.dry_run)
        self.cache: CacheReader = _CacheReader(
            controller.name, world.informers, world.profiles, world.known
        )
        self.owned = controller.owned(settings)
        self._owned = {own.kind: world.informers[own.kind] for own in self.owned}
        self.watches = controller.watches(settings)
        deletable = {one.kind for one in self.watches if one.deletable}
        self._written = self._owned | {kind: world.informers[kind] for kind in deletable}
        self._optional = {own.kind for own in self.owned if own.optional}
        self._urgent, self._patient = (
            Applier(
                client=client,
                informers=self._written,
                field_manager=field_manager(controller.name),
                at_once=at_once,
            )
            for client, at_once in ((world.client, True), (world.low_priority_client, False))
        )
        world.metrics.queues[controller.name] = self.queue

    async def work(self) -> None:
        """One worker: reconcile what the queue hands out, until it is closed."""
        while True:
            try:
                name = await self.queue.get()
            except ShutDown:
                return
            try:
                profile = self._world.profiles.get(name)
                if profile is not None and not profile.deleting:
                    await self.reconcile_and_tell(profile)
            finally:
                self.queue.done(name)
            # A reconcile that finds nothing to do never waits: let the event loop breathe.
            await asyncio.sleep(0)

    def forget(self, name: str) -> None:
        """The profile is no more."""
        self.queue.remove(name)
        self._world.metrics.forget_profile(self.controller.name, name)

    async def reconcile(self, profile: Profile) -> Report:
        """Bring one profile into shape; never raises but for a cancellation."""
        began = self._world.clock()
        if any(is_paused(profile, name) for name in self.controller.registered_names):
            outcome = Outcome(ready=None, reason="Paused", message=f"paused by {PAUSED_ANNOTATION}")
            return Report(
                profile=profile.name,
                controller=self.controller.name,
                outcome=outcome,
                findings=pause_findings(profile, self._world.known),
                paused=True,
            )
        changes = ChangeSet()
        findings: Sequence[Finding] = ()
        error: Exception | None = None
        try:
            changes, findings, error = await self._bring_into_shape(profile)
            outcome = outcome_without_error(changes, findings)
            if error is not None:
                outcome = with_problems(outcome_of(error), changes, findings)
        except Exception as caught:  # noqa: BLE001 - the one boundary that maps outcomes
            error = caught
            changes = caught.changes if isinstance(caught, Failed) else changes
            outcome = outcome_of(caught)
        return Report(
            profile=profile.name,
            controller=self.controller.name,
            outcome=outcome,
            changes=changes,
            findings=findings,
            seconds=self._world.clock() - began,
            error=error,
        )

    async def _bring_into_shape(
        self, profile: Profile
    ) -> tuple[ChangeSet, Sequence[Finding], Exception | None]:
        """Return the changes, the findings, and the error of ``Desired``."""
        self._guard(profile)
        controller, settings = self.controller, self._settings
        facts = await controller.observe(profile, self.cache, settings, self.external)
        desired = controller.desired(profile, facts, settings)
        changes, wants = apply_plan.plan(
            [
                manifest
                for manifest in desired.objects
                if manifest.kind not in self._optional or self._owned[manifest.kind].synced
            ],
            profile=profile,
            component=controller.name,
            memories={kind: informer.store for kind, informer in self._written.items()},
            namespaces=controller.access.namespaces(settings),
            siblings=self._world.known,
            retain=desired.retain,
            delete=desired.delete,
        )
        findings = [*desired.findings, *pause_findings(profile, self._world.known)]
        if not self._world.dry_run:
            urgent = self.queue.priority_of(profile.name) is Priority.NORMAL
            changes = await (self._urgent if urgent else self._patient).apply(changes, wants)
        return changes, findings, desired.error

    def _guard(self, profile: Profile) -> None:
        """Raises Waiting or Terminal where nothing may be written yet, or at all."""
        for kind, informer in self._owned.items():
            not_served = informer.reflector.not_served
            if not informer.synced and not (not_served and kind in self._optional):
                # Somebody must install it, where the cluster lacks it for good.
                message = f"{kind}: {informer.reflector.health()}"
                raise Waiting("KindNotServed", message, warn=not_served)
        namespace = self._world.informers["Namespace"].store.get("", profile.namespace)
        match standing_of(profile, namespace, adopted=self._world.adopted_namespaces):
            case Standing.ABSENT:
                raise Waiting("NamespaceAbsent", f"namespace {profile.namespace} does not exist")
            case Standing.TERMINATING:
                raise Waiting(
                    "NamespaceTerminating", f"namespace {profile.namespace} is being deleted"
                )
            case Standing.FOREIGN as standing:
                raise Terminal("NamespaceNotOwned", standing.sentence(profile))
            case Standing.OWNED | Standing.ADOPTED:
                return

    async def reconcile_and_tell(self, profile: Profile) -> Report:
        """Reconcile, and say how it went in queue, metrics, log, condition and events."""
        report = await self.reconcile(profile)
        world, name = self._world, self.controller.name
        world.metrics.observe_reconcile(name, report.outcome.result, report.seconds)
        if not world.dry_run:
            world.metrics.observe_changes(name, report.changes)
        report.log(profile, dry_run=world.dry_run)
        current = world.profiles.get(profile.name)
        if current is None or current.uid != profile.uid:
            return report  # gone meanwhile: its place in line, its series and its status with it
        self._requeue(report)
        success = time.time() if report.outcome.ready else None
        status = STATUS[report.outcome.ready]
        world.metrics.observe_profile(name, profile.name, status, success)
        if world.conditions is not None and world.recorder is not None:
            self._tell(profile, report, world.conditions, world.recorder)
        return report

    def _requeue(self, report: Report) -> None:
        if report.outcome.retry:
            self.queue.add_rate_limited(report.profile)
            return
        self.queue.forget(report.profile)
        after = report.outcome.after
        if after is not None:
            # No step follows where none was taken.
            soonest = REFUSED_RECHECK if self._world.dry_run else 0.0
            self.queue.add_after(report.profile, max(after, soonest))

    def _tell(
        self, profile: Profile, report: Report, conditions: ConditionWriter, recorder: EventRecorder
    ) -> None:
        outcome = report.outcome
        failures = self.queue.num_requeues(profile.name)
        # A conflict or a busy API server is over after a moment; only what lasts is news.
        fleeting = outcome.retry and failures < _PATIENT_FAILURES
        if not fleeting:
            condition = report.condition(self.controller.condition)
            update = conditions.set_debounced if outcome.patient else conditions.set
            update(profile.name, condition)
        for event in report.events(fleeting=fleeting):
            recorder.record(profile, event)
