"""``status``: what conditions, owned objects and a plan say of every profile. Reads alone.

It asks nothing outside Kubernetes: whoever looks at night must not wait for an object store.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import replace

from controllers.manifests import Body
from controllers.profiles import Profile, conditions_changed
from controllers.runtime.apply.changeset import NOTHING
from controllers.runtime.cache.profiles import ProfileStore
from controllers.runtime.client.client import Client
from controllers.runtime.commands import oneshot, statuses
from controllers.runtime.commands.statuses import Look, Overview, Question, Sight, State, Status
from controllers.runtime.controller import AnyController, Owned, always
from controllers.runtime.errors import ApiError, UnreachableError
from controllers.runtime.manager import manager as manager_manager
from controllers.runtime.manager import process
from controllers.runtime.manager.manager import Assembly
from controllers.runtime.objects.kinds import KINDS
from controllers.runtime.options import Connection, Options
from controllers.runtime.reconcile.metrics import Metrics
from controllers.runtime.reconcile.reconciler import Reconciler

INTERVAL = 2.0
"""Seconds between two lists of the Profiles; everything else is watched."""
_TICK = 0.02
_NOT_FOUND = 404
_ASKS = "what it wants follows from something outside the cluster; diff asks there"
_NOT_ASKED = "drift was not asked for"


async def inspect(
    question: Question, connection: Connection, options: Options
) -> AsyncGenerator[Overview]:
    """An overview, and another every INTERVAL seconds, for as long as somebody asks.

    Raises ConfigurationError; ApiError where the Profiles cannot be listed, and UnreachableError
    where they never could; KeyError with the name of a profile that does not exist.
    """
    options = replace(options, dry_run=True)
    metrics = Metrics()
    async with process.connected(connection, options, metrics) as cluster:
        manager = manager_manager.Manager(assemblies(question), cluster, options, metrics)
        try:
            async with contextlib.aclosing(overviews(question, manager, cluster)) as found:
                async for overview in found:
                    yield overview
        finally:
            await manager.stop()


async def overviews(
    question: Question, manager: manager_manager.Manager, cluster: Client
) -> AsyncGenerator[Overview]:
    """The same with a manager that was made for it."""
    sights = await _sights(cluster, manager.profiles)
    manager.start_informers()
    stale = ""
    while True:
        await _settled(manager)
        for name in question.profiles:
            if name not in sights:
                raise KeyError(name)
        yield replace(await _Inspection(question, manager, sights).overview(), stale=stale)
        await asyncio.sleep(INTERVAL)
        try:
            sights, stale = await _sights(cluster, manager.profiles), ""
        except UnreachableError as error:  # who watches wants to see it come back
            stale = f"API server unreachable: {error}"


def assemblies(question: Question) -> list[Assembly]:
    """What is judged, with its settings, and of the others what they own."""
    judged = {controller.name: (controller, settings) for controller, settings in question.judged}
    return [
        judged.get(name) or (_counted(controller, variant), None)
        for controller in question.registry
        for variant, name in zip(
            controller.variants.names or ("",), statuses.names_of(controller), strict=True
        )
        if not question.expected or not question.expected.isdisjoint({name, controller.name})
    ]


def _counted(controller: AnyController, variant: str) -> AnyController:
    """Return the controller as far as its objects are counted: it connects to and watches nothing.

    Its settings are not known; the kinds and names that it owns by default are counted.
    """
    owned = controller.owned(controller.default_settings(variant))
    bare = controller.variant(variant) if variant else controller
    return replace(
        bare,
        owned=always(*(Owned(kind=own.kind, names=own.names) for own in owned)),
        watches=always(),
        external=None,
    )


async def _sights(cluster: Client, profiles: ProfileStore) -> dict[str, Sight]:
    """Every Profile; those that are gone are dropped from the store."""
    for version in KINDS["Profile"].versions:
        sights: dict[str, Sight] = {}

        def see(profile: Profile, body: Body, into: dict[str, Sight] = sights) -> None:
            created = str(body["metadata"].get("creationTimestamp") or "")
            changed = conditions_changed(body)
            into[profile.name] = Sight(profile=profile, created=created, changed=changed)

        try:
            await oneshot.list_into(cluster, profiles, version, see)
        except ApiError as error:
            if error.code != _NOT_FOUND:
                raise
        else:
            return sights
    raise ApiError(code=_NOT_FOUND, reason="NotFound", message=oneshot.ABSENT)


async def _settled(manager: manager_manager.Manager) -> None:
    """Wait until every kind is listed, or has said why it is not."""
    while not all(one.reflector.first_list_ended for one in manager.informers.values()):
        if manager.failed.is_set():
            raise RuntimeError("a part of the process failed; the log says which")
        await asyncio.sleep(_TICK)


class _Inspection:
    """One look at everything that is in memory."""

    def __init__(
        self, question: Question, manager: manager_manager.Manager, sights: Mapping[str, Sight]
    ) -> None:
        self._question = question
        self._informers = manager.informers
        self._sights = sights
        self._judged = {controller.name for controller, _ in question.judged}
        asking = (each for each in question.registry if each.external)
        self._asking = {name for each in asking for name in statuses.names_of(each)}
        self._troubles: dict[str, set[str]] = {}
        self._reconcilers = [one for one in manager.reconcilers.values() if self._is_installed(one)]

    async def overview(self) -> Overview:
        names = sorted(set(self._question.profiles) or self._sights)
        rows: list[Status] = []
        for name in names:
            rows += [await self._status(each, self._sights[name]) for each in self._reconcilers]
            # Thousands of plans never wait: let watches be read, and a person end it.
            await asyncio.sleep(0)
        troubles = [
            f"objects and drift of {', '.join(sorted(whose))} are not known: {trouble}"
            for trouble, whose in self._troubles.items()
        ]
        return Overview(statuses=tuple(rows), profiles=len(names), troubles=tuple(troubles))

    def _is_installed(self, reconciler: Reconciler) -> bool:
        """Whether it was named, or has ever left a trace where nobody was named."""
        controller, expected = reconciler.controller, self._question.expected
        if expected:
            return not expected.isdisjoint(set(controller.registered_names))
        if any(self._informers[own.kind].count(controller.name) for own in reconciler.owned):
            return True
        profiles = (sight.profile for sight in self._sights.values())
        return any(statuses.condition_of(controller, profile) for profile in profiles)

    async def _status(self, reconciler: Reconciler, sight: Sight) -> Status:
        bare = statuses.status_of(reconciler.controller, sight, Look(objects=None, drift=None))
        return replace(bare, look=await self._look(reconciler, sight.profile, bare.state))

    async def _look(self, reconciler: Reconciler, profile: Profile, state: State) -> Look:
        controller = reconciler.controller
        trouble = self._trouble(reconciler)
        if trouble:
            return Look(objects=None, drift=None, note=trouble)
        objects = self._objects(reconciler.owned, controller.name, profile)
        if controller.name not in self._judged:
            note = _ASKS if controller.name in self._asking else _NOT_ASKED
            return Look(objects=objects, drift=None, note=note)
        if state in (State.PAUSED, State.DELETING):
            return Look(objects=objects, drift=None, note=f"the Profile is {state.value}")
        report = await reconciler.reconcile(profile)
        if report.error is not None:
            return Look(objects=objects, drift=None, note=report.outcome.message)
        changes = report.changes or NOTHING
        return Look(objects=objects, drift=statuses.drift_of(tuple(changes)))

    def _objects(self, owned: Iterable[Owned], component: str, profile: Profile) -> dict[str, int]:
        found = Counter(
            own.kind
            for own in owned
            for _, _, record in self._informers[own.kind].store.by_owner(
                profile.namespace, profile.uid
            )
            if record.component == component
        )
        return dict(found)

    def _trouble(self, reconciler: Reconciler) -> str:
        """Why what it owns or reads cannot be known; empty when it can."""
        controller = reconciler.controller
        read = [one.informer for one in reconciler.watches]
        for name in (*(own.kind for own in reconciler.owned), *read):
            informer = self._informers[name]
            if not informer.synced and not informer.reflector.not_served:
                self._troubles.setdefault(informer.reflector.health(), set()).add(controller.name)
                return informer.reflector.health()
        return ""
