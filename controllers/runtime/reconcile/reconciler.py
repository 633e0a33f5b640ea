"""Reconciles profiles for one controller: observe, desired, plan, apply, report.

A reconcile receives only the name of a profile, whatever the event was that enqueued it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controllers.desired import Desired
from controllers.findings import Finding
from controllers.manifests import Key, Manifest, field_manager
from controllers.profiles import PAUSED_ANNOTATION, Profile, is_paused
from controllers.runtime.apply import share
from controllers.runtime.apply.apply import Applier
from controllers.runtime.apply.changeset import NO_CHANGES, ApplyError, Change, ChangeSet
from controllers.runtime.apply.namespace import (
    NamespaceOwnership,
    not_owned_message,
    ownership_of,
)
from controllers.runtime.apply.plan import blocked_write, desired_object, plan
from controllers.runtime.apply.share import DesiredAddition
from controllers.runtime.cache.informer import Informer
from controllers.runtime.cache.profiles import ProfileStore
from controllers.runtime.client.client import Client
from controllers.runtime.controller import AnyController, CacheReader, check_declarations
from controllers.runtime.errors import Terminal, Waiting
from controllers.runtime.reconcile.metrics import Metrics
from controllers.runtime.reconcile.result import (
    CONDITION_STATUS,
    REFUSED_RETRY_SECONDS,
    Outcome,
    Report,
    outcome_of_changes,
    outcome_of_desired_error,
    outcome_of_error,
    pause_findings,
)
from controllers.runtime.status.conditions import ConditionWriter
from controllers.runtime.status.events import EventRecorder
from controllers.runtime.workqueue import Priority, ShutDown, WorkQueue

_TRANSIENT_FAILURES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What all reconcilers of a process share."""

    client: Client
    low_priority_client: Client
    """Of the same cluster; its writes yield to the other client's."""
    profiles: ProfileStore
    informers: Mapping[str, Informer]
    metrics: Metrics
    conditions: ConditionWriter | None
    """None in a dry run: nothing is written to the cluster."""
    recorder: EventRecorder | None
    clock: Callable[[], float] = time.monotonic
    adopted_namespaces: bool = False
    controllers: frozenset[str] = frozenset()
    """The names of all controllers; empty when they are not known."""

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be written."""
        return self.conditions is None


@dataclass(frozen=True, slots=True)
class _CacheReader:
    """The informers' caches, restricted to what one controller watches."""

    controller: str
    informers: Mapping[str, Informer]
    profile_store: ProfileStore
    controllers: frozenset[str]
    single_objects: frozenset[str]
    """The informers of the single objects that this controller watches."""

    @property
    def profiles(self) -> frozenset[str]:
        return self.profile_store.names

    def get(self, kind: str, namespace: str, name: str) -> Any | None:
        single_object = str(Key(kind, namespace, name))
        informer = self.informers[single_object if single_object in self.single_objects else kind]
        cached = informer.store.get(namespace, name)
        if cached is None or not cached.transformed:
            return None
        return cached.transformed.get(self.controller)

    def list(self, kind: str, namespace: str) -> Mapping[str, Any]:
        return {
            name: cached.transformed[self.controller]
            for name, cached in self.informers[kind].store.by_namespace(namespace).items()
            if cached.transformed and self.controller in cached.transformed
        }

    def list_for_profile(self, kind: str, profile: str) -> Mapping[str, Any]:
        return {
            name: cached.transformed[self.controller]
            for name, cached in self.informers[kind].store.by_profile(profile)
            if cached.transformed and self.controller in cached.transformed
        }

    def blocked_write(self, profile: Profile, manifest: Manifest) -> Change | None:
        desired = desired_object(manifest, profile, self.controller, self.controllers)
        cached = self.informers[manifest.kind].store.get(manifest.namespace, manifest.name)
        return blocked_write(desired, cached)


class Reconciler:
    """One controller with its settings, its work queue and its workers."""

    def __init__(self, controller: AnyController, settings: Any, context: Context) -> None:
        self.controller = controller
        check_declarations(controller, settings)
        self.owned = controller.owned(settings)
        self.watches = controller.resolved_watches(settings)
        wait, work = context.metrics.queue_observers(controller.name)
        self.queue = WorkQueue(clock=context.clock, observe_wait=wait, observe_work=work)
        context.metrics.register_queue(controller.name, self.queue)
        factory = controller.external
        self.external: Any = factory and factory.connect(settings, dry_run=context.dry_run)
        self.cache: CacheReader = _CacheReader(
            controller.name,
            context.informers,
            context.profiles,
            context.controllers,
            frozenset(one.informer for one in self.watches if one.single_object is not None),
        )
        self._settings = settings
        self._context = context
        self._owned = {own.kind: context.informers[own.kind] for own in self.owned}
        self.shared = controller.shared(settings)
        shared = {one.kind for one in self.shared}
        deletable = {one.kind for one in self.watches if one.deletable}
        self._required = self._owned | {kind: context.informers[kind] for kind in shared}
        self._written = self._required | {kind: context.informers[kind] for kind in deletable}
        self._update_only = {own.kind for own in self.owned if own.update_only}
        self._optional = {own.kind for own in self.owned if own.optional}
        self._concurrent, self._sequential = (
            Applier(
                client=client,
                informers=self._written,
                field_manager=field_manager(controller.name),
                concurrent=concurrent,
            )
            for client, concurrent in (
                (context.client, True),
                (context.low_priority_client, False),
            )
        )

    async def work(self) -> None:
        """Reconcile the queue's profiles, one after the other, until the queue shuts down."""
        while True:
            try:
                name = await self.queue.get()
            except ShutDown:
                return
            try:
                profile = self._context.profiles.get(name)
                if profile is not None and not profile.deleting:
                    await self.reconcile_and_report(profile)
            finally:
                self.queue.done(name)
            # A reconcile without changes never waits: let other tasks of the event loop run.
            await asyncio.sleep(0)

    def forget(self, name: str) -> None:
        """Remove a deleted profile from queue and metrics."""
        self.queue.remove(name)
        self._context.metrics.forget_profile(self.controller.name, name)

    async def reconcile(self, profile: Profile) -> Report:
        """Reconcile one profile; raises nothing but a cancellation."""
        began = self._context.clock()
        if any(is_paused(profile, name) for name in self.controller.registered_names):
            outcome = Outcome(ready=None, reason="Paused", message=f"paused by {PAUSED_ANNOTATION}")
            return Report(
                profile=profile.name,
                controller=self.controller.name,
                outcome=outcome,
                findings=pause_findings(profile, self._context.controllers),
                paused=True,
            )
        changes = NO_CHANGES
        findings: Sequence[Finding] = ()
        error: Exception | None = None
        try:
            changes, findings, error = await self._reconcile(profile)
            outcome = (
                outcome_of_changes(changes, findings)
                if error is None
                else outcome_of_desired_error(error, changes, findings)
            )
        except Exception as caught:  # noqa: BLE001 - the one boundary that maps errors to outcomes
            error = caught
            changes = caught.changes if isinstance(caught, ApplyError) else changes
            outcome = outcome_of_error(caught)
        return Report(
            profile=profile.name,
            controller=self.controller.name,
            outcome=outcome,
            changes=changes,
            findings=findings,
            seconds=self._context.clock() - began,
            error=error,
        )

    async def _reconcile(
        self, profile: Profile
    ) -> tuple[ChangeSet, Sequence[Finding], Exception | None]:
        """Return the changes, the findings, and the error of ``Desired``."""
        self._check_prerequisites(profile)
        controller, settings, context = self.controller, self._settings, self._context
        facts = await controller.observe(profile, self.cache, settings, self.external)
        desired = controller.desired(profile, facts, settings)
        additions = self._desired_additions(profile, desired)
        changes, objects = plan(
            [
                manifest
                for manifest in desired.objects
                if manifest.kind not in self._optional or self._owned[manifest.kind].synced
            ],
            profile=profile,
            component=controller.name,
            stores={kind: informer.store for kind, informer in self._written.items()},
            namespaces=controller.access.namespaces(settings),
            controllers=context.controllers,
            retain={*desired.retain, *additions},
            delete=desired.delete,
            prunable=self._owned.keys(),
            update_only=self._update_only,
        )
        changes = ChangeSet((*changes, *self._plan_additions(additions)))
        findings = [*desired.findings, *pause_findings(profile, context.controllers)]
        if not context.dry_run:
            urgent = self.queue.priority_of(profile.name) is Priority.NORMAL
            applier = self._concurrent if urgent else self._sequential
            changes = await applier.apply(changes, {**objects, **additions})
        return changes, findings, desired.error

    def _desired_additions(self, profile: Profile, desired: Desired) -> dict[Key, DesiredAddition]:
        """Return what each shared object of the profile should have."""
        additions = share.desired_additions(
            desired.additions, self.shared, profile=profile, component=self.controller.name
        )
        found = {one.key: one for one in additions}
        for key in (*(manifest.key for manifest in desired.objects), *desired.delete):
            if key in found:
                raise ValueError(f"{key} is shared (Controller.shared): use Desired.additions")
        return found

    def _plan_additions(self, additions: Mapping[Key, DesiredAddition]) -> Iterator[Change]:
        for key, addition in additions.items():
            cached = self._required[key.kind].store.get(key.namespace, key.name)
            if (change := share.decide(addition, cached)) is not None:
                yield change

    def _check_prerequisites(self, profile: Profile) -> None:
        """Raise Waiting or Terminal when nothing may be written."""
        for kind, informer in self._required.items():
            not_served = informer.reflector.not_served
            if not informer.synced and not (not_served and kind in self._optional):
                message = f"{kind}: {informer.reflector.health()}"
                # A person must install a kind that the cluster does not serve.
                raise Waiting("KindNotServed", message, warn=not_served)
        namespace = self._context.informers["Namespace"].store.get("", profile.namespace)
        match ownership_of(profile, namespace, adopted=self._context.adopted_namespaces):
            case NamespaceOwnership.NOT_FOUND:
                raise Waiting("NamespaceNotFound", f"namespace {profile.namespace} does not exist")
            case NamespaceOwnership.TERMINATING:
                raise Waiting(
                    "NamespaceTerminating", f"namespace {profile.namespace} is being deleted"
                )
            case NamespaceOwnership.FOREIGN:
                raise Terminal("NamespaceNotOwned", not_owned_message(profile))
            case NamespaceOwnership.OWNED | NamespaceOwnership.ADOPTED:
                return

    async def reconcile_and_report(self, profile: Profile) -> Report:
        """Reconcile, then update queue, metrics, log, condition and events."""
        report = await self.reconcile(profile)
        context, name = self._context, self.controller.name
        context.metrics.observe_reconcile(name, report.outcome.result, report.seconds)
        if not context.dry_run:
            context.metrics.observe_changes(name, report.changes)
        report.log(profile, dry_run=context.dry_run)
        current = context.profiles.get(profile.name)
        if current is None or current.uid != profile.uid:
            return report  # deleted meanwhile, and with it its series and its status
        self._requeue(report)
        success = time.time() if report.outcome.ready else None
        status = CONDITION_STATUS[report.outcome.ready]
        context.metrics.observe_profile(name, profile.name, status, success)
        if context.conditions is not None and context.recorder is not None:
            self._record(profile, report, context.conditions, context.recorder)
        return report

    def _requeue(self, report: Report) -> None:
        if report.outcome.retry:
            self.queue.add_rate_limited(report.profile)
            return
        self.queue.forget(report.profile)
        if (seconds := report.outcome.requeue_after) is not None:
            # In a dry run nothing was deleted, so no next step is due.
            least = REFUSED_RETRY_SECONDS if self._context.dry_run else 0.0
            self.queue.add_after(report.profile, max(seconds, least))

    def _record(
        self, profile: Profile, report: Report, conditions: ConditionWriter, recorder: EventRecorder
    ) -> None:
        """Write the condition and the events; a failure only after several retries."""
        outcome = report.outcome
        transient = outcome.retry and self.queue.num_requeues(profile.name) < _TRANSIENT_FAILURES
        if not transient:
            condition = report.condition(self.controller.condition)
            update = conditions.set_debounced if outcome.debounced else conditions.set
            update(profile.name, condition)
        for event in report.events(transient=transient):
            recorder.record(profile, event)
