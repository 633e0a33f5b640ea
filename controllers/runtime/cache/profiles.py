"""The Profiles that are known, as frozen views. Fed by the Profile watch, read by everybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from controllers.profiles import Profile
from controllers.runtime.options import Shard

_REMEMBERED = 10_000
"""UIDs of Profiles that went, of which a list under way may still tell."""


class Profiles:
    """Profiles of this process's shard, by name. ``synced`` once the first list is complete."""

    def __init__(self, shard: Shard, changed: Callable[[str, Profile | None], None]) -> None:
        """``changed`` is called with the name, and the profile or None when it is gone."""
        self._shard = shard
        self._changed = changed
        self._profiles: dict[str, Profile] = {}
        self._everybody: dict[str, tuple[str, int]] = {}  # name: UID and version, of all shards
        self._names: frozenset[str] | None = None
        self._awaited: set[str] | None = None  # UIDs that a list showed and the watch not yet
        self._gone: dict[
            str, None
        ] = {}  # UIDs that went since the last list; it may show them still

    @property
    def synced(self) -> bool:
        """Whether all profiles of the first list are known."""
        return self._awaited is not None and not self._awaited

    def __len__(self) -> int:
        """How many there are."""
        return len(self._profiles)

    def __iter__(self) -> Iterator[str]:
        """Their names; a copy, so that it may be changed meanwhile."""
        return iter(list(self._profiles))

    def get(self, name: str) -> Profile | None:
        """The profile of this name."""
        return self._profiles.get(name)

    @property
    def names(self) -> frozenset[str]:
        """The names of all Profiles that there are, those of other shards too.

        The same object until one comes or goes, so that what follows from it can be kept.
        """
        if self._names is None:
            self._names = frozenset(self._everybody)
        return self._names

    def upsert(self, profile: Profile) -> None:
        """The watch has shown this; wakes nobody when only status differs."""
        self._everybody[profile.name] = profile.uid, _number(profile.resource_version)
        if self._names is not None and profile.name not in self._names:
            self._names = None
        if not self._shard.holds(profile.uid):
            return
        self._await_no_more(profile.uid)
        before = self._profiles.get(profile.name)
        # Also of another UID: kopf hands events of two Profiles of one name on in any order.
        if before is not None and _older(profile, before):
            return
        self._profiles[profile.name] = profile
        if profile != before:
            self._changed(profile.name, profile)

    def remove(self, name: str, uid: str) -> None:
        """The watch has shown the end of this one; a newer one of its name stays."""
        self.ignore(uid)
        if self._everybody.get(name, ("", 0))[0] == uid:
            del self._everybody[name]
            self._names = None
        before = self._profiles.get(name)
        if before is not None and before.uid == uid:
            del self._profiles[name]
            self._changed(name, None)

    def ignore(self, uid: str) -> None:
        """Nothing will come of this one: it went, or cannot be read. Do not wait for it."""
        self._await_no_more(uid)
        self._gone[uid] = None
        while len(self._gone) > _REMEMBERED:
            del self._gone[next(iter(self._gone))]

    def census(self, uids: Mapping[str, str], version: str) -> None:
        """A list of this resourceVersion has shown exactly these names and UIDs.

        Those that are older than the list and not on it went while nobody watched.
        """
        later = {n: one for n, one in self._everybody.items() if one[1] > int(version)}
        listed = {n: (u, int(version)) for n, u in uids.items() if u not in self._gone}
        self._everybody, self._names = {**listed, **later}, None
        for name, profile in list(self._profiles.items()):
            if uids.get(name) != profile.uid and _number(profile.resource_version) <= int(version):
                self.remove(name, profile.uid)
        known = {profile.uid for profile in self._profiles.values()}
        held = {uid for uid in uids.values() if self._shard.holds(uid)}
        self._awaited = held - known - self._gone.keys()
        self._gone.clear()

    def observe_status(self, profile: Profile) -> None:
        """Our own write was answered with this."""
        before = self._profiles.get(profile.name)
        if before is None or before.uid != profile.uid or _older(profile, before):
            return
        self._profiles[profile.name] = replace(
            before, conditions=profile.conditions, resource_version=profile.resource_version
        )

    def _await_no_more(self, uid: str) -> None:
        if self._awaited:
            self._awaited.discard(uid)


def _older(one: Profile, other: Profile) -> bool:
    """Whether ``one`` was read before ``other``; resourceVersions are numbers since 1.35."""
    return _number(one.resource_version) < _number(other.resource_version)


def _number(version: str) -> int:
    return int(version) if version.isdigit() else 0
