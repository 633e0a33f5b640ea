"""The object store that the settings name; what drives it is loaded when it is needed."""

from __future__ import annotations

from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.objectstore import backends
from controllers.pipelines.objectstore.provider import (
    Connection,
    Credentials,
    ObjectStore,
    Provider,
)


def connection(settings: PipelinesSettings, *, dry_run: bool) -> Connection:
    """What the store needs to know."""
    key, secret = settings.aws_access_key_id, settings.aws_secret_access_key
    credentials = None
    if key and secret:
        credentials = Credentials(
            access_key=key.get_secret_value(), secret_key=secret.get_secret_value()
        )
    return Connection(
        bucket=settings.bucket,
        s3_endpoint=settings.s3_url,
        iam_endpoint=settings.iam_url,
        region=settings.aws_region,
        credentials=credentials,
        retention_days=settings.artifact_retention_days,
        dry_run=dry_run,
    )


def connect(settings: PipelinesSettings, *, dry_run: bool = False) -> ObjectStore:
    """The store of ``settings.provider``; nothing is asked of it yet."""
    return backends.make(
        Provider(settings.provider),
        connection(settings, dry_run=dry_run),
        static_credentials(settings),
    )


def static_credentials(settings: PipelinesSettings) -> Credentials | None:
    """The one key of all namespaces, where one is set."""
    key, secret = settings.minio_access_key, settings.minio_secret_key
    if not key or not secret:
        return None
    return Credentials(access_key=key.get_secret_value(), secret_key=secret.get_secret_value())
