"""notebook on a cluster: what was there before, then exact writes, events and condition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from controllers.manifests import Body, Key
from controllers.notebook.config import NotebookSettings
from controllers.notebook.controller import CONTROLLER
from tests.support.builders import live_objects
from tests.support.fakes import FakeCluster, harness, virtual_time

pytestmark = pytest.mark.virtual_time

KEY = Key("PodDefault", "alice", "protected-b")
WELL = ("True", "PodDefault protected-b is in place")
REFUSED = f"{KEY} refused (exists and is not managed by profiles-controller; rename or delete it)"
SPEC = {
    "desc": "Run a Protected B notebook / Exécuter un bloc-notes protégé B",
    "selector": {"matchLabels": {"notebook.statcan.gc.ca/protected-b": "true"}},
    "labels": {"data.statcan.gc.ca/classification": "protected-b"},
}
OLDER = {**SPEC, "desc": "Run a Protected B notebook"}
"""As the Go suite wrote it."""
POST, GET, PUT, DELETE = (f"{method} {KEY}" for method in ("POST", "GET", "PUT", "DELETE"))


def pod_default(
    spec: Body = SPEC,
    *,
    name: str = KEY.name,
    labels: Mapping[str, str] | None = None,
    owners: Sequence[Body] | None = None,
) -> Body:
    labels = live_objects.marks("notebook") if labels is None else labels
    uid = f"uid-{name}"
    return live_objects.object_body(
        "PodDefault", name, uid=uid, labels=labels, owners=owners, spec=spec
    )


def told(action: str) -> tuple[str, str, str]:
    return ("Normal", "Reconciled", f"{KEY} {action}")


@dataclass(frozen=True, kw_only=True)
class Case:
    """`requests` and `events` are exact; `after` is what the PodDefault holds then."""

    settings: Mapping[str, object] = field(default_factory=dict)
    before: Body | None = None
    requests: Sequence[str] = ()
    events: Sequence[tuple[str, str, str]] = ()
    condition: tuple[str, str] = WELL
    after: Body | None = field(default_factory=lambda: SPEC)


OPENED = {**SPEC, "labels": {"data.statcan.gc.ca/classification": "unclassified"}}
CASES = {
    "a_new_tenant": Case(requests=[POST], events=[told("create")]),
    "in_shape": Case(before=pod_default()),
    "in_shape_with_empty_annotations": Case(
        before=pod_default({**SPEC, "annotations": {}}), after={**SPEC, "annotations": {}}
    ),
    "edited": Case(before=pod_default(OPENED), requests=[GET, PUT], events=[told("update")]),
    "matching_every_pod": Case(
        before=pod_default({**SPEC, "selector": {}}),
        requests=[GET, PUT],
        events=[told("update")],
    ),
    "the_older_suites": Case(
        before=pod_default(OLDER, labels={}), requests=[GET, PUT], events=[told("adopt")]
    ),
    "nobodys": Case(
        before=pod_default(OPENED, labels={}, owners=[]),
        events=[("Warning", "Refused", REFUSED)],
        condition=("False", REFUSED),
        after=OPENED,
    ),
    "switched_off": Case(
        settings={"protected_b": False},
        before=pod_default(),
        requests=[DELETE],
        events=[told("prune")],
        condition=("True", "0 objects are in place"),
        after=None,
    ),
    "switched_off_after_the_older_suite": Case(
        settings={"protected_b": False},
        before=pod_default(OLDER, labels={}),
        requests=[DELETE],
        events=[told("prune")],
        condition=("True", "0 objects are in place"),
        after=None,
    ),
    "switched_off_with_nobodys": Case(
        settings={"protected_b": False},
        before=pod_default(labels={}, owners=[]),
        condition=("True", "0 objects are in place"),
    ),
}


def asked(cluster: FakeCluster) -> list[str]:
    """The requests for single PodDefaults."""
    return [
        str(one)
        for one in cluster.requests
        if one.kind == "PodDefault" and (one.method == "POST" or one.target.name)
    ]


@pytest.mark.parametrize("name", CASES)
async def test_what_is_there_is_brought_into_shape_by_exactly_these_requests(name: str) -> None:
    case = CASES[name]
    cluster = harness.tenants()
    if case.before is not None:
        cluster.objects.put(case.before)
    settings = NotebookSettings.model_validate(case.settings)
    async with harness.running((CONTROLLER, settings), cluster=cluster) as process:
        found = {body["metadata"]["name"]: body for body in cluster.objects.all_of("PodDefault")}
        after = found[KEY.name]["spec"] if KEY.name in found else None

        assert list(case.requests) == asked(cluster)
        assert list(case.events) == process.events()
        assert {"NotebookReady": case.condition} == process.conditions()
        assert case.after == after


async def test_another_name_replaces_the_pod_default_and_leaves_what_others_made() -> None:
    cluster = harness.tenants()
    theirs = cluster.objects.put(pod_default(name="access-ml-pipeline", labels={}, owners=[]))
    cluster.objects.put(pod_default())
    settings = NotebookSettings(name="secret-b")
    async with harness.running((CONTROLLER, settings), cluster=cluster) as process:
        found = {body["metadata"]["name"]: body for body in cluster.objects.all_of("PodDefault")}

        assert {"access-ml-pipeline", "secret-b"} == set(found)
        assert theirs == found["access-ml-pipeline"]
        assert ["POST PodDefault alice/secret-b", DELETE] == asked(cluster)
        assert {"NotebookReady": ("True", "PodDefault secret-b is in place")} == (
            process.conditions()
        )


async def test_without_the_crd_it_waits_and_starts_when_the_crd_appears() -> None:
    cluster = harness.tenants()
    cluster.unserved.add(("PodDefault", "v1alpha1"))
    async with harness.running((CONTROLLER, NotebookSettings()), cluster=cluster) as process:
        (waiting,) = (one for one in process.health.readyz() if one.name == "informer/PodDefault")
        status, message = process.conditions()["NotebookReady"]
        assert ("", "waiting: the cluster serves no poddefaults.kubeflow.org yet") == (
            waiting.error,
            waiting.note,
        )
        assert "False" == status
        assert "PodDefault: the cluster serves no poddefaults.kubeflow.org yet" == message
        assert [] == asked(cluster)

        cluster.unserved.clear()
        await virtual_time.until(
            lambda: process.conditions()["NotebookReady"] == WELL, "it is in place", seconds=60
        )

        assert [POST] == asked(cluster)


async def test_a_crd_that_is_taken_away_is_waited_for_again() -> None:
    cluster = harness.tenants()
    async with harness.running((CONTROLLER, NotebookSettings()), cluster=cluster) as process:
        cluster.objects.delete(KEY)
        cluster.unserved.add(("PodDefault", "v1alpha1"))
        cluster.break_watches()
        await virtual_time.until(
            lambda: process.conditions()["NotebookReady"][0] == "False", "it waits", seconds=600
        )
        cluster.unserved.clear()
        await virtual_time.until(
            lambda: process.conditions()["NotebookReady"] == WELL, "it is in place", seconds=600
        )

        assert SPEC == cluster.objects.read(KEY)["spec"]
