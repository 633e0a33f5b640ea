"""quotas on a cluster: what was there before, then exact writes, events and condition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from controllers.manifests import Body, Key
from controllers.quotas.config import DEFAULT_HARD, QuotasSettings
from controllers.quotas.controller import CONTROLLER
from tests.support.builders import live_objects
from tests.support.fakes import harness

pytestmark = pytest.mark.virtual_time

KEY = Key("ResourceQuota", "alice", "quotas")
KUBEFLOWS = Key("ResourceQuota", "alice", "kf-resource-quota")
PREFIX = "quotas.statcan.gc.ca"
WELL = ("True", "ResourceQuota quotas is in place")
REFUSED = (
    "ResourceQuota alice/quotas refused"
    " (exists and is not managed by profiles-controller; rename or delete it)"
)
POST = "POST ResourceQuota alice/quotas"
GET = "GET ResourceQuota alice/quotas"
PUT = "PUT ResourceQuota alice/quotas"


def quota(hard: Mapping[str, Any] = DEFAULT_HARD, *, name: str = "quotas", **fields: Any) -> Body:
    fields.setdefault("labels", live_objects.marks("quotas"))
    return live_objects.object_body("ResourceQuota", name, spec={"hard": dict(hard)}, **fields)


def told(action: str) -> tuple[str, str, str]:
    return ("Normal", "Reconciled", f"ResourceQuota alice/quotas {action}")


@dataclass(frozen=True, kw_only=True)
class Case:
    """`requests` and `events` are exact; `hard` is what the quota holds beside the defaults."""

    labels: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[Body] = ()
    requests: Sequence[str] = ()
    events: Sequence[tuple[str, str, str]] = ()
    condition: tuple[str, str] = WELL
    hard: Mapping[str, str] | None = field(default_factory=dict)


CASES = {
    "a_new_tenant": Case(requests=[POST], events=[told("create")]),
    "an_override": Case(
        labels={f"{PREFIX}/gpu": "8"},
        requests=[POST],
        events=[told("create")],
        hard={"requests.nvidia.com/gpu": "8"},
    ),
    "in_shape": Case(before=[quota()]),
    "in_shape_but_spelled_otherwise": Case(
        before=[quota({**DEFAULT_HARD, "pods": "0.1k", "limits.cpu": "70000m"})], hard=None
    ),
    "edited": Case(
        before=[quota({**DEFAULT_HARD, "pods": "1000"})],
        requests=[GET, PUT],
        events=[told("update")],
    ),
    "a_key_too_many": Case(
        before=[quota({**DEFAULT_HARD, "secrets": "1"})],
        requests=[GET, PUT],
        events=[told("update")],
    ),
    "the_older_suites": Case(
        before=[quota({"pods": "100"}, labels={})],
        requests=[GET, PUT],
        events=[told("adopt")],
    ),
    "nobodys": Case(
        before=[quota({"pods": "7"}, labels={}, owners=[])],
        events=[("Warning", "Refused", REFUSED)],
        condition=("False", REFUSED),
        hard=None,
    ),
    "a_quota_of_ours_that_is_no_longer_wanted": Case(
        before=[quota(), quota({"pods": "1"}, name="older-name", uid="uid-older")],
        requests=["DELETE ResourceQuota alice/older-name"],
        events=[("Normal", "Reconciled", "ResourceQuota alice/older-name prune")],
    ),
    "kubeflows_own_beside_ours": Case(
        before=[
            quota(),
            quota({"pods": "5"}, name="kf-resource-quota", labels={}, uid="uid-kubeflow"),
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_what_is_there_is_brought_into_shape_by_exactly_these_requests(name: str) -> None:
    case = CASES[name]
    cluster = harness.tenants(labels=case.labels)
    for body in case.before:
        cluster.objects.put(body)
    async with harness.running((CONTROLLER, QuotasSettings()), cluster=cluster) as process:
        requests = [
            str(one)
            for one in cluster.requests
            if one.kind == "ResourceQuota" and (one.method == "POST" or one.target.name)
        ]

        assert list(case.requests) == requests
        assert list(case.events) == process.events()
        assert {"QuotasReady": case.condition} == process.conditions()
        if case.hard is not None:
            spec = cluster.objects.read(KEY)["spec"]
            assert {**DEFAULT_HARD, **case.hard} == spec["hard"]


async def test_a_bad_label_is_told_and_the_rest_is_in_force() -> None:
    labels = {f"{PREFIX}/pods": "1.5", f"{PREFIX}/gpu": "8"}
    cluster = harness.tenants(labels=labels)
    async with harness.running((CONTROLLER, QuotasSettings()), cluster=cluster) as process:
        status, message = process.conditions()["QuotasReady"]
        (warning,) = (event for event in process.events() if event[0] == "Warning")

        assert "False" == status
        assert f"{PREFIX}/pods" in message
        assert ("InvalidQuota", message) == warning[1:]
        hard = cluster.objects.read(KEY)["spec"]["hard"]
        assert {**DEFAULT_HARD, "requests.nvidia.com/gpu": "8"} == hard


async def test_a_label_that_is_mended_or_taken_away_counts_at_once() -> None:
    async with harness.running((CONTROLLER, QuotasSettings())) as process:
        objects = process.cluster.objects
        for text, pods in (("many", "100"), ("200", "200"), (None, "100")):
            labels = {} if text is None else {f"{PREFIX}/pods": text}
            profile = objects.read(Key("Profile", "", "alice"))
            profile["metadata"]["labels"] = labels
            objects.put(profile)
            await process.settled()

            assert pods == objects.read(KEY)["spec"]["hard"]["pods"]
            expected = "False" if text == "many" else "True"
            assert expected == process.conditions()["QuotasReady"][0]


async def test_kubeflows_stricter_quota_is_told_when_it_appears_and_ours_stays() -> None:
    cluster = harness.tenants(labels={f"{PREFIX}/pods": "500"})
    async with harness.running((CONTROLLER, QuotasSettings()), cluster=cluster) as process:
        cluster.requests.clear()
        kubeflows = quota({"pods": "50"}, name=KUBEFLOWS.name, labels={}, uid="uid-kubeflow")
        stored = cluster.objects.put(kubeflows)
        await process.settled()

        assert ["StricterQuota"] == [event[1] for event in process.events() if event[0] != "Normal"]
        assert {"QuotasReady": WELL} == process.conditions()
        assert [] == cluster.written(but=("Event",))
        assert stored == cluster.objects.read(KUBEFLOWS)
