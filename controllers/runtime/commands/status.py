"""``status``: reports the status of each profile for each controller. Read-only.

The state comes from conditions, objects from the cache, drift from a plan. It calls no external
system, so that a report never waits for one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace

from controllers.manifests import Body
from controllers.profiles import Profile, conditions_changed_at
from controllers.runtime.cache.profiles import ProfileStore
from controllers.runtime.client.client import Client
from controllers.runtime.commands import oneshot, status_report
from controllers.runtime.commands.status_report import (
    ObservedProfile,
    ProfileState,
    ProfileStatus,
    StatusReport,
    StatusRequest,
)
from controllers.runtime.controller import AnyController, ConfiguredController, Owned, always
from controllers.runtime.errors import ApiError, UnreachableError
from controllers.runtime.manager import manager as manager_manager
from controllers.runtime.manager import process
from controllers.runtime.objects.kinds import KINDS
from controllers.runtime.options import Connection, Options
from controllers.runtime.reconcile.metrics import Metrics
from controllers.runtime.reconcile.reconciler import Reconciler

INTERVAL = 2.0
"""Seconds between two lists of the Profiles; all other kinds are watched."""
_POLL_SECONDS = 0.02
_NOT_FOUND = 404
_EXTERNAL = "the desired state depends on an external system; run diff to compare"
_NOT_REQUESTED = "drift was not requested"


async def reports(
    request: StatusRequest, connection: Connection, options: Options
) -> AsyncGenerator[StatusReport]:
    """Yields a report, and a new one every INTERVAL seconds.

    Raises ConfigurationError, ApiError where the Profiles cannot be listed, UnreachableError where
    the first list fails, and KeyError with the name of a profile that does not exist.
    """
    options = replace(options, dry_run=True)
    metrics = Metrics()
    async with process.connected(connection, options, metrics) as client:
        controllers = controllers_to_run(request)
        manager = manager_manager.Manager(controllers, client, options, metrics)
        try:
            async with contextlib.aclosing(reports_from(manager, client, request)) as generator:
                async for report in generator:
                    yield report
        finally:
            await manager.stop()


async def reports_from(
    manager: manager_manager.Manager, client: Client, request: StatusRequest
) -> AsyncGenerator[StatusReport]:
    """Yields the same reports with a manager that runs ``controllers_to_run(request)``."""
    observed = await _list_profiles(client, manager.profiles)
    manager.start_informers()
    stale = ""
    while True:
        await _wait_until_listed(manager)
        for name in request.profiles:
            if name not in observed:
                raise KeyError(name)
        yield replace(await _ReportBuilder(request, manager, observed).report(), stale=stale)
        await asyncio.sleep(INTERVAL)
        try:
            observed, stale = await _list_profiles(client, manager.profiles), ""
        except UnreachableError as error:  # a watch continues until the API server is back
            stale = f"API server unreachable: {error}"


def controllers_to_run(request: StatusRequest) -> list[ConfiguredController]:
    """Returns the controllers of a request, with settings for those whose drift is computed."""
    configured = {controller.name: (controller, own) for controller, own in request.configured}
    return [
        configured.get(name) or (_without_drift(controller, variant), None)
        for controller in request.registry
        for variant, name in zip(
            controller.variants.names or ("",),
            status_report.component_names(controller),
            strict=True,
        )
        if not request.expected or not request.expected.isdisjoint({name, controller.name})
    ]


def _without_drift(controller: AnyController, variant: str) -> AnyController:
    """Returns the controller reduced to its owned objects, which are counted only.

    Its settings are unknown: the kinds and names that it owns by default are counted.
    """
    owned = controller.owned(controller.default_settings(variant))
    return replace(
        controller.variant(variant) if variant else controller,
        owned=always(*(Owned(kind=own.kind, names=own.names) for own in owned)),
        watches=always(),
        shared=always(),
        external=None,
    )


async def _list_profiles(client: Client, profiles: ProfileStore) -> dict[str, ObservedProfile]:
    """Returns every Profile by name, and removes from the store those that no longer exist."""
    for version in KINDS["Profile"].versions:
        found: dict[str, ObservedProfile] = {}

        def observe(
            profile: Profile, body: Body, found: dict[str, ObservedProfile] = found
        ) -> None:
            found[profile.name] = ObservedProfile(
                profile=profile,
                created=str(body["metadata"].get("creationTimestamp") or ""),
                conditions_changed_at=conditions_changed_at(body),
            )

        try:
            await oneshot.list_profiles(client, profiles, version, observe)
        except ApiError as error:
            if error.code != _NOT_FOUND:
                raise
        else:
            return found
    raise ApiError(code=_NOT_FOUND, reason="NotFound", message=oneshot.CRD_NOT_SERVED)


async def _wait_until_listed(manager: manager_manager.Manager) -> None:
    """Waits until each kind is listed or its list has failed."""
    while not all(one.reflector.first_list_ended for one in manager.informers.values()):
        if manager.failed.is_set():
            raise RuntimeError("a component of the process failed; see the log for the error")
        await asyncio.sleep(_POLL_SECONDS)


class _ReportBuilder:
    """Builds one report from the caches of a manager."""

    def __init__(
        self,
        request: StatusRequest,
        manager: manager_manager.Manager,
        observed: Mapping[str, ObservedProfile],
    ) -> None:
        self._request = request
        self._informers = manager.informers
        self._observed = observed
        self._configured = {controller.name for controller, _ in request.configured}
        self._external = {
            name
            for controller in request.registry
            if controller.external
            for name in status_report.component_names(controller)
        }
        self._unreadable: dict[str, set[str]] = {}
        self._reconcilers = [one for one in manager.reconcilers.values() if self._is_reported(one)]

    async def report(self) -> StatusReport:
        names = sorted(set(self._request.profiles) or self._observed)
        statuses: list[ProfileStatus] = []
        for name in names:
            statuses += [
                await self._status(each, self._observed[name]) for each in self._reconcilers
            ]
            # A plan never waits: let the event loop read watches and handle an interrupt.
            await asyncio.sleep(0)
        warnings = [
            f"cannot determine objects and drift of {', '.join(sorted(controllers))}: {reason}"
            for reason, controllers in self._unreadable.items()
        ]
        return StatusReport(statuses=tuple(statuses), profiles=len(names), warnings=tuple(warnings))

    def _is_reported(self, reconciler: Reconciler) -> bool:
        """Returns whether the controller is expected or, by default, left a trace anywhere."""
        controller, expected = reconciler.controller, self._request.expected
        if expected:
            return not expected.isdisjoint(controller.registered_names)
        if any(self._informers[own.kind].count(controller.name) for own in reconciler.owned):
            return True
        profiles = (observed.profile for observed in self._observed.values())
        return any(status_report.condition_of(controller, profile) for profile in profiles)

    async def _status(self, reconciler: Reconciler, observed: ObservedProfile) -> ProfileStatus:
        controller, profile = reconciler.controller, observed.profile
        status = status_report.status_of(controller, observed)
        if reason := self._unreadable_reason(reconciler):
            return replace(status, note=reason)
        status = replace(status, objects=self._count_objects(reconciler, profile))
        if controller.name not in self._configured:
            external = controller.name in self._external
            return replace(status, note=_EXTERNAL if external else _NOT_REQUESTED)
        if status.state in (ProfileState.PAUSED, ProfileState.TERMINATING):
            return replace(status, note=f"the Profile is {status.state.value.lower()}")
        report = await reconciler.reconcile(profile)
        if report.error is not None:
            return replace(status, note=report.outcome.message)
        return replace(status, drift=status_report.drift_of(tuple(report.changes)))

    def _count_objects(self, reconciler: Reconciler, profile: Profile) -> dict[str, int]:
        found = Counter(
            own.kind
            for own in reconciler.owned
            for _, _, record in self._informers[own.kind].store.by_owner(
                profile.namespace, profile.uid
            )
            if record.component == reconciler.controller.name
        )
        return dict(found)

    def _unreadable_reason(self, reconciler: Reconciler) -> str:
        """Returns why a kind of the controller cannot be read, or ""."""
        controller = reconciler.controller
        watched = [one.informer for one in reconciler.watches]
        kinds = [own.kind for own in reconciler.owned]
        kinds += [shared.kind for shared in reconciler.shared]
        for name in (*kinds, *watched):
            informer = self._informers[name]
            if not informer.synced and not informer.reflector.not_served:
                self._unreadable.setdefault(informer.reflector.health(), set()).add(controller.name)
                return informer.reflector.health()
        return ""
