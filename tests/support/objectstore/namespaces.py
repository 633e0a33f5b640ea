"""The pipelines controller's namespaces on a cluster, and the store that their keys are for."""

import base64
from collections.abc import Mapping

from controllers.pipelines import names
from controllers.pipelines.objectstore.provider import Credentials
from controllers.runtime.objects.kinds import KINDS
from tests.support.cluster import observe
from tests.support.controlplane import ControlPlane, Json
from tests.support.objectstore.seaweedfs import SeaweedFS

CONDITION = "PipelinesReady"


def variables(store: SeaweedFS, bucket: str) -> Mapping[str, str]:
    """The environment of a suite that administers this store."""
    return {
        "PIPELINES_BUCKET": bucket,
        "S3_ENDPOINT_URL": store.s3_url,
        "AWS_ENDPOINT_URL": store.iam_url,
        "AWS_ACCESS_KEY_ID": store.admin.access_key,
        "AWS_SECRET_ACCESS_KEY": store.admin.secret_key,
    }


def secret_path(namespace: str) -> str:
    return KINDS["Secret"].path(namespace, names.SECRET)


def keys(plane: ControlPlane, namespace: str) -> Credentials | None:
    """What the namespace's Secret holds; None where there is none."""
    found = observe.find(plane, secret_path(namespace))
    return keys_of(found) if found else None


def keys_of(secret: Json) -> Credentials:
    """Both halves of a Secret's key."""
    access, hidden = (
        base64.b64decode(secret["data"][key]).decode()
        for key in (names.ACCESS_KEY, names.SECRET_KEY)
    )
    return Credentials(access_key=access, secret_key=hidden)


def is_well(plane: ControlPlane, profile: str) -> bool:
    return observe.status(plane, profile, CONDITION) == "True"
