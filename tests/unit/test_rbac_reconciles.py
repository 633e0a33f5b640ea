"""rbac in a fake cluster: what happens while it runs. The table is in tests/support/reconcile."""

from collections.abc import Mapping
from typing import Any

import pytest

from controllers.manifests import Key
from controllers.profiles import Owner
from controllers.rbac.config import RbacSettings
from controllers.rbac.controller import CONTROLLER
from tests.support import builders
from tests.support.fakes import Failure, FakeCluster, Request, harness
from tests.support.reconcile.tables.rbac import (
    ALLOW_FROM,
    FROM_BOB,
    GROUP,
    IN_SYNC,
    OPEN,
    OWNERS,
    READY,
    ROLE,
    SMALL,
    subject,
)

pytestmark = pytest.mark.virtual_time


def running(cluster: FakeCluster, settings: Mapping[str, Any] | None = None) -> Any:
    parsed = RbacSettings.model_validate(settings or {})
    return harness.running((CONTROLLER, parsed), cluster=cluster)


async def test_a_changed_owner_replaces_the_former_one() -> None:
    async with running(harness.tenants()) as process:
        objects = process.cluster.objects
        profile = objects.read(Key("Profile", "", "alice"))
        for owner in (Owner(name="joe@x.ca"), Owner(kind="Group", name="analysts")):
            profile["spec"]["owner"] = {"kind": owner.kind, "name": owner.name}
            objects.put(profile)
            await process.settled()

            assert objects.read(OWNERS)["subjects"] == [subject(owner.name, owner.kind)]


async def test_an_invalid_owner_is_reported_and_the_binding_is_deleted() -> None:
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


async def test_an_invalid_source_is_reported_and_the_others_are_bound() -> None:
    annotations = {ALLOW_FROM: "bob,Not_A_Name"}
    async with running(harness.tenants(annotations=annotations), OPEN) as process:
        assert process.cluster.objects.read(FROM_BOB)["subjects"] == [
            {"kind": "ServiceAccount", "name": "default-editor", "namespace": "bob"}
        ]
        status, message = process.conditions()["RbacReady"]
        assert status == "False"
        assert "'Not_A_Name'" in message
        assert ("Warning", "InvalidSource", message) in process.events()


async def test_a_contributor_binding_is_not_changed() -> None:
    cluster = harness.tenants()
    theirs = cluster.objects.put(
        builders.object_body(
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
        await process.resync()

        assert cluster.objects.read(Key("RoleBinding", "alice", "user-joe-clusterrole-edit")) == (
            theirs
        )


@pytest.mark.parametrize("failure", Failure)
async def test_a_binding_deleted_for_another_role_is_created_after_a_failure(
    failure: Failure,
) -> None:
    cluster = harness.tenants()
    for body in IN_SYNC:
        cluster.objects.put(body)

    def creates(request: Request) -> bool:
        return request.method == "POST" and request.kind == "RoleBinding"

    cluster.fail_next(failure, creates)
    async with running(cluster, SMALL) as process:
        stored = cluster.objects.read(OWNERS)
        assert stored["roleRef"] == {"apiGroup": GROUP, "kind": "Role", "name": "profile-pipelines"}
        assert process.conditions() == {"RbacReady": READY}
