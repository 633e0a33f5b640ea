"""Reconciles one account: observe it, determine its state, act. All functions block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from controllers.findings import Finding
from controllers.pipelines.objectstore import account, policies
from controllers.pipelines.objectstore.account import (
    AccountState,
    CheckedKey,
    KeyAccess,
    KnownKeys,
    ObservedAccount,
    OwnerRecord,
)
from controllers.pipelines.objectstore.provider import StoreConfig, rejected, unfinished
from controllers.pipelines.objectstore.spec import AccountSpec, Credentials, OldObjects

logger = structlog.stdlib.get_logger(__name__)

_MAX_STEPS = 12
"""More than any path from a state to IN_SYNC has."""
PLACEHOLDER = Credentials(access_key="(of the store)", secret_key="(of the store)")  # noqa: S106 - no key
"""A key that a dry run cannot know."""


class Users(Protocol):
    """As ``iam.Users``."""

    def exists(self, user: str) -> bool: ...
    def create(self, user: str) -> None: ...
    def delete(self, user: str) -> None: ...
    def policies(self, user: str) -> list[str]: ...
    def policy(self, user: str, name: str) -> Mapping[str, Any] | None: ...
    def put_policy(self, user: str, name: str, document: Mapping[str, Any]) -> None: ...
    def keys(self, user: str) -> dict[str, bool]: ...
    def create_key(self, user: str, values: Credentials | None) -> Credentials | None: ...
    def delete_key(self, user: str, access_key: str) -> None: ...


class Bucket(Protocol):
    """The part of ``s3.Bucket`` that concerns one account."""

    def record_key(self, namespace: str) -> str: ...
    def read_record(self, namespace: str) -> OwnerRecord | None: ...
    def write_record(self, namespace: str, record: OwnerRecord) -> None: ...
    def delete_record(self, namespace: str) -> None: ...
    def has_objects(self, namespace: str) -> bool: ...
    def archive(self, namespace: str, new_uid: str) -> None: ...
    def purge(self, namespace: str) -> None: ...


class KeyChecker(Protocol):
    """As ``s3.KeyChecker``."""

    def check(self, credentials: Credentials, forbidden_key: str) -> KeyAccess: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountApi:
    """The APIs that an account is managed with."""

    users: Users
    bucket: Bucket
    checker: KeyChecker
    config: StoreConfig

    def is_administrator(self, keys: Mapping[str, bool]) -> bool:
        """Return whether one of the keys is the controller's own."""
        credentials = self.config.credentials
        return credentials is not None and credentials.access_key in keys


def observe(
    api: AccountApi, spec: AccountSpec, known: KnownKeys, *, policy_written: bool
) -> ObservedAccount:
    """Read the account.

    ``policy_written``: this call has just written the policy, and the S3 API may lag behind.
    """
    users, bucket, name = api.users, api.bucket, spec.namespace
    policy_name = policies.policy_name(name)
    record = bucket.read_record(name)
    policy = users.policy(name, policy_name)
    exists = policy is not None or users.exists(name)
    keys = users.keys(name) if exists else {}
    if api.is_administrator(keys):
        return ObservedAccount(user_exists=True, is_administrator=True, keys=keys)
    claimed = record is not None and record.uid == spec.uid
    wanted = policies.user_policy(api.config.bucket, name)
    observed = ObservedAccount(
        record=record,
        user_exists=exists,
        has_kfp_policy=record is None and exists and policy_name in users.policies(name),
        policy_in_sync=policy is not None and (policy_written or policies.same(policy, wanted)),
        keys=keys,
        checked_keys=tuple(_check_keys(api, name, keys, known, policy_written=policy_written)),
        has_old_objects=not claimed and bucket.has_objects(name),
    )
    valid = observed.valid_key
    in_use = valid is not None and valid.credentials == known.in_secret
    return replace(observed, secret_has_valid_key=in_use)


def _check_keys(
    api: AccountApi,
    name: str,
    keys: Mapping[str, bool],
    known: KnownKeys,
    *,
    policy_written: bool,
) -> Iterator[CheckedKey]:
    """Check each known key that is active, once."""
    forbidden = api.bucket.record_key(name)
    candidates = (known.derived, known.issued, known.in_secret)
    distinct = {(one.access_key, one.secret_key): one for one in candidates if one}
    for one in distinct.values():
        if not keys.get(one.access_key):
            continue
        access = api.checker.check(one, forbidden)
        lags = policy_written and access is KeyAccess.TOO_BROAD
        yield CheckedKey(credentials=one, access=KeyAccess.RESTRICTED if lags else access)


def ensure_key(
    api: AccountApi, root: str | None, spec: AccountSpec, known: KnownKeys
) -> Credentials | Finding:
    """Return the tenant's key, or why there is none; see ``ObjectStore.ensure_key``.

    ``root`` is the secret that keys are derived from; None where the store chooses their values.
    Every step leaves the account in a state from which the next call can continue.
    """
    if root is not None:
        known = replace(known, derived=account.derive_key(root, api.config.bucket, spec))
    reconcile = _Reconcile(api, spec, known)
    for _ in range(_MAX_STEPS):
        observed = observe(api, spec, reconcile.known, policy_written=reconcile.policy_written)
        state = account.determine_state(spec, observed)
        if api.config.dry_run:
            return _predict(state, spec, observed, known)
        if _is_change(state, observed):
            logger.info(
                "account", namespace=spec.namespace, state=state.name, description=state.value
            )
        result = reconcile.act(state, observed)
        if result is not None:
            return result
    raise rejected(
        f"user {spec.namespace} of the object store is still {state.name} ({state.value}) after"
        f" {_MAX_STEPS} steps: stop whatever else changes it"
    )


def delete_account(api: AccountApi, namespace: str, uid: str) -> bool:
    """Delete keys, policies and user of an account that is recorded for this UID.

    The record goes last, so that the next call continues after a failure. Returns False if another
    UID is recorded by now, or if the user is the administrator.
    """
    record = api.bucket.read_record(namespace)
    if record is None or record.uid != uid:
        return False
    keys = api.users.keys(namespace)
    if api.is_administrator(keys):
        return False
    for access_key in keys:
        api.users.delete_key(namespace, access_key)
    api.users.delete(namespace)
    api.bucket.delete_record(namespace)
    return True


def _is_change(state: AccountState, observed: ObservedAccount) -> bool:
    match state:
        case AccountState.ORPHANED_DATA:
            return bool(observed.keys)
        case (
            AccountState.IN_SYNC
            | AccountState.FOREIGN_USER
            | AccountState.KEY_DISABLED
            | AccountState.PROPAGATING
        ):
            return False
        case _:
            return True


class _Reconcile:
    """One call of ``ensure_key``."""

    def __init__(self, api: AccountApi, spec: AccountSpec, known: KnownKeys) -> None:
        self.known = known
        self.policy_written = False
        self._api = api
        self._spec = spec
        self._name = spec.namespace

    def act(  # noqa: C901, PLR0911 - one case for each state
        self, state: AccountState, observed: ObservedAccount
    ) -> Credentials | Finding | None:
        """Act on the state. Returns the result of the call, or None to continue."""
        match state:
            case AccountState.FOREIGN_USER:
                return account.foreign_user(self._spec, observed)
            case AccountState.ORPHANED_DATA:
                self._delete_keys(observed.keys)
                return account.orphaned_data(self._spec, observed)
            case AccountState.UNCLAIMED:
                self._take_over(observed)
            case AccountState.KEY_OUTDATED:
                self._delete_keys(observed.keys)
                self._write_record(self.known.derived)
            case AccountState.USER_MISSING:
                self._api.users.create(self._name)
                self._write_policy()
            case AccountState.POLICY_DRIFT:
                self._write_policy()
            case AccountState.PROPAGATING:
                raise unfinished(f"the S3 API does not know the key of user {self._name} yet")
            case AccountState.KEY_DISABLED:
                return account.key_disabled(self._spec, observed)
            case AccountState.KEY_MISSING:
                return self._create_key(observed)
            case AccountState.KEY_NOT_RECORDED:
                self._write_record(observed.key)
            case AccountState.EXTRA_KEYS:
                in_use = observed.key.access_key
                self._delete_keys(one for one in observed.keys if one != in_use)
                return observed.key
            case AccountState.IN_SYNC:
                return observed.key
        return None

    def _take_over(self, observed: ObservedAccount) -> None:
        if observed.is_continued:
            self._write_record(observed.key)
            return
        self._delete_keys(observed.keys)
        if observed.has_old_objects:
            match account.old_objects_decision(self._spec, observed.record):
                case OldObjects.ARCHIVE:
                    self._api.bucket.archive(self._name, self._spec.uid)
                case OldObjects.PURGE:
                    self._api.bucket.purge(self._name)
        self._write_record(self.known.derived)

    def _write_record(self, key: Credentials | None) -> None:
        record = OwnerRecord(
            uid=self._spec.uid,
            generation=self._spec.generation,
            access_key=key.access_key if key else "",
        )
        self._api.bucket.write_record(self._name, record)

    def _write_policy(self) -> None:
        document = policies.user_policy(self._api.config.bucket, self._name)
        self._api.users.put_policy(self._name, policies.policy_name(self._name), document)
        self.policy_written = True

    def _delete_keys(self, access_keys: Iterable[str]) -> None:
        for access_key in list(access_keys):
            self._api.users.delete_key(self._name, access_key)

    def _create_key(self, observed: ObservedAccount) -> Credentials | None:
        """Create the key after deleting all others; None if its access key exists already."""
        self._delete_keys(observed.keys)
        values = account.key_to_create(observed, self.known)
        if values and observed.record and values.access_key != observed.record.access_key:
            self._write_record(values)
        created = self._api.users.create_key(self._name, values)
        if created is not None:
            if values is None:
                self._write_record(created)
            return created
        if values != self.known.derived:
            self.known = KnownKeys(derived=self.known.derived)
            return None
        if values and values.access_key in self._api.users.keys(self._name):
            return values  # another process of this suite has just created it
        raise rejected(
            f"access key of user {self._name} belongs to another user of the object store:"
            " delete it there"
        )


def _predict(
    state: AccountState, spec: AccountSpec, observed: ObservedAccount, known: KnownKeys
) -> Credentials | Finding:
    """Return the result of ``ensure_key`` as far as it is known without changes (a dry run)."""
    match state:
        case AccountState.FOREIGN_USER:
            return account.foreign_user(spec, observed)
        case AccountState.ORPHANED_DATA:
            return account.orphaned_data(spec, observed)
        case AccountState.KEY_DISABLED:
            return account.key_disabled(spec, observed)
        case AccountState.KEY_OUTDATED:
            return known.derived or PLACEHOLDER
        case AccountState.UNCLAIMED if not observed.is_continued:
            return known.derived or PLACEHOLDER
    return observed.key if observed.valid_key else known.derived or PLACEHOLDER
