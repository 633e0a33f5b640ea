"""The reconcile table of limitranges."""

from collections.abc import Mapping, Sequence
from typing import Any

from controllers.limitranges.controller import CONTROLLER
from controllers.manifests import Body, Key
from tests.support import builders
from tests.support.reconcile.case import Case, Event, Table, event

KEY = Key("LimitRange", "alice", "default-container-limits")
PREFIX = "limitranges.statcan.gc.ca"
READY = ("True", "LimitRange default-container-limits is in place")
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
    return builders.object_body(
        "LimitRange",
        KEY.name,
        labels=builders.managed_labels("limitranges") if labels is None else labels,
        owners=owners,
        **content(default, request),
    )


def changed(action: str) -> Event:
    return event(f"{KEY} {action}")


def content(
    default: Mapping[str, str] = AMOUNTS, request: Mapping[str, str] = AMOUNTS
) -> Mapping[str, Any]:
    """The content of the LimitRange."""
    item = {"type": "Container", "default": dict(default), "defaultRequest": dict(request)}
    return {"spec": {"limits": [item]}}


NOTATION = {"cpu": "0.25", "memory": "256000k"}
CASES: Mapping[str, Case] = {
    "new tenant": Case(requests=[POST], events=[changed("create")]),
    "overrides by label": Case(
        labels={f"{PREFIX}/default.cpu": "2", f"{PREFIX}/defaultrequest.memory": "128M"},
        requests=[POST],
        events=[changed("create")],
        after={
            KEY: content({"cpu": "2", "memory": "256M"}, {"cpu": "250m", "memory": "128M"}),
        },
    ),
    "in sync": Case(before=[limit_range()]),
    "equal amounts in another notation": Case(
        before=[limit_range(NOTATION, NOTATION)], after={KEY: content(NOTATION, NOTATION)}
    ),
    "edited": Case(
        before=[limit_range({"cpu": "8", "memory": "256M"})],
        requests=[GET, PUT],
        events=[changed("update")],
    ),
    "legacy object": Case(
        before=[limit_range({"cpu": "1"}, labels={})],
        requests=[GET, PUT],
        events=[changed("adopt")],
    ),
    "foreign object": Case(
        before=[limit_range({"cpu": "8"}, labels={}, owners=[])],
        events=[("Warning", "Refused", REFUSED)],
        condition=("False", REFUSED),
        after={KEY: content({"cpu": "8"})},
    ),
}
TABLE = Table(controller=CONTROLLER, cases=CASES, condition=READY, after={KEY: content()})
