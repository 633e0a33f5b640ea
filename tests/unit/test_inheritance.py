"""What another operator made for a Namespace: taken over in place, by those who ask for it."""

from typing import Any

import pytest

from controllers.manifests import Body, Key, Manifest
from controllers.runtime.controller import Owned
from tests.support import builders
from tests.support.fakes import FakeCluster, harness

pytestmark = pytest.mark.virtual_time

THEIRS = {"meta.example/decorator": "kfp", "meta.example/applied": "{}"}
INHERITED = tuple(THEIRS)
NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "name": "alice",
    "uid": "uid-of-the-namespace",
    "controller": True,
    "blockOwnerDeletion": True,
}


def handed_down(kind: str = "ConfigMap", **content: Any) -> Body:
    return builders.object_body(
        kind, labels={}, annotations={**THEIRS, "kept": "yes"}, owners=[NAMESPACE], **content
    )


async def brought(
    body: Body, manifest: Manifest
) -> tuple[FakeCluster, dict[str, tuple[str, str]], Body]:
    """The cluster, the conditions and the object after a controller that wants it has run."""
    cluster = harness.tenants()
    cluster.objects.put(body)
    controller = builders.controller(owned=[Owned(kind=manifest.kind)])
    settings = builders.Settings(manifests=lambda _profile: [manifest])
    async with harness.running((controller, settings), cluster=cluster) as process:
        cluster.requests.clear()
        await process.resynced()
        return cluster, process.conditions(), cluster.objects.read(manifest.key)


def assert_taken(cluster: FakeCluster, before: Body, after: Body) -> None:
    assert [] == cluster.written()
    metadata = after["metadata"]
    assert before["metadata"]["uid"] == metadata["uid"]
    assert [builders.profile_reference()] == metadata["ownerReferences"]
    assert {"kept": "yes"} == metadata["annotations"]
    assert builders.managed_labels() == metadata["labels"]


async def test_an_exact_object_is_taken_over_and_brought_into_shape() -> None:
    before = handed_down(data={"key": "theirs"})

    cluster, conditions, after = await brought(
        before, builders.manifest(adopt_from_namespace=INHERITED)
    )

    assert_taken(cluster, before, after)
    assert {"key": "value"} == after["data"]
    assert ["True"] == [status for status, _ in conditions.values()]


async def test_a_create_only_object_is_taken_over_as_it_is() -> None:
    before = handed_down(data={"key": "theirs"})

    manifest = builders.manifest(adopt_from_namespace=INHERITED, create_only=True)
    cluster, _, after = await brought(before, manifest)

    assert_taken(cluster, before, after)
    assert {"key": "theirs"} == after["data"]


async def test_a_merged_object_loses_its_owner_and_keeps_what_others_stated() -> None:
    spec = {"selector": {"app": "theirs"}, "clusterIP": "10.0.0.9"}
    before = handed_down("Service", spec=spec)

    manifest = builders.manifest(
        "Service", adopt_from_namespace=INHERITED, content=builders.partial_service()
    )
    cluster, _, after = await brought(before, manifest)

    assert_taken(cluster, before, after)
    assert "10.0.0.9" == after["spec"]["clusterIP"]
    assert {"app": "sample"} == after["spec"]["selector"]


@pytest.mark.parametrize("kind", ["ConfigMap", "Service"])
async def test_who_does_not_inherit_refuses_it(kind: str) -> None:
    before = handed_down(kind)
    content = {"data": {"key": "value"}} if kind == "ConfigMap" else builders.partial_service()

    _, conditions, after = await brought(before, builders.manifest(kind, content=content))

    assert before["metadata"]["ownerReferences"] == after["metadata"]["ownerReferences"]
    assert ["False"] == [status for status, _ in conditions.values()]


@pytest.mark.parametrize(
    "change",
    [{"name": "bob"}, {"controller": False}, {"kind": "ReplicaSet", "apiVersion": "apps/v1"}],
)
async def test_only_what_the_own_namespace_controls_is_inherited(change: Body) -> None:
    before = handed_down()
    before["metadata"]["ownerReferences"] = [{**NAMESPACE, **change}]

    cluster, conditions, after = await brought(
        before, builders.manifest(adopt_from_namespace=INHERITED)
    )

    assert before["metadata"]["ownerReferences"] == after["metadata"]["ownerReferences"]
    assert ["False"] == [status for status, _ in conditions.values()]
    assert cluster.objects.read(Key("ConfigMap", "alice", "settings")) == after
