"""What `status` says of profiles and controllers, over the cluster in memory."""

import contextlib
import dataclasses
import gc
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest

from controllers.manifests import Body, Key
from controllers.profiles import PAUSED_ANNOTATION, conditions_changed
from controllers.runtime.apply.changeset import Action
from controllers.runtime.client.client import RestClient
from controllers.runtime.commands import status
from controllers.runtime.commands.statuses import SILENT, Overview, Question, State, Status
from controllers.runtime.controller import Command, External, ExternalFactory, Owned, Variants
from controllers.runtime.errors import ApiError, UnreachableError
from controllers.runtime.manager.manager import Manager
from controllers.runtime.options import Options
from controllers.runtime.reconcile.metrics import Metrics
from tests.support.builders import live_objects
from tests.support.fakes import FakeCluster, event_loop, harness
from tests.support.fakes.requests import Failure, Request

pytestmark = pytest.mark.virtual_time

SAMPLES = live_objects.controller()
SETTINGS = live_objects.Settings()
CREATED = "2026-01-01T00:00:00Z"
CHANGED = "2026-02-03T04:05:06Z"
GOOD = {"type": "SamplesReady", "status": "True", "message": "ConfigMap settings is in place"}
BAD = {"type": "SamplesReady", "status": "False", "message": "namespace alice does not exist"}


def question(*registry: Any, **fields: Any) -> Question:
    registry = registry or (SAMPLES,)
    fields.setdefault("judged", [(SAMPLES, SETTINGS)] if SAMPLES in registry else [])
    return Question(registry=registry, **fields)


def told(
    *conditions: Mapping[str, str], name: str = "alice", cluster: FakeCluster | None = None
) -> FakeCluster:
    """A tenant whose Profile has these conditions, which last changed at CHANGED."""
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
async def asking(
    cluster: FakeCluster, asked: Question | None = None
) -> AsyncIterator[AsyncIterator[Overview]]:
    asked = asked or question()
    options = Options(listen=None, dry_run=True)
    real = cast("RestClient", cluster)
    assemblies = status.assemblies(asked)
    manager = Manager(assemblies, real, options, Metrics(), clock=event_loop.now)
    found = status.overviews(asked, manager, cluster)
    try:
        yield found
    finally:
        await found.aclose()
        await manager.stop()
        gc.unfreeze()


async def overview(cluster: FakeCluster, asked: Question | None = None) -> Overview:
    async with asking(cluster, asked) as found:
        return await anext(found)


async def row(cluster: FakeCluster, asked: Question | None = None) -> Status:
    (found,) = (await overview(cluster, asked)).statuses
    assert cluster.writes() == []
    return found


async def test_a_profile_in_shape_is_ready_since_its_conditions_last_changed() -> None:
    cluster = told(GOOD)
    cluster.objects.put(live_objects.object_body(data={"key": "value"}))

    found = await row(cluster)

    assert (State.READY, CHANGED) == (found.state, found.since)
    assert found.message == "ConfigMap settings is in place"
    assert ({"ConfigMap": 1}, ()) == (found.look.objects, found.look.drift)
    assert (await overview(cluster)).well


async def test_an_edit_that_nobody_repaired_is_drift_whatever_the_condition_says() -> None:
    cluster = told(GOOD)
    cluster.objects.put(live_objects.object_body(data={"key": "another"}))

    found = await row(cluster)

    assert found.state is State.READY
    assert [Action.UPDATE] == [change.action for change in found.look.drift or ()]
    assert (await overview(cluster)).well


@pytest.mark.parametrize(
    ("conditions", "annotations", "state", "well"),
    [
        ([GOOD], {}, State.READY, True),
        ([BAD], {}, State.NOT_READY, False),
        ([{**GOOD, "status": "Unknown"}], {}, State.UNKNOWN, False),
        ([{**GOOD, "status": "perhaps"}], {}, State.UNKNOWN, False),
        ([], {}, State.UNKNOWN, False),
        ([BAD], {PAUSED_ANNOTATION: "true"}, State.PAUSED, True),
        ([BAD], {PAUSED_ANNOTATION: "rbac, samples"}, State.PAUSED, True),
        ([BAD], {PAUSED_ANNOTATION: "rbac"}, State.NOT_READY, False),
    ],
)
async def test_the_state_follows_from_condition_and_pause(
    conditions: list[Mapping[str, str]], annotations: Body, state: State, *, well: bool
) -> None:
    cluster = told(*conditions)
    cluster.objects.edit(
        Key("Profile", "", "alice"), lambda body: body["metadata"].update(annotations=annotations)
    )

    found = await overview(cluster, question(expected=frozenset({"samples"})))

    assert ([state], well) == ([one.state for one in found.statuses], found.well)


async def test_a_profile_on_its_way_out_is_no_reason_to_wake_anybody() -> None:
    cluster = told(BAD)
    cluster.objects.edit(
        Key("Profile", "", "alice"),
        lambda body: body["metadata"].update(deletionTimestamp=CREATED, finalizers=["hold"]),
    )

    found = await overview(cluster)

    assert ([State.DELETING], True) == ([one.state for one in found.statuses], found.well)


async def test_a_profile_that_an_installed_controller_never_spoke_of_is_unknown() -> None:
    cluster = told(cluster=told(GOOD), name="bob")

    found = await overview(cluster)

    states = {one.profile: (one.state, one.message) for one in found.statuses}
    assert states["alice"][0] is State.READY
    assert states["bob"] == (State.UNKNOWN, SILENT)
    assert not found.well


async def test_a_controller_that_left_no_trace_is_not_installed() -> None:
    other = live_objects.controller("others", owned=(Owned(kind="Secret"),))

    found = await overview(told(GOOD), question(SAMPLES, other))
    asked = question(SAMPLES, other, expected=frozenset({"samples", "others"}))
    expected = await overview(told(GOOD), asked)

    assert {"samples"} == {one.controller for one in found.statuses}
    assert [("others", State.UNKNOWN)] == [
        (one.controller, one.state) for one in expected.statuses if one.controller == "others"
    ]
    assert (True, False) == (found.well, expected.well)


async def test_objects_alone_show_that_a_controller_is_installed() -> None:
    cluster = told()
    cluster.objects.put(live_objects.object_body())

    assert (await row(cluster)).state is State.UNKNOWN


async def test_where_no_controller_says_a_word_nothing_is_well() -> None:
    silent = await overview(told())
    empty = await overview(FakeCluster())

    assert ((), 1, False) == (silent.statuses, silent.profiles, silent.well)
    assert ((), 0, True) == (empty.statuses, empty.profiles, empty.well)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scoped(live_objects.Settings):
    scope: str = ""


BOTH = Variants(setting="scope", names=("open", "closed"))


async def test_variants_have_rows_of_their_own() -> None:
    forge = live_objects.controller(
        "forge", settings=Scoped, variants=BOTH, command=Command(standalone=True)
    )
    cluster = told({"type": "ForgeOpenReady", "status": "True", "message": "well"})
    labels = live_objects.marks("forge-closed")
    cluster.objects.put(live_objects.object_body(name="closed", labels=labels))

    found = await overview(cluster, question(forge))

    rows = {one.controller: (one.state, one.look.objects) for one in found.statuses}
    assert rows["forge-open"] == (State.READY, {})
    assert rows["forge-closed"] == (State.UNKNOWN, {"ConfigMap": 1})


async def test_one_variant_alone_is_looked_for_under_its_own_names() -> None:
    names = ("account-open", "account-closed")

    def owned(settings: Scoped) -> list[Owned]:
        return [Owned(kind="Secret", names=(f"account-{settings.scope}",))]

    forge = live_objects.controller("forge", settings=Scoped, variants=BOTH)
    forge = dataclasses.replace(forge, owned=owned)
    cluster = told()
    for name in names:
        labels = live_objects.marks(f"forge-{name.partition('-')[2]}")
        cluster.objects.put(live_objects.object_body("Secret", name, uid=name, labels=labels))

    found = await row(cluster, question(forge, expected=frozenset({"forge-open"})))

    assert ("forge-open", {"Secret": 1}) == (found.controller, found.look.objects)
    selectors = {one.query.get("fieldSelector") for one in cluster.requests if one.kind == "Secret"}
    assert selectors == {"metadata.name=account-open,type!=helm.sh/release.v1"}


async def test_a_variant_is_paused_by_its_controllers_plain_name() -> None:
    forge = live_objects.controller(
        "forge", settings=Scoped, variants=Variants(setting="scope", names=("open",))
    )
    cluster = told({"type": "ForgeOpenReady", "status": "Unknown", "message": "paused"})
    cluster.objects.edit(
        Key("Profile", "", "alice"),
        lambda body: body["metadata"].update(annotations={PAUSED_ANNOTATION: "forge"}),
    )

    assert (await row(cluster, question(forge))).state is State.PAUSED


async def test_what_is_outside_the_cluster_is_not_asked() -> None:
    def connect(_settings: object, *, dry_run: bool) -> External | None:
        raise AssertionError(f"asked, dry_run={dry_run}")

    asking_outside = live_objects.controller(external=ExternalFactory(connect=connect))
    found = await row(told(GOOD), question(asking_outside))

    assert (found.look.objects, found.look.drift) == ({}, None)
    assert "outside the cluster" in found.look.note


async def test_a_kind_that_may_not_be_listed_costs_the_rows_that_need_it() -> None:
    other = live_objects.controller("others", owned=(Owned(kind="Secret"),))
    cluster = told(GOOD, {"type": "OthersReady", "status": "True", "message": "well"})
    refusal = ApiError(code=403, reason="Forbidden", message='cannot list resource "secrets"')
    refuse(cluster, "Secret", refusal)

    found = await overview(cluster, question(SAMPLES, other))

    rows = {one.controller: one for one in found.statuses}
    assert rows["samples"].look.objects == {}
    assert (rows["others"].state, rows["others"].look.objects) == (State.READY, None)
    assert 'cannot list resource "secrets"' in rows["others"].look.note
    (trouble,) = found.troubles
    assert trouble.startswith("objects and drift of others are not known: ")
    assert found.well


def refuse(cluster: FakeCluster, kind: str, error: ApiError) -> None:
    """Every list of the kind ends so."""
    original = cluster.get

    async def get(path: str, query: Mapping[str, str] | None = None) -> Body:
        if Request(method="GET", path=path).kind == kind:
            raise error
        return await original(path, query)

    cluster.get = get  # type: ignore[method-assign]
    cluster.fail_next(Failure.FORBIDDEN, lambda one: one.method == "WATCH" and one.kind == kind)


async def test_drift_of_a_profile_without_a_namespace_is_not_known() -> None:
    cluster = told(BAD)
    cluster.objects.delete(Key("Namespace", "", "alice"))

    found = await row(cluster)

    assert (found.look.drift, found.look.note) == (None, "namespace alice does not exist")


async def test_another_profiles_objects_are_not_counted() -> None:
    cluster = told(GOOD)
    owners = [live_objects.profile_reference("alice", "uid-of-an-earlier-alice")]
    cluster.objects.put(live_objects.object_body(owners=owners))
    cluster.objects.put(live_objects.object_body(name="foreign", uid="uid-2", labels={}))

    assert (await row(cluster)).look.objects == {}


async def test_only_the_profiles_that_are_named_are_shown() -> None:
    cluster = told(BAD, cluster=told(GOOD), name="bob")

    found = await overview(cluster, question(profiles=["alice"]))

    assert (["alice"], True) == ([one.profile for one in found.statuses], found.well)
    with pytest.raises(KeyError, match="nobody"):
        await overview(cluster, question(profiles=["nobody"]))


async def test_it_goes_on_and_sees_what_changes() -> None:
    cluster = told(GOOD)
    cluster.objects.put(live_objects.object_body(data={"key": "value"}))
    async with asking(cluster) as found:
        first = await anext(found)
        cluster.objects.delete(Key("ConfigMap", "alice", "settings"))
        told(BAD, name="bob", cluster=cluster)
        second = await anext(found)
        cluster.objects.delete(Key("Profile", "", "bob"))
        third = await anext(found)

    assert [1, 2, 1] == [one.profiles for one in (first, second, third)]
    (alice,) = (one for one in second.statuses if one.profile == "alice")
    assert ({}, 1) == (alice.look.objects, len(alice.look.drift or ()))


async def test_profiles_of_the_older_version_are_found() -> None:
    cluster = told(GOOD)
    cluster.unserved.add(("Profile", "v1"))

    assert (await row(cluster)).state is State.READY


async def test_a_cluster_without_kubeflow_is_named() -> None:
    cluster = FakeCluster()
    cluster.unserved |= {("Profile", "v1"), ("Profile", "v1beta1")}

    with pytest.raises(ApiError, match=r"profiles\.kubeflow\.org is not served"):
        await overview(cluster)


async def test_an_api_server_that_does_not_answer_is_no_reason_to_wait() -> None:
    cluster = told(GOOD)
    cluster.fail_next(Failure.LOST_BEFORE)

    with pytest.raises(UnreachableError):
        await overview(cluster)


async def test_who_watches_sees_the_api_server_go_and_come_back() -> None:
    cluster = told(GOOD)
    async with asking(cluster) as found:
        before = await anext(found)
        cluster.down = True
        away = await anext(found)
        cluster.down = False
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
def test_without_managed_fields_nobody_knows_since_when(body: Body) -> None:
    assert conditions_changed(body) == ""
