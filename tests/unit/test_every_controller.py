"""What is true of every controller in the registry; a new one is covered without an edit.

Each runs over the cluster in memory with its default settings and the facts that it declares.
`tests/support/builders/registered.py` has settings for those that need some.
"""

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import pytest

from controllers.manifests import Body, Key, Manifest, to_body
from controllers.profiles import PAUSED_ANNOTATION, Profile
from controllers.runtime.apply.changeset import WRITES
from controllers.runtime.controller import AnyController
from controllers.runtime.objects.kinds import KINDS, Mode
from controllers.runtime.options import Options
from tests.support.builders import kubeflow_objects, live_objects, registered
from tests.support.fakes import Failure, FakeCluster, Request, harness, virtual_time

pytestmark = [
    pytest.mark.virtual_time,
    pytest.mark.parametrize("controller", registered.as_they_run(), ids=lambda one: str(one.name)),
]

OPT_INS = {
    "sourcecontrol.statcan.gc.ca/enabled": "true",
    "s3.statcan.gc.ca/enabled": "true",
    "state.aaw.statcan.gc.ca/exists-non-cloud-main-user": "false",
}
"""Labels that opt a Profile in to what some controllers offer."""
TOLD = ("Event", "Profile")
BOB = live_objects.profile_reference("bob", "uid-bob")


def tenants(controller: AnyController, *names: str, **fields: Any) -> FakeCluster:
    """Alice unless others are named, opted in to everything, and where the controller writes."""
    cluster = FakeCluster()
    for name in names or ("alice",):
        harness.put_tenant(cluster, name, **{"labels": OPT_INS, "uid": f"uid-{name}", **fields})
    for place in controller.access.namespaces(registered.settings(controller)):
        cluster.objects.put(live_objects.namespace_body(place, owned=False))
    return cluster


def profile(name: str = "alice", **fields: Any) -> Profile:
    return live_objects.profile(name, **{"labels": OPT_INS, "uid": f"uid-{name}", **fields})


def wanted(controller: AnyController, whose: Profile | None = None) -> list[Manifest]:
    """What it makes where there is nothing yet."""
    settings = registered.settings(controller)
    manifests = controller.desired(whose or profile(), controller.facts, settings).objects
    return [one for one in manifests if not one.update_only]


def first_kind(controller: AnyController) -> str:
    return controller.owned(registered.settings(controller))[0].kind


def bodies(controller: AnyController) -> Iterator[tuple[Manifest, Body]]:
    """Each manifest of Alice's, and the object as the controller makes it."""
    for manifest in wanted(controller):
        yield (
            manifest,
            to_body(
                manifest,
                api_version=KINDS[manifest.kind].api_version,
                profile=profile(),
                component=controller.name,
            ),
        )


def unmarked(body: Body, *, owners: list[Body] | None = None) -> Body:
    """The object without labels, and with these owners instead of Alice's Profile."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "labels"}
    if owners is not None:
        metadata["ownerReferences"] = owners
    return {**body, "metadata": metadata}


def emptied(body: Body) -> None:
    """Somebody takes the content out, where the kind lets one change it; else our labels."""
    kind = KINDS[body["kind"]]
    if kind.immutable or kind.mode is Mode.APPLY or not kind.content:
        body["metadata"]["labels"] = {}
        return
    for field in kind.content:
        body.pop(field, None)


@contextlib.asynccontextmanager
async def running(
    controller: AnyController, cluster: FakeCluster | None = None, **fields: Any
) -> AsyncIterator[harness.Harness]:
    async def observe(*_: object) -> Any:
        return controller.facts

    standing_in = dataclasses.replace(controller, observe=observe, external=None)
    cluster = cluster or tenants(controller)
    async with harness.running(
        (standing_in, registered.settings(controller)), cluster=cluster, **fields
    ) as process:
        yield process


def state(controller: AnyController, cluster: FakeCluster) -> dict[Key, Body]:
    """The objects of the kinds that the controller owns, without what the server adds."""
    found = {}
    for kind in {own.kind for own in controller.owned(registered.settings(controller))}:
        for body in cluster.objects.all_of(kind):
            server = ("uid", "resourceVersion", "creationTimestamp")
            metadata = {k: v for k, v in body["metadata"].items() if k not in server}
            key = Key(kind, metadata.get("namespace", ""), metadata["name"])
            found[key] = {**body, "metadata": metadata}
    return found


def in_shape(controller: AnyController) -> dict[Key, Body]:
    return {manifest.key: body for manifest, body in bodies(controller)}


async def test_the_sample_profile_wants_something_and_everything_of_it_within_reach(
    controller: AnyController,
) -> None:
    manifests = wanted(controller)

    assert manifests, "add the label that opts in to this controller to OPT_INS"
    assert {own.kind for own in controller.owned(registered.settings(controller))} >= {
        one.kind for one in manifests
    }
    assert len(manifests) == len({one.key for one in manifests})


async def test_a_new_tenant_gets_exactly_what_is_desired(controller: AnyController) -> None:
    async with running(controller) as process:
        assert in_shape(controller) == state(controller, process.cluster)
        assert len(wanted(controller)) == len(process.cluster.writes(but=TOLD))
        assert ["True"] == [status for status, _ in process.conditions().values()]
        assert [("Normal", "Reconciled")] == [event[:2] for event in process.events()]


async def test_the_steady_state_makes_no_request(controller: AnyController) -> None:
    async with running(controller) as process:
        process.cluster.requests.clear()
        await process.resynced()

        assert [] == process.cluster.requests


async def test_a_restart_writes_nothing(controller: AnyController) -> None:
    cluster = tenants(controller)
    async with running(controller, cluster):
        pass
    cluster.requests.clear()
    async with running(controller, cluster) as process:
        await process.resynced()

    assert [] == cluster.written()


async def test_a_dry_run_plans_the_same_and_writes_nothing(controller: AnyController) -> None:
    options = Options(listen=None, dry_run=True)
    async with running(controller, options=options) as process:
        report = await process.reconcile(controller.name)

        assert {one.key for one in wanted(controller)} == {
            change.key for change in report.changes.with_action(*WRITES)
        }
        assert [] == process.cluster.written()


async def test_what_is_deleted_is_made_again(controller: AnyController) -> None:
    async with running(controller) as process:
        for manifest in wanted(controller):
            process.cluster.requests.clear()
            process.cluster.objects.delete(manifest.key)
            await process.settled()

            assert in_shape(controller) == state(controller, process.cluster)
            assert 1 == len(process.cluster.writes(but=TOLD))


async def test_what_is_edited_is_put_right_but_for_what_users_may_edit(
    controller: AnyController,
) -> None:
    async with running(controller) as process:
        for manifest in wanted(controller):
            process.cluster.requests.clear()
            edited = process.cluster.objects.edit(manifest.key, emptied)
            await process.settled()

            if manifest.create_only:
                assert edited == process.cluster.objects.read(manifest.key)
                process.cluster.objects.delete(manifest.key)
                await process.settled()
                continue
            assert in_shape(controller) == state(controller, process.cluster)
            assert 1 == len(process.cluster.writes(but=TOLD))


async def test_another_object_under_our_name_is_refused_aloud_and_left(
    controller: AnyController,
) -> None:
    for manifest, body in bodies(controller):
        for owners in ([], [BOB]):
            if manifest.adoptable and not owners:
                continue
            cluster = tenants(controller)
            foreign = cluster.objects.put(unmarked(body, owners=owners))
            async with running(controller, cluster) as process:
                assert foreign == cluster.objects.read(manifest.key)
                assert {("False", True)} == {
                    (status, f"{manifest.key} refused" in message)
                    for status, message in process.conditions().values()
                }
                assert ("Warning", "Refused") in [event[:2] for event in process.events()]
                others = set(in_shape(controller)) - {manifest.key}
                assert others == set(state(controller, cluster)) - {manifest.key}


async def test_an_object_of_another_controller_is_refused(controller: AnyController) -> None:
    for manifest, body in bodies(controller):
        cluster = tenants(controller)
        theirs = {**body, "metadata": {**body["metadata"], "labels": live_objects.marks("others")}}
        stored = cluster.objects.put(theirs)
        async with running(controller, cluster):
            assert stored == cluster.objects.read(manifest.key)


async def test_an_older_suites_objects_are_adopted_in_place(controller: AnyController) -> None:
    cluster = tenants(controller)
    uids = {}
    for manifest, body in bodies(controller):
        older = unmarked(body)
        emptied(older)
        uids[manifest.key] = cluster.objects.put(older)["metadata"]["uid"]
    async with running(controller, cluster) as process:
        for manifest, body in bodies(controller):
            stored = cluster.objects.read(manifest.key)
            assert uids[manifest.key] == stored["metadata"]["uid"]
            if not manifest.create_only:
                assert body == state(controller, cluster)[manifest.key]
        assert ["True"] == [status for status, _ in process.conditions().values()]


async def test_what_kubeflow_keeps_for_the_profile_is_never_touched(
    controller: AnyController,
) -> None:
    cluster = tenants(controller)
    theirs = [
        cluster.objects.put(
            live_objects.object_body(
                own.kind,
                name,
                "alice" if KINDS[own.kind].namespaced else "",
                uid=f"uid-{own.kind}-{name}",
                labels={},
                annotations={"user": live_objects.OWNER, "role": "admin"},
            )
        )
        for own in controller.owned(registered.settings(controller))
        for name in ("kf-resource-quota", "namespaceAdmin", "default-editor")
        if own.adopt_legacy is None or not own.adopt_legacy({"name": name})
    ]
    async with running(controller, cluster) as process:
        await process.resynced()

        for body in theirs:
            metadata = body["metadata"]
            key = Key(body["kind"], metadata.get("namespace", ""), metadata["name"])
            assert body == cluster.objects.read(key)


async def test_no_object_of_kubeflow_is_owned(controller: AnyController) -> None:
    """It would be deleted with the opt-out: `Controller.shared` adds to such an object."""
    theirs = kubeflow_objects.keys()
    owned = controller.owned(registered.settings(controller))

    assert not theirs & {manifest.key for manifest in wanted(controller)}
    assert not {(one.kind, name) for one in owned for name in one.names} & {
        (key.kind, key.name) for key in theirs
    }
    legacy = [(one.kind, one.adopt_legacy) for one in owned if one.adopt_legacy is not None]
    for body in kubeflow_objects.bodies():
        assert not [
            kind
            for kind, is_legacy in legacy
            if kind == body["kind"] and is_legacy(body["metadata"])
        ]


async def test_the_objects_of_kubeflow_stay_as_they_are(controller: AnyController) -> None:
    cluster = tenants(controller)
    for body in kubeflow_objects.bodies():
        cluster.objects.put(body)
    before = {key: cluster.objects.read(key) for key in sorted(kubeflow_objects.keys())}
    async with running(controller, cluster) as process:
        await process.resynced()
        cluster.objects.edit(
            Key("Profile", "", "alice"), lambda body: body["metadata"].update(labels={})
        )
        await process.settled()

    shared = {one.kind for one in controller.shared(registered.settings(controller))}
    for key, body in before.items():
        if key.kind not in shared:
            assert body == cluster.objects.read(key)
        assert not kubeflow_objects.owned_by_a_controller(cluster.objects.read(key))


async def test_what_is_no_longer_wanted_goes_and_nothing_else(controller: AnyController) -> None:
    cluster = tenants(controller)
    kind = first_kind(controller)
    namespace = "alice" if KINDS[kind].namespaced else ""
    stale = live_objects.object_body(
        kind, "stale", namespace, labels=live_objects.marks(controller.name)
    )
    bobs = live_objects.object_body(kind, "bobs", namespace, uid="uid-b", owners=[BOB], labels={})
    for body in (stale, bobs):
        cluster.objects.put(body)
    async with running(controller, cluster):
        names = {key.name for key in state(controller, cluster)}

    assert {"bobs", *(one.name for one in wanted(controller))} == names


NO_WRITES: Mapping[str, Callable[[FakeCluster], Any]] = {
    "the_namespace_is_not_there": lambda cluster: cluster.objects.delete(
        Key("Namespace", "", "alice")
    ),
    "the_namespace_is_nobodys": lambda cluster: cluster.objects.edit(
        Key("Namespace", "", "alice"), lambda body: body["metadata"].pop("ownerReferences")
    ),
    "the_namespace_is_another_profiles": lambda cluster: cluster.objects.edit(
        Key("Namespace", "", "alice"), lambda body: body["metadata"].update(ownerReferences=[BOB])
    ),
    "the_namespace_is_terminating": lambda cluster: cluster.objects.edit(
        Key("Namespace", "", "alice"), _terminate
    ),
    "the_profile_is_being_deleted": lambda cluster: cluster.objects.edit(
        Key("Profile", "", "alice"), _terminate
    ),
    "everything_is_paused": lambda cluster: cluster.objects.edit(
        Key("Profile", "", "alice"),
        lambda body: body["metadata"].update(annotations={PAUSED_ANNOTATION: "true"}),
    ),
}


def _terminate(body: Body) -> None:
    body["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}


@pytest.mark.parametrize("case", NO_WRITES)
async def test_nothing_is_written_when(controller: AnyController, case: str) -> None:
    cluster = tenants(controller)
    kind = first_kind(controller)
    namespace = "alice" if KINDS[kind].namespaced else ""
    stale = live_objects.object_body(
        kind, "stale", namespace, labels=live_objects.marks(controller.name)
    )
    cluster.objects.put(stale)
    NO_WRITES[case](cluster)
    async with running(controller, cluster) as process:
        await process.resynced()

        assert [] == cluster.written(but=TOLD)
        assert "True" not in [status for status, _ in process.conditions().values()]


async def test_a_pause_of_this_controller_stops_it_and_its_end_starts_it(
    controller: AnyController,
) -> None:
    cluster = tenants(controller, annotations={PAUSED_ANNOTATION: controller.name})
    async with running(controller, cluster) as process:
        assert [] == cluster.written(but=TOLD)
        assert ["Unknown"] == [status for status, _ in process.conditions().values()]
        cluster.objects.edit(
            Key("Profile", "", "alice"), lambda body: body["metadata"].update(annotations={})
        )
        await process.settled()

        assert in_shape(controller) == state(controller, cluster)
        assert ["True"] == [status for status, _ in process.conditions().values()]


async def test_a_pause_of_another_controller_does_not_stop_this_one(
    controller: AnyController,
) -> None:
    cluster = tenants(controller, annotations={PAUSED_ANNOTATION: "another"})
    async with running(controller, cluster):
        assert in_shape(controller) == state(controller, cluster)


async def test_a_paused_object_keeps_what_people_made_of_it(controller: AnyController) -> None:
    for manifest in wanted(controller):
        async with running(controller) as process:
            cluster = process.cluster
            cluster.objects.edit(
                manifest.key,
                lambda body: body["metadata"].update(annotations={PAUSED_ANNOTATION: "true"}),
            )
            await process.settled()
            edited = cluster.objects.edit(manifest.key, emptied_unless_unmarked)
            await process.settled()

            assert edited == cluster.objects.read(manifest.key)


def emptied_unless_unmarked(body: Body) -> None:
    for field in KINDS[body["kind"]].content:
        body.pop(field, None)


async def test_a_profile_that_opted_in_to_nothing_gets_only_what_all_get(
    controller: AnyController,
) -> None:
    async with running(controller, tenants(controller, labels={})) as process:
        expected = {one.key for one in wanted(controller, profile(labels={}))}

        assert expected == set(state(controller, process.cluster))


async def test_each_profile_gets_its_own_and_one_that_fails_stops_no_other(
    controller: AnyController,
) -> None:
    names = ("alice", "bob", "carol")
    cluster = tenants(controller, *names)

    def bobs(request: Request) -> bool:
        return request.kind not in TOLD and request.target.namespace == "bob"

    for _ in range(5 * len(wanted(controller))):
        cluster.fail_next(Failure.INTERNAL_ERROR, bobs)
    async with running(controller, cluster) as process:
        statuses = {
            name: status for name in names for status, _ in process.conditions(name).values()
        }
        everything = {one.key for name in names for one in wanted(controller, profile(name))}

        assert everything == set(state(controller, cluster))
        assert dict.fromkeys(names, "True") == statuses


def cold(_controller: AnyController, _cluster: FakeCluster) -> None:
    """Nothing is there yet."""


def drifted(controller: AnyController, cluster: FakeCluster) -> None:
    """Everything is there, edited, and one object that is no longer desired."""
    for manifest, body in bodies(controller):
        if not manifest.create_only:
            emptied(body)
        cluster.objects.put(body)
    kind = first_kind(controller)
    namespace = "alice" if KINDS[kind].namespaced else ""
    labels = live_objects.marks(controller.name)
    cluster.objects.put(live_objects.object_body(kind, "stale", namespace, labels=labels))


@pytest.mark.parametrize("failure", Failure)
@pytest.mark.parametrize("before", [cold, drifted])
async def test_each_request_fails_once_and_the_next_reconcile_repairs_it(
    controller: AnyController,
    before: Callable[[AnyController, FakeCluster], None],
    failure: Failure,
) -> None:
    """Reads between writes included; at the end all is as if nothing had failed."""
    for number in range(await requests_of(controller, before)):
        cluster = tenants(controller)
        before(controller, cluster)
        cluster.fail_next(failure, Nth(number))
        async with running(controller, cluster) as process:
            assert in_shape(controller) == state(controller, cluster)
            assert ["True"] == [status for status, _ in process.conditions().values()]
            cluster.requests.clear()
            await process.resynced()
            assert [] == cluster.written()


class Nth:
    """Matches one request by its number, among those about what is written."""

    def __init__(self, number: int) -> None:
        self._left = number

    def __call__(self, request: Request) -> bool:
        if not is_of_a_reconcile(request):
            return False
        self._left -= 1
        return self._left == -1


def is_of_a_reconcile(request: Request) -> bool:
    return request.method != "WATCH" and (request.method != "GET" or bool(request.target.name))


async def requests_of(
    controller: AnyController, before: Callable[[AnyController, FakeCluster], None]
) -> int:
    """How many requests there are when none fails."""
    cluster = tenants(controller)
    before(controller, cluster)
    async with running(controller, cluster):
        return sum(map(is_of_a_reconcile, cluster.requests))


async def test_a_server_that_is_away_for_long_is_found_again(controller: AnyController) -> None:
    cluster = tenants(controller)
    async with running(controller, cluster) as process:
        cluster.down = True
        cluster.break_watches()
        for manifest in wanted(controller):
            cluster.objects.delete(manifest.key)
        cluster.compact()
        await virtual_time.until(
            lambda: all(one.reflector.down_since for one in process.manager.informers.values()),
            "every watch is down",
        )
        cluster.down = False
        await virtual_time.until(
            lambda: in_shape(controller) == state(controller, cluster), "all is in shape again"
        )


async def test_a_profile_that_goes_leaves_nothing_behind_in_the_process(
    controller: AnyController,
) -> None:
    async with running(controller) as process:
        process.cluster.objects.delete(Key("Profile", "", "alice"))
        await process.settled()
        metrics = process.manager.context.metrics
        queue = process.manager.reconcilers[controller.name].queue

        assert {} == metrics.condition_statuses()
        assert {} == metrics.last_successes()
        assert queue.idle
        assert {} == queue.delayed_seconds()
