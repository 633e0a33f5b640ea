"""blob-csi as a process with its own rights, with a real API server, binder and Azurite."""

import itertools
from collections.abc import Iterator

import pytest

from tests.support.azure import Azurite, key_of, objects
from tests.support.cluster import kubeflow, observe, waiting
from tests.support.cluster.audit import Audit
from tests.support.cluster.manager_process import Launcher, ManagerProcess
from tests.support.controlplane import ControlPlane

pytestmark = pytest.mark.xdist_group("azurite")

WRONG = key_of("somebody-else")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def manager(
    control_plane: ControlPlane,
    launcher: Launcher,
    azurite: Azurite,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ManagerProcess]:
    """It resyncs every 1.5 seconds."""
    objects.install(control_plane)
    settings = objects.settings(azurite)
    folder = tmp_path_factory.mktemp("blob")
    started = objects.launch(launcher, folder, settings, "--resync", "0.025")
    yield started
    assert started.stop() == 0


@pytest.fixture
def name() -> str:
    return f"volumes-{next(_numbers)}"


@pytest.fixture
def audit(control_plane: ControlPlane, azurite: Azurite, manager: ManagerProcess) -> Audit:
    """The requests of the suite to the API server from now on."""
    assert manager.exit_code is None
    return Audit(control_plane, objects.user(objects.settings(azurite)))


def deletions(audit: Audit, *needles: str) -> list[str]:
    """The objects that the suite itself deleted, in order."""
    return [one for one in audit.writes() if one.startswith("delete ") and one.endswith(needles)]


def reconciles(manager: ManagerProcess) -> float:
    return manager.total("controller_runtime_reconcile_total", controller="blob-csi")


def test_a_new_profile_gets_bound_volumes_and_containers(
    control_plane: ControlPlane, manager: ManagerProcess, azurite: Azurite, name: str
) -> None:
    objects.tenant(control_plane, name)
    assert manager.exit_code is None
    for account in (objects.GOOD, objects.OTHER):
        assert name == azurite.containers(account)[name]["profile"]


def test_the_steady_state_sends_no_write_and_no_request_to_azure(
    control_plane: ControlPlane, manager: ManagerProcess, azurite: Azurite, name: str
) -> None:
    objects.write_buckets(control_plane, [objects.bucket("quiet", [name])])
    objects.tenant(control_plane, name)
    paths = [*objects.platform_paths(name), *objects.shared_paths(name, "quiet")]
    objects.wait_bound(control_plane, paths)
    claims = [
        body for path, body in objects.existing(control_plane, paths).items() if "claims" in path
    ]
    assert all("pv.kubernetes.io/bind-completed" in str(body["metadata"]) for body in claims)
    before, requests = (
        objects.versions(control_plane, paths),
        azurite.requests(objects.GOOD),
    )
    concerned = ("comp=list", f"/{name}?")
    audit = Audit(control_plane, objects.user(objects.settings(azurite)))

    reconciled = reconciles(manager)
    profiles = len(control_plane.request("GET", kubeflow.PROFILES)["items"])
    waiting.until(
        lambda: reconciles(manager) > reconciled + 4 * profiles, "some resyncs", seconds=60
    )

    assert before == objects.versions(control_plane, paths)
    assert [] == [one for one in audit.writes() if name in one]
    since = azurite.requests(objects.GOOD)[len(requests) :]
    assert [] == [one for one in since if any(part in one for part in concerned)]


def test_a_removed_grant_deletes_claim_pods_and_volume_in_order(
    control_plane: ControlPlane, audit: Audit, name: str
) -> None:
    other = f"{name}-other"
    objects.write_buckets(control_plane, [objects.bucket(name, [name, other])])
    for profile in (name, other):
        objects.tenant(control_plane, profile)
        objects.wait_bound(control_plane, objects.shared_paths(profile, name))
    volume, claim = objects.shared_paths(name, name)
    claim_name = claim.rpartition("/")[2]
    control_plane.apply(
        objects.pod(name, "notebook", claim_name),
        objects.pod(name, "bystander", "standard"),
    )
    untouched = objects.versions(control_plane, objects.shared_paths(other, name))

    objects.write_buckets(control_plane, [objects.bucket(name, [other])])

    def pod_is_ending() -> bool:
        found = observe.find(control_plane, objects.pod_path(name, "notebook"))
        return found is not None and "deletionTimestamp" in found["metadata"]

    waiting.until(pod_is_ending, "the pod that holds the claim is deleted")
    existing = objects.existing(control_plane, [volume, claim])
    assert "deletionTimestamp" in existing[claim]["metadata"]
    assert "kubernetes.io/pvc-protection" in existing[claim]["metadata"]["finalizers"]
    assert "deletionTimestamp" not in existing[volume]["metadata"]

    objects.end_pod(control_plane, name, "notebook")
    objects.wait_gone(control_plane, [volume, claim])
    order = deletions(audit, claim_name, "notebook", volume.rpartition("/")[2])
    kinds = list(dict.fromkeys(one.split()[1] for one in order))
    assert ["persistentvolumeclaims", "pods", "persistentvolumes"] == kinds
    bystander = observe.find(control_plane, objects.pod_path(name, "bystander"))
    assert bystander is not None
    assert "deletionTimestamp" not in bystander["metadata"]
    assert untouched == objects.versions(control_plane, objects.shared_paths(other, name))
    objects.wait_condition(control_plane, name)
    objects.end_pod(control_plane, name, "bystander")


def test_a_reader_that_becomes_a_writer_gets_a_new_volume(
    control_plane: ControlPlane, manager: ManagerProcess, name: str
) -> None:
    assert manager.exit_code is None
    objects.write_buckets(control_plane, [objects.bucket(name, [name])])
    objects.tenant(control_plane, name)
    paths = objects.shared_paths(name, name)
    objects.wait_bound(control_plane, paths)
    before = objects.uids(control_plane, paths)

    objects.write_buckets(control_plane, [objects.bucket(name, [name], [name])])

    def is_writable() -> bool:
        found = objects.existing(control_plane, paths)
        modes = [body["spec"]["accessModes"] for body in found.values()]
        return modes == [["ReadWriteMany"]] * 2 and objects.are_bound(control_plane, paths)

    waiting.until(is_writable, "both are recreated", seconds=60)
    assert not set(before.values()) & set(objects.uids(control_plane, paths).values())
    assert "readOnly" not in objects.existing(control_plane, paths)[paths[0]]["spec"]["csi"]


def test_a_released_volume_is_recreated(
    control_plane: ControlPlane, manager: ManagerProcess, azurite: Azurite, name: str
) -> None:
    assert manager.exit_code is None
    objects.tenant(control_plane, name)
    azurite.put(name, "diary", "dear diary")
    paths = objects.platform_paths(name, ["standard"])
    before = objects.uids(control_plane, paths)

    observe.delete(control_plane, paths[1])

    def is_recreated() -> bool:
        now = objects.uids(control_plane, paths)
        return not set(now.values()) & set(before.values()) and objects.are_bound(
            control_plane, paths
        )

    waiting.until(is_recreated, "volume and claim are new and bound", seconds=60)
    assert "dear diary" == azurite.read(name, "diary")
    objects.wait_condition(control_plane, name)


def test_a_failed_volume_is_recreated(
    control_plane: ControlPlane, manager: ManagerProcess, name: str
) -> None:
    assert manager.exit_code is None
    objects.tenant(control_plane, name)
    (volume,) = objects.platform_paths(name, ["standard"])[:1]
    before = objects.uids(control_plane, [volume])
    change = {"status": {"phase": "Failed"}}
    control_plane.request("PATCH", f"{volume}/status", change, observe.MERGE_PATCH)

    def is_recreated() -> bool:
        now = objects.uids(control_plane, [volume])
        return bool(now) and now != before

    waiting.until(is_recreated, "the volume is another one", seconds=60)
    objects.wait_bound(control_plane, objects.platform_paths(name))


def test_of_two_profiles_with_one_container_name_the_second_is_refused(
    control_plane: ControlPlane, manager: ManagerProcess, azurite: Azurite, name: str
) -> None:
    assert manager.exit_code is None
    first, second = f"{name}-x", f"{name}--x"
    objects.tenant(control_plane, first)
    azurite.put(first, "diary", "dear diary")
    before = objects.versions(control_plane, objects.platform_paths(first))

    kubeflow.create_tenants(control_plane, [second])
    objects.wait_condition(control_plane, second, "False", f"is owned by profile {first}")
    assert {} == objects.existing(control_plane, objects.platform_paths(second))
    reasons = {one["reason"] for one in observe.events(control_plane, second, type="Warning")}
    assert "ContainerOwnedByOther" in reasons
    assert before == objects.versions(control_plane, objects.platform_paths(first))
    assert first == azurite.containers()[first]["profile"]
    assert "True" == observe.condition_status(control_plane, first, objects.CONDITION)

    kubeflow.delete_profile(control_plane, first)
    objects.wait_condition(control_plane, second, "False", "which no longer exists")
    assert {} == objects.existing(control_plane, objects.platform_paths(second))


def test_a_wrong_key_affects_its_account_only_until_it_is_corrected(
    control_plane: ControlPlane, manager: ManagerProcess, name: str
) -> None:
    objects.write_secret(control_plane, "other", objects.OTHER, WRONG)
    try:
        kubeflow.create_tenants(control_plane, [name])
        objects.wait_bound(control_plane, objects.platform_paths(name, ["standard", "reader"]))
        objects.wait_condition(control_plane, name, "False", objects.OTHER)
        assert {} == objects.existing(control_plane, objects.platform_paths(name, ["other"]))
        up = {
            labels["system"]: value
            for labels, value in manager.series("profiles_controller_external_system_up")
        }
        assert (1.0, 0.0) == (
            up[f"storage-account/{objects.GOOD}"],
            up[f"storage-account/{objects.OTHER}"],
        )
        assert manager.is_ready()
        assert f"storage-account/{objects.OTHER}" in manager.get("/readyz?verbose")[1]
    finally:
        objects.write_secret(control_plane, "other", objects.OTHER, key_of(objects.OTHER))
    objects.wait_bound(control_plane, objects.platform_paths(name))
    objects.wait_condition(control_plane, name)


def test_a_deleted_profile_loses_its_volumes_and_its_data_is_retained(
    control_plane: ControlPlane, manager: ManagerProcess, azurite: Azurite, name: str
) -> None:
    assert manager.exit_code is None
    objects.tenant(control_plane, name)
    azurite.put(name, "diary", "dear diary")

    kubeflow.delete_profile(control_plane, name)
    objects.wait_gone(control_plane, objects.platform_paths(name))
    assert "dear diary" == azurite.read(name, "diary")
    assert "profilegone" not in azurite.containers()[name]

    waiting.until(
        lambda: observe.is_deleted(control_plane, f"/api/v1/namespaces/{name}"),
        "the namespace is gone",
        seconds=60,
    )
    kubeflow.create_tenants(control_plane, [name], owner="eve@example.ca")
    objects.wait_condition(control_plane, name, "False", "the data of an earlier profile")
    assert {} == objects.existing(control_plane, objects.platform_paths(name))


def test_no_output_contains_a_key(
    control_plane: ControlPlane, manager: ManagerProcess, name: str
) -> None:
    objects.tenant(control_plane, name)
    everything = [
        manager.text(),
        manager.get("/metrics")[1],
        manager.get("/readyz?verbose")[1],
        str(control_plane.request("GET", "/api/v1/events")),
        str(control_plane.request("GET", kubeflow.PROFILES)),
        str(control_plane.request("GET", "/api/v1/persistentvolumes")),
    ]
    for key in (key_of(objects.GOOD), key_of(objects.OTHER), WRONG):
        assert [] == [text for text in everything if key in text]
