"""Which profile owns a container, according to its metadata and to what is observed. Pure.

The ownership metadata of a container are ``profile``, ``profileuid``, ``profileowner`` and
``profilecluster``, and ``profilegone`` once the Profile is deleted. A person can set ``profile``
alone to assign a container to a profile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from controllers.blob_csi import names
from controllers.blob_csi.facts import Unavailable
from controllers.profiles import Profile

_PROFILE, _UID, _OWNER = "profile", "profileuid", "profileowner"
_CLUSTER, _GONE = "profilecluster", "profilegone"


class ContainerState(Enum):
    """The state of a profile's container in one storage account. The first that applies."""

    MISSING = "there is no container: it is created with ownership metadata"
    NAME_CONFLICT = "without metadata, and another Profile has the same container name: refused"
    OWNER_UNKNOWN = "without metadata, and nothing shows that it is this profile's: refused"
    ADOPTABLE = (
        "without metadata, and its name or a volume shows that it is this profile's: adopted"
    )
    OWNED_BY_OTHER = "owned by another profile: refused"
    FORMER_OWNER = "owned by an earlier Profile with this name and another owner: refused"
    OUTDATED = "owned by this profile with outdated metadata: the metadata is updated"
    IN_SYNC = "owned by this profile, with current metadata"


REFUSED = frozenset(
    {
        ContainerState.NAME_CONFLICT,
        ContainerState.OWNER_UNKNOWN,
        ContainerState.OWNED_BY_OTHER,
        ContainerState.FORMER_OWNER,
    }
)
"""States that last until a person acts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnershipMetadata:
    """The owner in a container's metadata. A person may have set ``profile`` alone."""

    profile: str
    uid: str = ""
    owner: str = ""
    """The digest of the Profile's owner: see ``owner_digest``."""
    cluster: str = ""
    """The UID of the cluster of the Profile. Other clusters do not treat the Profile as deleted."""
    gone: datetime | None = None
    """When a process first observed that the Profile is deleted, in UTC."""

    def to_metadata(self, existing: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the container's metadata; other keys of the existing metadata stay."""
        own = {_PROFILE: self.profile, _UID: self.uid, _OWNER: self.owner}
        own[_CLUSTER] = self.cluster
        own[_GONE] = self.gone.isoformat(timespec="seconds") if self.gone else ""
        others = {key: value for key, value in (existing or {}).items() if key.lower() not in own}
        return others | {key: value for key, value in own.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerOwner:
    """A profile, and what decides whether it may own its container."""

    profile: str
    uid: str
    owner: str
    cluster: str = ""
    accepts_former_data: bool = False
    """Whether it gets the container of an earlier Profile with another owner."""
    has_volume: bool = False
    """Whether a volume that this Profile controls uses the container already."""
    adopt_by_name: bool = True
    """Whether a container with exactly the profile's name is its own."""
    name_conflicts: tuple[str, ...] = ()
    """The other Profiles with the same container name."""

    @property
    def metadata(self) -> OwnershipMetadata:
        """The ownership metadata of its container."""
        return OwnershipMetadata(
            profile=self.profile, uid=self.uid, owner=self.owner, cluster=self.cluster
        )


class ContainerNameIndex:
    """Profiles by container name. It is rebuilt when the set of Profiles changes."""

    def __init__(self) -> None:
        """Start empty."""
        self._profiles: frozenset[str] = frozenset()
        self._by_name: dict[str, list[str]] = {}

    def conflicts(self, profile: str, profiles: frozenset[str]) -> tuple[str, ...]:
        """Return the other Profiles with the same container name, sorted.

        ``profiles`` are the names of all existing Profiles.
        """
        if self._profiles is not profiles:
            self._profiles, self._by_name = profiles, {}
            for name in sorted(profiles):
                self._by_name.setdefault(names.container_name(name) or "", []).append(name)
        same = self._by_name.get(names.container_name(profile) or "", ())
        return tuple(one for one in same if one != profile)


def owner_digest(profile: Profile) -> str:
    """Return a digest of the Profile's owner, so that no email address is stored in Azure."""
    owner = profile.owner
    text = f"{owner.kind}\0{owner.namespace}\0{owner.name}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def parse_metadata(metadata: Mapping[str, str] | None) -> OwnershipMetadata | None:
    """Parse a container's metadata. Returns None if it has no ``profile``."""
    values = {key.lower(): str(value) for key, value in (metadata or {}).items()}
    if not values.get(_PROFILE):
        return None
    return OwnershipMetadata(
        profile=values[_PROFILE],
        uid=values.get(_UID, ""),
        owner=values.get(_OWNER, ""),
        cluster=values.get(_CLUSTER, ""),
        gone=_parse_time(values.get(_GONE, "")),
    )


def determine_state(
    owner: ContainerOwner, metadata: OwnershipMetadata | None, *, exists: bool
) -> ContainerState:
    """Return the first state that applies."""
    if not exists:
        return ContainerState.MISSING
    if metadata is None:
        return _state_without_metadata(owner)
    if metadata.profile != owner.profile:
        return ContainerState.OWNED_BY_OTHER
    is_former = metadata.uid not in ("", owner.uid) and metadata.owner != owner.owner
    if is_former and not owner.accepts_former_data:
        return ContainerState.FORMER_OWNER
    return ContainerState.IN_SYNC if metadata == owner.metadata else ContainerState.OUTDATED


def _state_without_metadata(owner: ContainerOwner) -> ContainerState:
    if owner.name_conflicts:
        return ContainerState.NAME_CONFLICT
    has_name = owner.adopt_by_name and names.container_name(owner.profile) == owner.profile
    if has_name or owner.has_volume:
        return ContainerState.ADOPTABLE
    return ContainerState.OWNER_UNKNOWN


def refusal(
    state: ContainerState,
    owner: ContainerOwner,
    metadata: OwnershipMetadata | None,
    *,
    account: str,
    owner_exists: bool,
) -> Unavailable:
    """Return why a container in one of the REFUSED states is unavailable, and what to do.

    ``owner_exists``: whether the Profile in the container's metadata exists.
    """
    container = names.container_name(owner.profile)
    where = f"container {container!r} of storage account {account}"
    assign = f"set its metadata to profile={owner.profile} to assign it to this profile"
    match state:
        case ContainerState.NAME_CONFLICT:
            others = " and ".join(owner.name_conflicts)
            message = (
                f"{where} has no ownership metadata, and profile {others} has the same container"
                f" name; {assign}"
            )
        case ContainerState.OWNER_UNKNOWN:
            message = f"{where} has no ownership metadata, and no volume shows its owner; {assign}"
        case ContainerState.OWNED_BY_OTHER:
            other = metadata.profile if metadata else ""
            rename = f"choose another name for profile {owner.profile}"
            message = f"{where} is owned by profile {other}; {rename}"
            if not owner_exists:
                message = (
                    f"{where} is owned by profile {other}, which no longer exists; {rename}, or"
                    f" {assign}"
                )
        case ContainerState.FORMER_OWNER:
            message = (
                f"{where} contains the data of an earlier profile {owner.profile} with another"
                " owner; delete the container, or annotate the Profile with"
                f" {names.FORMER_DATA_ANNOTATION}: accept"
            )
        case _:
            raise ValueError(f"{state} is not a refused state")
    return Unavailable(reason=_REASONS[state], message=message)


_REASONS = {
    ContainerState.NAME_CONFLICT: "ContainerNameConflict",
    ContainerState.OWNER_UNKNOWN: "ContainerOwnerUnknown",
    ContainerState.OWNED_BY_OTHER: "ContainerOwnedByOther",
    ContainerState.FORMER_OWNER: "ContainerHasFormerData",
}


def _parse_time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
