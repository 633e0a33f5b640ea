"""Whose a container is: by its mark, and where it has none by what is known of it. Pure.

A mark is the container's metadata ``profile``, ``profileuid``, ``profileowner`` and
``profilecluster``; ``profilegone`` besides once the Profile is no more. Who writes ``profile``
alone by hand decides for that profile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from controllers.blob_csi import names
from controllers.blob_csi.grants.resolve import Withheld
from controllers.profiles import Profile

_PROFILE, _UID, _OWNER = "profile", "profileuid", "profileowner"
_CLUSTER, _GONE = "profilecluster", "profilegone"


class State(Enum):
    """Where the container of a profile stands in one storage account. The first that holds."""

    ABSENT = "there is none: made, with its mark from its first moment"
    CONTESTED = "unmarked, and another live Profile maps to it as well: refused"
    UNPROVEN = "unmarked, and nothing says that it is this profile's: refused"
    UNMARKED = "unmarked, and this profile's by its name or by a volume of its: marked"
    FOREIGN = "marked for another profile: refused"
    FORMER = "marked for an earlier Profile of this name that somebody else owned: refused"
    STALE = "this profile's, and its mark says something older: marked anew"
    WELL = "this profile's, as it should be"


REFUSED = frozenset({State.CONTESTED, State.UNPROVEN, State.FOREIGN, State.FORMER})
"""Until a person decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """For whom a container is. All but ``profile`` may be empty, where a person wrote it."""

    profile: str
    uid: str = ""
    owner: str = ""
    cluster: str = ""
    """Which cluster the Profile is on: no other one may take it for gone."""
    gone: datetime | None = None
    """When its Profile was first found gone, in UTC."""

    def metadata(self, others: Mapping[str, str] | None = None) -> dict[str, str]:
        """As it stands on the container, beside what others wrote there."""
        own = {_PROFILE: self.profile, _UID: self.uid, _OWNER: self.owner}
        own[_CLUSTER] = self.cluster
        own[_GONE] = self.gone.isoformat(timespec="seconds") if self.gone else ""
        kept = {key: value for key, value in (others or {}).items() if key.lower() not in own}
        return kept | {key: value for key, value in own.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Whose container it would be.

    ``pointed``: a volume that this Profile controls points to it already. ``by_name``: its very
    name is enough. ``rivals``: other live Profiles that map to the same container. ``accepts``:
    what an earlier owner left may be had.
    """

    profile: str
    uid: str
    owner: str
    cluster: str = ""
    accepts: bool = False
    pointed: bool = False
    by_name: bool = True
    rivals: tuple[str, ...] = ()

    @property
    def mark(self) -> Mark:
        """The mark that its container carries."""
        return Mark(profile=self.profile, uid=self.uid, owner=self.owner, cluster=self.cluster)


class Claims:
    """Which Profiles map to which container; reckoned anew when one came or went."""

    def __init__(self) -> None:
        """Of nobody yet."""
        self._profiles: frozenset[str] = frozenset()
        self._claims: dict[str, list[str]] = {}

    def rivals(self, profile: str, profiles: frozenset[str]) -> tuple[str, ...]:
        """The others, out of those that exist, that map to the same container as this one."""
        if self._profiles is not profiles:
            self._profiles, self._claims = profiles, {}
            for name in sorted(profiles):
                self._claims.setdefault(names.container_name(name) or "", []).append(name)
        claimants = self._claims.get(names.container_name(profile) or "", ())
        return tuple(one for one in claimants if one != profile)


def owner_digest(profile: Profile) -> str:
    """Who owns the Profile, so that no address stands in Azure."""
    owner = profile.owner
    text = f"{owner.kind}\0{owner.namespace}\0{owner.name}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def mark_of(metadata: Mapping[str, str] | None) -> Mark | None:
    """What a container's metadata says; None where it carries no mark."""
    said = {key.lower(): str(value) for key, value in (metadata or {}).items()}
    if not said.get(_PROFILE):
        return None
    return Mark(
        profile=said[_PROFILE],
        uid=said.get(_UID, ""),
        owner=said.get(_OWNER, ""),
        cluster=said.get(_CLUSTER, ""),
        gone=_moment(said.get(_GONE, "")),
    )


def determine_state(tenant: Tenant, mark: Mark | None, *, exists: bool) -> State:
    """The first state that holds."""
    if not exists:
        return State.ABSENT
    if mark is None:
        return _unmarked(tenant)
    if mark.profile != tenant.profile:
        return State.FOREIGN
    if mark.uid not in ("", tenant.uid) and mark.owner != tenant.owner and not tenant.accepts:
        return State.FORMER
    return State.WELL if mark == tenant.mark else State.STALE


def _unmarked(tenant: Tenant) -> State:
    if tenant.rivals:
        return State.CONTESTED
    named = tenant.by_name and names.container_name(tenant.profile) == tenant.profile
    return State.UNMARKED if named or tenant.pointed else State.UNPROVEN


def refusal(
    state: State, tenant: Tenant, mark: Mark | None, *, account: str, is_live: bool
) -> Withheld:
    """What is said of a refused one. ``is_live``: the Profile of its mark exists."""
    container = names.container_name(tenant.profile)
    where = f"container {container!r} of storage account {account}"
    by_hand = f"set its metadata profile={tenant.profile} to give it to this profile"
    match state:
        case State.CONTESTED:
            rivals = " and ".join(tenant.rivals)
            message = f"{where} is unmarked, and would be that of {rivals} too: {by_hand}"
        case State.UNPROVEN:
            message = f"{where} is unmarked, and no volume shows whose it is: {by_hand}"
        case State.FOREIGN:
            whose = mark.profile if mark else ""
            rename = f"expected another name for profile {tenant.profile}"
            message = f"{where} is that of profile {whose}: {rename}"
            if not is_live:
                message = (
                    f"{where} is that of profile {whose}, which is gone: {rename}, or {by_hand}"
                )
        case State.FORMER:
            message = (
                f"{where} has the data of an earlier profile {tenant.profile} of another owner:"
                f" delete it, or annotate the Profile {names.FORMER_DATA_ANNOTATION}: accept"
            )
        case _:
            raise ValueError(f"{state} is no refusal")
    return Withheld(reason=_REASONS[state], message=message)


_REASONS = {
    State.CONTESTED: "ContainerContested",
    State.UNPROVEN: "ContainerUnproven",
    State.FOREIGN: "ContainerTaken",
    State.FORMER: "FormerData",
}


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
