"""The API server in memory behaves as tests rely on; tests/real proves the rest of a real one."""

from typing import Any

import pytest

from controllers.manifests import Body, Key
from controllers.runtime.client.client import APPLY_PATCH, MERGE_PATCH
from controllers.runtime.errors import ApiError, UnreachableError
from tests.support import builders
from tests.support.fakes import Failure, FakeCluster, harness
from tests.support.fakes import patch as patching
from tests.support.fakes.request import selects

pytestmark = pytest.mark.virtual_time

PATH = "/api/v1/namespaces/alice/configmaps"
KEY = Key("ConfigMap", "alice", "settings")


def new(name: str = "settings", **fields: Any) -> Body:
    body = builders.object_body(name=name, **fields)
    del body["metadata"]["uid"], body["metadata"]["resourceVersion"]
    return body


async def refused(cluster: FakeCluster, method: str, path: str, body: Body) -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        await cluster.write(method, path, body)
    return caught.value.code, caught.value.reason


async def test_versions_grow_and_uids_are_new() -> None:
    cluster = harness.tenants()
    one = await cluster.write("POST", PATH, new("one"))
    other = await cluster.write("POST", PATH, new("other"))

    assert int(one["metadata"]["resourceVersion"]) < int(other["metadata"]["resourceVersion"])
    assert one["metadata"]["uid"] != other["metadata"]["uid"]


async def test_an_existing_object_cannot_be_created_again() -> None:
    cluster = harness.tenants()
    await cluster.write("POST", PATH, new())

    assert (409, "AlreadyExists") == await refused(cluster, "POST", PATH, new())


@pytest.mark.parametrize("stated", [{"resourceVersion": "1"}, {"uid": "uid-other"}])
async def test_a_stale_version_or_another_uid_is_a_conflict(stated: dict[str, str]) -> None:
    cluster = harness.tenants()
    body = await cluster.write("POST", PATH, new())
    body["metadata"] |= stated

    assert (409, "Conflict") == await refused(cluster, "PUT", f"{PATH}/settings", body)
    preconditions = {"preconditions": stated}
    assert (409, "Conflict") == await refused(cluster, "DELETE", f"{PATH}/settings", preconditions)


async def test_a_write_without_a_change_sends_no_event() -> None:
    cluster = harness.tenants()
    body = await cluster.write("POST", PATH, new())
    happened = len(cluster.objects.history)

    assert body == await cluster.write("PUT", f"{PATH}/settings", body)
    assert happened == len(cluster.objects.history)


async def test_a_finalizer_delays_a_deletion() -> None:
    cluster = harness.tenants()
    body = new()
    body["metadata"]["finalizers"] = ["a/b"]
    await cluster.write("POST", PATH, body)
    answer = await cluster.write("DELETE", f"{PATH}/settings", None)
    assert "deletionTimestamp" in answer["metadata"]

    await cluster.write(
        "PATCH",
        f"{PATH}/settings",
        {"metadata": {"finalizers": None}},
        content_type=MERGE_PATCH,
    )
    assert cluster.objects.get(KEY) is None


async def test_status_is_a_subresource() -> None:
    cluster = harness.tenants()
    path = "/apis/kubeflow.org/v1/profiles/alice"
    status = {"conditions": [{"type": "A", "status": "True", "message": ""}]}
    patch = {"status": status, "spec": {"owner": {"name": "eve"}}}
    await cluster.write("PATCH", f"{path}/status", patch, content_type=MERGE_PATCH)
    body = await cluster.write("PATCH", path, {"status": None}, content_type=MERGE_PATCH)

    assert status == body["status"]
    assert builders.OWNER == body["spec"]["owner"]["name"]


@pytest.mark.parametrize(
    ("change", "code", "cause"),
    [("gone", 404, ()), ("terminating", 403, ("NamespaceTerminating",))],
)
async def test_no_object_is_created_in_a_missing_namespace(
    change: str, code: int, cause: tuple[str, ...]
) -> None:
    cluster = harness.tenants()
    key = Key("Namespace", "", "alice")
    if change == "terminating":
        cluster.objects.edit(key, lambda body: body["metadata"].update(finalizers=["kubernetes"]))
    cluster.objects.delete(key)
    with pytest.raises(ApiError) as caught:
        await cluster.write("POST", PATH, new())

    assert (code, cause) == (caught.value.code, caught.value.causes)


async def test_the_pages_of_a_list_have_one_version() -> None:
    cluster = harness.tenants()
    for name in "abc":
        await cluster.write("POST", PATH, new(name))
    first = await cluster.get(PATH, {"limit": "2"})
    cluster.objects.delete(Key("ConfigMap", "alice", "c"))
    query = {"limit": "2", "continue": first["metadata"]["continue"]}
    second = await cluster.get(PATH, query)

    assert ["alice/a", "alice/b", "alice/c"] == harness.names_of(first["items"] + second["items"])
    assert "continue" not in second["metadata"]
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [("", True), ("a=b", True), ("a=c", False), ("a=b,c in (d,e)", True), ("c in (x)", False)],
)
def test_selectors_are_those_of_the_informers(selector: str, expected: bool) -> None:  # noqa: FBT001
    assert expected is selects(selector, new(labels={"a": "b", "c": "d"}))


async def test_a_watch_reports_an_object_that_no_longer_matches_as_deleted() -> None:
    cluster = harness.tenants()
    watch = cluster.watch(PATH, {"resourceVersion": "0", "labelSelector": "a=b"})
    assert () == await anext(watch)
    cluster.objects.put(new(labels={"a": "b"}))
    cluster.objects.edit(KEY, lambda body: body["metadata"].update(labels={}))
    cluster.objects.edit(KEY, lambda body: body["metadata"].update(labels={"a": "b"}))
    events = [event["type"] for _ in range(3) for event in await anext(watch)]

    assert ["ADDED", "DELETED", "ADDED"] == events
    await watch.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("failure", Failure)
async def test_only_a_connection_lost_after_the_write_has_an_effect(failure: Failure) -> None:
    cluster = harness.tenants()
    cluster.fail_next(failure)
    with pytest.raises((ApiError, UnreachableError)):
        await cluster.write("POST", PATH, new())

    assert (failure is Failure.LOST_AFTER) is (cluster.objects.get(KEY) is not None)
    assert ["POST ConfigMap alice/settings"] == cluster.written()


async def test_server_side_apply_removes_fields_that_the_manager_no_longer_applies() -> None:
    cluster = harness.tenants()
    path = "/api/v1/namespaces/alice/services/web"
    query = {"fieldManager": "ours", "force": "true"}
    for spec in ({"a": "1", "b": "2"}, {"b": "3"}):
        body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}
        await cluster.write("PATCH", path, body, query=query, content_type=APPLY_PATCH)
        key = Key("Service", "alice", "web")
        cluster.objects.edit(key, lambda one: one["spec"].update(theirs="yes"))

    assert {"b": "3", "theirs": "yes"} == cluster.objects.read(key)["spec"]


def test_lists_are_applied_by_the_names_of_their_items() -> None:
    live = [{"name": "a", "image": "1", "theirs": 1}, {"name": "b"}, {"name": "side"}]
    before = [{"name": "a", "image": "1"}, {"name": "b"}]

    assert [{"name": "a", "image": "2", "theirs": 1}, {"name": "side"}, {"name": "c"}] == (
        patching.apply(live, [{"name": "a", "image": "2"}, {"name": "c"}], before)
    )
