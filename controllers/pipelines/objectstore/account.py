"""The states of a namespace's account in the object store, and what each asks for. Pure.

docs/designs/0003-object-store-keys.md tells the life of a key and what a failure of each step
leaves behind.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from controllers.pipelines.objectstore.provider import Credentials, Decision, Tenant


class Verdict(Enum):
    """What the S3 API says to a key."""

    WORKS = "it knows the key, which may not read what is no tenant's"
    WIDE = "it lets the key read what is no tenant's"
    WRONG = "the access key is right, and the secret is not"
    UNKNOWN = "it does not know the access key"


class State(Enum):
    """Where an account stands. The first that holds is the one."""

    FOREIGN = "a user of the namespace's name exists that is neither ours nor KFP's"
    HAUNTED = "objects of an earlier tenant are there, and nobody has decided about them"
    UNCLAIMED = "nobody's, or an earlier tenant's and free to take"
    OUTDATED = "another generation of the key is asked for"
    USERLESS = "recorded, and the user is missing"
    UNGUARDED = "the user's policy is missing or says something else"
    SETTLING = "the key is listed, and the S3 API does not know it yet"
    DISABLED = "somebody deactivated the key"
    KEYLESS = "no live key of the user is known to us with its secret"
    UNRECORDED = "the live key is not the recorded one"
    STRAYS = "the user has keys beside the one that is used"
    HEALTHY = "as it should be"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is written down of an account: for which Profile it is, and which key is in use."""

    uid: str
    generation: str = ""
    access_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Keys whose secrets we know, whether or not they are live.

    ``held`` is in the Secret; ``remembered`` is what this process handed out last for the Profile;
    ``derived`` is the one to make where a key's values may be chosen.
    """

    held: Credentials | None = None
    remembered: Credentials | None = None
    derived: Credentials | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A key whose secret we know, that the store lists as live, and what S3 says to it."""

    credentials: Credentials
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen of an account. ``keys`` are all of the user's, by ID, True when active."""

    record: Record | None = None
    user: bool = False
    kfps: bool = False
    """Whether the user has the inline policy that KFP's own controller gives too."""
    guarded: bool = False
    """Whether that policy says what it should."""
    administrator: bool = False
    """Whether the user is the very one that we act as."""
    keys: Mapping[str, bool] = field(default_factory=dict)
    candidates: tuple[Candidate, ...] = ()
    proven: bool = False
    """Whether the Secret holds a working key of the user: it is the same tenant as before."""
    objects: bool = False

    @property
    def chosen(self) -> Candidate | None:
        """The key to use: the recorded one if it works, else the first that does."""
        recorded = self.record.access_key if self.record else ""
        live = [one for one in self.candidates if one.verdict in _LIVE]
        return min(live, key=lambda one: one.credentials.access_key != recorded, default=None)

    @property
    def key(self) -> Credentials:
        """The chosen key. Only in states that have one."""
        if self.chosen is None:
            raise AssertionError("no key was chosen")
        return self.chosen.credentials


_LIVE = (Verdict.WORKS, Verdict.WIDE)


def determine_state(tenant: Tenant, sight: Sight) -> State:
    """The first state that holds."""
    record = sight.record
    if sight.administrator or (sight.user and record is None and not sight.kfps):
        return State.FOREIGN
    if record is None or record.uid != tenant.uid:
        return _unclaimed(tenant, sight)
    if record.generation != tenant.generation:
        return State.OUTDATED
    if not sight.user:
        return State.USERLESS
    if not sight.guarded:
        return State.UNGUARDED
    return _of_the_key(sight, record)


def decision(tenant: Tenant, record: Record | None) -> Decision:
    """What was decided about the objects that are there.

    To move or delete them is decided for all tenants alike only about a Profile's that is known to
    be gone. Where none was recorded they may be the tenant's own, from the time of KFP's controller
    or of the webhook: that takes a decision about this very tenant.
    """
    known = tenant.uid and record is not None and record.uid
    if tenant.for_all and not known and tenant.decision is not Decision.ACCEPT:
        return Decision.UNDECIDED
    return tenant.decision


def _unclaimed(tenant: Tenant, sight: Sight) -> State:
    undecided = decision(tenant, sight.record) is Decision.UNDECIDED
    haunted = sight.objects and undecided and not is_continued(sight)
    return State.HAUNTED if haunted else State.UNCLAIMED


def is_continued(sight: Sight) -> bool:
    """Whether the tenant is known to be the one that the account was made for.

    Only where no Profile was recorded: KFP's controller and the webhook record none.
    """
    return sight.proven and (sight.record is None or not sight.record.uid)


def _of_the_key(sight: Sight, record: Record) -> State:
    chosen = sight.chosen
    if chosen is None:
        if any(one.verdict is Verdict.UNKNOWN for one in sight.candidates):
            return State.SETTLING
        return State.DISABLED if False in sight.keys.values() else State.KEYLESS
    if chosen.verdict is not Verdict.WORKS:
        return State.UNGUARDED
    if chosen.credentials.access_key != record.access_key:
        return State.UNRECORDED
    return State.STRAYS if len(sight.keys) > 1 else State.HEALTHY


def derive(root: str, bucket: str, tenant: Tenant) -> Credentials:
    """The key that a tenant gets where the caller may choose its values.

    The same for the same Profile and generation, so that nothing has to be kept to make it again;
    nobody can compute it without ``root``, the administrator's own secret.
    """
    context = [bucket, tenant.namespace, tenant.uid, tenant.generation]
    digest = hmac.digest(root.encode(), json.dumps(context).encode(), hashlib.sha512)
    return Credentials(
        access_key="PC" + base64.b32encode(digest[:15]).decode()[:22],
        secret_key=digest[15:35].hex(),
    )


def to_create(sight: Sight, known: Known) -> Credentials | None:
    """The values of the key to create, the fewest changes for running pipelines first.

    A key that the store has lost comes back with its values, if it is known as the tenant's: what a
    Secret says alone could have been written by anybody who may edit Secrets. None where the store
    chooses them.
    """
    if known.derived is None or sight.keys or sight.record is None:
        return known.derived
    recorded = sight.record.access_key
    lost = (one for one in (known.remembered, known.held) if one and one.access_key == recorded)
    return next(lost, known.derived)
