"""Expectations: writes of this process that the watch has yet to report. Pure.

The watch reports every write of this process back as an event. Such a self-originated event is not
a change to react to. Events, pages of a list and responses to writes arrive in any order.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from controllers.manifests import Body
from controllers.runtime.objects.cached_object import CachedObject

_MAX_VERSIONS = 2000
"""More than arrive between the response to a write and its event."""
_ANY_VERSION = sys.maxsize


class WrittenVersions:
    """The resourceVersions that the latest writes of this process returned, up to 2,000.

    A resourceVersion identifies one write in the cluster, so an event that bears one of them holds
    nothing new. No event comes twice, so versions that were seen need not be removed.
    """

    def __init__(self) -> None:
        """Start without versions."""
        self._versions: dict[str, None] = {}
        self._suspended = False

    def add(self, version: str) -> None:
        """Add the resourceVersion that a write returned."""
        self._versions[version] = None
        if len(self._versions) > _MAX_VERSIONS:
            del self._versions[next(iter(self._versions))]

    def __contains__(self, version: object) -> bool:
        """Whether an event with this version can be skipped."""
        return not self._suspended and version in self._versions

    def __len__(self) -> int:
        """Return how many versions can be skipped."""
        return 0 if self._suspended else len(self._versions)

    def suspend(self) -> None:
        """Skip nothing until ``resume``: a list must report every object."""
        self._suspended = True

    def resume(self) -> None:
        """Drop all versions and skip those that are added from now on."""
        self._versions.clear()
        self._suspended = False


class PendingWrite(NamedTuple):
    """What a write leaves on the server."""

    digest: bytes
    owner: str
    """UID of the Profile that controls the object."""
    component: str
    """The controller whose labels the object carries."""


class Expectations:
    """Pending writes, and tombstones of objects that this process deleted."""

    def __init__(self) -> None:
        """Expect nothing."""
        self.versions = WrittenVersions()
        self._writes: dict[tuple[str, str], PendingWrite | None] = {}  # None: a deletion
        self._tombstones: dict[str, int] = {}  # UID -> the last resourceVersion that is deleted

    def __len__(self) -> int:
        """Return the number of pending writes and tombstones."""
        return len(self._writes) + len(self._tombstones)

    def expect(self, namespace: str, name: str, write: PendingWrite | None) -> None:
        """Expect the event of a write, or of a deletion (None), that is about to be sent."""
        self._writes[namespace, name] = write

    def settle(self, namespace: str, name: str) -> None:
        """Expect nothing more of an object: the request has ended."""
        self._writes.pop((namespace, name), None)

    def is_pending(self, namespace: str, name: str) -> bool:
        """Whether a write or a deletion of this object is pending."""
        return (namespace, name) in self._writes

    def is_deletion_pending(self, namespace: str, name: str) -> bool:
        """Whether a deletion of this object is pending."""
        return self._writes.get((namespace, name), ()) is None

    def matches(self, namespace: str, name: str, cached: CachedObject, *, by_digest: bool) -> bool:
        """Whether an event is the result of the pending write.

        Without ``by_digest`` (kinds that others write to as well) the content is not known before
        the response, so no event of a write matches.
        """
        if (namespace, name) not in self._writes:
            return False
        expected = self._writes[namespace, name]
        if expected is None:
            return cached.deleting
        return by_digest and expected == (cached.digest, cached.owner_uid, cached.component)

    def add_tombstone(self, uid: str, version: int = _ANY_VERSION) -> None:
        """Ignore events of this object up to a resourceVersion."""
        self._tombstones[uid] = version

    def remove_tombstone(self, uid: str) -> None:
        """Drop a tombstone, if there is one."""
        self._tombstones.pop(uid, None)

    def is_tombstoned(self, metadata: Body) -> bool:
        """Whether an event or a response is older than the deletion of its object."""
        version = self._tombstones.get(metadata["uid"])
        return version is not None and int(metadata["resourceVersion"]) <= version

    def clear_tombstones(self) -> None:
        """Drop all tombstones: a list is newer than any of them."""
        self._tombstones.clear()
