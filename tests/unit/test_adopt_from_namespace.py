"""Objects of a Namespace that another operator created and a controller adopts in place."""

from typing import Any

import pytest

from controllers.manifests import Body, Key, Manifest
from controllers.runtime.controller import Owned
from tests.support import builders
from tests.support.fakes import FakeCluster, harness

pytestmark = pytest.mark.virtual_time

OPERATOR_ANNOTATIONS = {"meta.example/decorator": "kfp", "meta.example/applied": "{}"}
ADOPTED_ANNOTATIONS = tuple(OPERATOR_ANNOTATIONS)
NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "name": "alice",
    "uid": "uid-of-the-namespace",
    "controller": True,
    "blockOwnerDeletion": True,
}


def owned_by_namespace(kind: str = "ConfigMap", **content: Any) -> Body:
    return builders.object_body(
        kind,
        labels={},
        annotations={**OPERATOR_ANNOTATIONS, "kept": "yes"},
        owners=[NAMESPACE],
        **content,
    )


async def reconciled(
    body: Body, manifest: Manifest
) -> tuple[FakeCluster, dict[str, tuple[str, str]], Body]:
    """The cluster, the conditions and the object after a reconcile that desires it."""
    cluster = harness.tenants()
    cluster.objects.put(body)
    controller = builders.controller(owned=[Owned(kind=manifest.kind)])
    settings = builders.Settings(manifests=lambda _profile: [manifest])
    async with harness.running((controller, settings), cluster=cluster) as process:
        cluster.requests.clear()
        await process.resync()
        return cluster, process.conditions(), cluster.objects.read(manifest.key)


def assert_adopted(cluster: FakeCluster, before: Body, after: Body) -> None:
    assert [] == cluster.written()
    metadata = after["metadata"]
    assert before["metadata"]["uid"] == metadata["uid"]
    assert [builders.profile_reference()] == metadata["ownerReferences"]
    assert {"kept": "yes"} == metadata["annotations"]
    assert builders.managed_labels() == metadata["labels"]


async def test_an_exact_object_is_adopted_and_updated() -> None:
    before = owned_by_namespace(data={"key": "theirs"})

    cluster, conditions, after = await reconciled(
        before, builders.manifest(adopt_from_namespace=ADOPTED_ANNOTATIONS)
    )

    assert_adopted(cluster, before, after)
    assert {"key": "value"} == after["data"]
    assert ["True"] == [status for status, _ in conditions.values()]


async def test_a_create_only_object_is_adopted_without_a_change_of_content() -> None:
    before = owned_by_namespace(data={"key": "theirs"})

    manifest = builders.manifest(adopt_from_namespace=ADOPTED_ANNOTATIONS, create_only=True)
    cluster, _, after = await reconciled(before, manifest)

    assert_adopted(cluster, before, after)
    assert {"key": "theirs"} == after["data"]


async def test_a_merged_object_changes_its_owner_and_retains_fields_of_other_writers() -> None:
    spec = {"selector": {"app": "theirs"}, "clusterIP": "10.0.0.9"}
    before = owned_by_namespace("Service", spec=spec)

    manifest = builders.manifest(
        "Service", adopt_from_namespace=ADOPTED_ANNOTATIONS, content=builders.partial_service()
    )
    cluster, _, after = await reconciled(before, manifest)

    assert_adopted(cluster, before, after)
    assert "10.0.0.9" == after["spec"]["clusterIP"]
    assert {"app": "sample"} == after["spec"]["selector"]


@pytest.mark.parametrize("kind", ["ConfigMap", "Service"])
async def test_an_object_is_refused_without_adopt_from_namespace(kind: str) -> None:
    before = owned_by_namespace(kind)
    content = {"data": {"key": "value"}} if kind == "ConfigMap" else builders.partial_service()

    _, conditions, after = await reconciled(before, builders.manifest(kind, content=content))

    assert before["metadata"]["ownerReferences"] == after["metadata"]["ownerReferences"]
    assert ["False"] == [status for status, _ in conditions.values()]


@pytest.mark.parametrize(
    "change",
    [{"name": "bob"}, {"controller": False}, {"kind": "ReplicaSet", "apiVersion": "apps/v1"}],
)
async def test_only_an_object_that_the_own_namespace_controls_is_adopted(change: Body) -> None:
    before = owned_by_namespace()
    before["metadata"]["ownerReferences"] = [{**NAMESPACE, **change}]

    cluster, conditions, after = await reconciled(
        before, builders.manifest(adopt_from_namespace=ADOPTED_ANNOTATIONS)
    )

    assert before["metadata"]["ownerReferences"] == after["metadata"]["ownerReferences"]
    assert ["False"] == [status for status, _ in conditions.values()]
    assert cluster.objects.read(Key("ConfigMap", "alice", "settings")) == after
