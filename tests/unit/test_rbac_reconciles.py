"""rbac on a cluster: what was there before, then exact writes, events and condition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from controllers.manifests import Body, Key, to_body
from controllers.profiles import Owner
from controllers.rbac import desired
from controllers.rbac.config import RbacSettings
from controllers.rbac.controller import CONTROLLER
from controllers.runtime.objects.kinds import KINDS
from tests.support.builders import live_objects
from tests.support.fakes import Failure, FakeCluster, Request, harness

pytestmark = pytest.mark.virtual_time

ALLOW_FROM = "rbac.statcan.gc.ca/allow-from"
GROUP = "rbac.authorization.k8s.io"
ROLE = Key("Role", "alice", "profile-pipelines")
OWNERS = Key("RoleBinding", "alice", "ml-pipeline")
SUPPORT = Key("RoleBinding", "alice", "profile-support")
FROM_BOB = Key("RoleBinding", "alice", "allow-bob-kubeflow-edit")
WELL = ("True", "2 objects are in place")
FOREIGN = "exists and is not managed by profiles-controller; rename or delete it"
NOT_ENABLED = (
    f"annotation {ALLOW_FROM} has no effect: cross-namespace access is not enabled"
    " on this platform; remove it, or contact the operators"
)
OPEN = {"cross_namespace_access": True}
BOB = {ALLOW_FROM: "bob"}


def in_shape(key: Key, settings: Mapping[str, Any] | None = None, **profile: Any) -> Body:
    """The object as the controller makes it for Alice."""
    whose = live_objects.profile(**profile)
    manifests = desired.desired(whose, None, RbacSettings.model_validate(settings or {})).objects
    (manifest,) = (one for one in manifests if one.key == key)
    version = KINDS[key.kind].api_version
    return to_body(manifest, api_version=version, profile=whose, component="rbac")


def older(body: Body, **fields: Any) -> Body:
    """As the older suite made it: without labels."""
    metadata = {name: value for name, value in body["metadata"].items() if name != "labels"}
    return {**body, "metadata": metadata, **fields}


def nobodys(body: Body) -> Body:
    made = older(body)
    del made["metadata"]["ownerReferences"]
    return made


def subject(name: str, kind: str = "User") -> Body:
    return {"apiGroup": GROUP, "kind": kind, "name": name}


def annotated(body: Body, **annotations: str) -> Body:
    return {**body, "metadata": {**body["metadata"], "annotations": annotations}}


def writes(method: str, *keys: Key) -> list[str]:
    return [f"{method} {key}" for key in keys]


def told(*changes: tuple[Key, str]) -> tuple[str, str, str]:
    return ("Normal", "Reconciled", ", ".join(f"{key} {action}" for key, action in changes))


IN_SHAPE = (in_shape(ROLE), in_shape(OWNERS))
SMALL = {"ml_pipeline": "Role"}
ONE_GROUP = {"support_groups": "support"}
BROAD_REFERENCE = {"apiGroup": GROUP, "kind": "ClusterRole", "name": "cluster-admin"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """`requests` (reads before writes included) and `events` are exact."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[Body] = ()
    requests: Sequence[str] = ()
    events: Sequence[tuple[str, str, str]] = ()
    condition: tuple[str, str] = WELL


CASES = {
    "a_new_tenant": Case(
        requests=writes("POST", ROLE, OWNERS),
        events=[told((ROLE, "create"), (OWNERS, "create"))],
    ),
    "in_shape": Case(before=IN_SHAPE),
    "everything_on": Case(
        settings={**ONE_GROUP, **OPEN},
        annotations=BOB,
        before=IN_SHAPE,
        requests=writes("POST", SUPPORT, FROM_BOB),
        events=[told((SUPPORT, "create"), (FROM_BOB, "create"))],
        condition=("True", "4 objects are in place"),
    ),
    "another_owner": Case(
        before=[in_shape(ROLE), in_shape(OWNERS, owner="joe@example.ca")],
        requests=[f"GET {OWNERS}", f"PUT {OWNERS}"],
        events=[told((OWNERS, "update"))],
    ),
    "another_group": Case(
        settings=ONE_GROUP,
        before=[*IN_SHAPE, in_shape(SUPPORT, {"support_groups": "support,former"})],
        requests=[f"GET {SUPPORT}", f"PUT {SUPPORT}"],
        events=[told((SUPPORT, "update"))],
        condition=("True", "3 objects are in place"),
    ),
    "no_groups_any_more": Case(
        before=[*IN_SHAPE, in_shape(SUPPORT, ONE_GROUP)],
        requests=writes("DELETE", SUPPORT),
        events=[told((SUPPORT, "prune"))],
    ),
    "the_owner_on_the_small_role": Case(
        settings=SMALL,
        before=IN_SHAPE,
        requests=writes("DELETE", OWNERS) + writes("POST", OWNERS),
        events=[told((OWNERS, "recreate"))],
    ),
    "the_owner_bound_no_more": Case(
        settings={"ml_pipeline": "none"},
        before=IN_SHAPE,
        requests=writes("DELETE", OWNERS),
        events=[told((OWNERS, "prune"))],
        condition=("True", "Role profile-pipelines is in place"),
    ),
    "bound_to_more_than_is_due": Case(
        before=[in_shape(ROLE), {**in_shape(OWNERS), "roleRef": BROAD_REFERENCE}],
        requests=writes("DELETE", OWNERS) + writes("POST", OWNERS),
        events=[told((OWNERS, "recreate"))],
    ),
    "somebody_else_added": Case(
        before=[
            in_shape(ROLE),
            {**in_shape(OWNERS), "subjects": [subject(live_objects.OWNER), subject("eve")]},
        ],
        requests=[f"GET {OWNERS}", f"PUT {OWNERS}"],
        events=[told((OWNERS, "update"))],
    ),
    "a_rule_added": Case(
        before=[
            {
                **in_shape(ROLE),
                "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}],
            },
            in_shape(OWNERS),
        ],
        requests=[f"GET {ROLE}", f"PUT {ROLE}"],
        events=[told((ROLE, "update"))],
    ),
    "marked_as_a_contributors": Case(
        settings=ONE_GROUP,
        before=[*IN_SHAPE, annotated(in_shape(SUPPORT, ONE_GROUP), user="eve", role="admin")],
        requests=[f"GET {SUPPORT}", f"PUT {SUPPORT}"],
        events=[told((SUPPORT, "update"))],
        condition=("True", "3 objects are in place"),
    ),
    "noted_by_somebody": Case(before=[in_shape(ROLE), annotated(in_shape(OWNERS), note="ours")]),
    "the_older_suites_that_are_wanted": Case(
        settings=ONE_GROUP,
        before=[
            in_shape(ROLE),
            older(in_shape(OWNERS), subjects=[subject("alice@cloud.statcan.ca")]),
            older(in_shape(SUPPORT, ONE_GROUP)),
        ],
        requests=[f"GET {OWNERS}", f"GET {SUPPORT}", f"PUT {OWNERS}", f"PUT {SUPPORT}"],
        events=[told((OWNERS, "adopt"), (SUPPORT, "adopt"))],
        condition=("True", "3 objects are in place"),
    ),
    "the_older_suites_that_are_not": Case(
        settings={"ml_pipeline": "none"},
        before=[in_shape(ROLE), older(in_shape(OWNERS)), older(in_shape(SUPPORT, ONE_GROUP))],
        requests=writes("DELETE", OWNERS, SUPPORT),
        events=[told((OWNERS, "prune"), (SUPPORT, "prune"))],
        condition=("True", "Role profile-pipelines is in place"),
    ),
    "nobodys": Case(
        before=[in_shape(ROLE), nobodys(in_shape(OWNERS))],
        events=[("Warning", "Refused", f"{OWNERS} refused ({FOREIGN})")],
        condition=("False", f"{OWNERS} refused ({FOREIGN})"),
    ),
    "nobodys_that_we_do_not_want": Case(
        before=[*IN_SHAPE, nobodys(in_shape(SUPPORT, ONE_GROUP))],
    ),
    "no_longer_let_in": Case(
        settings=OPEN,
        before=[*IN_SHAPE, in_shape(FROM_BOB, OPEN, annotations=BOB)],
        requests=writes("DELETE", FROM_BOB),
        events=[told((FROM_BOB, "prune"))],
    ),
    "let_in_while_the_platform_does_not_enable_it_any_more": Case(
        annotations=BOB,
        before=[*IN_SHAPE, in_shape(FROM_BOB, OPEN, annotations=BOB)],
        requests=writes("DELETE", FROM_BOB),
        events=[
            told((FROM_BOB, "prune")),
            (
                "Warning",
                "AccessNotEnabled",
                NOT_ENABLED,
            ),
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_what_is_there_is_brought_into_shape_by_exactly_these_requests(name: str) -> None:
    case = CASES[name]
    cluster = harness.tenants(annotations=case.annotations)
    for body in case.before:
        cluster.objects.put(body)
    async with running(cluster, case.settings) as process:
        requests = [
            str(one)
            for one in cluster.requests
            if one.kind in {"Role", "RoleBinding"} and (one.method == "POST" or one.target.name)
        ]

        assert sorted(requests) == sorted(case.requests)
        assert process.events() == list(case.events)
        assert process.conditions() == {"RbacReady": case.condition}
        for key in (ROLE, OWNERS, SUPPORT, FROM_BOB):
            due = wanted(case).get(key)
            if due is not None and case.condition[0] == "True":
                stored = cluster.objects.read(key)
                assert {field: stored[field] for field in KINDS[key.kind].content} == due
        cluster.requests.clear()
        await process.resynced()
        assert cluster.written() == []


def running(cluster: FakeCluster, settings: Mapping[str, Any] | None = None) -> Any:
    parsed = RbacSettings.model_validate(settings or {})
    return harness.running((CONTROLLER, parsed), cluster=cluster)


def wanted(case: Case) -> dict[Key, Mapping[str, Any]]:
    whose = live_objects.profile(annotations=case.annotations)
    manifests = desired.desired(whose, None, RbacSettings.model_validate(case.settings)).objects
    return {one.key: one.content for one in manifests}


# What changes while it runs


async def test_the_old_owner_is_out_when_the_profile_has_another() -> None:
    async with running(harness.tenants()) as process:
        objects = process.cluster.objects
        profile = objects.read(Key("Profile", "", "alice"))
        for owner in (Owner(name="joe@x.ca"), Owner(kind="Group", name="analysts")):
            profile["spec"]["owner"] = {"kind": owner.kind, "name": owner.name}
            objects.put(profile)
            await process.settled()

            assert objects.read(OWNERS)["subjects"] == [subject(owner.name, owner.kind)]


async def test_an_owner_that_cannot_be_bound_is_told_and_the_binding_goes() -> None:
    async with running(harness.tenants()) as process:
        objects = process.cluster.objects
        profile = objects.read(Key("Profile", "", "alice"))
        profile["spec"]["owner"] = {"kind": "Robot", "name": "r2"}
        objects.put(profile)
        await process.settled()

        assert objects.get(OWNERS) is None
        assert objects.get(ROLE) is not None
        status, message = process.conditions()["RbacReady"]
        assert status == "False"
        assert "spec.owner.kind is 'Robot'" in message
        assert ("Warning", "InvalidOwner", message) in process.events()


async def test_a_bad_entry_is_told_and_its_neighbours_are_let_in() -> None:
    annotations = {ALLOW_FROM: "bob,Not_A_Name"}
    async with running(harness.tenants(annotations=annotations), OPEN) as process:
        assert process.cluster.objects.read(FROM_BOB)["subjects"] == [
            {"kind": "ServiceAccount", "name": "default-editor", "namespace": "bob"}
        ]
        status, message = process.conditions()["RbacReady"]
        assert status == "False"
        assert "'Not_A_Name'" in message
        assert ("Warning", "InvalidSource", message) in process.events()


async def test_a_contributor_is_never_touched() -> None:
    cluster = harness.tenants()
    theirs = cluster.objects.put(
        live_objects.object_body(
            "RoleBinding",
            "user-joe-clusterrole-edit",
            uid="uid-joe",
            labels={},
            annotations={"user": "joe", "role": "edit"},
            owners=[],
            roleRef={"apiGroup": GROUP, "kind": "ClusterRole", "name": "kubeflow-edit"},
            subjects=[subject("joe")],
        )
    )
    async with running(cluster) as process:
        await process.resynced()

        assert cluster.objects.read(Key("RoleBinding", "alice", "user-joe-clusterrole-edit")) == (
            theirs
        )


@pytest.mark.parametrize("failure", Failure)
async def test_a_binding_deleted_for_another_role_is_made_though_the_create_fails(
    failure: Failure,
) -> None:
    cluster = harness.tenants()
    for body in IN_SHAPE:
        cluster.objects.put(body)

    def creates(request: Request) -> bool:
        return request.method == "POST" and request.kind == "RoleBinding"

    cluster.fail_next(failure, creates)
    async with running(cluster, SMALL) as process:
        stored = cluster.objects.read(OWNERS)
        assert stored["roleRef"] == {"apiGroup": GROUP, "kind": "Role", "name": "profile-pipelines"}
        assert process.conditions() == {"RbacReady": WELL}
