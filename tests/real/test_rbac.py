"""Who may do what in a tenant's namespace, as the API server itself answers."""

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers.rbac.config import RbacSettings
from tests import accesses, identities, kubeflow, sights, waits
from tests.audits import Audit
from tests.controlplane import ControlPlane, Json
from tests.suites import Suite, Suites

pytestmark = pytest.mark.xdist_group("rbac")

ALLOW_FROM = "rbac.statcan.gc.ca/allow-from"
CONDITION = "RbacReady"
WIDE = {"support_groups": ["support", "stewards"], "cross_namespace_access": True}
SMALL = {"ml_pipeline": "Role"}
HELPER = accesses.Person("helper@example.ca", groups=("stewards",))
OWNER = accesses.Person(kubeflow.OWNER)
JOE = accesses.Person("joe@example.ca")
STRANGER = accesses.Person("stranger@example.ca", groups=("anybody",))
Start = Callable[..., Suite]


@pytest.fixture(scope="module", autouse=True)
def platform_roles(control_plane: ControlPlane) -> None:
    """The ClusterRoles that a platform brings, each with a right that no other gives."""
    control_plane.apply(
        *(
            {
                "apiVersion": f"{kubeflow.RBAC}/v1",
                "kind": "ClusterRole",
                "metadata": {"name": name},
                "rules": [{"apiGroups": [""], "resources": [resource], "verbs": ["get", "list"]}],
            }
            for name, resource in (("ml-pipeline", "secrets"), ("profile-support", "configmaps"))
        )
    )


@pytest.fixture
def start(suites: Suites, tmp_path: Path) -> Iterator[Start]:
    """Starts rbac with settings, under exactly the rights that follow from them; one at a time."""
    running: list[Suite] = []

    def begin(settings: Mapping[str, Any] | None = None, *arguments: str) -> Suite:
        while running:
            assert running.pop().stop() == 0
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump({"rbac": dict(settings or {})}))
        parsed = RbacSettings.model_validate(settings or {})
        kubeconfig = suites.identity(name_of(settings), "rbac", rbac=parsed)
        running.append(
            suites.start("rbac", "--config", str(file), *arguments, kubeconfig=kubeconfig)
        )
        return running[0].wait_ready()

    yield begin
    for suite in running:
        suite.stop()


def name_of(settings: Mapping[str, Any] | None) -> str:
    return "-".join(["rbac", *sorted(settings or {})]).replace("_", "-")


def path(namespace: str, name: str = "", plural: str = "rolebindings") -> str:
    root = f"/apis/{kubeflow.RBAC}/v1/namespaces/{namespace}/{plural}"
    return f"{root}/{name}" if name else root


def binding(plane: ControlPlane, namespace: str, name: str) -> Json:
    return sights.find(plane, path(namespace, name)) or {}


def bindings(plane: ControlPlane, namespace: str) -> dict[str, Json]:
    items = plane.request("GET", path(namespace))["items"]
    return {item["metadata"]["name"]: item for item in items}


def subjects(plane: ControlPlane, namespace: str, name: str) -> list[str]:
    return [one["name"] for one in binding(plane, namespace, name).get("subjects", [])]


def kfam_list(plane: ControlPlane, namespace: str) -> dict[str, str]:
    """Contributors and their roles, read as kfam does: it gives up over several subjects."""
    found = {}
    for name, one in bindings(plane, namespace).items():
        annotations = one["metadata"].get("annotations", {})
        if "user" in annotations and "role" in annotations:
            assert len(one.get("subjects", [])) == 1, f"kfam fails for everybody over {name}"
            found[one["subjects"][0]["name"]] = annotations["role"]
    return found


def legacy(profile: Json, name: str, *people: Json) -> Json:
    """A RoleBinding as the older suite makes it."""
    metadata = kubeflow.owned_metadata(profile, name)
    return {
        "apiVersion": f"{kubeflow.RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {**metadata, "namespace": profile["metadata"]["name"]},
        "roleRef": {"apiGroup": kubeflow.RBAC, "kind": "ClusterRole", "name": name},
        "subjects": list(people),
    }


def group(name: str) -> Json:
    return {"apiGroup": kubeflow.RBAC, "kind": "Group", "name": name}


def wait_well(plane: ControlPlane, *profiles: str) -> None:
    for name in profiles:
        waits.until(functools.partial(is_well, plane, name), f"{name} has its role and bindings")


def is_well(plane: ControlPlane, profile: str) -> bool:
    return sights.status(plane, profile, CONDITION) == "True"


def wait_for(ability: accesses.Ability, *, allowed: bool = True) -> None:
    waits.until(lambda: ability() is allowed, f"{ability} is {'' if allowed else 'not '}allowed")


# Who may do what


def test_each_gets_what_the_settings_give_and_loses_what_they_no_longer_give(
    control_plane: ControlPlane, start: Start
) -> None:
    plane = control_plane
    kubeflow.create_tenant(plane, "opened", annotations={ALLOW_FROM: "neighbour-in"})
    kubeflow.create_furnished_tenants(plane, ["neighbour-in", "neighbour-out"])
    kubeflow.add_contributor(plane, "opened", JOE.name)
    editor = accesses.editor("neighbour-in")
    can = functools.partial(accesses.Ability, plane, namespace="opened")
    secrets, workflows = can(OWNER, "list", "secrets"), can(OWNER, "create", "workflows")
    helps, enters = can(HELPER, "list", "configmaps"), can(editor, "list", "pods")
    everybody = (OWNER, JOE, HELPER, STRANGER, editor, accesses.editor("neighbour-out"))
    rights = functools.partial(accesses.granted, plane, everybody)
    before = rights("opened")
    theirs = bindings(plane, "opened")

    start(WIDE)
    for ability in (secrets, helps, enters):
        wait_for(ability)
    wide = rights("opened")

    start(SMALL)
    wait_for(workflows)
    for ability in (secrets, helps, enters):
        wait_for(ability, allowed=False)
    small = rights("opened")

    member = {"list pods"}
    assert before == {
        OWNER: member, JOE: member, HELPER: set(), STRANGER: set(), editor: set(),
        accesses.editor("neighbour-out"): set(),
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
    after = bindings(plane, "opened")
    assert {name: after[name] for name in theirs} == theirs
    assert set(after) - set(theirs) == {"ml-pipeline"}
    assert rights("neighbour-out")[editor] == set()
    assert kfam_list(plane, "opened") == {OWNER.name: "admin", JOE.name: "edit"}


def test_support_groups_come_by_flag_and_go_when_they_are_empty(
    control_plane: ControlPlane, suites: Suites
) -> None:
    plane = control_plane
    kubeflow.create_tenant(plane, "helped")
    settings = RbacSettings(support_groups=("support",))
    kubeconfig = suites.identity("rbac-flagged", "rbac", rbac=settings)
    helps = accesses.Ability(plane, HELPER, "list", "configmaps", namespace="helped")
    given: tuple[tuple[tuple[str, ...], list[str]], ...] = (
        (("--support-groups", "support,stewards"), ["support", "stewards"]),
        (("--support-groups", "stewards", "--support-groups", "it"), ["stewards", "it"]),
        (("--support-groups", ""), []),
    )
    for arguments, expected in given:
        suite = suites.start("rbac", *arguments, kubeconfig=kubeconfig).wait_ready()
        waits.until(
            lambda due=expected: subjects(plane, "helped", "profile-support") == due,  # type: ignore[misc]
            f"{expected} are bound",
        )
        wait_for(helps, allowed=bool(expected))
        assert suite.stop() == 0
    assert binding(plane, "helped", "profile-support") == {}


def test_a_new_owner_takes_the_place_of_the_old(control_plane: ControlPlane, start: Start) -> None:
    plane = control_plane
    kubeflow.create_tenant(plane, "handed-over")
    old, new = (
        accesses.Ability(plane, who, "list", "secrets", namespace="handed-over")
        for who in (OWNER, JOE)
    )
    start()
    wait_for(old)
    uid = binding(plane, "handed-over", "ml-pipeline")["metadata"]["uid"]

    kubeflow.patch_profile(plane, "handed-over", {"spec": {"owner": kubeflow.user(JOE.name)}})

    wait_for(new)
    wait_for(old, allowed=False)
    assert binding(plane, "handed-over", "ml-pipeline")["metadata"]["uid"] == uid
    account = {"kind": "ServiceAccount", "name": "robot", "namespace": "x", "apiGroup": None}
    kubeflow.patch_profile(plane, "handed-over", {"spec": {"owner": account}})
    robot = accesses.account("x", "robot")
    wait_for(accesses.Ability(plane, robot, "list", "secrets", namespace="handed-over"))
    wait_for(new, allowed=False)
    wait_well(plane, "handed-over")


def test_another_role_means_another_binding(control_plane: ControlPlane, start: Start) -> None:
    plane = control_plane
    kubeflow.create_tenant(plane, "rebound")
    start()
    wait_well(plane, "rebound")
    first = binding(plane, "rebound", "ml-pipeline")

    start(SMALL)

    def second() -> Json:
        found = binding(plane, "rebound", "ml-pipeline")
        return found if found.get("roleRef", {}).get("kind") == "Role" else {}

    role = waits.until(second, "the owner is bound to the Role")
    assert role["roleRef"]["name"] == "profile-pipelines"
    assert role["metadata"]["uid"] != first["metadata"]["uid"]
    assert role["subjects"] == first["subjects"]
    wait_well(plane, "rebound")


# Other namespaces


def test_bad_entries_are_told_and_the_good_ones_follow_the_annotation(
    control_plane: ControlPlane, start: Start
) -> None:
    plane = control_plane
    kubeflow.create_tenant(plane, "hosting", annotations={ALLOW_FROM: "guest-a,Guest_B,hosting"})
    enters = {
        name: accesses.Ability(plane, accesses.editor(name), "list", "pods", namespace="hosting")
        for name in ("guest-a", "guest-c")
    }
    start(WIDE)
    wait_for(enters["guest-a"])
    waits.until(
        lambda: "'Guest_B'" in sights.message(plane, "hosting", CONDITION), "the entry is told"
    )
    for reason in ("InvalidSource", "RedundantSource"):
        waits.until(
            functools.partial(sights.events, plane, "hosting", reason=reason), f"{reason} is told"
        )
    assert sights.status(plane, "hosting", CONDITION) == "False"

    kubeflow.patch_profile(plane, "hosting", {"metadata": {"annotations": {ALLOW_FROM: "guest-c"}}})
    wait_for(enters["guest-c"])
    wait_for(enters["guest-a"], allowed=False)
    wait_well(plane, "hosting")

    kubeflow.patch_profile(plane, "hosting", {"metadata": {"annotations": {ALLOW_FROM: None}}})
    wait_for(enters["guest-c"], allowed=False)


def test_nobody_is_let_in_where_the_platform_does_not_enable_it(
    control_plane: ControlPlane, start: Start
) -> None:
    plane = control_plane
    kubeflow.create_tenant(plane, "closed", annotations={ALLOW_FROM: "guest-a"})
    start()
    waits.until(lambda: sights.events(plane, "closed", reason="AccessNotEnabled"), "it is told")
    wait_well(plane, "closed")
    enters = accesses.Ability(plane, accesses.editor("guest-a"), "list", "pods", namespace="closed")
    assert not enters()
    assert not any(name.startswith("allow-") for name in bindings(plane, "closed"))


# What others do, and did before


def test_what_somebody_adds_is_taken_away_again(control_plane: ControlPlane, start: Start) -> None:
    plane = control_plane
    kubeflow.create_tenant(plane, "tampered")
    start(WIDE)
    wait_well(plane, "tampered")
    before = bindings(plane, "tampered")
    role = plane.request("GET", path("tampered", "profile-pipelines", "roles"))
    everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]

    sights.patch(plane, path("tampered", "ml-pipeline"), {"subjects": [kubeflow.user("eve")]})
    sights.patch(plane, path("tampered", "profile-pipelines", "roles"), {"rules": everything})
    marks = {"user": "eve", "role": "admin", "note": "theirs"}
    support = path("tampered", "profile-support")
    sights.patch(plane, support, {"metadata": {"annotations": marks}})

    def restored() -> bool:
        now = bindings(plane, "tampered")
        rules = plane.request("GET", path("tampered", "profile-pipelines", "roles"))["rules"]
        assert now["profile-support"]["metadata"]["annotations"] == {"note": "theirs"}
        assert now["ml-pipeline"]["subjects"] == before["ml-pipeline"]["subjects"]
        assert rules == role["rules"]
        return True

    waits.until(restored, "all is as it was")
    assert kfam_list(plane, "tampered") == {OWNER.name: "admin"}


def test_a_binding_of_somebody_else_under_our_name_is_refused_and_untouched(
    control_plane: ControlPlane, start: Start
) -> None:
    plane = control_plane
    profile = kubeflow.create_tenant(plane, "squatted")
    squatter = legacy(profile, "ml-pipeline", kubeflow.user("eve"))
    del squatter["metadata"]["ownerReferences"]
    plane.apply(squatter)
    before = binding(plane, "squatted", "ml-pipeline")

    start()

    waits.until(
        lambda: "refused" in sights.message(plane, "squatted", CONDITION), "it is refused aloud"
    )
    assert binding(plane, "squatted", "ml-pipeline") == before
    assert sights.find(plane, path("squatted", "profile-pipelines", "roles")) is not None


def test_the_older_suites_bindings_are_adopted_or_pruned_and_nothing_else_is_touched(
    control_plane: ControlPlane, start: Start
) -> None:
    plane = control_plane
    names = ("entitled", "not-entitled")
    profiles = {name: kubeflow.create_tenant(plane, name) for name in names}
    for profile in profiles.values():
        plane.apply(
            legacy(profile, "ml-pipeline", kubeflow.user("alice@cloud.statcan.ca")),
            legacy(profile, "profile-support", group("support"), group("stewards")),
            legacy(profile, "seldon-user", kubeflow.user("alice@cloud.statcan.ca")),
        )
        kubeflow.add_contributor(plane, profile["metadata"]["name"], JOE.name)
    before = {name: bindings(plane, name) for name in names}
    old = {"ml-pipeline", "profile-support"}

    start(WIDE)
    wait_well(plane, *names)
    adopted = bindings(plane, "entitled")
    start({"ml_pipeline": "none"})
    waits.until(
        lambda: not old & bindings(plane, "not-entitled").keys(), "the leftovers are pruned"
    )

    uids = {name: adopted[name]["metadata"]["uid"] for name in old}
    assert uids == {name: before["entitled"][name]["metadata"]["uid"] for name in old}
    assert [one["name"] for one in adopted["ml-pipeline"]["subjects"]] == [OWNER.name]
    for name in old:
        labels = adopted[name]["metadata"]["labels"]
        assert labels["app.kubernetes.io/component"] == "rbac"
        assert len(adopted[name]["metadata"]["ownerReferences"]) == 1
    for namespace in names:
        after = bindings(plane, namespace)
        others = before[namespace].keys() - old
        assert {name: after[name] for name in others} == {
            name: before[namespace][name] for name in others
        }


# Rights, and the steady state


def test_it_can_bind_what_it_is_set_to_bind_and_can_escalate_nothing(
    control_plane: ControlPlane, start: Start
) -> None:
    start(WIDE)
    me = accesses.Person(identities.user(name_of(WIDE)))

    def may_bind(role: str, resource: str = "clusterroles") -> bool:
        return accesses.Ability(
            control_plane, me, "bind", resource, namespace="anywhere", name=role
        )()

    bound = ("ml-pipeline", "profile-support", "kubeflow-edit")
    others = ("cluster-admin", "admin", "edit", "kubeflow-admin", "kubeflow-view", "")
    assert [may_bind(role) for role in bound] == [True] * len(bound)
    assert [may_bind(role) for role in others] == [False] * len(others)
    assert not may_bind("profile-pipelines", "roles")
    for resource in ("roles", "clusterroles"):
        for name in ("", "profile-pipelines"):
            assert not accesses.Ability(
                control_plane, me, "escalate", resource, namespace="anywhere", name=name
            )()
    assert not accesses.Ability(control_plane, me, "get", "secrets", namespace="anywhere")()


def test_rights_of_other_settings_are_told_and_cost_only_what_they_lack(
    control_plane: ControlPlane, suites: Suites
) -> None:
    plane = control_plane
    role = identities.cluster_role("rbac", name="suite-rbac-outdated")
    kubeconfig = identities.bind(plane, "rbac-outdated", role)
    kubeflow.create_tenant(plane, "outdated")

    suite = suites.start("rbac", "--support-groups", "support", kubeconfig=kubeconfig)
    suite.wait_ready()

    waits.until(
        lambda: "forbidden" in sights.message(plane, "outdated", CONDITION),
        "the condition names the missing right",
    )
    message = sights.message(plane, "outdated", CONDITION)
    assert "RoleBinding outdated/profile-support create" in message
    assert "attempting to grant RBAC permissions not currently held" in message
    assert subjects(plane, "outdated", "ml-pipeline") == [OWNER.name]
    assert binding(plane, "outdated", "profile-support") == {}
    assert suite.stop() == 0


def test_the_steady_state_writes_nothing_and_a_restart_neither(
    control_plane: ControlPlane, start: Start
) -> None:
    plane = control_plane
    names = [f"calm-{number}" for number in range(5)]
    for name in names:
        kubeflow.create_tenant(plane, name, annotations={ALLOW_FROM: "calm-0x, calm-0y"})
    accounts = {"kind": "ServiceAccount", "name": "robot", "apiGroup": None}
    kubeflow.patch_profile(plane, names[0], {"spec": {"owner": accounts}})
    settings = {**WIDE, **SMALL}
    start(settings)
    wait_well(plane, *names)
    before = {name: bindings(plane, name) for name in names}
    audit = Audit(plane, identities.user(name_of(settings)))

    suite = start(settings, "--resync", "0.02")
    looks = functools.partial(suite.total, "controller_runtime_reconcile_total")
    everybody = len(plane.request("GET", kubeflow.PROFILES)["items"])
    waits.until(lambda: looks() >= 3 * everybody, "it has looked thrice", seconds=60)

    written = [one for one in audit.writes() if " events " not in one]
    assert [one for one in written if "/calm-" in one or " calm-" in one] == []
    assert {name: bindings(plane, name) for name in names} == before
    assert len(before[names[1]]) == 3 + 4
    assert "keeps another content" not in suite.text()
