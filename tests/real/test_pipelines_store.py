"""The pipelines controller between a real API server and a real SeaweedFS."""

import base64
from collections.abc import Mapping

import pytest

from controllers.pipelines import names
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.stores import Credentials
from controllers.runtime.kinds import KINDS
from tests import kubeflow, sights, waits
from tests.controlplane import ControlPlane
from tests.seaweedfs import SeaweedFS
from tests.suites import Suites

pytestmark = pytest.mark.xdist_group("pipelines-store")

BUCKET = "kfp-artifacts"


def path(namespace: str) -> str:
    return KINDS["Secret"].path(namespace, names.SECRET)


def keys(plane: ControlPlane, namespace: str) -> Credentials | None:
    found = sights.find(plane, path(namespace))
    if found is None:
        return None
    access, secret = (
        base64.b64decode(found["data"][key]).decode()
        for key in (names.ACCESS_KEY, names.SECRET_KEY)
    )
    return Credentials(access_key=access, secret_key=secret)


def variables(store: SeaweedFS) -> Mapping[str, str]:
    return {
        "PIPELINES_BUCKET": BUCKET,
        "S3_ENDPOINT_URL": store.s3_url,
        "AWS_ENDPOINT_URL": store.iam_url,
        "AWS_ACCESS_KEY_ID": store.admin.access_key,
        "AWS_SECRET_ACCESS_KEY": store.admin.secret_key,
    }


def test_a_tenants_key_is_made_kept_and_taken_away(
    control_plane: ControlPlane, suites: Suites, seaweedfs: SeaweedFS
) -> None:
    plane, name = control_plane, "kfp-stored"
    seaweedfs.make_bucket(BUCKET)
    kubeflow.create_tenant(plane, name)
    kubeconfig = suites.identity("pipelines-store", "pipelines", pipelines=PipelinesSettings())
    given = variables(seaweedfs)
    suite = suites.start("pipelines", kubeconfig=kubeconfig, variables=given).wait_ready()
    waits.until(lambda: sights.status(plane, name, "PipelinesReady") == "True", "it is ready")
    first = keys(plane, name)
    assert first is not None
    assert seaweedfs.keys(name) == [first.access_key]

    sights.delete(plane, path(name))
    waits.until(lambda: keys(plane, name) is not None, "the Secret is there again")
    assert keys(plane, name) == first
    assert seaweedfs.keys(name) == [first.access_key]

    seaweedfs.iam().delete_access_key(UserName=name, AccessKeyId=first.access_key)
    kubeflow.patch_profile(plane, name, {"metadata": {"labels": {"look": "again"}}})
    waits.until(lambda: seaweedfs.keys(name) == [first.access_key], "the key is back")

    kubeflow.delete_profile(plane, name)
    waits.until(lambda: name not in seaweedfs.users(), "its user is gone")
    suite.stop()
    assert first.secret_key not in suite.text()
    assert seaweedfs.admin.secret_key not in suite.text()
