"""What holds for every controller in the registry. A new one needs no edit here.

The checks of `test_reconcile_tables.py` hold for two generated rows of every controller, too.

The example of docs/adding-a-controller.md is covered as well: its one owned kind has one name, and
it shares an object.

Each runs over the cluster in memory with its default settings and the facts that it declares.
`tests/support/builders/registered.py` has settings for those that need some.
"""

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from controllers.desired import Desired
from controllers.manifests import Addition, Body, Key, Manifest, to_body
from controllers.profiles import PAUSED_ANNOTATION, Profile
from controllers.runtime.apply.changeset import WRITES
from controllers.runtime.controller import AnyController
from controllers.runtime.objects.kinds import KINDS, Mode
from controllers.runtime.options import Options
from tests.support import builders
from tests.support.builders import kubeflow_objects, registered
from tests.support.example.pull_secrets.controller import CONTROLLER as EXAMPLE
from tests.support.fakes import Failure, FakeCluster, Request, harness, virtual_time

pytestmark = [
    pytest.mark.virtual_time,
    pytest.mark.parametrize(
        "controller", [*registered.running_controllers(), EXAMPLE], ids=lambda one: str(one.name)
    ),
]

REPORT_KINDS = ("Event", "Profile")
BOB = builders.profile_reference("bob", "uid-bob")


def tenants(controller: AnyController, *names: str, **fields: Any) -> FakeCluster:
    """Alice unless others are named, opted in to everything, and where the controller writes."""
    cluster = FakeCluster()
    for name in names or ("alice",):
        harness.put_tenant(
            cluster, name, **{"labels": registered.OPT_IN_LABELS, "uid": f"uid-{name}", **fields}
        )
    shared = {
        one.kind: one.names for one in controller.shared(registered.sample_settings(controller))
    }
    for name in names or ("alice",):
        for body in kubeflow_objects.bodies(name, f"uid-{name}"):
            if body["metadata"]["name"] in shared.get(body["kind"], ()):
                cluster.objects.put(body)
    for place in controller.access.namespaces(registered.sample_settings(controller)):
        cluster.objects.put(builders.namespace_body(place, owned=False))
    return cluster


def profile(name: str = "alice", **fields: Any) -> Profile:
    return builders.profile(
        name, **{"labels": registered.OPT_IN_LABELS, "uid": f"uid-{name}", **fields}
    )


def wanted(controller: AnyController, whose: Profile | None = None) -> list[Manifest]:
    """What it makes where there is nothing yet."""
    settings = registered.sample_settings(controller)
    manifests = controller.desired(whose or profile(), controller.facts, settings).objects
    return [one for one in manifests if not one.update_only]


def additions(controller: AnyController) -> Sequence[Addition]:
    settings = registered.sample_settings(controller)
    return controller.desired(profile(), controller.facts, settings).additions


def put_stale(controller: AnyController, cluster: FakeCluster) -> None:
    """An object of the controller that is no longer desired, if its informers list another name."""
    for own in controller.owned(registered.sample_settings(controller)):
        if len(own.names) != 1:
            namespace = "alice" if KINDS[own.kind].namespaced else ""
            labels = builders.managed_labels(controller.name)
            cluster.objects.put(builders.object_body(own.kind, "stale", namespace, labels=labels))
            return


def desiring_nothing(controller: AnyController) -> AnyController:
    return dataclasses.replace(controller, desired=lambda *_: Desired())


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


def emptied(body: Body) -> None:
    """Somebody removes the mutable content, or our labels where the kind has none."""
    kind = KINDS[body["kind"]]
    fields = [field for field in kind.content if field not in kind.immutable]
    if kind.mode is Mode.APPLY or not fields:
        body["metadata"]["labels"] = {}
        return
    for field in fields:
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
        (standing_in, registered.sample_settings(controller)), cluster=cluster, **fields
    ) as process:
        yield process


def state(controller: AnyController, cluster: FakeCluster) -> dict[Key, Body]:
    """The objects of the kinds that the controller owns, without what the server adds."""
    found = {}
    for kind in {own.kind for own in controller.owned(registered.sample_settings(controller))}:
        for body in cluster.objects.all_of(kind):
            server = ("uid", "resourceVersion", "creationTimestamp")
            metadata = {k: v for k, v in body["metadata"].items() if k not in server}
            key = Key(kind, metadata.get("namespace", ""), metadata["name"])
            found[key] = {**body, "metadata": metadata}
    return found


def desired_state(controller: AnyController) -> dict[Key, Body]:
    return {manifest.key: body for manifest, body in bodies(controller)}


async def test_the_sample_profile_has_distinct_desired_objects_of_owned_kinds(
    controller: AnyController,
) -> None:
    manifests = wanted(controller)

    opted_in = manifests or additions(controller)
    assert opted_in, "add the label that opts in to this controller to registered.OPT_IN_LABELS"
    assert {own.kind for own in controller.owned(registered.sample_settings(controller))} >= {
        one.kind for one in manifests
    }
    assert len(manifests) == len({one.key for one in manifests})


async def test_a_new_tenant_gets_exactly_what_is_desired(controller: AnyController) -> None:
    async with running(controller) as process:
        assert desired_state(controller) == state(controller, process.cluster)
        expected = len(wanted(controller)) + len(additions(controller))
        assert expected == len(process.cluster.writes(but=REPORT_KINDS))
        assert ["True"] == [status for status, _ in process.conditions().values()]
        assert [("Normal", "Reconciled")] == [event[:2] for event in process.events()]


async def test_a_dry_run_plans_the_same_and_writes_nothing(controller: AnyController) -> None:
    options = Options(listen=None, dry_run=True)
    async with running(controller, options=options) as process:
        report = await process.reconcile(controller.name)

        assert {one.key for one in wanted(controller)} | {
            one.key for one in additions(controller)
        } == {change.key for change in report.changes.with_action(*WRITES)}
        assert [] == process.cluster.written()


async def test_a_deleted_object_is_recreated(controller: AnyController) -> None:
    async with running(controller) as process:
        for manifest in wanted(controller):
            process.cluster.requests.clear()
            process.cluster.objects.delete(manifest.key)
            await process.settled()

            assert desired_state(controller) == state(controller, process.cluster)
            assert 1 == len(process.cluster.writes(but=REPORT_KINDS))


async def test_an_edited_object_is_corrected_unless_users_may_edit_it(
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
            assert desired_state(controller) == state(controller, process.cluster)
            assert 1 == len(process.cluster.writes(but=REPORT_KINDS))


async def test_objects_of_kubeflow_for_the_profile_are_never_changed(
    controller: AnyController,
) -> None:
    cluster = tenants(controller)
    theirs = [
        cluster.objects.put(
            builders.object_body(
                own.kind,
                name,
                "alice" if KINDS[own.kind].namespaced else "",
                uid=f"uid-{own.kind}-{name}",
                labels={},
                annotations={"user": builders.OWNER, "role": "admin"},
            )
        )
        for own in controller.owned(registered.sample_settings(controller))
        for name in ("kf-resource-quota", "namespaceAdmin", "default-editor")
        if own.adopt_legacy is None or not own.adopt_legacy({"name": name})
    ]
    async with running(controller, cluster) as process:
        await process.resync()

        for body in theirs:
            metadata = body["metadata"]
            key = Key(body["kind"], metadata.get("namespace", ""), metadata["name"])
            assert body == cluster.objects.read(key)


async def test_no_object_of_kubeflow_is_owned(controller: AnyController) -> None:
    """It would be deleted with the opt-out: `Controller.shared` adds to such an object."""
    theirs = kubeflow_objects.keys()
    owned = controller.owned(registered.sample_settings(controller))

    advice = "belongs to Kubeflow: declare it in Controller.shared"
    for key in sorted(theirs):
        assert key not in {manifest.key for manifest in wanted(controller)}, f"{key} {advice}"
        names = {(one.kind, name) for one in owned for name in one.names}
        assert (key.kind, key.name) not in names, f"{key} {advice}"
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
        await process.resync()
        cluster.objects.edit(
            Key("Profile", "", "alice"), lambda body: body["metadata"].update(labels={})
        )
        await process.settled()

    declared = controller.shared(registered.sample_settings(controller))
    shared = {(one.kind, name) for one in declared for name in one.names}
    for key, body in before.items():
        if (key.kind, key.name) not in shared:
            assert body == cluster.objects.read(key)
        assert not kubeflow_objects.owned_by_a_controller(cluster.objects.read(key))


async def test_what_was_added_to_objects_of_others_is_taken_back(
    controller: AnyController,
) -> None:
    cluster = tenants(controller)
    keys = [addition.key for addition in additions(controller)]
    before = {key: cluster.objects.read(key) for key in keys}
    async with running(controller, cluster):
        assert all(before[key] != cluster.objects.read(key) for key in keys)
    async with running(desiring_nothing(controller), cluster):
        for key, body in before.items():
            after = cluster.objects.read(key)
            after["metadata"]["resourceVersion"] = body["metadata"]["resourceVersion"]
            assert body == after


async def test_what_is_no_longer_desired_is_pruned_and_nothing_else(
    controller: AnyController,
) -> None:
    cluster = tenants(controller)
    put_stale(controller, cluster)
    for own in controller.owned(registered.sample_settings(controller)):
        namespace = "alice" if KINDS[own.kind].namespaced else ""
        cluster.objects.put(
            builders.object_body(
                own.kind, "bobs", namespace, uid=f"uid-{own.kind}", owners=[BOB], labels={}
            )
        )
    async with running(controller, cluster):
        names = {key.name for key in state(controller, cluster)}
    assert {"bobs", *(one.name for one in wanted(controller))} == names

    async with running(desiring_nothing(controller), cluster):
        assert {"bobs"} == {key.name for key in state(controller, cluster)}


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
    """Neither what is missing nor what is no longer desired."""
    cluster = tenants(controller)
    put_stale(controller, cluster)
    NO_WRITES[case](cluster)
    async with running(controller, cluster) as process:
        await process.resync()

        assert [] == cluster.written(but=REPORT_KINDS)
        assert "True" not in [status for status, _ in process.conditions().values()]


async def test_a_paused_controller_writes_nothing_until_the_pause_ends(
    controller: AnyController,
) -> None:
    cluster = tenants(controller, annotations={PAUSED_ANNOTATION: controller.name})
    async with running(controller, cluster) as process:
        assert [] == cluster.written(but=REPORT_KINDS)
        assert ["Unknown"] == [status for status, _ in process.conditions().values()]
        cluster.objects.edit(
            Key("Profile", "", "alice"), lambda body: body["metadata"].update(annotations={})
        )
        await process.settled()

        assert desired_state(controller) == state(controller, cluster)
        assert ["True"] == [status for status, _ in process.conditions().values()]


async def test_a_pause_of_another_controller_does_not_stop_this_one(
    controller: AnyController,
) -> None:
    cluster = tenants(controller, annotations={PAUSED_ANNOTATION: "another"})
    async with running(controller, cluster):
        assert desired_state(controller) == state(controller, cluster)


async def test_a_paused_object_retains_its_edits(controller: AnyController) -> None:
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


async def test_a_profile_without_opt_ins_has_only_the_default_objects(
    controller: AnyController,
) -> None:
    async with running(controller, tenants(controller, labels={})) as process:
        expected = {one.key for one in wanted(controller, profile(labels={}))}

        assert expected == set(state(controller, process.cluster))


async def test_each_profile_has_its_own_objects_and_a_failing_one_does_not_affect_others(
    controller: AnyController,
) -> None:
    names = ("alice", "bob", "carol")
    cluster = tenants(controller, *names)

    def bobs(request: Request) -> bool:
        return request.kind not in REPORT_KINDS and request.target.namespace == "bob"

    for _ in range(5 * len(wanted(controller))):
        cluster.fail_next(Failure.INTERNAL_ERROR, bobs)
    async with running(controller, cluster) as process:
        statuses = {
            name: status for name in names for status, _ in process.conditions(name).values()
        }
        everything = {one.key for name in names for one in wanted(controller, profile(name))}

        assert everything == set(state(controller, cluster))
        assert dict.fromkeys(names, "True") == statuses


async def test_reconciles_resume_after_a_long_outage_of_the_server(
    controller: AnyController,
) -> None:
    cluster = tenants(controller)
    async with running(controller, cluster) as process:
        cluster.unreachable = True
        cluster.break_watches()
        for manifest in wanted(controller):
            cluster.objects.delete(manifest.key)
        cluster.compact()
        await virtual_time.until(
            lambda: all(one.reflector.down_since for one in process.manager.informers.values()),
            "every watch is down",
        )
        cluster.unreachable = False
        await virtual_time.until(
            lambda: desired_state(controller) == state(controller, cluster),
            "the cluster has the desired state",
        )


async def test_a_deleted_profile_leaves_no_state_in_the_process(
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
