"""Permissions in a tenant's namespace, by SubjectAccessReviews of the API server."""

import functools

import pytest

from controllers.rbac.config import RbacSettings
from tests.support.cluster import access, kubeflow, observe, roles, waiting
from tests.support.cluster.manager_process import Launcher, Start
from tests.support.controlplane import ControlPlane, Json

pytestmark = pytest.mark.xdist_group("rbac")

ALLOW_FROM = "rbac.statcan.gc.ca/allow-from"
WIDE = {"support_groups": ["support", "stewards"], "cross_namespace_access": True}
SMALL = {"ml_pipeline": "Role"}
HELPER = access.User("helper@example.ca", groups=("stewards",))
OWNER = access.User(kubeflow.OWNER)
JOE = access.User("joe@example.ca")
STRANGER = access.User("stranger@example.ca", groups=("anybody",))


@pytest.fixture(scope="module", autouse=True)
def platform_roles(control_plane: ControlPlane) -> None:
    roles.install(control_plane)


# Who may do what


def test_subjects_have_exactly_the_permissions_that_the_settings_grant(
    control_plane: ControlPlane, start: Start
) -> None:
    plane = control_plane
    kubeflow.create_tenant(plane, "opened", annotations={ALLOW_FROM: "neighbour-in"})
    kubeflow.create_complete_tenants(plane, ["neighbour-in", "neighbour-out"])
    kubeflow.add_contributor(plane, "opened", JOE.name)
    editor = access.default_editor("neighbour-in")
    can = functools.partial(access.Permission, plane, namespace="opened")
    secrets, workflows = can(OWNER, "list", "secrets"), can(OWNER, "create", "workflows")
    helps, enters = can(HELPER, "list", "configmaps"), can(editor, "list", "pods")
    everybody = (OWNER, JOE, HELPER, STRANGER, editor, access.default_editor("neighbour-out"))
    rights = functools.partial(access.allowed_checks, plane, everybody)
    before = rights("opened")
    theirs = roles.bindings(plane, "opened")

    start("rbac", WIDE)
    for ability in (secrets, helps, enters):
        roles.wait_for(ability)
    wide = rights("opened")

    start("rbac", SMALL)
    roles.wait_for(workflows)
    for ability in (secrets, helps, enters):
        roles.wait_for(ability, allowed=False)
    small = rights("opened")

    member = {"list pods"}
    assert before == {
        OWNER: member, JOE: member, HELPER: set(), STRANGER: set(), editor: set(),
        access.default_editor("neighbour-out"): set(),
    }  # fmt: skip
    assert wide == {
        **before,
        OWNER: {*member, "list secrets"},
        HELPER: {"list configmaps"},
        editor: member,
    }
    assert small == {
        **before,
        OWNER: {*member, "create workflows", "create runs", "readArtifact runs"},
    }
    after = roles.bindings(plane, "opened")
    assert {name: after[name] for name in theirs} == theirs
    assert set(after) - set(theirs) == {"ml-pipeline"}
    assert rights("neighbour-out")[editor] == set()
    assert roles.kfam_list(plane, "opened") == {OWNER.name: "admin", JOE.name: "edit"}


def test_support_groups_are_bound_by_a_flag_and_unbound_when_it_is_empty(
    control_plane: ControlPlane, launcher: Launcher
) -> None:
    plane = control_plane
    kubeflow.create_tenant(plane, "helped")
    settings = RbacSettings(support_groups=("support",))
    kubeconfig = launcher.identity("rbac-flagged", "rbac", rbac=settings)
    helps = access.Permission(plane, HELPER, "list", "configmaps", namespace="helped")
    given: tuple[tuple[tuple[str, ...], list[str]], ...] = (
        (("--support-groups", "support,stewards"), ["support", "stewards"]),
        (("--support-groups", "stewards", "--support-groups", "it"), ["stewards", "it"]),
        (("--support-groups", ""), []),
    )
    for arguments, expected in given:
        manager = launcher.start("rbac", *arguments, kubeconfig=kubeconfig).wait_ready()
        waiting.until(
            lambda due=expected: roles.subjects(plane, "helped", "profile-support") == due,  # type: ignore[misc]
            f"{expected} are bound",
        )
        roles.wait_for(helps, allowed=bool(expected))
        assert manager.stop() == 0
    assert roles.binding(plane, "helped", "profile-support") == {}


def test_a_new_owner_replaces_the_old_one(control_plane: ControlPlane, start: Start) -> None:
    plane = control_plane
    kubeflow.create_tenant(plane, "new-owner")
    old, new = (
        access.Permission(plane, who, "list", "secrets", namespace="new-owner")
        for who in (OWNER, JOE)
    )
    start("rbac", {})
    roles.wait_for(old)
    uid = roles.binding(plane, "new-owner", "ml-pipeline")["metadata"]["uid"]

    kubeflow.patch_profile(plane, "new-owner", {"spec": {"owner": kubeflow.user(JOE.name)}})

    roles.wait_for(new)
    roles.wait_for(old, allowed=False)
    assert roles.binding(plane, "new-owner", "ml-pipeline")["metadata"]["uid"] == uid
    account = {"kind": "ServiceAccount", "name": "robot", "namespace": "x", "apiGroup": None}
    kubeflow.patch_profile(plane, "new-owner", {"spec": {"owner": account}})
    robot = access.service_account("x", "robot")
    roles.wait_for(access.Permission(plane, robot, "list", "secrets", namespace="new-owner"))
    roles.wait_for(new, allowed=False)
    roles.wait_roles_ready(plane, "new-owner")


def test_another_role_replaces_the_binding(control_plane: ControlPlane, start: Start) -> None:
    plane = control_plane
    kubeflow.create_tenant(plane, "rebound")
    start("rbac", {})
    roles.wait_roles_ready(plane, "rebound")
    first = roles.binding(plane, "rebound", "ml-pipeline")

    start("rbac", SMALL)

    def second() -> Json:
        found = roles.binding(plane, "rebound", "ml-pipeline")
        return found if found.get("roleRef", {}).get("kind") == "Role" else {}

    role = waiting.until(second, "the owner is bound to the Role")
    assert role["roleRef"]["name"] == "profile-pipelines"
    assert role["metadata"]["uid"] != first["metadata"]["uid"]
    assert role["subjects"] == first["subjects"]
    roles.wait_roles_ready(plane, "rebound")


# Other namespaces


def test_invalid_entries_are_reported_and_valid_ones_follow_the_annotation(
    control_plane: ControlPlane, start: Start
) -> None:
    plane = control_plane
    kubeflow.create_tenant(plane, "hosting", annotations={ALLOW_FROM: "guest-a,Guest_B,hosting"})
    enters = {
        name: access.Permission(
            plane, access.default_editor(name), "list", "pods", namespace="hosting"
        )
        for name in ("guest-a", "guest-c")
    }
    start("rbac", WIDE)
    roles.wait_for(enters["guest-a"])
    waiting.until(
        lambda: "'Guest_B'" in observe.condition_message(plane, "hosting", roles.CONDITION),
        "the entry is reported",
    )
    for reason in ("InvalidSource", "RedundantSource"):
        waiting.until(
            functools.partial(observe.events, plane, "hosting", reason=reason),
            f"{reason} is reported",
        )
    assert observe.condition_status(plane, "hosting", roles.CONDITION) == "False"

    kubeflow.patch_profile(plane, "hosting", {"metadata": {"annotations": {ALLOW_FROM: "guest-c"}}})
    roles.wait_for(enters["guest-c"])
    roles.wait_for(enters["guest-a"], allowed=False)
    roles.wait_roles_ready(plane, "hosting")

    kubeflow.patch_profile(plane, "hosting", {"metadata": {"annotations": {ALLOW_FROM: None}}})
    roles.wait_for(enters["guest-c"], allowed=False)


def test_no_access_is_granted_unless_the_platform_enables_it(
    control_plane: ControlPlane, start: Start
) -> None:
    plane = control_plane
    kubeflow.create_tenant(plane, "closed", annotations={ALLOW_FROM: "guest-a"})
    start("rbac", {})
    waiting.until(
        lambda: observe.events(plane, "closed", reason="AccessNotEnabled"), "it is reported"
    )
    roles.wait_roles_ready(plane, "closed")
    enters = access.Permission(
        plane, access.default_editor("guest-a"), "list", "pods", namespace="closed"
    )
    assert not enters()
    assert not any(name.startswith("allow-") for name in roles.bindings(plane, "closed"))
