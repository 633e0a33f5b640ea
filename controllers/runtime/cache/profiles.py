"""The store of Profiles, which the Profile watch keeps current."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from controllers.profiles import Profile
from controllers.runtime.options import Shard

_MAX_DELETED = 10_000
"""UIDs of deleted Profiles that a list in progress may still contain."""


class ProfileStore:
    """The Profiles of this process's shard by name. Belongs to one event loop."""

    def __init__(self, shard: Shard, changed: Callable[[str, Profile | None], None]) -> None:
        """``changed`` is called with the name, and the Profile or None when it is deleted."""
        self._shard = shard
        self._changed = changed
        self._profiles: dict[str, Profile] = {}
        self._all: dict[str, tuple[str, int]] = {}  # all shards: name -> UID and version
        self._names: frozenset[str] | None = None
        self._missing: set[str] | None = None  # UIDs that a list contained and the watch has not
        self._deleted: dict[str, None] = {}  # UIDs since the last list, which may still contain it

    @property
    def synced(self) -> bool:
        """Whether every Profile of the first list is in the store."""
        return self._missing is not None and not self._missing

    def __len__(self) -> int:
        """Return the number of Profiles."""
        return len(self._profiles)

    def __iter__(self) -> Iterator[str]:
        """Iterate over a copy of the names: the store may change meanwhile."""
        return iter(list(self._profiles))

    def __contains__(self, name: object) -> bool:
        """Return whether there is a Profile of this name."""
        return name in self._profiles

    def get(self, name: str) -> Profile | None:
        """Return the Profile of this name."""
        return self._profiles.get(name)

    @property
    def names(self) -> frozenset[str]:
        """The names of all Profiles, also of other shards.

        The same object until a Profile is added or deleted, so that results can be cached by it.
        """
        if self._names is None:
            self._names = frozenset(self._all)
        return self._names

    def upsert(self, profile: Profile) -> None:
        """Add or replace a Profile of an event. A change of status alone is not reported."""
        self._all[profile.name] = profile.uid, _number(profile.resource_version)
        if self._names is not None and profile.name not in self._names:
            self._names = None
        if not self._shard.contains(profile.uid):
            return
        self._found(profile.uid)
        before = self._profiles.get(profile.name)
        # Also with another UID: kopf delivers events of two Profiles of one name in any order.
        if before is not None and _is_older(profile, before):
            return
        self._profiles[profile.name] = profile
        if profile != before:
            self._changed(profile.name, profile)

    def delete(self, name: str, uid: str) -> None:
        """Delete a Profile; a newer one of the same name stays."""
        self.ignore(uid)
        if self._all.get(name, ("", 0))[0] == uid:
            del self._all[name]
            self._names = None
        before = self._profiles.get(name)
        if before is not None and before.uid == uid:
            del self._profiles[name]
            self._changed(name, None)

    def ignore(self, uid: str) -> None:
        """Do not wait for a Profile that is deleted or invalid."""
        self._found(uid)
        self._deleted[uid] = None
        while len(self._deleted) > _MAX_DELETED:
            del self._deleted[next(iter(self._deleted))]

    def replace(self, uids: Mapping[str, str], version: str) -> None:
        """Complete a list of this resourceVersion that contained these names and UIDs.

        Profiles that are older than the list and not in it were deleted without an event.
        """
        newer = {name: one for name, one in self._all.items() if one[1] > int(version)}
        listed = {n: (uid, int(version)) for n, uid in uids.items() if uid not in self._deleted}
        self._all, self._names = {**listed, **newer}, None
        for name, profile in list(self._profiles.items()):
            if uids.get(name) != profile.uid and _number(profile.resource_version) <= int(version):
                self.delete(name, profile.uid)
        present = {profile.uid for profile in self._profiles.values()}
        in_shard = {uid for uid in uids.values() if self._shard.contains(uid)}
        self._missing = in_shard - present - self._deleted.keys()
        self._deleted.clear()

    def update_status(self, profile: Profile) -> None:
        """Store the conditions of a response to a write of this process."""
        before = self._profiles.get(profile.name)
        if before is None or before.uid != profile.uid or _is_older(profile, before):
            return
        self._profiles[profile.name] = replace(
            before, conditions=profile.conditions, resource_version=profile.resource_version
        )

    def _found(self, uid: str) -> None:
        if self._missing:
            self._missing.discard(uid)


def _is_older(one: Profile, other: Profile) -> bool:
    """Whether ``one`` was read before ``other``; resourceVersions are numbers since 1.35."""
    return _number(one.resource_version) < _number(other.resource_version)


def _number(version: str) -> int:
    return int(version) if version.isdigit() else 0
