"""Brings one account from any state to its key, step by step. Blocking; one call a namespace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import structlog

from controllers.pipelines.objectstore import account, observe, policies
from controllers.pipelines.objectstore.account import Known, Record, Sight, State
from controllers.pipelines.objectstore.observe import Parts
from controllers.pipelines.objectstore.provider import (
    Credentials,
    Decision,
    Refusal,
    RejectedError,
    Tenant,
    UnfinishedError,
)
from controllers.pipelines.objectstore.refusals import refusal

logger = structlog.stdlib.get_logger(__name__)

_STEPS = 12
"""More than any way from a state to HEALTHY has."""
_TO_COME = Credentials(access_key="(of the store)", secret_key="(of the store)")  # noqa: S106 - says so


def ensure(parts: Parts, root: str | None, tenant: Tenant, known: Known) -> Credentials | Refusal:
    """The tenant's key, or why there is none; see ``stores.ObjectStore.ensure``.

    ``root`` is the secret that keys are derived from; None where the store chooses their values.
    Every step leaves the account in a state from which the next call goes on.
    """
    if root is not None:
        derived = account.derive(root, parts.connection.bucket, tenant)
        known = replace(known, derived=derived)
    work = _Work(parts, tenant, known)
    for _ in range(_STEPS):
        sight = observe.look(parts, tenant, work.known, put=work.put)
        state = account.determine_state(tenant, sight)
        if parts.connection.dry_run:
            return _foresee(state, sight, tenant, known)
        if _changes_something(state, sight):
            logger.info("account", namespace=work.name, state=state.name, seen=state.value)
        answer = work.answer(state, sight)
        if answer is not None:
            return answer
        work.step(state, sight)
    raise RejectedError(
        f"user {tenant.namespace} of the object store is still {state.name} ({state.value})"
        f" after {_STEPS} steps: somebody else changes it at the same time"
    )


def _changes_something(state: State, sight: Sight) -> bool:
    """Whether a state is acted upon, and not only told or waited for."""
    if state is State.HAUNTED:
        return bool(sight.keys)
    return state not in (State.HEALTHY, State.FOREIGN, State.DISABLED, State.SETTLING)


def remove(parts: Parts, namespace: str, uid: str) -> bool:
    """Removes keys, policies and user of an account that is recorded for this UID.

    The record goes last, so that what failed is done by the next call. False: it is recorded for
    another by now, or is the administrator's.
    """
    record = parts.bucket.record(namespace)
    if record is None or record.uid != uid:
        return False
    keys = parts.users.keys(namespace)
    if parts.is_administrator(keys):
        return False
    for access_key in keys:
        parts.users.delete_key(namespace, access_key)
    parts.users.delete(namespace)
    parts.bucket.delete_record(namespace)
    return True


class _Work:
    """One call of ``ensure``."""

    def __init__(self, parts: Parts, tenant: Tenant, known: Known) -> None:
        self.parts = parts
        self.tenant = tenant
        self.name = tenant.namespace
        self.known = known
        self.put = False

    def answer(self, state: State, sight: Sight) -> Credentials | Refusal | None:
        """What the call ends with in this state; None where there is a step to take first."""
        match state:
            case State.HAUNTED:
                self._cut(sight.keys)
            case State.STRAYS:
                used = sight.key.access_key
                self._cut(one for one in sight.keys if one != used)
            case State.SETTLING:
                message = f"the S3 API does not know the key of user {self.name} yet"
                raise UnfinishedError(message, after=1.0)
            case State.KEYLESS:
                return self._create(sight)
        if state in (State.HEALTHY, State.STRAYS):
            return sight.key
        return refusal(state, self.tenant, sight)

    def step(self, state: State, sight: Sight) -> None:
        """One step out of this state."""
        match state:
            case State.UNCLAIMED:
                self._take_over(sight)
            case State.OUTDATED:
                self._cut(sight.keys)
                self._claim(self.known.derived)
            case State.USERLESS:
                self.parts.users.create(self.name)
                self._guard()
            case State.UNGUARDED:
                self._guard()
            case State.UNRECORDED:
                self._claim(sight.key)

    def _take_over(self, sight: Sight) -> None:
        if account.is_continued(sight):
            self._claim(sight.key)
            return
        self._cut(sight.keys)
        if sight.objects:
            match account.decision(self.tenant, sight.record):
                case Decision.ARCHIVE:
                    self.parts.bucket.archive(self.name, self.tenant.uid)
                case Decision.PURGE:
                    self.parts.bucket.purge(self.name)
        self._claim(self.known.derived)

    def _claim(self, key: Credentials | None) -> None:
        record = Record(
            uid=self.tenant.uid,
            generation=self.tenant.generation,
            access_key=key.access_key if key else "",
        )
        self.parts.bucket.write_record(self.name, record)

    def _guard(self) -> None:
        document = policies.user_policy(self.parts.connection.bucket, self.name)
        self.parts.users.put_policy(self.name, policies.policy_name(self.name), document)
        self.put = True

    def _cut(self, keys: Iterable[str]) -> None:
        for access_key in list(keys):
            self.parts.users.delete_key(self.name, access_key)

    def _create(self, sight: Sight) -> Credentials | None:
        """Makes the key, after every other is gone; None where its ID is somebody else's."""
        self._cut(sight.keys)
        values = account.to_create(sight, self.known)
        if values and sight.record and values.access_key != sight.record.access_key:
            self._claim(values)
        made = self.parts.users.create_key(self.name, values)
        if made is None:
            if values == self.known.derived:
                if values and values.access_key in self.parts.users.keys(self.name):
                    return values  # another process of the suite made it a moment ago
                message = f"the key of user {self.name} is another user's: remove it there"
                raise RejectedError(message)
            self.known = Known(derived=self.known.derived)
        elif values is None:
            self._claim(made)
        return made


def _foresee(state: State, sight: Sight, tenant: Tenant, known: Known) -> Credentials | Refusal:
    """What ``ensure`` would end with, as far as it can be told without changing anything."""
    if refused := refusal(state, tenant, sight):
        return refused
    continued = state is not State.UNCLAIMED or account.is_continued(sight)
    if sight.chosen is not None and continued and state is not State.OUTDATED:
        return sight.key
    return known.derived or _TO_COME
