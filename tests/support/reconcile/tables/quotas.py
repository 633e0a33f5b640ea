"""The reconcile table of quotas."""

from collections.abc import Mapping
from typing import Any

from controllers.manifests import Body, Key
from controllers.quotas.config import DEFAULT_HARD
from controllers.quotas.controller import CONTROLLER
from tests.support import builders
from tests.support.reconcile.case import Case, Event, Table, event

KEY = Key("ResourceQuota", "alice", "quotas")
PREFIX = "quotas.statcan.gc.ca"
READY = ("True", "ResourceQuota quotas is in place")
REFUSED = (
    "ResourceQuota alice/quotas refused"
    " (exists and is not managed by profiles-controller; rename or delete it)"
)
POST = "POST ResourceQuota alice/quotas"
GET = "GET ResourceQuota alice/quotas"
PUT = "PUT ResourceQuota alice/quotas"


def quota(hard: Mapping[str, Any] = DEFAULT_HARD, *, name: str = "quotas", **fields: Any) -> Body:
    fields.setdefault("labels", builders.managed_labels("quotas"))
    return builders.object_body("ResourceQuota", name, spec={"hard": dict(hard)}, **fields)


def quota_event(action: str) -> Event:
    return event(f"{KEY} {action}")


def content(**amounts: str) -> Mapping[str, Any]:
    """The content of the quota: the defaults and these amounts."""
    return {"spec": {"hard": {**DEFAULT_HARD, **amounts}}}


CASES: Mapping[str, Case] = {
    "new tenant": Case(requests=[POST], events=[quota_event("create")]),
    "override by label": Case(
        labels={f"{PREFIX}/gpu": "8"},
        requests=[POST],
        events=[quota_event("create")],
        after={KEY: content(**{"requests.nvidia.com/gpu": "8"})},
    ),
    "in sync": Case(before=[quota()]),
    "equal amounts in another notation": Case(
        before=[quota({**DEFAULT_HARD, "pods": "0.1k", "limits.cpu": "70000m"})], after={}
    ),
    "edited": Case(
        before=[quota({**DEFAULT_HARD, "pods": "1000"})],
        requests=[GET, PUT],
        events=[quota_event("update")],
    ),
    "an additional key": Case(
        before=[quota({**DEFAULT_HARD, "secrets": "1"})],
        requests=[GET, PUT],
        events=[quota_event("update")],
    ),
    "legacy object": Case(
        before=[quota({"pods": "100"}, labels={})],
        requests=[GET, PUT],
        events=[quota_event("adopt")],
    ),
    "foreign object": Case(
        before=[quota({"pods": "7"}, labels={}, owners=[])],
        events=[("Warning", "Refused", REFUSED)],
        condition=("False", REFUSED),
        after={},
    ),
    "managed quota that is no longer desired": Case(
        before=[quota(), quota({"pods": "1"}, name="older-name", uid="uid-older")],
        requests=["DELETE ResourceQuota alice/older-name"],
        events=[("Normal", "Reconciled", "ResourceQuota alice/older-name prune")],
    ),
    "quota of Kubeflow": Case(
        before=[
            quota(),
            quota({"pods": "5"}, name="kf-resource-quota", labels={}, uid="uid-kubeflow"),
        ],
    ),
}


TABLE = Table(controller=CONTROLLER, cases=CASES, condition=READY, after={KEY: content()})
