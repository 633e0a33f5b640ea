"""The reconcile table of notebook."""

from collections.abc import Mapping, Sequence

from controllers.manifests import Body, Key
from controllers.notebook.controller import CONTROLLER
from tests.support import builders
from tests.support.reconcile.case import Case, Event, Table, event

KEY = Key("PodDefault", "alice", "protected-b")
READY = ("True", "PodDefault protected-b is in place")
REFUSED = f"{KEY} refused (exists and is not managed by profiles-controller; rename or delete it)"
SPEC = {
    "desc": "Run a Protected B notebook / Exécuter un bloc-notes protégé B",
    "selector": {"matchLabels": {"notebook.statcan.gc.ca/protected-b": "true"}},
    "labels": {"data.statcan.gc.ca/classification": "protected-b"},
}
LEGACY = {**SPEC, "desc": "Run a Protected B notebook"}
"""The content that the Go suite wrote."""
POST, GET, PUT, DELETE = (f"{method} {KEY}" for method in ("POST", "GET", "PUT", "DELETE"))


def pod_default(
    spec: Body = SPEC,
    *,
    name: str = KEY.name,
    labels: Mapping[str, str] | None = None,
    owners: Sequence[Body] | None = None,
) -> Body:
    labels = builders.managed_labels("notebook") if labels is None else labels
    uid = f"uid-{name}"
    return builders.object_body(
        "PodDefault", name, uid=uid, labels=labels, owners=owners, spec=spec
    )


def changed(action: str) -> Event:
    return event(f"{KEY} {action}")


UNCLASSIFIED = {**SPEC, "labels": {"data.statcan.gc.ca/classification": "unclassified"}}
CASES: Mapping[str, Case] = {
    "new tenant": Case(requests=[POST], events=[changed("create")]),
    "in sync": Case(before=[pod_default()]),
    "in sync with empty annotations": Case(
        before=[pod_default({**SPEC, "annotations": {}})],
        after={KEY: {"spec": {**SPEC, "annotations": {}}}},
    ),
    "edited": Case(
        before=[pod_default(UNCLASSIFIED)], requests=[GET, PUT], events=[changed("update")]
    ),
    "selector that matches every pod": Case(
        before=[pod_default({**SPEC, "selector": {}})],
        requests=[GET, PUT],
        events=[changed("update")],
    ),
    "legacy object": Case(
        before=[pod_default(LEGACY, labels={})], requests=[GET, PUT], events=[changed("adopt")]
    ),
    "foreign object": Case(
        before=[pod_default(UNCLASSIFIED, labels={}, owners=[])],
        events=[("Warning", "Refused", REFUSED)],
        condition=("False", REFUSED),
        after={KEY: {"spec": UNCLASSIFIED}},
    ),
    "disabled": Case(
        settings={"protected_b": False},
        before=[pod_default()],
        requests=[DELETE],
        events=[changed("prune")],
        condition=("True", "0 objects are in place"),
        after={KEY: None},
    ),
    "disabled with a legacy object": Case(
        settings={"protected_b": False},
        before=[pod_default(LEGACY, labels={})],
        requests=[DELETE],
        events=[changed("prune")],
        condition=("True", "0 objects are in place"),
        after={KEY: None},
    ),
    "disabled with a foreign object": Case(
        settings={"protected_b": False},
        before=[pod_default(labels={}, owners=[])],
        condition=("True", "0 objects are in place"),
    ),
}
TABLE = Table(controller=CONTROLLER, cases=CASES, condition=READY, after={KEY: {"spec": SPEC}})
