"""Looks at one account in the store. Blocking; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from controllers.pipelines.objectstore import policies
from controllers.pipelines.objectstore.account import Candidate, Known, Record, Sight, Verdict
from controllers.pipelines.objectstore.provider import Connection, Credentials, Tenant


class Users(Protocol):
    """As ``identities.Users``."""

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
    """As ``buckets.Bucket``, of which this needs what is about one account."""

    def record_key(self, namespace: str) -> str: ...
    def record(self, namespace: str) -> Record | None: ...
    def write_record(self, namespace: str, record: Record) -> None: ...
    def delete_record(self, namespace: str) -> None: ...
    def has_objects(self, namespace: str) -> bool: ...
    def archive(self, namespace: str, before: str) -> None: ...
    def purge(self, namespace: str) -> None: ...


class Prober(Protocol):
    """As ``probes.Prober``."""

    def verdict(self, credentials: Credentials, record: str) -> Verdict: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The store's parts, and how it is reached."""

    users: Users
    bucket: Bucket
    prober: Prober
    connection: Connection

    def is_administrator(self, keys: Mapping[str, bool]) -> bool:
        """Whether these are the keys of the user that we act as."""
        credentials = self.connection.credentials
        return credentials is not None and credentials.access_key in keys


def look(parts: Parts, tenant: Tenant, known: Known, *, put: bool) -> Sight:
    """What is there. ``put``: the policy was put just now, and the S3 API may not know it yet."""
    users, bucket, name = parts.users, parts.bucket, tenant.namespace
    policy = policies.policy_name(name)
    record = bucket.record(name)
    found = users.policy(name, policy)
    exists = found is not None or users.exists(name)
    keys = users.keys(name) if exists else {}
    if parts.is_administrator(keys):
        return Sight(user=True, administrator=True, keys=keys)
    claimed = record is not None and record.uid == tenant.uid
    wanted = policies.user_policy(parts.connection.bucket, name)
    sight = Sight(
        record=record,
        user=exists,
        kfps=record is None and exists and policy in users.policies(name),
        guarded=found is not None and (put or policies.same(found, wanted)),
        keys=keys,
        candidates=tuple(_candidates(parts, name, keys, known, put=put)),
        objects=not claimed and bucket.has_objects(name),
    )
    chosen = sight.chosen
    proven = known.held is not None and chosen is not None and chosen.credentials == known.held
    return replace(sight, proven=proven)


def _candidates(
    parts: Parts, name: str, keys: Mapping[str, bool], known: Known, *, put: bool
) -> Iterator[Candidate]:
    """The known keys that are live, each once."""
    record = parts.bucket.record_key(name)
    ours = (known.derived, known.remembered, known.held)
    live = {(one.access_key, one.secret_key): one for one in ours if one}
    for one in live.values():
        if not keys.get(one.access_key):
            continue
        verdict = parts.prober.verdict(one, record)
        late = put and verdict is Verdict.WIDE
        yield Candidate(credentials=one, verdict=Verdict.WORKS if late else verdict)
