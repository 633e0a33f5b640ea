"""What the controllers of a process own and watch of each kind, merged into one subscription."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from controllers.manifests import COMPONENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, Body, Key
from controllers.runtime.controller import ConfiguredController, Owned, Shared, Watch
from controllers.runtime.objects import cached_object
from controllers.runtime.objects import shared as shared_objects
from controllers.runtime.objects.cached_object import CachedObject
from controllers.runtime.objects.kinds import Kind
from controllers.runtime.objects.shared import SharedState


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What one informer lists, watches and caches, by the controllers that need it."""

    owners: Mapping[str, Owned]
    watches: Mapping[str, Watch]
    sharers: Mapping[str, Shared] = field(default_factory=dict)
    all_objects: bool = False
    """Cache every object, also those that no controller owns or watches (Namespaces)."""
    single_object: Key | None = None
    """The one object that is listed and watched."""

    @property
    def name(self) -> str:
        """The only name that any controller needs; empty where there are several."""
        if self.single_object is not None:
            return self.single_object.name
        if not self.watches.keys() <= self.owners.keys():
            return ""
        found = [own.names for own in self.owners.values()]
        found += (shared.names for shared in self.sharers.values())
        names = {name for each in found for name in each}
        return "".join(names) if len(names) == 1 and all(found) else ""

    @property
    def label_selector(self) -> str:
        """The label selector of the list; empty where unlabelled objects are needed."""
        if (
            self.all_objects
            or self.watches
            or self.sharers
            or any(own.adopt_legacy for own in self.owners.values())
        ):
            return ""
        components = ",".join(sorted(self.owners))
        return f"{MANAGED_BY_LABEL}={MANAGED_BY},{COMPONENT_LABEL} in ({components})"

    def selectors(self, kind: Kind) -> dict[str, str]:
        """Return the query parameters that select the objects."""
        fields = [f"metadata.name={self.name}" if self.name else "", kind.field_selector]
        selectors = {
            "labelSelector": self.label_selector,
            "fieldSelector": ",".join(filter(None, fields)),
        }
        return {name: value for name, value in selectors.items() if value}

    def transform(self, kind: Kind, body: Body) -> CachedObject | None:
        """Return what is cached of an object; None where no controller needs it."""
        metadata = body["metadata"]
        labels = metadata.get("labels") or {}
        ours = (
            labels.get(MANAGED_BY_LABEL) == MANAGED_BY
            and labels.get(COMPONENT_LABEL) in self.owners
        )
        transformed = None
        if self.watches:
            values = {name: watch.transform(body) for name, watch in self.watches.items()}
            transformed = {n: value for n, value in values.items() if value is not None} or None
        legacy = () if ours else self._legacy(metadata)
        shared = self._shared(body) if self.sharers else None
        if ours or transformed or self.all_objects or legacy or shared:
            cached = cached_object.from_body(kind, body, transformed, legacy)
            if shared:
                cached = replace(cached, shared=shared)
            return cached if kind.namespaced or not transformed else self._mapped(cached, body)
        return None

    def _shared(self, body: Body) -> Mapping[str, SharedState] | None:
        """Return the state of a shared object for each controller that shares it."""
        name = body["metadata"]["name"]
        return {
            controller: shared_objects.state_of(body, one.paths, controller)
            for controller, one in self.sharers.items()
            if name in one.names
        } or None

    def _mapped(self, cached: CachedObject, body: Body) -> CachedObject:
        """Add the Profiles that the map functions return for a cluster-scoped object."""
        watches = [self.watches[name] for name in cached.transformed or ()]
        names = {name for watch in watches for name in watch.map(body)}
        return replace(cached, profiles=tuple(sorted(names)))

    def _legacy(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(
            name
            for name, own in self.owners.items()
            if own.adopt_legacy and own.adopt_legacy(metadata)
        )


def subscriptions(controllers: Sequence[ConfiguredController]) -> dict[str, Subscription]:
    """Return the subscriptions of these controllers with their settings, by informer.

    Namespaces are always included. The name of an informer is its kind, or its single object
    (``Watch.informer``).
    """
    result = {"Namespace": Subscription(owners={}, watches={}, all_objects=True)}
    for controller, settings in controllers:
        owned, watches = controller.owned(settings), controller.resolved_watches(settings)
        shared = {one.kind: one for one in controller.shared(settings)}
        kinds = {own.kind for own in owned} | shared.keys()
        for name in kinds | {watch.informer for watch in watches}:
            before = result.get(name, Subscription(owners={}, watches={}))
            own = [(controller.name, one) for one in owned if one.kind == name]
            watched = [(controller.name, one) for one in watches if one.informer == name]
            objects = [one.single_object for _, one in watched if one.single_object]
            result[name] = Subscription(
                owners={**before.owners, **dict(own)},
                watches={**before.watches, **dict(watched)},
                sharers={
                    **before.sharers,
                    **({controller.name: shared[name]} if name in shared else {}),
                },
                all_objects=before.all_objects,
                single_object=objects[0] if objects else None,
            )
    return result
