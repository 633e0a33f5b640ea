"""Roles and bindings that others changed or left, and the permissions of rbac itself."""

import functools

import pytest

from tests.support.cluster import access, kubeflow, observe, roles, service_account, waiting
from tests.support.cluster.audit import Audit
from tests.support.cluster.manager_process import Launcher, Start
from tests.support.controlplane import ControlPlane

pytestmark = pytest.mark.xdist_group("rbac")

ALLOW_FROM = "rbac.statcan.gc.ca/allow-from"
WIDE = {"support_groups": ["support", "stewards"], "cross_namespace_access": True}
CONTRIBUTOR = "joe@example.ca"


@pytest.fixture(scope="module", autouse=True)
def platform_roles(control_plane: ControlPlane) -> None:
    roles.install(control_plane)


# Changes of others


def test_subjects_and_rules_that_others_add_are_removed(
    control_plane: ControlPlane, start: Start
) -> None:
    plane = control_plane
    kubeflow.create_tenant(plane, "tampered")
    start("rbac", WIDE)
    roles.wait_roles_ready(plane, "tampered")
    before = roles.bindings(plane, "tampered")
    role = plane.request("GET", roles.path("tampered", "profile-pipelines", "roles"))
    everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]

    observe.patch(
        plane, roles.path("tampered", "ml-pipeline"), {"subjects": [kubeflow.user("eve")]}
    )
    observe.patch(
        plane, roles.path("tampered", "profile-pipelines", "roles"), {"rules": everything}
    )
    marks = {"user": "eve", "role": "admin", "note": "theirs"}
    support = roles.path("tampered", "profile-support")
    observe.patch(plane, support, {"metadata": {"annotations": marks}})

    def restored() -> bool:
        now = roles.bindings(plane, "tampered")
        rules = plane.request("GET", roles.path("tampered", "profile-pipelines", "roles"))["rules"]
        assert now["profile-support"]["metadata"]["annotations"] == {"note": "theirs"}
        assert now["ml-pipeline"]["subjects"] == before["ml-pipeline"]["subjects"]
        assert rules == role["rules"]
        return True

    waiting.until(restored, "all is as it was")
    assert roles.kfam_list(plane, "tampered") == {kubeflow.OWNER: "admin"}


def test_a_binding_of_another_owner_with_our_name_is_refused_and_not_changed(
    control_plane: ControlPlane, start: Start
) -> None:
    plane = control_plane
    profile = kubeflow.create_tenant(plane, "squatted")
    squatter = roles.legacy(profile, "ml-pipeline", kubeflow.user("eve"))
    del squatter["metadata"]["ownerReferences"]
    plane.apply(squatter)
    before = roles.binding(plane, "squatted", "ml-pipeline")

    start("rbac", {})

    waiting.until(
        lambda: "refused" in observe.condition_message(plane, "squatted", roles.CONDITION),
        "the refusal is reported",
    )
    assert roles.binding(plane, "squatted", "ml-pipeline") == before
    assert observe.find(plane, roles.path("squatted", "profile-pipelines", "roles")) is not None


def test_bindings_of_the_older_suite_are_adopted_or_deleted_and_others_are_not_changed(
    control_plane: ControlPlane, start: Start
) -> None:
    plane = control_plane
    names = ("entitled", "not-entitled")
    profiles = {name: kubeflow.create_tenant(plane, name) for name in names}
    for profile in profiles.values():
        plane.apply(
            roles.legacy(profile, "ml-pipeline", kubeflow.user("alice@cloud.statcan.ca")),
            roles.legacy(
                profile, "profile-support", roles.group("support"), roles.group("stewards")
            ),
            roles.legacy(profile, "seldon-user", kubeflow.user("alice@cloud.statcan.ca")),
        )
        kubeflow.add_contributor(plane, profile["metadata"]["name"], CONTRIBUTOR)
    before = {name: roles.bindings(plane, name) for name in names}
    old = {"ml-pipeline", "profile-support"}

    start("rbac", WIDE)
    roles.wait_roles_ready(plane, *names)
    adopted = roles.bindings(plane, "entitled")
    start("rbac", {"ml_pipeline": "none"})
    waiting.until(
        lambda: not old & roles.bindings(plane, "not-entitled").keys(), "the leftovers are pruned"
    )

    uids = {name: adopted[name]["metadata"]["uid"] for name in old}
    assert uids == {name: before["entitled"][name]["metadata"]["uid"] for name in old}
    assert [one["name"] for one in adopted["ml-pipeline"]["subjects"]] == [kubeflow.OWNER]
    for name in old:
        labels = adopted[name]["metadata"]["labels"]
        assert labels["app.kubernetes.io/component"] == "rbac"
        assert len(adopted[name]["metadata"]["ownerReferences"]) == 1
    for namespace in names:
        after = roles.bindings(plane, namespace)
        others = before[namespace].keys() - old
        assert {name: after[name] for name in others} == {
            name: before[namespace][name] for name in others
        }


# Permissions and the steady state


def test_the_controller_can_bind_only_configured_roles_and_cannot_escalate(
    control_plane: ControlPlane, start: Start
) -> None:
    start("rbac", WIDE)
    me = access.User(service_account.user(service_account.name_of("rbac", WIDE)))

    def may_bind(role: str, resource: str = "clusterroles") -> bool:
        return access.Permission(
            control_plane, me, "bind", resource, namespace="anywhere", name=role
        )()

    bound = ("ml-pipeline", "profile-support", "kubeflow-edit")
    others = ("cluster-admin", "admin", "edit", "kubeflow-admin", "kubeflow-view", "")
    assert [may_bind(role) for role in bound] == [True] * len(bound)
    assert [may_bind(role) for role in others] == [False] * len(others)
    assert not may_bind("profile-pipelines", "roles")
    for resource in ("roles", "clusterroles"):
        for name in ("", "profile-pipelines"):
            assert not access.Permission(
                control_plane, me, "escalate", resource, namespace="anywhere", name=name
            )()
    assert not access.Permission(control_plane, me, "get", "secrets", namespace="anywhere")()


def test_missing_permissions_are_reported_and_affect_only_the_objects_that_need_them(
    control_plane: ControlPlane, launcher: Launcher
) -> None:
    plane = control_plane
    role = service_account.cluster_role("rbac", name="suite-rbac-outdated")
    kubeconfig = service_account.bind(plane, "rbac-outdated", role)
    kubeflow.create_tenant(plane, "outdated")

    manager = launcher.start("rbac", "--support-groups", "support", kubeconfig=kubeconfig)
    manager.wait_ready()

    waiting.until(
        lambda: "forbidden" in observe.condition_message(plane, "outdated", roles.CONDITION),
        "the condition names the missing permission",
    )
    message = observe.condition_message(plane, "outdated", roles.CONDITION)
    assert "RoleBinding outdated/profile-support create" in message
    assert "attempting to grant RBAC permissions not currently held" in message
    assert roles.subjects(plane, "outdated", "ml-pipeline") == [kubeflow.OWNER]
    assert roles.binding(plane, "outdated", "profile-support") == {}
    assert manager.stop() == 0


def test_the_steady_state_and_a_restart_write_nothing(
    control_plane: ControlPlane, start: Start
) -> None:
    plane = control_plane
    names = [f"calm-{number}" for number in range(5)]
    for name in names:
        kubeflow.create_tenant(plane, name, annotations={ALLOW_FROM: "calm-0x, calm-0y"})
    accounts = {"kind": "ServiceAccount", "name": "robot", "apiGroup": None}
    kubeflow.patch_profile(plane, names[0], {"spec": {"owner": accounts}})
    settings = {**WIDE, "ml_pipeline": "Role"}
    start("rbac", settings)
    roles.wait_roles_ready(plane, *names)
    before = {name: roles.bindings(plane, name) for name in names}
    audit = Audit(plane, service_account.user(service_account.name_of("rbac", settings)))

    manager = start("rbac", settings, "--resync", "0.02")
    looks = functools.partial(manager.total, "controller_runtime_reconcile_total")
    everybody = len(plane.request("GET", kubeflow.PROFILES)["items"])
    waiting.until(lambda: looks() >= 3 * everybody, "it has looked thrice")

    written = [one for one in audit.writes() if " events " not in one]
    assert [one for one in written if "/calm-" in one or " calm-" in one] == []
    assert {name: roles.bindings(plane, name) for name in names} == before
    assert len(before[names[1]]) == 3 + 4
    assert "keeps another content" not in manager.text()
