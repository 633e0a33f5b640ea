"""Reports of the command status on a simulated cluster."""

import contextlib
import dataclasses
import gc
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest

from controllers.manifests import Body, Key
from controllers.profiles import PAUSED_ANNOTATION, conditions_changed_at
from controllers.runtime.apply.changeset import Action
from controllers.runtime.client.client import RestClient
from controllers.runtime.commands import status
from controllers.runtime.commands.status_report import (
    NO_CONDITION,
    ProfileState,
    ProfileStatus,
    StatusReport,
    StatusRequest,
)
from controllers.runtime.controller import Command, External, ExternalFactory, Owned, Variants
from controllers.runtime.errors import ApiError, UnreachableError
from controllers.runtime.manager.manager import Manager
from controllers.runtime.options import Options
from controllers.runtime.reconcile.metrics import Metrics
from tests.support import builders
from tests.support.fakes import FakeCluster, harness, virtual_time
from tests.support.fakes.request import Failure, Request

pytestmark = pytest.mark.virtual_time

SAMPLES = builders.controller()
SETTINGS = builders.Settings()
CREATED = "2026-01-01T00:00:00Z"
CHANGED = "2026-02-03T04:05:06Z"
GOOD = {"type": "SamplesReady", "status": "True", "message": "ConfigMap settings is in place"}
BAD = {"type": "SamplesReady", "status": "False", "message": "namespace alice does not exist"}


def request(*registry: Any, **fields: Any) -> StatusRequest:
    registry = registry or (SAMPLES,)
    fields.setdefault("configured", [(SAMPLES, SETTINGS)] if SAMPLES in registry else [])
    return StatusRequest(registry=registry, **fields)


def tenant(
    *conditions: Mapping[str, str], name: str = "alice", cluster: FakeCluster | None = None
) -> FakeCluster:
    """Adds a tenant whose Profile has these conditions, last changed at CHANGED."""
    cluster = cluster or FakeCluster()
    harness.put_tenant(cluster, name, uid=f"uid-{name}", conditions=conditions)
    cluster.objects.edit(Key("Profile", "", name), stamp)
    return cluster


def stamp(body: Body) -> None:
    body["metadata"]["managedFields"] = [
        entry("kfam", "2026-05-05T00:00:00Z", {"f:spec": {}}, subresource=""),
        entry("ours", CHANGED, {"f:status": {"f:conditions": {}}}),
        entry("theirs", "2026-06-06T00:00:00Z", {"f:status": {"f:other": {}}}),
    ]


def entry(manager: str, time: str, fields: Body, subresource: str = "status") -> Body:
    return {"manager": manager, "time": time, "subresource": subresource, "fieldsV1": fields}


@contextlib.asynccontextmanager
async def reporting(
    cluster: FakeCluster, requested: StatusRequest | None = None
) -> AsyncIterator[AsyncIterator[StatusReport]]:
    requested = requested or request()
    options = Options(listen=None, dry_run=True)
    real = cast("RestClient", cluster)
    controllers = status.controllers_to_run(requested)
    manager = Manager(controllers, real, options, Metrics(), clock=virtual_time.now)
    found = status.reports_from(manager, cluster, requested)
    try:
        yield found
    finally:
        await found.aclose()
        await manager.stop()
        gc.unfreeze()


async def report(cluster: FakeCluster, requested: StatusRequest | None = None) -> StatusReport:
    async with reporting(cluster, requested) as found:
        return await anext(found)


async def status_of(cluster: FakeCluster, requested: StatusRequest | None = None) -> ProfileStatus:
    (found,) = (await report(cluster, requested)).statuses
    assert cluster.writes() == []
    return found


async def test_a_profile_is_ready_since_its_conditions_last_changed() -> None:
    cluster = tenant(GOOD)
    cluster.objects.put(builders.object_body(data={"key": "value"}))

    found = await status_of(cluster)

    assert (ProfileState.READY, CHANGED) == (found.state, found.since)
    assert found.message == "ConfigMap settings is in place"
    assert ({"ConfigMap": 1}, ()) == (found.objects, found.drift)
    assert (await report(cluster)).ready


async def test_an_edited_object_is_drift_although_the_condition_is_true() -> None:
    cluster = tenant(GOOD)
    cluster.objects.put(builders.object_body(data={"key": "another"}))

    found = await status_of(cluster)

    assert found.state is ProfileState.READY
    assert [Action.UPDATE] == [change.action for change in found.drift or ()]
    assert (await report(cluster)).ready


@pytest.mark.parametrize(
    ("conditions", "annotations", "state", "ready"),
    [
        ([GOOD], {}, ProfileState.READY, True),
        ([BAD], {}, ProfileState.NOT_READY, False),
        ([{**GOOD, "status": "Unknown"}], {}, ProfileState.UNKNOWN, False),
        ([{**GOOD, "status": "perhaps"}], {}, ProfileState.UNKNOWN, False),
        ([], {}, ProfileState.UNKNOWN, False),
        ([BAD], {PAUSED_ANNOTATION: "true"}, ProfileState.PAUSED, True),
        ([BAD], {PAUSED_ANNOTATION: "rbac, samples"}, ProfileState.PAUSED, True),
        ([BAD], {PAUSED_ANNOTATION: "rbac"}, ProfileState.NOT_READY, False),
    ],
)
async def test_the_state_follows_from_the_condition_and_the_pause_annotation(
    conditions: list[Mapping[str, str]], annotations: Body, state: ProfileState, *, ready: bool
) -> None:
    cluster = tenant(*conditions)
    cluster.objects.edit(
        Key("Profile", "", "alice"), lambda body: body["metadata"].update(annotations=annotations)
    )

    found = await report(cluster, request(expected=frozenset({"samples"})))

    assert ([state], ready) == ([one.state for one in found.statuses], found.ready)


async def test_a_terminating_profile_needs_no_attention() -> None:
    cluster = tenant(BAD)
    cluster.objects.edit(
        Key("Profile", "", "alice"),
        lambda body: body["metadata"].update(deletionTimestamp=CREATED, finalizers=["hold"]),
    )

    found = await report(cluster)

    assert ([ProfileState.TERMINATING], True) == (
        [one.state for one in found.statuses],
        found.ready,
    )


async def test_a_profile_without_a_condition_of_an_installed_controller_is_unknown() -> None:
    cluster = tenant(cluster=tenant(GOOD), name="bob")

    found = await report(cluster)

    states = {one.profile: (one.state, one.message) for one in found.statuses}
    assert states["alice"][0] is ProfileState.READY
    assert states["bob"] == (ProfileState.UNKNOWN, NO_CONDITION)
    assert not found.ready


async def test_a_controller_without_conditions_and_objects_is_not_installed() -> None:
    other = builders.controller("others", owned=(Owned(kind="Secret"),))

    found = await report(tenant(GOOD), request(SAMPLES, other))
    requested = request(SAMPLES, other, expected=frozenset({"samples", "others"}))
    expected = await report(tenant(GOOD), requested)

    assert {"samples"} == {one.controller for one in found.statuses}
    assert [("others", ProfileState.UNKNOWN)] == [
        (one.controller, one.state) for one in expected.statuses if one.controller == "others"
    ]
    assert (True, False) == (found.ready, expected.ready)


async def test_a_controller_with_objects_only_is_installed() -> None:
    cluster = tenant()
    cluster.objects.put(builders.object_body())

    assert (await status_of(cluster)).state is ProfileState.UNKNOWN


async def test_profiles_without_any_status_are_not_ready() -> None:
    silent = await report(tenant())
    empty = await report(FakeCluster())

    assert ((), 1, False) == (silent.statuses, silent.profiles, silent.ready)
    assert ((), 0, True) == (empty.statuses, empty.profiles, empty.ready)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scoped(builders.Settings):
    scope: str = ""


BOTH = Variants(setting="scope", names=("open", "closed"))


async def test_each_variant_has_its_own_status() -> None:
    forge = builders.controller(
        "forge", settings=Scoped, variants=BOTH, command=Command(standalone=True)
    )
    cluster = tenant({"type": "ForgeOpenReady", "status": "True", "message": "well"})
    labels = builders.managed_labels("forge-closed")
    cluster.objects.put(builders.object_body(name="closed", labels=labels))

    found = await report(cluster, request(forge))

    rows = {one.controller: (one.state, one.objects) for one in found.statuses}
    assert rows["forge-open"] == (ProfileState.READY, {})
    assert rows["forge-closed"] == (ProfileState.UNKNOWN, {"ConfigMap": 1})


async def test_one_variant_is_listed_by_the_names_of_its_objects() -> None:
    names = ("account-open", "account-closed")

    def owned(settings: Scoped) -> list[Owned]:
        return [Owned(kind="Secret", names=(f"account-{settings.scope}",))]

    forge = builders.controller("forge", settings=Scoped, variants=BOTH)
    forge = dataclasses.replace(forge, owned=owned)
    cluster = tenant()
    for name in names:
        labels = builders.managed_labels(f"forge-{name.partition('-')[2]}")
        cluster.objects.put(builders.object_body("Secret", name, uid=name, labels=labels))

    found = await status_of(cluster, request(forge, expected=frozenset({"forge-open"})))

    assert ("forge-open", {"Secret": 1}) == (found.controller, found.objects)
    selectors = {one.query.get("fieldSelector") for one in cluster.requests if one.kind == "Secret"}
    assert selectors == {"metadata.name=account-open,type!=helm.sh/release.v1"}


async def test_a_variant_is_paused_by_the_name_of_its_controller() -> None:
    forge = builders.controller(
        "forge", settings=Scoped, variants=Variants(setting="scope", names=("open",))
    )
    cluster = tenant({"type": "ForgeOpenReady", "status": "Unknown", "message": "paused"})
    cluster.objects.edit(
        Key("Profile", "", "alice"),
        lambda body: body["metadata"].update(annotations={PAUSED_ANNOTATION: "forge"}),
    )

    assert (await status_of(cluster, request(forge))).state is ProfileState.PAUSED


async def test_no_external_system_is_called() -> None:
    def connect(_settings: object, *, dry_run: bool) -> External | None:
        raise AssertionError(f"connected, dry_run={dry_run}")

    external = builders.controller(external=ExternalFactory(connect=connect))
    found = await status_of(tenant(GOOD), request(external))

    assert (found.objects, found.drift) == ({}, None)
    assert "external system" in found.note


async def test_a_kind_without_permission_affects_only_the_controllers_that_need_it() -> None:
    other = builders.controller("others", owned=(Owned(kind="Secret"),))
    cluster = tenant(GOOD, {"type": "OthersReady", "status": "True", "message": "well"})
    refusal = ApiError(code=403, reason="Forbidden", message='cannot list resource "secrets"')
    refuse(cluster, "Secret", refusal)

    found = await report(cluster, request(SAMPLES, other))

    rows = {one.controller: one for one in found.statuses}
    assert rows["samples"].objects == {}
    assert (rows["others"].state, rows["others"].objects) == (ProfileState.READY, None)
    assert 'cannot list resource "secrets"' in rows["others"].note
    (warning,) = found.warnings
    assert warning.startswith("cannot determine objects and drift of others: ")
    assert found.ready


def refuse(cluster: FakeCluster, kind: str, error: ApiError) -> None:
    """Makes every list of the kind fail with this error."""
    original = cluster.get

    async def get(path: str, query: Mapping[str, str] | None = None) -> Body:
        if Request(method="GET", path=path).kind == kind:
            raise error
        return await original(path, query)

    cluster.get = get  # type: ignore[method-assign]
    cluster.fail_next(Failure.FORBIDDEN, lambda one: one.method == "WATCH" and one.kind == kind)


async def test_drift_of_a_profile_without_a_namespace_is_unknown() -> None:
    cluster = tenant(BAD)
    cluster.objects.delete(Key("Namespace", "", "alice"))

    found = await status_of(cluster)

    assert (found.drift, found.note) == (None, "namespace alice does not exist")


async def test_objects_of_another_profile_are_not_counted() -> None:
    cluster = tenant(GOOD)
    owners = [builders.profile_reference("alice", "uid-of-an-earlier-alice")]
    cluster.objects.put(builders.object_body(owners=owners))
    cluster.objects.put(builders.object_body(name="foreign", uid="uid-2", labels={}))

    assert (await status_of(cluster)).objects == {}


async def test_only_the_named_profiles_are_reported() -> None:
    cluster = tenant(BAD, cluster=tenant(GOOD), name="bob")

    found = await report(cluster, request(profiles=["alice"]))

    assert (["alice"], True) == ([one.profile for one in found.statuses], found.ready)
    with pytest.raises(KeyError, match="nobody"):
        await report(cluster, request(profiles=["nobody"]))


async def test_later_reports_contain_changes() -> None:
    cluster = tenant(GOOD)
    cluster.objects.put(builders.object_body(data={"key": "value"}))
    async with reporting(cluster) as found:
        first = await anext(found)
        cluster.objects.delete(Key("ConfigMap", "alice", "settings"))
        tenant(BAD, name="bob", cluster=cluster)
        second = await anext(found)
        cluster.objects.delete(Key("Profile", "", "bob"))
        third = await anext(found)

    assert [1, 2, 1] == [one.profiles for one in (first, second, third)]
    (alice,) = (one for one in second.statuses if one.profile == "alice")
    assert ({}, 1) == (alice.objects, len(alice.drift or ()))


async def test_profiles_are_listed_in_the_older_version_if_necessary() -> None:
    cluster = tenant(GOOD)
    cluster.unserved.add(("Profile", "v1"))

    assert (await status_of(cluster)).state is ProfileState.READY


async def test_a_missing_profile_crd_is_an_error_that_names_it() -> None:
    cluster = FakeCluster()
    cluster.unserved |= {("Profile", "v1"), ("Profile", "v1beta1")}

    with pytest.raises(ApiError, match=r"profiles\.kubeflow\.org is not served"):
        await report(cluster)


async def test_an_unreachable_api_server_is_an_error_at_the_start() -> None:
    cluster = tenant(GOOD)
    cluster.fail_next(Failure.LOST_BEFORE)

    with pytest.raises(UnreachableError):
        await report(cluster)


async def test_later_reports_are_stale_while_the_api_server_is_unreachable() -> None:
    cluster = tenant(GOOD)
    async with reporting(cluster) as found:
        before = await anext(found)
        cluster.unreachable = True
        away = await anext(found)
        cluster.unreachable = False
        back = await anext(found)

    assert before.statuses == away.statuses == back.statuses
    assert ["", True, ""] == [before.stale, "unreachable" in away.stale, back.stale]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"metadata": {}},
        {"metadata": {"managedFields": None}},
        {"metadata": {"managedFields": ["odd", {"subresource": "status"}]}},
        {"metadata": {"managedFields": [entry("x", CHANGED, {"f:status": None})]}},
    ],
)
def test_the_time_of_conditions_is_unknown_without_managed_fields(body: Body) -> None:
    assert conditions_changed_at(body) == ""
