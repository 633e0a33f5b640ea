"""What the S3 API is asked for: records, old objects, the bucket's policy and rules. Blocking."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from botocore import exceptions

from controllers.pipelines.objectstore import policies
from controllers.pipelines.objectstore.account import Record
from controllers.pipelines.objectstore.clients import Clients, asking, code_of
from controllers.pipelines.objectstore.provider import Connection, RejectedError, UnfinishedError

if TYPE_CHECKING:  # stubs, which only the gate has
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

_NO_OBJECT = frozenset({"NoSuchKey", "404"})
_NO_LIFECYCLE = "NoSuchLifecycleConfiguration"
_UNVERSIONED = "null"
_BATCH = 500
_LONGEST = 60.0
"""Seconds after which no further object is moved in one call: large ones take their time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """Versions of objects and marks of deletion, by key; whether there are more behind them."""

    versions: list[Mapping[str, Any]]
    truncated: bool


class Bucket:
    """One bucket. Every method raises UnavailableError or RejectedError, and may be repeated."""

    def __init__(
        self, clients: Clients, connection: Connection, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Asks nothing yet."""
        self._s3 = clients.s3
        self._clock = clock
        self._name = connection.bucket
        self.batch = _BATCH
        """Objects of a prefix that one call archives or purges; more are left to the next."""
        self._records = connection.records
        self._endpoint = f"{clients.s3.meta.endpoint_url}/{self._name}"

    # Records: an object for each account, which no tenant's policy reaches.

    def record_key(self, namespace: str) -> str:
        """Where it is recorded whose account the namespace's user is."""
        return f"{self._records}users/{namespace}"

    def records(self) -> dict[str, str]:
        """Namespaces with a record, and the record's entity tag, which changes with it."""
        prefix = self.record_key("")
        with asking(f"ListObjectsV2 {prefix}", self._endpoint):
            pages = self._s3.get_paginator("list_objects_v2")
            return {
                one["Key"].removeprefix(prefix): one["ETag"]
                for page in pages.paginate(Bucket=self._name, Prefix=prefix)
                for one in page.get("Contents", ())
            }

    def record(self, namespace: str) -> Record | None:
        """What is recorded of the account; None when nothing is."""
        key = self.record_key(namespace)
        with asking(f"GetObject {key}", self._endpoint):
            try:
                body = self._s3.get_object(Bucket=self._name, Key=key)["Body"].read()
            except exceptions.ClientError as error:
                if code_of(error) not in _NO_OBJECT:
                    raise
                return None
        try:
            return Record(**json.loads(body))
        except (TypeError, ValueError):
            message = f"{key} at {self._endpoint} is no record of ours: restore or remove it"
            raise RejectedError(message) from None

    def write_record(self, namespace: str, record: Record) -> None:
        """Makes or replaces the record."""
        key = self.record_key(namespace)
        with asking(f"PutObject {key}", self._endpoint):
            self._s3.put_object(
                Bucket=self._name,
                Key=key,
                Body=json.dumps(asdict(record)).encode(),
                ContentType="application/json",
            )

    def delete_record(self, namespace: str) -> None:
        """Removes the record; one that is gone is fine."""
        key = self.record_key(namespace)
        with asking(f"DeleteObject {key}", self._endpoint):
            self._s3.delete_object(Bucket=self._name, Key=key)

    # Objects of an earlier tenant. They are found by version: the bucket's policy keeps even
    # administrators from listing by s3:ListBucket what is a tenant's own.

    def has_objects(self, namespace: str) -> bool:
        """Whether anything is under the tenant's own prefixes."""
        return any(self._page(prefix, 1).versions for prefix in policies.own_prefixes(namespace))

    def archive(self, namespace: str, before: str) -> None:
        """Moves the latest version of everything under the tenant's own prefixes.

        To ``<records>archive/<namespace>/before-<before>/``. Raises UnfinishedError while there is
        more.
        """
        target = f"{self._records}archive/{namespace}/before-{before or 'no-profile'}/"
        enough = self._clock() + _LONGEST
        for prefix in policies.own_prefixes(namespace):
            page = self._page(prefix, self.batch)
            # Older versions go first: with the latest gone, one of them would be taken for it.
            older = [one for one in page.versions if not one["IsLatest"]]
            if older:
                self._delete(prefix, older)
                continue
            moved = []
            # Older versions of the last one may be on the next page.
            for version in page.versions[:-1] if page.truncated else page.versions:
                self._move(version, target)
                moved.append(version)
                if self._clock() > enough:
                    break
            self._delete(prefix, moved)
        self._must_be_clear(namespace)

    def purge(self, namespace: str) -> None:
        """Deletes every version of everything there. Raises UnfinishedError while there is more."""
        for prefix in policies.own_prefixes(namespace):
            self._delete(prefix, self._page(prefix, self.batch).versions)
        self._must_be_clear(namespace)

    def _move(self, version: Mapping[str, Any], target: str) -> None:
        """Copies an object; a mark of deletion is none."""
        key = version["Key"]
        if "Size" not in version:
            return
        with asking(f"CopyObject {key} to {target}", self._endpoint):
            source = {"Bucket": self._name, "Key": key}
            self._s3.copy(source, self._name, f"{target}{key}")  # type: ignore[arg-type]

    def _must_be_clear(self, namespace: str) -> None:
        if self.has_objects(namespace):
            message = f"more objects of an earlier tenant of {namespace} are to be cleared"
            raise UnfinishedError(message, after=1.0)

    def _page(self, prefix: str, most: int) -> _Page:
        with asking(f"ListObjectVersions {prefix}", self._endpoint):
            page = self._s3.list_object_versions(Bucket=self._name, Prefix=prefix, MaxKeys=most)
        found: list[Mapping[str, Any]] = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        found.sort(key=lambda one: one["Key"])
        return _Page(versions=found, truncated=page.get("IsTruncated", False))

    def _delete(self, prefix: str, versions: list[Mapping[str, Any]]) -> None:
        if not versions:
            return
        doomed: list[ObjectIdentifierTypeDef] = [
            {"Key": one["Key"]}
            if one.get("VersionId", _UNVERSIONED) == _UNVERSIONED
            else {"Key": one["Key"], "VersionId": one["VersionId"]}
            for one in versions
        ]
        with asking(f"DeleteObjects {prefix}", self._endpoint):
            answer = self._s3.delete_objects(
                Bucket=self._name, Delete={"Objects": doomed, "Quiet": True}
            )
        for error in answer.get("Errors", ()):
            message = f"DeleteObjects at {self._endpoint}: {error.get('Key')}: {error.get('Code')}"
            raise RejectedError(message)

    # The bucket itself.

    def policy(self) -> Mapping[str, Any] | None:
        """The bucket's policy; None where there is none."""
        with asking("GetBucketPolicy", self._endpoint):
            try:
                text = self._s3.get_bucket_policy(Bucket=self._name)["Policy"]
            except exceptions.ClientError as error:
                if code_of(error) != "NoSuchBucketPolicy":
                    raise
                return None
        found = json.loads(text)
        return found if isinstance(found, Mapping) else None

    def put_policy(self, policy: Mapping[str, Any]) -> None:
        """Makes or replaces it."""
        with asking("PutBucketPolicy", self._endpoint):
            self._s3.put_bucket_policy(Bucket=self._name, Policy=json.dumps(policy))

    def lifecycle(self) -> list[Mapping[str, Any]]:
        """The bucket's lifecycle rules."""
        with asking("GetBucketLifecycleConfiguration", self._endpoint):
            try:
                found = self._s3.get_bucket_lifecycle_configuration(Bucket=self._name)
            except exceptions.ClientError as error:
                if code_of(error) != _NO_LIFECYCLE:
                    raise
                return []
        return [*found.get("Rules", ())]

    def put_lifecycle(self, rules: list[Mapping[str, Any]]) -> None:
        """Replaces them; none are as no configuration."""
        with asking("PutBucketLifecycleConfiguration", self._endpoint):
            if rules:
                configuration: Any = {"Rules": rules}
                self._s3.put_bucket_lifecycle_configuration(
                    Bucket=self._name, LifecycleConfiguration=configuration
                )
            else:
                self._s3.delete_bucket_lifecycle(Bucket=self._name)
