"""What is known of one kind's objects, and who is told when that changes.

Events, pages of a list and the answers to our own writes come in any order; the newest counts, and
the echo of a write of ours is no news. Handlers get names, never objects.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from controllers.manifests import Body
from controllers.runtime.cache.expectations import Echoes
from controllers.runtime.cache.memories import Records
from controllers.runtime.cache.subscriptions import Interest
from controllers.runtime.objects.cached_object import Record
from controllers.runtime.objects.kinds import Kind, Mode
from controllers.runtime.workqueue import Priority

_FOR_EVER = sys.maxsize
_MOST_LATEST = 64
"""Objects: a storm of edits is repaired by reading, a single one without."""

Written = tuple[bytes, str, str]
"""What a write leaves on the server: digest, UID of the owning Profile, controller."""


class Wake(Protocol):
    """Called when something happened to a profile."""

    def __call__(self, profile: str, controller: str | None, priority: Priority, /) -> None:
        """``controller`` None means every controller."""


class Knowledge:
    """The objects of one kind. Nobody is told before ``synced``: the first list is complete."""

    def __init__(
        self, kind: Kind, interest: Interest, wake: Wake, *, holds: Callable[[str], bool]
    ) -> None:
        """``holds`` says of an owner's UID whether it belongs to this process's shard."""
        self.kind = kind
        self.interest = interest
        self.synced = False
        self.echoes = Echoes()
        """The resourceVersions of our own writes that are still to come back as events."""
        self.noticed: Callable[[str], None] = lambda _controller: None
        """Called with a controller when what it kept of an object that wakes no profile changed."""
        self._wake = wake
        self._holds = holds
        self._records = Records()
        self._expected: dict[tuple[str, str], Written | None] = {}
        self._buried: dict[str, int] = {}  # UID -> resourceVersion up to which it is dead
        self._latest: dict[tuple[str, str], Body] = {}

    def get(self, namespace: str, name: str) -> Record | None:
        """The record of one object, or None."""
        return self._records.get(namespace, name)

    def named(self, namespace: str) -> Mapping[str, Record]:
        """The records of a namespace, by name."""
        return self._records.named(namespace)

    def owned(self, namespace: str, uid: str) -> Iterator[tuple[str, str, Record]]:
        """Namespace, name and record of every object that this Profile controls."""
        return self._records.owned(namespace, uid)

    def concerning(self, profile: str) -> Iterator[tuple[str, Record]]:
        """Name and record of every object that wakes this Profile, of a kind without namespaces."""
        return self._records.concerning(profile)

    def __len__(self) -> int:
        """How many objects are remembered."""
        return len(self._records)

    def count(self, component: str) -> int:
        """How many of them carry a controller's labels; from any thread."""
        return self._records.count(component)

    def take_latest(self, namespace: str, name: str) -> Body | None:
        """The object as its last event showed it, once; None where it must be read.

        That holds for what carries our labels, was just changed by somebody else, and has not been
        heard of since. A write that is based on it must name its resourceVersion; for a kind that
        is applied instead there is never one.
        """
        return self._latest.pop((namespace, name), None)

    # -- our own writes -------------------------------------------------------------------------

    def expect(self, namespace: str, name: str, content: Written | None) -> None:
        """We are about to write this, or (None) to delete: the echo of it shall wake nobody."""
        self._expected[namespace, name] = content
        self._latest.pop((namespace, name), None)

    def settle(self, namespace: str, name: str, body: Body | None) -> Record | None:
        """The write was answered with this body (None: it failed); the record of it."""
        self._expected.pop((namespace, name), None)
        if body is None:
            return None
        metadata = body["metadata"]
        if self._is_dead(metadata):  # deleted again before we heard of our own write
            del self._buried[metadata["uid"]]
            return None
        before = self.get(namespace, name)
        if before is not None and _known(before, metadata):
            return self._caught_up(namespace, name, before, body)
        record = self.interest.keep(self.kind, body)
        if record is not None:
            self._records.remember(namespace, name, record)
            self.echoes.add(metadata["resourceVersion"])
        return record

    def _caught_up(self, namespace: str, name: str, known: Record, body: Body) -> Record | None:
        """The watch was quicker than the answer: tell when others edited it after our write."""
        if known.version == int(body["metadata"]["resourceVersion"]):
            return known
        written = self.interest.keep(self.kind, body)
        if written is not None and not written.same(known):
            self._tell(namespace, name, written, known, None)
        return written

    def bury(self, namespace: str, name: str, uid: str) -> None:
        """We deleted it, and it is gone: late events of it are nothing new."""
        self._expected.pop((namespace, name), None)
        before = self.get(namespace, name)
        if before is not None and before.uid == uid:
            self._buried[uid] = _FOR_EVER
            self._records.forget(namespace, name)
        else:  # its end was heard of first
            self._buried.pop(uid, None)

    # -- what the API server tells ---------------------------------------------------------------

    def absorb(self, body: Body) -> None:
        """An object as a list or an event shows it."""
        namespace, name = place_of(body)
        before = self.get(namespace, name)
        if before is not None and _known(before, body["metadata"]):
            return
        self._latest.pop((namespace, name), None)
        record = self.interest.keep(self.kind, body)
        if record is None or (record.owner and not self._holds(record.owner)):
            if before is not None:
                self._vanish(namespace, name)
            return
        if self._is_dead(body["metadata"]):
            return
        self._records.remember(namespace, name, record)
        if before is not None and before.same(record):
            return
        if self._is_echo(namespace, name, record) or not self.synced:
            return
        if record.component in self.interest.owners and self.kind.mode is Mode.REPLACE:
            self._keep_latest(namespace, name, body)
        self._tell(namespace, name, before, record, body)

    def end(self, namespace: str, name: str, metadata: Body) -> None:
        """It was deleted, or has left the selector: then a later version may come back."""
        uid = metadata["uid"]
        if (namespace, name) in self._expected:
            # The answer to our write may still bring it back; to our deletion, too, where
            # finalizers put it off.
            self._buried[uid] = int(metadata["resourceVersion"])
        else:
            self._buried.pop(uid, None)
        before = self.get(namespace, name)
        if before is not None and before.uid == uid:
            self._vanish(namespace, name)

    def lose(self) -> None:
        """The cluster serves the kind no more: nothing of it is known until the next list."""
        self.synced = False
        self._latest.clear()
        self._records.clear()

    def sweep(self, seen: Mapping[str, set[str]], version: int) -> None:
        """Forget what a list of this version no longer shows: it went while no watch was up."""
        self._buried.clear()
        self.echoes.clear()
        for namespace, name, record in self._records:
            # A later version is one that we wrote since.
            if name not in seen.get(namespace, ()) and record.version <= version:
                self._vanish(namespace, name)

    def _keep_latest(self, namespace: str, name: str, body: Body) -> None:
        self._latest[namespace, name] = body
        if len(self._latest) > _MOST_LATEST:
            del self._latest[next(iter(self._latest))]

    def _is_dead(self, metadata: Body) -> bool:
        version = self._buried.get(metadata["uid"])
        return version is not None and int(metadata["resourceVersion"]) <= version

    def _is_echo(self, namespace: str, name: str, record: Record) -> bool:
        if (namespace, name) not in self._expected:
            return False
        expected = self._expected[namespace, name]
        if expected is None:
            return record.deleting
        # Of a merge kind no digest is known before the answer: its echo may wake once too often.
        written = (record.digest, record.owner, record.component)
        return written == expected and self.kind.mode is not Mode.APPLY

    def _vanish(self, namespace: str, name: str) -> None:
        self._latest.pop((namespace, name), None)
        before = self._records.forget(namespace, name)
        deleting = self._expected.get((namespace, name), ()) is None
        if self.synced and not deleting:
            self._tell(namespace, name, before, None, None)

    def _tell(
        self,
        namespace: str,
        name: str,
        before: Record | None,
        after: Record | None,
        body: Body | None,
    ) -> None:
        if self.interest.all_objects:
            self._wake(name, None, Priority.NORMAL)
        for record in (before, after):
            if record is None:
                continue
            profile = record.owner_name or namespace
            component = record.component
            owners = [component] if component in self.interest.owners else self.interest.owners
            # One that is nobody's, and remembered for its name alone, stands in the way of ours.
            concerns = record.owner or component or record.kept is None
            for controller in owners if concerns else ():
                self._wake(profile, controller, Priority.NORMAL)
        old = (before.kept if before else None) or {}
        new = (after.kept if after else None) or {}
        for controller, watch in self.interest.watchers.items():
            if old.get(controller) == new.get(controller):
                continue
            if self.kind.namespaced:
                told = body or {"metadata": {"namespace": namespace, "name": name}}
                profiles = {*watch.map(told)}
            else:  # what is gone no longer says whom it concerned
                profiles = {
                    *(before.concerns if before else ()),
                    *(after.concerns if after else ()),
                }
            if not profiles:
                self.noticed(controller)
            for profile in profiles:
                self._wake(profile, controller, Priority.NORMAL)


def place_of(body: Body) -> tuple[str, str]:
    """Namespace (empty for what has none) and name; they are held once for all objects."""
    metadata = body["metadata"]
    # Thousands of namespaces hold objects of the same few names.
    return sys.intern(metadata.get("namespace", "")), sys.intern(metadata["name"])


def _known(before: Record, metadata: Body) -> bool:
    """Whether this is old news: mostly the echo of a write whose answer came first."""
    return before.uid == metadata["uid"] and before.version >= int(metadata["resourceVersion"])
