"""Who wants to know what of a kind: what is asked of the API server, and what is remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from controllers.manifests import COMPONENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, Body, Key
from controllers.runtime.controller import AnyController, Owned, Watch
from controllers.runtime.objects import cached_object
from controllers.runtime.objects.cached_object import Record
from controllers.runtime.objects.kinds import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Interest:
    """Who wants what of one kind."""

    owners: Mapping[str, Owned]
    watchers: Mapping[str, Watch]
    all_objects: bool = False
    """Namespaces: each one is remembered, whoever it belongs to."""
    only: Key | None = None
    """The one object that is listed and watched."""

    @property
    def name(self) -> str:
        """The one name of all that anybody wants to know of; empty: there are several."""
        if self.only is not None:
            return self.only.name
        names = {own.names for own in self.owners.values()}
        if len(names) != 1 or not self.watchers.keys() <= self.owners.keys():
            return ""
        (found,) = names
        return found[0] if len(found) == 1 else ""

    @property
    def selector(self) -> str:
        """The server-side label selector; empty where unlabelled objects count too."""
        if (
            self.all_objects
            or self.watchers
            or any(own.adopt_legacy for own in self.owners.values())
        ):
            return ""
        components = ",".join(sorted(self.owners))
        return f"{MANAGED_BY_LABEL}={MANAGED_BY},{COMPONENT_LABEL} in ({components})"

    def keep(self, kind: Kind, body: Body) -> Record | None:
        """The record of an object that somebody is interested in."""
        metadata = body["metadata"]
        labels = metadata.get("labels") or {}
        ours = (
            labels.get(MANAGED_BY_LABEL) == MANAGED_BY
            and labels.get(COMPONENT_LABEL) in self.owners
        )
        kept = None
        if self.watchers:
            found = {name: watch.transform(body) for name, watch in self.watchers.items()}
            kept = {name: value for name, value in found.items() if value is not None} or None
        legacy = () if ours else self._legacy(metadata)
        if ours or kept or self.all_objects or legacy:
            record = cached_object.project(kind, body, kept, legacy)
            return record if kind.namespaced or not kept else self._concerning(record, body)
        return None

    def _concerning(self, record: Record, body: Body) -> Record:
        """The record, with the Profiles that an object without a namespace wakes."""
        watches = [self.watchers[name] for name in record.kept or ()]
        names = {name for watch in watches for name in watch.map(body)}
        return replace(record, concerns=tuple(sorted(names)))

    def _legacy(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(
            name
            for name, own in self.owners.items()
            if own.adopt_legacy and own.adopt_legacy(metadata)
        )


def interests(assemblies: Sequence[tuple[AnyController, Any]]) -> dict[str, Interest]:
    """Return what these controllers with their settings want to know, by informer.

    Namespaces are always included. An informer is called by its kind, or by its single object, as
    ``Watch.informer`` says.
    """
    result = {"Namespace": Interest(owners={}, watchers={}, all_objects=True)}
    for controller, settings in assemblies:
        owned, watches = controller.owned(settings), controller.watches(settings)
        for name in {own.kind for own in owned} | {watch.informer for watch in watches}:
            before = result.get(name, Interest(owners={}, watchers={}))
            own = [(controller.name, one) for one in owned if one.kind == name]
            watched = [(controller.name, one) for one in watches if one.informer == name]
            objects = [Key(one.kind, *one.object) for _, one in watched if one.object]
            result[name] = Interest(
                owners={**before.owners, **dict(own)},
                watchers={**before.watchers, **dict(watched)},
                all_objects=before.all_objects,
                only=objects[0] if objects else None,
            )
    return result
