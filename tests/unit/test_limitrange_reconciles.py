"""limitranges on a cluster: what was there before, then exact writes, events and condition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from controllers.limitranges.config import LimitRangesSettings
from controllers.limitranges.controller import CONTROLLER
from controllers.manifests import Body, Key
from tests.support.builders import live_objects
from tests.support.fakes import harness

pytestmark = pytest.mark.virtual_time

KEY = Key("LimitRange", "alice", "default-container-limits")
PREFIX = "limitranges.statcan.gc.ca"
WELL = ("True", "LimitRange default-container-limits is in place")
REFUSED = f"{KEY} refused (exists and is not managed by profiles-controller; rename or delete it)"
AMOUNTS = {"cpu": "250m", "memory": "256M"}
POST, GET, PUT = (f"{method} {KEY}" for method in ("POST", "GET", "PUT"))


def limit_range(
    default: Mapping[str, str] = AMOUNTS,
    request: Mapping[str, str] = AMOUNTS,
    *,
    labels: Mapping[str, str] | None = None,
    owners: Sequence[Body] | None = None,
) -> Body:
    item = {"type": "Container", "default": dict(default), "defaultRequest": dict(request)}
    return live_objects.object_body(
        "LimitRange",
        KEY.name,
        labels=live_objects.marks("limitranges") if labels is None else labels,
        owners=owners,
        spec={"limits": [item]},
    )


def told(action: str) -> tuple[str, str, str]:
    return ("Normal", "Reconciled", f"{KEY} {action}")


@dataclass(frozen=True, kw_only=True)
class Case:
    """`requests` and `events` are exact; the amounts are what the LimitRange holds then."""

    labels: Mapping[str, str] = field(default_factory=dict)
    before: Body | None = None
    requests: Sequence[str] = ()
    events: Sequence[tuple[str, str, str]] = ()
    condition: tuple[str, str] = WELL
    default: Mapping[str, str] = field(default_factory=lambda: AMOUNTS)
    request: Mapping[str, str] = field(default_factory=lambda: AMOUNTS)


SPELLED = {"cpu": "0.25", "memory": "256000k"}
CASES = {
    "a_new_tenant": Case(requests=[POST], events=[told("create")]),
    "overrides": Case(
        labels={f"{PREFIX}/default.cpu": "2", f"{PREFIX}/defaultrequest.memory": "128M"},
        requests=[POST],
        events=[told("create")],
        default={"cpu": "2", "memory": "256M"},
        request={"cpu": "250m", "memory": "128M"},
    ),
    "in_shape": Case(before=limit_range()),
    "in_shape_but_spelled_otherwise": Case(
        before=limit_range(SPELLED, SPELLED), default=SPELLED, request=SPELLED
    ),
    "edited": Case(
        before=limit_range({"cpu": "8", "memory": "256M"}),
        requests=[GET, PUT],
        events=[told("update")],
    ),
    "the_older_suites": Case(
        before=limit_range({"cpu": "1"}, labels={}), requests=[GET, PUT], events=[told("adopt")]
    ),
    "nobodys": Case(
        before=limit_range({"cpu": "8"}, labels={}, owners=[]),
        events=[("Warning", "Refused", REFUSED)],
        condition=("False", REFUSED),
        default={"cpu": "8"},
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_what_is_there_is_brought_into_shape_by_exactly_these_requests(name: str) -> None:
    case = CASES[name]
    cluster = harness.tenants(labels=case.labels)
    if case.before is not None:
        cluster.objects.put(case.before)
    async with harness.running((CONTROLLER, LimitRangesSettings()), cluster=cluster) as process:
        requests = [
            str(one)
            for one in cluster.requests
            if one.kind == "LimitRange" and (one.method == "POST" or one.target.name)
        ]
        (item,) = cluster.objects.read(KEY)["spec"]["limits"]

        assert list(case.requests) == requests
        assert list(case.events) == process.events()
        assert {"LimitrangesReady": case.condition} == process.conditions()
        assert (case.default, case.request) == (item["default"], item["defaultRequest"])


async def test_a_bad_label_is_told_and_the_rest_is_in_force() -> None:
    labels = {f"{PREFIX}/default.cpu": "lots", f"{PREFIX}/default.memory": "1G"}
    cluster = harness.tenants(labels=labels)
    async with harness.running((CONTROLLER, LimitRangesSettings()), cluster=cluster) as process:
        status, message = process.conditions()["LimitrangesReady"]
        (item,) = cluster.objects.read(KEY)["spec"]["limits"]

        assert "False" == status
        assert f"{PREFIX}/default.cpu" in message
        assert ("Warning", "InvalidLimit", message) in process.events()
        assert {"cpu": "250m", "memory": "1G"} == item["default"]
