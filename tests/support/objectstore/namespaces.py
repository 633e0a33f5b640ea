"""Namespaces of the pipelines controller on a cluster, and the keys in their Secrets."""

import base64
from collections.abc import Mapping

from controllers.pipelines import names
from controllers.pipelines.objectstore.spec import Credentials
from controllers.runtime.objects.kinds import KINDS
from tests.support.cluster import observe
from tests.support.controlplane import ControlPlane, Json
from tests.support.objectstore.seaweedfs import SeaweedFS

CONDITION = "PipelinesReady"


def variables(store: SeaweedFS, bucket: str) -> Mapping[str, str]:
    """Return the environment variables of a suite that administers this store."""
    return {
        "PIPELINES_BUCKET": bucket,
        "S3_ENDPOINT_URL": store.s3_url,
        "AWS_ENDPOINT_URL": store.iam_url,
        "AWS_ACCESS_KEY_ID": store.admin.access_key,
        "AWS_SECRET_ACCESS_KEY": store.admin.secret_key,
    }


def secret_path(namespace: str) -> str:
    return KINDS["Secret"].path(namespace, names.SECRET)


def key(plane: ControlPlane, namespace: str) -> Credentials | None:
    """Return the key in the namespace's Secret; None without a Secret."""
    found = observe.find(plane, secret_path(namespace))
    return key_of(found) if found else None


def key_of(secret: Json) -> Credentials:
    """Return the key in a Secret."""
    access_key, secret_key = (
        base64.b64decode(secret["data"][field]).decode()
        for field in (names.ACCESS_KEY, names.SECRET_KEY)
    )
    return Credentials(access_key=access_key, secret_key=secret_key)


def is_ready(plane: ControlPlane, profile: str) -> bool:
    return observe.condition_status(plane, profile, CONDITION) == "True"
