"""The pipelines controller between a real API server and a real SeaweedFS."""

import pytest

from controllers.pipelines import names
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.objectstore.spec import Credentials
from controllers.runtime.objects.kinds import KINDS
from tests.support.cli.run import cells
from tests.support.cluster import kubeflow, manager_process, observe, waiting
from tests.support.cluster.manager_process import Launcher
from tests.support.controlplane import ControlPlane, ports
from tests.support.objectstore import namespaces
from tests.support.objectstore.seaweedfs import SeaweedFS

pytestmark = pytest.mark.xdist_group("pipelines-store")

BUCKET = "kfp-artifacts"


def test_a_tenants_key_is_created_repaired_and_deleted(
    control_plane: ControlPlane, launcher: Launcher, seaweedfs: SeaweedFS
) -> None:
    plane, name = control_plane, "kfp-stored"
    seaweedfs.make_bucket(BUCKET)
    kubeflow.create_tenant(plane, name)
    kubeconfig = launcher.identity("pipelines-store", "pipelines", pipelines=PipelinesSettings())
    given = namespaces.variables(seaweedfs, BUCKET)
    manager = launcher.start("pipelines", kubeconfig=kubeconfig, variables=given).wait_ready()
    waiting.until(lambda: namespaces.is_ready(plane, name), "it is ready")
    first = namespaces.key(plane, name)
    assert first is not None
    assert seaweedfs.keys(name) == [first.access_key]

    observe.delete(plane, namespaces.secret_path(name))
    waiting.until(
        lambda: namespaces.key(plane, name) is not None,
        "the Secret is there again",
    )
    assert namespaces.key(plane, name) == first
    assert seaweedfs.keys(name) == [first.access_key]

    seaweedfs.iam().delete_access_key(UserName=name, AccessKeyId=first.access_key)
    kubeflow.patch_profile(plane, name, {"metadata": {"labels": {"look": "again"}}})
    waiting.until(lambda: seaweedfs.keys(name) == [first.access_key], "the key is back")

    kubeflow.delete_profile(plane, name)
    waiting.until(lambda: name not in seaweedfs.users(), "its user is gone")
    manager.stop()
    assert first.secret_key not in manager.text()
    assert seaweedfs.admin.secret_key not in manager.text()


def test_once_reconciles_the_bucket_and_deletes_accounts_of_deleted_profiles(
    control_plane: ControlPlane, launcher: Launcher, seaweedfs: SeaweedFS
) -> None:
    plane, name = control_plane, "kfp-once"
    bucket = seaweedfs.make_bucket("kfp-once")
    kubeflow.create_tenant(plane, name)
    kubeconfig = launcher.identity("pipelines-store", "pipelines", pipelines=PipelinesSettings())
    command = ("pipelines", "--once", "--kubeconfig", str(kubeconfig))
    given = namespaces.variables(seaweedfs, bucket)

    done = manager_process.run(*command, seconds=waiting.TIMEOUT_SECONDS, **given)
    assert (done.returncode, name in seaweedfs.users()) == (0, True), done.stderr
    policy = seaweedfs.s3().get_bucket_policy(Bucket=bucket)["Policy"]
    assert "KubeflowDenyOthers" in policy

    kubeflow.delete_profile(plane, name)
    done = manager_process.run(*command, seconds=waiting.TIMEOUT_SECONDS, **given)
    assert (done.returncode, name in seaweedfs.users()) == (0, False), done.stderr

    unreachable = f"http://127.0.0.1:{ports.free()}"
    changed = {**given, "S3_ENDPOINT_URL": unreachable, "AWS_ENDPOINT_URL": unreachable}
    done = manager_process.run(*command, seconds=waiting.TIMEOUT_SECONDS, **changed)
    assert done.returncode == 3
    (row,) = (row for row in cells(done.stdout) if row[0] == "-")
    assert row[1:3] == ["pipelines", "failed"]
    assert row[-1].startswith("ObjectStoreUnavailable: ")


DECISIONS = ("accept", "archive", "purge")


def test_a_recreated_profile_gets_no_key_to_old_objects_until_it_is_decided(
    control_plane: ControlPlane, launcher: Launcher, seaweedfs: SeaweedFS
) -> None:
    plane, bucket = control_plane, seaweedfs.make_bucket("kfp-recreated")
    tenants = {f"kfp-recreated-{decision}": decision for decision in DECISIONS}
    kubeflow.create_complete_tenants(plane, tenants)
    kubeconfig = launcher.identity("pipelines-store", "pipelines", pipelines=PipelinesSettings())
    given = namespaces.variables(seaweedfs, bucket)
    manager = launcher.start("pipelines", kubeconfig=kubeconfig, variables=given).wait_ready()
    before = {name: wait_key(plane, seaweedfs, name) for name in tenants}
    for name in tenants:
        for folder in ("private", "private-artifacts"):
            seaweedfs.s3().put_object(Bucket=bucket, Key=f"{folder}/{name}/old", Body=b"old")

    for name in tenants:
        kubeflow.delete_profile(plane, name)
    for name in tenants:
        wait_gone(plane, seaweedfs, name)
    kubeflow.create_complete_tenants(plane, tenants)
    for name in tenants:
        wait_finding(plane, name)
        assert namespaces.key(plane, name) is None
        assert name not in seaweedfs.users()
        launcher_path = KINDS["ConfigMap"].path(name, names.LAUNCHER)
        assert observe.find(plane, launcher_path) is not None

    for name, decision in tenants.items():
        annotations = {names.OLD_OBJECTS_ANNOTATION: decision}
        kubeflow.patch_profile(plane, name, {"metadata": {"annotations": annotations}})
    after = {name: wait_key(plane, seaweedfs, name) for name in tenants}
    assert not set(before.values()) & set(after.values())
    assert {name: left(seaweedfs, bucket, name) for name in tenants} == {
        "kfp-recreated-accept": (2, 0),
        "kfp-recreated-archive": (0, 2),
        "kfp-recreated-purge": (0, 0),
    }
    manager.stop()


def wait_key(plane: ControlPlane, store: SeaweedFS, name: str) -> Credentials:
    """Return the tenant's key, once it has one; its user has no other."""
    waiting.until(lambda: namespaces.is_ready(plane, name), f"{name} has its key")
    found = namespaces.key(plane, name)
    assert found is not None
    assert store.keys(name) == [found.access_key]
    return found


def wait_gone(plane: ControlPlane, store: SeaweedFS, name: str) -> None:
    namespace = f"/api/v1/namespaces/{name}"
    waiting.until(lambda: observe.is_deleted(plane, namespace), f"{name} is gone")
    waiting.until(lambda: name not in store.users(), f"user {name} is gone")


def wait_finding(plane: ControlPlane, name: str) -> None:
    """Wait until the old objects are reported."""

    def is_reported() -> bool:
        status, message = observe.conditions(plane, name).get(namespaces.CONDITION, ("", ""))
        return (status, "until it is decided" in message) == ("False", True)

    waiting.until(is_reported, f"the old objects of {name} are reported")
    waiting.until(
        lambda: observe.events(plane, name, reason="OldObjects"),
        f"{name} has an event of it",
    )


def left(store: SeaweedFS, bucket: str, name: str) -> tuple[int, int]:
    """Return how many old objects the new tenant has, and how many are archived."""
    found = store.s3().list_object_versions(Bucket=bucket).get("Versions", ())
    keys = [one["Key"] for one in found if one["IsLatest"]]
    own = (f"private/{name}/", f"private-artifacts/{name}/")
    archived = f"profiles-controller/archive/{name}/"
    return sum(key.startswith(own) for key in keys), sum(key.startswith(archived) for key in keys)
