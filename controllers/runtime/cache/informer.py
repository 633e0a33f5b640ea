"""An informer keeps the store of one kind current and enqueues what changes.

No Python library holds 100,000 objects in the memory of a small pod or skips self-originated events
before it parses them; this one does both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from controllers.manifests import Body
from controllers.runtime.cache.expectations import Expectations, PendingWrite
from controllers.runtime.cache.reflector import Reflector
from controllers.runtime.cache.store import Store, key_of
from controllers.runtime.cache.subscriptions import Subscription, subscriptions
from controllers.runtime.client.client import Client
from controllers.runtime.controller import ConfiguredController
from controllers.runtime.objects.cached_object import CachedObject
from controllers.runtime.objects.kinds import KINDS, Kind, Mode
from controllers.runtime.workqueue import Priority

logger = structlog.stdlib.get_logger(__name__)

_MAX_RECENT = 64
"""Objects. A single edit is repaired without a read; many at once are repaired by reading."""


class Enqueue(Protocol):
    """Adds a Profile to work queues, as ``workqueue.WorkQueues.enqueue`` does."""

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
        owners = {**self._subscription.owners, **self._subscription.sharers}
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """What an informer calls, in its event loop."""

    enqueue: Enqueue
    notify: Notify = lambda _controller: None
    synced: Callable[[], None] = lambda: None
    """The first list is complete, or the first one after the kind was not served."""
    recovered: Callable[[], None] = lambda: None
    """The watch is up again after an outage (``reflector.OUTAGE``)."""


def _all_owners(_uid: str) -> bool:
    return True


class Informer:
    """The store, the expectations and the reflector of one kind.

    Nothing is enqueued before ``synced``: the first list is complete.
    """

    def __init__(
        self,
        kind: Kind,
        subscription: Subscription,
        client: Client,
        callbacks: Callbacks,
        *,
        clock: Callable[[], float],
        in_shard: Callable[[str], bool] = _all_owners,
    ) -> None:
        """``in_shard`` returns whether an owner's UID belongs to the shard of this process."""
        self.kind = kind
        self.synced = False
        self.store = Store()
        self.expectations = Expectations()
        self._subscription = subscription
        self._handler = EventHandler(kind, subscription, callbacks.enqueue, callbacks.notify)
        self._on_synced = callbacks.synced
        self._in_shard = in_shard
        self._recent: dict[tuple[str, str], Body] = {}
        single_object = subscription.single_object
        self.reflector = Reflector(
            kind,
            self,
            client,
            namespace=single_object.namespace if single_object else "",
            selectors=subscription.selectors(kind),
            skip=self.expectations.versions,
            recovered=callbacks.recovered,
            clock=clock,
        )

    async def run(self) -> None:
        """List and watch until cancelled."""
        await self.reflector.run()

    @property
    def version(self) -> str:
        """The API version in which the kind is served."""
        return self.reflector.version

    def count(self, component: str) -> int:
        """Return the number of objects with a controller's labels. Safe from any thread."""
        return self.store.count(component)

    def take_recent(self, namespace: str, name: str) -> Body | None:
        """Return the object of its last event, once; None where it must be read.

        Only an object with the labels of an owner has one, after a change by somebody else. A write
        that is based on it must state its resourceVersion. A kind that is applied has none.
        """
        return self._recent.pop((namespace, name), None)

    # -- writes of this process -----------------------------------------------------------------

    def expect(self, namespace: str, name: str, write: PendingWrite | None) -> None:
        """Expect the event of a write, or of a deletion (None), that is about to be sent."""
        self.expectations.expect(namespace, name, write)
        self._recent.pop((namespace, name), None)

    def settle(self, namespace: str, name: str, body: Body | None) -> CachedObject | None:
        """Cache the response to a write (None: the request failed) and return what is cached."""
        self.expectations.settle(namespace, name)
        if body is None:
            return None
        metadata = body["metadata"]
        if self.expectations.is_tombstoned(metadata):  # deleted before the response arrived
            self.expectations.remove_tombstone(metadata["uid"])
            return None
        before = self.store.get(namespace, name)
        if before is not None and _is_known(before, metadata):
            return self._settle_late(namespace, name, before, body)
        cached = self._subscription.transform(self.kind, body)
        if cached is not None:
            self.store.upsert(namespace, name, cached)
            self.expectations.versions.add(metadata["resourceVersion"])
        return cached

    def _settle_late(
        self, namespace: str, name: str, newer: CachedObject, body: Body
    ) -> CachedObject | None:
        """Handle a response that arrives after its event: enqueue if others edited since."""
        if newer.resource_version == int(body["metadata"]["resourceVersion"]):
            return newer
        written = self._subscription.transform(self.kind, body)
        if written is not None and not written.equivalent(newer):
            self._handler.changed(namespace, name, written, newer)
        return written

    def settle_deletion(self, namespace: str, name: str, uid: str) -> None:
        """Delete an object that a deletion of this process removed, and ignore late events."""
        self.expectations.settle(namespace, name)
        before = self.store.get(namespace, name)
        if before is not None and before.uid == uid:
            self.expectations.add_tombstone(uid)
            self.store.delete(namespace, name)
        else:  # the event arrived before the response
            self.expectations.remove_tombstone(uid)

    # -- what the reflector reports -------------------------------------------------------------

    def list_started(self) -> None:
        """Skip no event until ``replace``: a list must report every object."""
        self.expectations.versions.suspend()

    def upsert(self, body: Body) -> None:
        """Handle an object of a list or an event."""
        namespace, name = key_of(body)
        before = self.store.get(namespace, name)
        if before is not None and _is_known(before, body["metadata"]):
            return
        self._recent.pop((namespace, name), None)
        cached = self._subscription.transform(self.kind, body)
        if cached is None or (cached.owner_uid and not self._in_shard(cached.owner_uid)):
            if before is not None:
                self._delete(namespace, name)
            return
        if self.expectations.is_tombstoned(body["metadata"]):
            return
        self.store.upsert(namespace, name, cached)
        if before is not None and before.equivalent(cached):
            return
        by_digest = self.kind.mode is not Mode.APPLY
        if not self.synced or self.expectations.matches(
            namespace, name, cached, by_digest=by_digest
        ):
            return
        if cached.component in self._subscription.owners and self.kind.mode is Mode.REPLACE:
            self._add_recent(namespace, name, body)
        self._handler.changed(namespace, name, before, cached, body)

    def delete(self, body: Body) -> None:
        """Handle a DELETED event: the object is gone, or no longer matches the selector."""
        namespace, name = key_of(body)
        metadata = body["metadata"]
        uid = metadata["uid"]
        if self.expectations.is_pending(namespace, name):
            # The response to the pending request may be older than this event. A later version may
            # come back: the object matches the selector again, or finalizers delay its deletion.
            self.expectations.add_tombstone(uid, int(metadata["resourceVersion"]))
        else:
            self.expectations.remove_tombstone(uid)
        before = self.store.get(namespace, name)
        if before is not None and before.uid == uid:
            self._delete(namespace, name)

    def replace(self, listed: Mapping[str, set[str]], version: int) -> None:
        """Complete a list: delete older objects that it does not contain (names by namespace)."""
        self.expectations.clear_tombstones()
        self.expectations.versions.resume()
        for namespace, name, cached in self.store:
            # A later version was written by this process since.
            if name not in listed.get(namespace, ()) and cached.resource_version <= version:
                self._delete(namespace, name)
        if not self.synced:
            self.synced = True
            logger.info("informer synced", kind=self.kind.name, objects=len(self.store))
            self._on_synced()

    def reset(self) -> None:
        """Drop everything until the next list: the kind is not served any more."""
        self.synced = False
        self._recent.clear()
        self.store.clear()

    def _add_recent(self, namespace: str, name: str, body: Body) -> None:
        self._recent[namespace, name] = body
        if len(self._recent) > _MAX_RECENT:
            del self._recent[next(iter(self._recent))]

    def _delete(self, namespace: str, name: str) -> None:
        self._recent.pop((namespace, name), None)
        before = self.store.delete(namespace, name)
        if self.synced and not self.expectations.is_deletion_pending(namespace, name):
            self._handler.changed(namespace, name, before, None)


def _is_known(before: CachedObject, metadata: Body) -> bool:
    """Whether an event or a response is not newer than the cached object."""
    return before.uid == metadata["uid"] and before.resource_version >= int(
        metadata["resourceVersion"]
    )


def new_informers(
    controllers: Sequence[ConfiguredController],
    client: Client,
    callbacks: Callbacks,
    *,
    clock: Callable[[], float],
    in_shard: Callable[[str], bool] = _all_owners,
) -> dict[str, Informer]:
    """Return an informer for each subscription of these controllers, by its name."""
    return {
        name: Informer(
            KINDS[subscription.single_object.kind if subscription.single_object else name],
            subscription,
            client,
            callbacks,
            clock=clock,
            in_shard=in_shard,
        )
        for name, subscription in subscriptions(controllers).items()
    }
