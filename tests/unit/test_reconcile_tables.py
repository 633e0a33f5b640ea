"""Every row of every controller's reconcile table, by the same checks.

The rows are in `tests/support/reconcile/tables`. A new controller has two generated rows.
"""

import itertools
from collections.abc import Iterator, Sequence

import pytest
from _pytest.mark.structures import ParameterSet

from controllers.manifests import Body, Key
from controllers.profiles import PAUSED_ANNOTATION
from controllers.runtime.apply.changeset import WRITES
from controllers.runtime.options import Options
from tests.support import builders
from tests.support.fakes import Failure, harness
from tests.support.reconcile import Case, Table, runner
from tests.support.reconcile.tables import TABLES

ROWS = [
    pytest.param(table, case, id=f"{table.controller.name}-{name}")
    for table in TABLES
    for name, case in table.cases.items()
]
STATED = [row for row in ROWS if getattr(row.values[1], "requests", None) is not None]
every_row = pytest.mark.parametrize(("table", "case"), ROWS)
pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize(("table", "case"), STATED)
async def test_a_reconcile_has_the_stated_requests_events_and_condition(
    table: Table, case: Case
) -> None:
    cluster = table.cluster(case)
    async with runner.running(table, case, cluster) as process:
        assert runner.requests_by_object(table, case, cluster) == runner.expected_requests(case)
        assert process.events() == list(case.events)
        assert runner.condition(process) == (case.condition or table.condition)


@every_row
async def test_a_reconcile_leaves_the_stated_objects(table: Table, case: Case) -> None:
    found = (await runner.outcome(table, case)).objects

    for key, fields in (table.after if case.after is None else case.after).items():
        if fields is None:
            assert key not in found
        else:
            assert {name: found[key].get(name) for name in fields} == dict(fields)
    if case.names is not None:
        kind = runner.kinds(table, case)[0]
        assert {key.name for key in found if key.kind == kind} == case.names


@every_row
async def test_a_reconcile_does_not_change_other_objects(table: Table, case: Case) -> None:
    cluster = table.cluster(case)
    before = {
        runner.key_of(body): cluster.objects.read(runner.key_of(body)) for body in case.before
    }
    async with runner.running(table, case, cluster):
        requested = runner.requests_by_object(table, case, cluster)
        for key, body in before.items():
            if str(key) not in requested:
                assert cluster.objects.read(key) == body


@every_row
async def test_the_steady_state_sends_no_request(table: Table, case: Case) -> None:
    cluster = table.cluster(case)
    async with runner.running(table, case, cluster) as process:
        cluster.requests.clear()
        await process.resync()

        assert cluster.requests == []


@every_row
async def test_a_restart_writes_nothing(table: Table, case: Case) -> None:
    cluster = table.cluster(case)
    async with runner.running(table, case, cluster):
        pass
    cluster.requests.clear()
    async with runner.running(table, case, cluster) as process:
        await process.resync()
        assert cluster.written(but=repeated_events(process)) == []


def repeated_events(process: harness.Harness) -> Sequence[str]:
    """A warning is sent again by a new process, and when it could not be sent."""
    return ["Event"] if any(event[0] == "Warning" for event in process.events()) else []


@every_row
async def test_a_dry_run_plans_the_same_changes_and_writes_nothing(
    table: Table, case: Case
) -> None:
    cluster = table.cluster(case)
    async with runner.running(table, case, cluster):
        written = {
            key
            for key, methods in runner.requests_by_object(table, case, cluster).items()
            if methods != ["GET"]
        }
    cluster = table.cluster(case)
    options = Options(listen=None, dry_run=True)
    async with runner.running(table, case, cluster, options) as process:
        report = await process.reconcile(table.controller_for(case).name)

        assert {str(change.key) for change in report.changes.with_action(*WRITES)} == written
        assert cluster.written() == []


def failing_rows() -> Iterator[ParameterSet]:
    """Each row with one order of failures; the first of each controller with every order.

    So every request of every row fails once, and every kind of failure is tried on every request
    of a controller's first row.
    """
    seen: set[str] = set()
    for row in ROWS:
        name = row.values[0].controller.name  # type: ignore[union-attr]
        for first in range(1 if name in seen else len(Failure)):
            yield pytest.param(*row.values, first, id=f"{row.id}-{first}")
        seen.add(name)


@pytest.mark.parametrize(("table", "case", "first"), list(failing_rows()))
async def test_each_request_fails_once_and_the_next_reconcile_repairs_it(
    table: Table, case: Case, first: int
) -> None:
    failures = itertools.islice(itertools.cycle(Failure), first, None)
    expected = await runner.outcome(table, case)
    for number, failure in zip(range(expected.requests), failures, strict=False):
        cluster = table.cluster(case)
        cluster.fail_next(failure, runner.Nth(number))
        async with runner.running(table, case, cluster) as process:
            assert runner.objects(table, case, cluster) == expected.objects
            assert runner.condition(process) == expected.condition
            cluster.requests.clear()
            await process.resync()
            assert cluster.written(but=repeated_events(process)) == []


@every_row
async def test_a_foreign_object_is_refused_and_the_others_are_reconciled(
    table: Table, case: Case
) -> None:
    found = (await runner.outcome(table, case)).objects
    manifests = runner.manifests(table, case)
    for key in runner.managed(table, case, found):
        for owners in ([], [runner.BOB]):
            if not owners and manifests[key].adoptable:
                continue
            foreign = runner.without_labels(found[key], owners=owners)
            cluster = table.cluster(case, runner.replacing(foreign))
            stored = cluster.objects.read(key)
            async with runner.running(table, case, cluster) as process:
                assert cluster.objects.read(key) == stored
                status, message = runner.condition(process)
                assert (status, f"{key} refused" in message) == ("False", True)
                assert ("Warning", "Refused") in [event[:2] for event in process.events()]
                assert set(runner.objects(table, case, cluster)) == set(found)


@every_row
async def test_an_object_of_another_controller_is_refused(table: Table, case: Case) -> None:
    found = (await runner.outcome(table, case)).objects
    for key in runner.managed(table, case, found):
        metadata = {**found[key]["metadata"], "labels": builders.managed_labels("another")}
        cluster = table.cluster(case, runner.replacing({**found[key], "metadata": metadata}))
        stored = cluster.objects.read(key)
        async with runner.running(table, case, cluster):
            assert cluster.objects.read(key) == stored


@every_row
async def test_legacy_objects_are_adopted_in_place(table: Table, case: Case) -> None:
    expected = await runner.outcome(table, case)
    manifests = runner.manifests(table, case)
    keys = list(runner.managed(table, case, expected.objects))
    legacy = [runner.without_content(runner.without_labels(expected.objects[key])) for key in keys]
    cluster = table.cluster(case, runner.replacing(*legacy))
    uids = {key: cluster.objects.read(key)["metadata"]["uid"] for key in keys}
    async with runner.running(table, case, cluster) as process:
        assert {key: cluster.objects.read(key)["metadata"]["uid"] for key in keys} == uids
        for key in keys:
            stored = cluster.objects.read(key)
            (desired,) = builders.bodies(
                [manifests[key]], case.profile(), component=table.controller_for(case).name
            )
            assert desired["metadata"]["labels"].items() <= stored["metadata"]["labels"].items()
            if not manifests[key].create_only:
                content = {field: stored.get(field) for field in manifests[key].content}
                assert content == manifests[key].content
        assert runner.condition(process) == expected.condition


UNSELECTED = {
    "paused": {PAUSED_ANNOTATION: "true"},
    "of a namespace that it does not control": {},
}


@pytest.mark.parametrize("kind_of_profile", UNSELECTED)
@every_row
async def test_unselected_profiles_are_not_touched(
    table: Table, case: Case, kind_of_profile: str
) -> None:
    cluster = table.cluster(case)
    annotations = UNSELECTED[kind_of_profile]
    harness.put_tenant(cluster, "bob", labels=case.labels, annotations=annotations)
    if not annotations:
        namespace = Key("Namespace", "", "bob")
        cluster.objects.edit(namespace, lambda body: body["metadata"].pop("ownerReferences"))
    theirs = [cluster.objects.put(body) for body in moved_to_bob(table, case)]
    async with runner.running(table, case, cluster) as process:
        await process.resync()

        for body in theirs:
            assert cluster.objects.read(runner.key_of(body)) == body
        writes = cluster.writes(but=runner.REPORTING)
        assert "bob" not in {request.target.namespace for request in writes}
        assert "True" not in [status for status, _ in process.conditions("bob").values()]


def moved_to_bob(table: Table, case: Case) -> Sequence[Body]:
    """The row's namespaced objects of the owned kinds, in the namespace of bob."""
    kinds = runner.kinds(table, case)
    bodies = [
        one for one in case.before if one["kind"] in kinds and one["metadata"].get("namespace")
    ]
    return [
        {
            **body,
            "metadata": {
                **body["metadata"],
                "namespace": "bob",
                "uid": f"bobs-{body['metadata'].get('uid', body['metadata']['name'])}",
                "ownerReferences": [runner.BOB],
            },
        }
        for body in bodies
    ]
