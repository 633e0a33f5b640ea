"""blob-csi as a process: API server, volume controllers and Azurite are real, rights its own."""

import itertools
from collections.abc import Iterator

import pytest

from tests.support.azure import Azurite, key_of, stages
from tests.support.cluster import kubeflow, observe, waiting
from tests.support.cluster.audit import Audit
from tests.support.cluster.suite import Suite, Suites
from tests.support.controlplane import ControlPlane

pytestmark = pytest.mark.xdist_group("azurite")

WRONG = key_of("somebody-else")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def suite(
    control_plane: ControlPlane,
    suites: Suites,
    azurite: Azurite,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Suite]:
    """It looks at every profile again each second and a half."""
    stages.install(control_plane)
    settings = stages.settings(azurite)
    folder = tmp_path_factory.mktemp("blob")
    started = stages.launch(suites, folder, settings, "--resync", "0.025")
    yield started
    assert started.stop() == 0


@pytest.fixture
def name() -> str:
    return f"volumes-{next(_numbers)}"


@pytest.fixture
def audit(control_plane: ControlPlane, azurite: Azurite, suite: Suite) -> Audit:
    """What the suite asks of the API server from now on."""
    assert suite.code is None
    return Audit(control_plane, stages.user(stages.settings(azurite)))


def deletions(audit: Audit, *needles: str) -> list[str]:
    """What the suite itself deleted, in order."""
    return [one for one in audit.writes() if one.startswith("delete ") and one.endswith(needles)]


def reconciles(suite: Suite) -> float:
    return suite.total("controller_runtime_reconcile_total", controller="blob-csi")


def test_a_new_profile_has_its_volumes_bound_and_its_containers_made(
    control_plane: ControlPlane, suite: Suite, azurite: Azurite, name: str
) -> None:
    stages.tenant(control_plane, name)
    assert suite.code is None
    for account in (stages.GOOD, stages.OTHER):
        assert name == azurite.containers(account)[name]["profile"]


def test_nothing_is_written_or_asked_once_the_binder_has_written(
    control_plane: ControlPlane, suite: Suite, azurite: Azurite, name: str
) -> None:
    stages.grant(control_plane, [stages.bucket("quiet", [name])])
    stages.tenant(control_plane, name)
    paths = [*stages.own_paths(name), *stages.shared_paths(name, "quiet")]
    stages.wait_bound(control_plane, paths)
    claims = [body for path, body in stages.found(control_plane, paths).items() if "claims" in path]
    assert all("pv.kubernetes.io/bind-completed" in str(body["metadata"]) for body in claims)
    before, asked = stages.versions(control_plane, paths), azurite.requests(stages.GOOD)
    concerned = ("comp=list", f"/{name}?")
    audit = Audit(control_plane, stages.user(stages.settings(azurite)))

    seen = reconciles(suite)
    profiles = len(control_plane.request("GET", kubeflow.PROFILES)["items"])
    waiting.until(lambda: reconciles(suite) > seen + 4 * profiles, "some resyncs", seconds=60)

    assert before == stages.versions(control_plane, paths)
    assert [] == [one for one in audit.writes() if name in one]
    since = azurite.requests(stages.GOOD)[len(asked) :]
    assert [] == [one for one in since if any(part in one for part in concerned)]


def test_a_withdrawn_bucket_goes_claim_first_then_the_pods_then_the_volume(
    control_plane: ControlPlane, audit: Audit, name: str
) -> None:
    other = f"{name}-other"
    stages.grant(control_plane, [stages.bucket(name, [name, other])])
    for profile in (name, other):
        stages.tenant(control_plane, profile)
        stages.wait_bound(control_plane, stages.shared_paths(profile, name))
    volume, claim = stages.shared_paths(name, name)
    claim_name = claim.rpartition("/")[2]
    control_plane.apply(
        stages.pod(name, "notebook", claim_name), stages.pod(name, "bystander", "standard")
    )
    untouched = stages.versions(control_plane, stages.shared_paths(other, name))

    stages.grant(control_plane, [stages.bucket(name, [other])])

    def pod_is_ending() -> bool:
        found = observe.find(control_plane, stages.pod_path(name, "notebook"))
        return found is not None and "deletionTimestamp" in found["metadata"]

    waiting.until(pod_is_ending, "the pod that holds the claim is deleted")
    held = stages.found(control_plane, [volume, claim])
    assert "deletionTimestamp" in held[claim]["metadata"]
    assert "kubernetes.io/pvc-protection" in held[claim]["metadata"]["finalizers"]
    assert "deletionTimestamp" not in held[volume]["metadata"]

    stages.let_pod_end(control_plane, name, "notebook")
    stages.wait_gone(control_plane, [volume, claim])
    order = deletions(audit, claim_name, "notebook", volume.rpartition("/")[2])
    kinds = list(dict.fromkeys(one.split()[1] for one in order))
    assert ["persistentvolumeclaims", "pods", "persistentvolumes"] == kinds
    bystander = observe.find(control_plane, stages.pod_path(name, "bystander"))
    assert bystander is not None
    assert "deletionTimestamp" not in bystander["metadata"]
    assert untouched == stages.versions(control_plane, stages.shared_paths(other, name))
    stages.wait_for(control_plane, name)
    stages.let_pod_end(control_plane, name, "bystander")


def test_a_reader_who_may_write_gets_another_volume(
    control_plane: ControlPlane, suite: Suite, name: str
) -> None:
    assert suite.code is None
    stages.grant(control_plane, [stages.bucket(name, [name])])
    stages.tenant(control_plane, name)
    paths = stages.shared_paths(name, name)
    stages.wait_bound(control_plane, paths)
    before = stages.uids(control_plane, paths)

    stages.grant(control_plane, [stages.bucket(name, [name], [name])])

    def is_writable() -> bool:
        found = stages.found(control_plane, paths)
        modes = [body["spec"]["accessModes"] for body in found.values()]
        return modes == [["ReadWriteMany"]] * 2 and stages.are_bound(control_plane, paths)

    waiting.until(is_writable, "both are made anew", seconds=60)
    assert not set(before.values()) & set(stages.uids(control_plane, paths).values())
    assert "readOnly" not in stages.found(control_plane, paths)[paths[0]]["spec"]["csi"]


def test_a_released_volume_is_made_anew(
    control_plane: ControlPlane, suite: Suite, azurite: Azurite, name: str
) -> None:
    assert suite.code is None
    stages.tenant(control_plane, name)
    azurite.put(name, "diary", "dear diary")
    paths = stages.own_paths(name, ["standard"])
    before = stages.uids(control_plane, paths)

    observe.delete(control_plane, paths[1])

    def is_anew() -> bool:
        now = stages.uids(control_plane, paths)
        return not set(now.values()) & set(before.values()) and stages.are_bound(
            control_plane, paths
        )

    waiting.until(is_anew, "volume and claim are new and bound", seconds=60)
    assert "dear diary" == azurite.read(name, "diary")
    stages.wait_for(control_plane, name)


def test_a_failed_volume_is_made_anew(control_plane: ControlPlane, suite: Suite, name: str) -> None:
    assert suite.code is None
    stages.tenant(control_plane, name)
    (volume,) = stages.own_paths(name, ["standard"])[:1]
    before = stages.uids(control_plane, [volume])
    change = {"status": {"phase": "Failed"}}
    control_plane.request("PATCH", f"{volume}/status", change, observe.MERGE_PATCH)

    def is_anew() -> bool:
        now = stages.uids(control_plane, [volume])
        return bool(now) and now != before

    waiting.until(is_anew, "the volume is another one", seconds=60)
    stages.wait_bound(control_plane, stages.own_paths(name))


def test_of_two_profiles_that_map_to_one_container_the_second_is_refused(
    control_plane: ControlPlane, suite: Suite, azurite: Azurite, name: str
) -> None:
    assert suite.code is None
    first, second = f"{name}-x", f"{name}--x"
    stages.tenant(control_plane, first)
    azurite.put(first, "diary", "dear diary")
    before = stages.versions(control_plane, stages.own_paths(first))

    kubeflow.create_tenants(control_plane, [second])
    stages.wait_for(control_plane, second, "False", f"is that of profile {first}")
    assert {} == stages.found(control_plane, stages.own_paths(second))
    reasons = {one["reason"] for one in observe.events(control_plane, second, type="Warning")}
    assert "ContainerTaken" in reasons
    assert before == stages.versions(control_plane, stages.own_paths(first))
    assert first == azurite.containers()[first]["profile"]
    assert "True" == observe.status(control_plane, first, stages.CONDITION)

    kubeflow.delete_profile(control_plane, first)
    stages.wait_for(control_plane, second, "False", "which is gone")
    assert {} == stages.found(control_plane, stages.own_paths(second))


def test_a_wrong_key_costs_the_volumes_of_its_account_and_a_right_one_brings_them(
    control_plane: ControlPlane, suite: Suite, name: str
) -> None:
    stages.write_secret(control_plane, "other", stages.OTHER, WRONG)
    try:
        kubeflow.create_tenants(control_plane, [name])
        stages.wait_bound(control_plane, stages.own_paths(name, ["standard", "reader"]))
        stages.wait_for(control_plane, name, "False", stages.OTHER)
        assert {} == stages.found(control_plane, stages.own_paths(name, ["other"]))
        up = {
            labels["system"]: value
            for labels, value in suite.series("profiles_controller_external_system_up")
        }
        assert (1.0, 0.0) == (up[f"account/{stages.GOOD}"], up[f"account/{stages.OTHER}"])
        assert suite.is_ready()
        assert f"account/{stages.OTHER}" in suite.get("/readyz?verbose")[1]
    finally:
        stages.write_secret(control_plane, "other", stages.OTHER, key_of(stages.OTHER))
    stages.wait_bound(control_plane, stages.own_paths(name))
    stages.wait_for(control_plane, name)


def test_a_profile_that_goes_takes_its_volumes_along_and_leaves_its_data(
    control_plane: ControlPlane, suite: Suite, azurite: Azurite, name: str
) -> None:
    assert suite.code is None
    stages.tenant(control_plane, name)
    azurite.put(name, "diary", "dear diary")

    kubeflow.delete_profile(control_plane, name)
    stages.wait_gone(control_plane, stages.own_paths(name))
    assert "dear diary" == azurite.read(name, "diary")
    assert "profilegone" not in azurite.containers()[name]

    waiting.until(
        lambda: observe.profile_gone(control_plane, f"/api/v1/namespaces/{name}"),
        "the namespace is gone",
        seconds=60,
    )
    kubeflow.create_tenants(control_plane, [name], owner="eve@example.ca")
    stages.wait_for(control_plane, name, "False", "of an earlier profile")
    assert {} == stages.found(control_plane, stages.own_paths(name))


def test_no_key_is_in_anything_that_is_said(
    control_plane: ControlPlane, suite: Suite, name: str
) -> None:
    stages.tenant(control_plane, name)
    everything = [
        suite.text(),
        suite.get("/metrics")[1],
        suite.get("/readyz?verbose")[1],
        str(control_plane.request("GET", "/api/v1/events")),
        str(control_plane.request("GET", kubeflow.PROFILES)),
        str(control_plane.request("GET", "/api/v1/persistentvolumes")),
    ]
    for key in (key_of(stages.GOOD), key_of(stages.OTHER), WRONG):
        assert [] == [said for said in everything if key in said]
