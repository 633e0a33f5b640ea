"""The S3 API: owner records, objects of earlier tenants, the bucket's policy, access of keys.

All functions block.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from botocore import exceptions
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SigningCredentials
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from controllers.pipelines.objectstore import policies
from controllers.pipelines.objectstore.account import KeyAccess, OwnerRecord
from controllers.pipelines.objectstore.clients import (
    NO_SUCH_BUCKET,
    NO_SUCH_BUCKET_HELP,
    Clients,
    code_of,
    request,
)
from controllers.pipelines.objectstore.provider import (
    StoreConfig,
    rejected,
    unavailable,
    unfinished,
)
from controllers.pipelines.objectstore.spec import Credentials
from controllers.runtime.external.errors import Scope

if TYPE_CHECKING:  # stubs, which only the type checker needs
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

_NO_SUCH_KEY = "NoSuchKey"
_NO_OBJECT_CODES = frozenset({_NO_SUCH_KEY, "404"})
_NO_LIFECYCLE = "NoSuchLifecycleConfiguration"
_UNVERSIONED = "null"
_BATCH_SIZE = 500
_MAX_MOVE_SECONDS = 60.0
"""No further object is moved in one call after this time: large objects take long."""
_FOUND = 200
_ERROR_CODE = re.compile(rb"<Code>(\w+)</Code>")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """Versions of objects and delete markers, sorted by key."""

    versions: list[Mapping[str, Any]]
    truncated: bool


class Bucket:
    """One bucket. Every method raises ExternalError and may be repeated."""

    def __init__(
        self,
        clients: Clients,
        config: StoreConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        batch_size: int = _BATCH_SIZE,
    ) -> None:
        """One call archives or purges at most ``batch_size`` objects of a prefix."""
        self._s3 = clients.s3
        self._clock = clock
        self._name = config.bucket
        self._batch_size = batch_size
        self._records = config.records
        self._endpoint = f"{clients.s3.meta.endpoint_url}/{self._name}"

    # -- owner records: one object per account, under a prefix that no tenant can access ----------

    def record_key(self, namespace: str) -> str:
        """Return the key of the account's owner record."""
        return f"{self._records}users/{namespace}"

    def list_records(self) -> dict[str, str]:
        """Return the namespaces with a record, and the entity tag of each."""
        prefix = self.record_key("")
        with request(f"ListObjectsV2 {prefix}", self._endpoint):
            pages = self._s3.get_paginator("list_objects_v2")
            return {
                one["Key"].removeprefix(prefix): one["ETag"]
                for page in pages.paginate(Bucket=self._name, Prefix=prefix)
                for one in page.get("Contents", ())
            }

    def read_record(self, namespace: str) -> OwnerRecord | None:
        """Return the account's owner record, or None."""
        key = self.record_key(namespace)
        with request(f"GetObject {key}", self._endpoint):
            try:
                body = self._s3.get_object(Bucket=self._name, Key=key)["Body"].read()
            except exceptions.ClientError as error:
                if code_of(error) not in _NO_OBJECT_CODES:
                    raise
                return None
        try:
            return OwnerRecord(**json.loads(body))
        except (TypeError, ValueError):
            message = f"{key} at {self._endpoint} is not a valid owner record: restore or delete it"
            raise rejected(message) from None

    def write_record(self, namespace: str, record: OwnerRecord) -> None:
        """Create or replace the record."""
        key = self.record_key(namespace)
        with request(f"PutObject {key}", self._endpoint):
            self._s3.put_object(
                Bucket=self._name,
                Key=key,
                Body=json.dumps(asdict(record)).encode(),
                ContentType="application/json",
            )

    def delete_record(self, namespace: str) -> None:
        """Delete the record, if it exists."""
        key = self.record_key(namespace)
        with request(f"DeleteObject {key}", self._endpoint):
            self._s3.delete_object(Bucket=self._name, Key=key)

    # -- objects of an earlier tenant -------------------------------------------------------------
    # They are listed by version: the bucket's policy denies s3:ListBucket on the tenants' prefixes
    # to administrators, too.

    def has_objects(self, namespace: str) -> bool:
        """Return whether an object exists under the tenant's own prefixes."""
        return any(self._page(prefix, 1).versions for prefix in policies.own_prefixes(namespace))

    def archive(self, namespace: str, new_uid: str) -> None:
        """Move the latest version of the objects under the tenant's own prefixes.

        The target is ``<records>archive/<namespace>/before-<new_uid>/``. Raises the error
        ``unfinished`` while objects remain.
        """
        target = f"{self._records}archive/{namespace}/before-{new_uid or 'no-profile'}/"
        deadline = self._clock() + _MAX_MOVE_SECONDS
        for prefix in policies.own_prefixes(namespace):
            page = self._page(prefix, self._batch_size)
            # Older versions go first: without the latest one, another would become the latest.
            older = [one for one in page.versions if not one["IsLatest"]]
            if older:
                self._delete(prefix, older)
                continue
            moved = []
            # Older versions of the last object may be on the next page.
            for version in page.versions[:-1] if page.truncated else page.versions:
                self._move(version, target)
                moved.append(version)
                if self._clock() > deadline:
                    break
            self._delete(prefix, moved)
        self._check_no_objects(namespace)

    def purge(self, namespace: str) -> None:
        """Delete all versions of the objects under the tenant's own prefixes.

        Raises the error ``unfinished`` while objects remain.
        """
        for prefix in policies.own_prefixes(namespace):
            self._delete(prefix, self._page(prefix, self._batch_size).versions)
        self._check_no_objects(namespace)

    def _move(self, version: Mapping[str, Any], target: str) -> None:
        """Copy an object; delete markers, which have no size, are skipped."""
        key = version["Key"]
        if "Size" not in version:
            return
        with request(f"CopyObject {key} to {target}", self._endpoint):
            source = {"Bucket": self._name, "Key": key}
            self._s3.copy(source, self._name, f"{target}{key}")  # type: ignore[arg-type]

    def _check_no_objects(self, namespace: str) -> None:
        if self.has_objects(namespace):
            raise unfinished(f"objects of an earlier tenant of {namespace} remain; will continue")

    def _page(self, prefix: str, size: int) -> _Page:
        with request(f"ListObjectVersions {prefix}", self._endpoint):
            page = self._s3.list_object_versions(Bucket=self._name, Prefix=prefix, MaxKeys=size)
        versions: list[Mapping[str, Any]] = [
            *page.get("Versions", ()),
            *page.get("DeleteMarkers", ()),
        ]
        versions.sort(key=lambda one: one["Key"])
        return _Page(versions=versions, truncated=page.get("IsTruncated", False))

    def _delete(self, prefix: str, versions: list[Mapping[str, Any]]) -> None:
        if not versions:
            return
        identifiers: list[ObjectIdentifierTypeDef] = [
            {"Key": one["Key"]}
            if one.get("VersionId", _UNVERSIONED) == _UNVERSIONED
            else {"Key": one["Key"], "VersionId": one["VersionId"]}
            for one in versions
        ]
        with request(f"DeleteObjects {prefix}", self._endpoint):
            response = self._s3.delete_objects(
                Bucket=self._name, Delete={"Objects": identifiers, "Quiet": True}
            )
        for error in response.get("Errors", ()):
            message = f"DeleteObjects at {self._endpoint}: {error.get('Key')}: {error.get('Code')}"
            raise rejected(message)

    # -- the bucket -------------------------------------------------------------------------------

    def policy(self) -> Mapping[str, Any] | None:
        """Return the bucket's policy, or None."""
        with request("GetBucketPolicy", self._endpoint):
            try:
                text = self._s3.get_bucket_policy(Bucket=self._name)["Policy"]
            except exceptions.ClientError as error:
                if code_of(error) != "NoSuchBucketPolicy":
                    raise
                return None
        policy = json.loads(text)
        return policy if isinstance(policy, Mapping) else None

    def put_policy(self, policy: Mapping[str, Any]) -> None:
        """Create or replace the bucket's policy."""
        with request("PutBucketPolicy", self._endpoint):
            self._s3.put_bucket_policy(Bucket=self._name, Policy=json.dumps(policy))

    def lifecycle(self) -> list[Mapping[str, Any]]:
        """Return the bucket's lifecycle rules."""
        with request("GetBucketLifecycleConfiguration", self._endpoint):
            try:
                found = self._s3.get_bucket_lifecycle_configuration(Bucket=self._name)
            except exceptions.ClientError as error:
                if code_of(error) != _NO_LIFECYCLE:
                    raise
                return []
        return [*found.get("Rules", ())]

    def put_lifecycle(self, rules: list[Mapping[str, Any]]) -> None:
        """Replace the lifecycle rules; without rules the configuration is deleted."""
        with request("PutBucketLifecycleConfiguration", self._endpoint):
            if rules:
                configuration: Any = {"Rules": rules}
                self._s3.put_bucket_lifecycle_configuration(
                    Bucket=self._name, LifecycleConfiguration=configuration
                )
            else:
                self._s3.delete_bucket_lifecycle(Bucket=self._name)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Response:
    """Status and S3 error code; the code is empty on success."""

    status: int
    code: str

    @property
    def allowed(self) -> bool:
        """Whether the object could be read, or could have been if it existed."""
        return self.status == _FOUND or self.code == _NO_SUCH_KEY


class KeyChecker:
    """Finds out what a tenant's key allows, by reading an object with it.

    One session serves all keys: a boto3 client for each would cost megabytes and milliseconds.
    """

    def __init__(self, clients: Clients, config: StoreConfig) -> None:
        self._base = f"{clients.s3.meta.endpoint_url.rstrip('/')}/{config.bucket}"
        self._region = config.region
        self._session = URLLib3Session(
            verify=clients.verify,  # type: ignore[arg-type]  # it accepts a path, too
            proxies=get_environ_proxies(self._base),
            timeout=math.ceil(config.timeout),
            max_pool_connections=config.workers,
        )

    def check(self, credentials: Credentials, forbidden_key: str) -> KeyAccess:
        """Return what the key allows; ``forbidden_key`` is an object that it must not read.

        Raises ExternalError if the response does not show it.
        """
        match self._read(credentials, forbidden_key):
            case _Response(code="InvalidAccessKeyId"):
                return KeyAccess.UNKNOWN_KEY
            case _Response(code="SignatureDoesNotMatch"):
                return KeyAccess.WRONG_SECRET
            case _Response(allowed=True):
                return KeyAccess.TOO_BROAD
            case _:
                return KeyAccess.RESTRICTED

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _read(self, credentials: Credentials, key: str) -> _Response:
        aws_request = AWSRequest(method="GET", url=f"{self._base}/{key}")
        signing = SigningCredentials(credentials.access_key, credentials.secret_key)
        S3SigV4Auth(signing, "s3", self._region).add_auth(aws_request)
        try:
            http_response = self._session.send(aws_request.prepare())
        except exceptions.BotoCoreError as error:
            raise unavailable(f"GetObject {key} with a tenant's key: {error}") from None
        found = _ERROR_CODE.search(http_response.content)
        response = _Response(
            status=http_response.status_code, code=found[1].decode() if found else ""
        )
        if response.status in {_FOUND, 403, 404} and response.code != NO_SUCH_BUCKET:
            return response
        where = f"GetObject {self._base}/{key} with a tenant's key"
        message = f"{where}: {response.status} {response.code}"
        if response.code == NO_SUCH_BUCKET:
            raise rejected(f"{message}{NO_SUCH_BUCKET_HELP}", scope=Scope.SYSTEM)
        raise unavailable(message)
