"""The states of a namespace's account in the object store. Pure.

docs/designs/0003-object-store-keys.md describes the life of a key and what a failure of each step
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

from controllers.findings import Finding
from controllers.pipelines import names
from controllers.pipelines.objectstore import policies
from controllers.pipelines.objectstore.spec import AccountSpec, Credentials, OldObjects


class KeyAccess(Enum):
    """What the S3 API allows with a key."""

    RESTRICTED = "the key is valid and cannot read objects outside of the tenants' prefixes"
    TOO_BROAD = "the key is valid and can read objects outside of the tenants' prefixes"
    WRONG_SECRET = "the access key exists, and the secret is wrong"  # noqa: S105 - a description
    UNKNOWN_KEY = "the S3 API does not know the access key"


class AccountState(Enum):
    """The state of an account: the first that applies, in this order."""

    FOREIGN_USER = "a user of the namespace's name exists that neither we nor KFP created"
    ORPHANED_DATA = "an earlier tenant's objects exist, and their fate is not decided"
    UNCLAIMED = "no tenant has the account, or an earlier one whose account can be taken over"
    KEY_OUTDATED = "the Profile requests another generation of the key"
    USER_MISSING = "the owner is recorded, and the user does not exist"
    POLICY_DRIFT = "the user's policy is missing or differs"
    PROPAGATING = "the IAM API lists the key, and the S3 API does not know it yet"
    KEY_DISABLED = "a person deactivated the key"
    KEY_MISSING = "the user has no active key whose secret is known"
    KEY_NOT_RECORDED = "the active key is not the recorded one"
    EXTRA_KEYS = "the user has keys beside the one in use"
    IN_SYNC = "user, policy and key are as desired"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerRecord:
    """Whose account it is, stored as an object in the bucket."""

    uid: str
    """The Profile's; empty: none (KFP's controller, the webhook)."""
    generation: str = ""
    access_key: str = ""
    """The key in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKeys:
    """Keys whose secret is known, active or not.

    ``in_secret`` is in the namespace's Secret. ``issued`` is what this process returned last for
    the Profile. ``derived`` is the one to create where the caller chooses a key's values.
    """

    in_secret: Credentials | None = None
    issued: Credentials | None = None
    derived: Credentials | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedKey:
    """A known key that the store lists as active, and what the S3 API allows with it."""

    credentials: Credentials
    access: KeyAccess


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedAccount:
    """An account as it is in the store."""

    record: OwnerRecord | None = None
    user_exists: bool = False
    has_kfp_policy: bool = False
    """The user has the inline policy that KFP's own controller gives it, too."""
    policy_in_sync: bool = False
    is_administrator: bool = False
    """The user is the one that the controller itself authenticates as."""
    keys: Mapping[str, bool] = field(default_factory=dict)
    """All keys of the user: access key -> whether it is active."""
    checked_keys: tuple[CheckedKey, ...] = ()
    secret_has_valid_key: bool = False
    """The Secret holds a working key of the user, so that the tenant is the same as before."""
    has_old_objects: bool = False

    @property
    def valid_key(self) -> CheckedKey | None:
        """The key to use: the recorded one if it is valid, else the first valid one."""
        recorded = self.record.access_key if self.record else ""
        valid = [one for one in self.checked_keys if one.access in _VALID]
        return min(valid, key=lambda one: one.credentials.access_key != recorded, default=None)

    @property
    def key(self) -> Credentials:
        """The credentials of ``valid_key``; only in states that have one."""
        if self.valid_key is None:
            raise AssertionError("the account has no valid key in this state")
        return self.valid_key.credentials

    @property
    def is_continued(self) -> bool:
        """Whether the tenant is the one that the account was created for.

        This can be known only where no Profile is recorded: KFP's controller and the webhook record
        none.
        """
        return self.secret_has_valid_key and (self.record is None or not self.record.uid)


_VALID = (KeyAccess.RESTRICTED, KeyAccess.TOO_BROAD)


def determine_state(spec: AccountSpec, observed: ObservedAccount) -> AccountState:
    """Return the first state that applies."""
    record = observed.record
    unmanaged = observed.user_exists and record is None and not observed.has_kfp_policy
    if observed.is_administrator or unmanaged:
        return AccountState.FOREIGN_USER
    if record is None or record.uid != spec.uid:
        return _unclaimed_state(spec, observed)
    if record.generation != spec.generation:
        return AccountState.KEY_OUTDATED
    if not observed.user_exists:
        return AccountState.USER_MISSING
    if not observed.policy_in_sync:
        return AccountState.POLICY_DRIFT
    return _key_state(observed, record)


def _unclaimed_state(spec: AccountSpec, observed: ObservedAccount) -> AccountState:
    undecided = old_objects_decision(spec, observed.record) is OldObjects.REFUSE
    if observed.has_old_objects and undecided and not observed.is_continued:
        return AccountState.ORPHANED_DATA
    return AccountState.UNCLAIMED


def _key_state(observed: ObservedAccount, record: OwnerRecord) -> AccountState:
    valid = observed.valid_key
    if valid is None:
        if any(one.access is KeyAccess.UNKNOWN_KEY for one in observed.checked_keys):
            return AccountState.PROPAGATING
        if False in observed.keys.values():
            return AccountState.KEY_DISABLED
        return AccountState.KEY_MISSING
    if valid.access is not KeyAccess.RESTRICTED:
        return AccountState.POLICY_DRIFT
    if valid.credentials.access_key != record.access_key:
        return AccountState.KEY_NOT_RECORDED
    return AccountState.EXTRA_KEYS if len(observed.keys) > 1 else AccountState.IN_SYNC


def old_objects_decision(spec: AccountSpec, record: OwnerRecord | None) -> OldObjects:
    """Return what happens to the objects under the tenant's prefixes.

    A setting for all tenants archives or purges only the objects of a recorded Profile, which is
    known to be gone. Without a record the objects may be the tenant's own, from the time of KFP's
    controller or of the webhook: only the Profile's annotation decides about them.
    """
    known_owner = spec.uid and record is not None and record.uid
    if spec.old_objects_by_default and not known_owner:
        return OldObjects.ACCEPT if spec.old_objects is OldObjects.ACCEPT else OldObjects.REFUSE
    return spec.old_objects


def derive_key(root: str, bucket: str, spec: AccountSpec) -> Credentials:
    """Return the key of an account where the caller chooses its values.

    It is the same for the same Profile and generation, so that it can be created again without
    having been stored. It cannot be computed without ``root``, the administrator's secret key.
    """
    context = [bucket, spec.namespace, spec.uid, spec.generation]
    digest = hmac.digest(root.encode(), json.dumps(context).encode(), hashlib.sha512)
    return Credentials(
        access_key="PC" + base64.b32encode(digest[:15]).decode()[:22],
        secret_key=digest[15:35].hex(),
    )


def key_to_create(observed: ObservedAccount, known: KnownKeys) -> Credentials | None:
    """Return the values of the key to create; None where the store chooses them.

    A recorded key that the store no longer has is created again with its values, so that running
    pipelines continue. A key that only a Secret contains is not: a tenant who edits Secrets could
    choose it.
    """
    if known.derived is None or observed.keys or observed.record is None:
        return known.derived
    recorded = observed.record.access_key
    for key in (known.issued, known.in_secret):
        if key is not None and key.access_key == recorded:
            return key
    return known.derived


def foreign_user(spec: AccountSpec, observed: ObservedAccount) -> Finding:
    """Return the finding of FOREIGN_USER."""
    whose = "was not created by KFP or this controller"
    if observed.is_administrator:
        whose = "is the administrator's own"
    return Finding(
        reason="ForeignUser",
        message=(
            f"user {spec.namespace} of the object store {whose}: delete or rename that user, or"
            " rename the Profile"
        ),
    )


def orphaned_data(spec: AccountSpec, observed: ObservedAccount) -> Finding:
    """Return the finding of ORPHANED_DATA."""
    prefixes = " and ".join(f"{one}*" for one in policies.own_prefixes(spec.namespace))
    whose = "an unknown tenant"
    if observed.record is not None:
        whose = f"Profile UID {observed.record.uid}" if observed.record.uid else "no Profile"
    what_to_do = (
        f"annotate the Profile with {names.OLD_OBJECTS_ANNOTATION}: accept, archive or purge"
    )
    if not spec.uid:
        what_to_do = "set old_objects: accept if they belong to this namespace"
    return Finding(
        reason="OldObjects",
        message=(
            f"{prefixes} contain objects of an earlier tenant ({whose}); the namespace gets no key"
            f" until it is decided what happens to them: {what_to_do}"
        ),
    )


def key_disabled(spec: AccountSpec, observed: ObservedAccount) -> Finding:
    """Return the finding of KEY_DISABLED."""
    inactive = ", ".join(key for key, active in observed.keys.items() if not active)
    return Finding(
        reason="KeyDisabled",
        message=(
            f"access key {inactive} of user {spec.namespace} is deactivated: activate it, or delete"
            " it to get a new one"
        ),
    )
