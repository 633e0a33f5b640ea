"""Object stores as the pipelines controller uses them. This module does not import boto3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from pydantic import SecretStr

from controllers.findings import Finding
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.objectstore.spec import AccountSpec, Credentials, DeletedAccount
from controllers.runtime.external.errors import ExternalError, Scope
from controllers.runtime.external.system import ComponentStatus

SYSTEM = "object-store"
UNAVAILABLE = "ObjectStoreUnavailable"
REJECTED = "ObjectStoreRejected"
UNFINISHED = "ObjectStoreUnfinished"


class Provider(Enum):
    """Where the keys of the namespaces come from."""

    SEAWEEDFS = "seaweedfs"
    """A user and a key per namespace; the caller chooses the key's values."""
    AWS = "aws"
    """A user and a key per namespace on any S3 and IAM API; the store chooses the key's values."""
    STATIC = "static"
    """One key for all namespaces, from the settings."""
    NONE = "none"
    """No Secret: pods have an identity of their own (workload identity)."""


def unavailable(message: str) -> ExternalError:
    """Return the error of a store that does not respond, or cannot serve the request now."""
    return ExternalError(UNAVAILABLE, message, scope=Scope.SYSTEM)


def unfinished(message: str) -> ExternalError:
    """Return the error of work that succeeded so far and continues with the next call."""
    return ExternalError(UNFINISHED, message, retry_after=1.0)


def rejected(message: str, *, scope: Scope = Scope.TENANT) -> ExternalError:
    """Return the error of a request that the store will reject until a person acts."""
    return ExternalError(REJECTED, message, scope=scope, action_required=True)


class ObjectStore(Protocol):
    """An object store that gives each namespace a key.

    Methods may be called at any time, concurrently, and again after any failure. None blocks the
    event loop. Each raises ExternalError. In a dry run the store is not changed.
    """

    async def ensure_key(
        self, spec: AccountSpec, in_secret: Credentials | None
    ) -> Credentials | Finding | None:
        """Return the key for the namespace's Secret; ``in_secret`` is its present content.

        Creates what is missing of user, policy and key, repairs what was changed, and leaves
        exactly one active key. The result equals ``in_secret`` if that key works and belongs to the
        tenant. A finding explains why the tenant gets no key; its Secret is then to be deleted.
        None: the provider uses no Secrets.
        """

    async def reconcile_bucket(self) -> None:
        """Set the policy and the retention of the bucket, which must exist."""

    async def collect_garbage(
        self, profile_gone: Callable[[str, str], bool]
    ) -> Sequence[DeletedAccount]:
        """Delete key, policy and user of the namespaces whose Profile is gone.

        ``profile_gone`` takes the namespace and the recorded UID. It is called on the event loop
        immediately before a deletion. Objects are never deleted.
        """

    def components(self) -> Sequence[ComponentStatus]:
        """Return the status for probes, metrics and alerts. Called from any thread."""

    async def close(self) -> None:
        """Wait for requests in flight, then release connections and threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """How to reach the store and what to configure in it; validated by the settings.

    Endpoints are URLs; None is Amazon's own of ``region``. ``credentials`` are an administrator's;
    None uses boto3's default chain (workload identity of the controller). A ``retention_days``
    above 0 expires the objects under private-artifacts. ``records`` is the prefix for the owner
    records of the accounts, outside of the tenants' prefixes; two clusters that share a bucket need
    different ones. ``workers`` limits the requests in flight. ``timeout`` is the limit of one
    request and ``wait_seconds`` that of a worker's wait, in seconds.
    """

    bucket: str = "mlpipeline"
    s3_endpoint: str | None = "http://seaweedfs.kubeflow:8333"
    iam_endpoint: str | None = "http://seaweedfs.kubeflow:8111"
    region: str = "us-east-1"
    credentials: Credentials | None = None
    retention_days: int = -1
    records: str = "profiles-controller/"
    delete_accounts: bool = True
    """Whether ``collect_garbage`` deletes accounts."""
    workers: int = 8
    timeout: float = 10.0
    wait_seconds: float = 10.0
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticStore:
    """An object store without administration: every namespace gets ``credentials``, or none."""

    credentials: Credentials | None

    async def ensure_key(
        self,
        spec: AccountSpec,  # noqa: ARG002 - all tenants have the same key
        in_secret: Credentials | None,  # noqa: ARG002 - as before
    ) -> Credentials | Finding | None:
        return self.credentials

    async def reconcile_bucket(self) -> None:
        """Do nothing: the bucket is the operator's."""

    async def collect_garbage(
        self,
        profile_gone: Callable[[str, str], bool],  # noqa: ARG002 - there are no accounts
    ) -> Sequence[DeletedAccount]:
        return ()

    def components(self) -> Sequence[ComponentStatus]:
        """Return nothing: no request is sent."""
        return ()

    async def close(self) -> None:
        """Do nothing: no connection is open."""


def connect(settings: PipelinesSettings, *, dry_run: bool = False) -> ObjectStore:
    """Return the store of ``settings.provider``. Sends no request."""
    match Provider(settings.provider):
        case Provider.STATIC:
            return StaticStore(credentials=static_credentials(settings))
        case Provider.NONE:
            return StaticStore(credentials=None)
        case (Provider.SEAWEEDFS | Provider.AWS) as provider:
            # boto3 takes 20 MB, which processes of other controllers and providers do not need.
            from controllers.pipelines.objectstore import store  # noqa: PLC0415

            config = store_config(settings, dry_run=dry_run)
            return store.ManagedStore(store.connect(config), config, provider)


def store_config(settings: PipelinesSettings, *, dry_run: bool) -> StoreConfig:
    """Return the part of the settings that a managed store needs."""
    return StoreConfig(
        bucket=settings.bucket,
        s3_endpoint=settings.s3_url,
        iam_endpoint=settings.iam_url,
        region=settings.aws_region,
        credentials=_credentials(settings.aws_access_key_id, settings.aws_secret_access_key),
        retention_days=settings.artifact_retention_days,
        delete_accounts=not settings.keep_departed,
        dry_run=dry_run,
    )


def static_credentials(settings: PipelinesSettings) -> Credentials | None:
    """Return the one key of all namespaces; None where the settings have none."""
    return _credentials(settings.minio_access_key, settings.minio_secret_key)


def _credentials(access_key: SecretStr | None, secret_key: SecretStr | None) -> Credentials | None:
    if not access_key or not secret_key:
        return None
    return Credentials(
        access_key=access_key.get_secret_value(), secret_key=secret_key.get_secret_value()
    )
