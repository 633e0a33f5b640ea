"""Maps a change of a cached object to the Profiles and controllers to enqueue."""

from __future__ import annotations

from typing import Protocol

from controllers.manifests import Body
from controllers.runtime.cache.subscriptions import Subscription
from controllers.runtime.objects.cached_object import CachedObject
from controllers.runtime.objects.kinds import Kind
from controllers.runtime.workqueue import Priority


class Enqueue(Protocol):
    """Adds a Profile to work queues."""

    def __call__(self, profile: str, controller: str | None, priority: Priority, /) -> None:
        """Enqueue for one controller, or for all (None)."""


class Notify(Protocol):
    """Signals to a controller that an object changed that its map function maps to no Profile."""

    def __call__(self, controller: str, /) -> None:
        """Must return at once."""


class EventHandler:
    """Enqueues what a change of an object concerns. Handlers receive names, never objects."""

    def __init__(
        self, kind: Kind, subscription: Subscription, enqueue: Enqueue, notify: Notify
    ) -> None:
        """Handle the changes of one kind for the controllers of its subscription."""
        self._kind = kind
        self._subscription = subscription
        self._enqueue = enqueue
        self._notify = notify

    def changed(
        self,
        namespace: str,
        name: str,
        before: CachedObject | None,
        after: CachedObject | None,
        body: Body | None = None,
    ) -> None:
        """Handle a change: None stands for an object that is absent before or after it.

        ``body`` is the object of the event, where there is one.
        """
        if self._subscription.all_objects:
            self._enqueue(name, None, Priority.NORMAL)
        for cached in (before, after):
            if cached is not None:
                self._enqueue_for_owners(namespace, cached)
        self._enqueue_for_watches(namespace, name, before, after, body)

    def _enqueue_for_owners(self, namespace: str, cached: CachedObject) -> None:
        owners = self._subscription.owners
        component = cached.component
        # An unowned object without a transformed value is cached for its name alone: it blocks the
        # creation of an object of that name.
        if not (cached.owner_uid or component or cached.transformed is None):
            return
        profile = cached.owner_name or namespace
        for controller in [component] if component in owners else owners:
            self._enqueue(profile, controller, Priority.NORMAL)

    def _enqueue_for_watches(
        self,
        namespace: str,
        name: str,
        before: CachedObject | None,
        after: CachedObject | None,
        body: Body | None,
    ) -> None:
        old = (before.transformed if before else None) or {}
        new = (after.transformed if after else None) or {}
        for controller, watch in self._subscription.watches.items():
            if old.get(controller) == new.get(controller):
                continue
            if self._kind.namespaced:
                event = body or {"metadata": {"namespace": namespace, "name": name}}
                profiles = {*watch.map(event)}
            else:  # a deleted object cannot be mapped any more
                profiles = {
                    *(before.profiles if before else ()),
                    *(after.profiles if after else ()),
                }
            if not profiles:
                self._notify(controller)
            for profile in profiles:
                self._enqueue(profile, controller, Priority.NORMAL)
