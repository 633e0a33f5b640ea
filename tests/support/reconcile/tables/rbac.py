"""The reconcile table of rbac."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from controllers.manifests import Body, Key, to_body
from controllers.rbac import desired
from controllers.rbac.config import RbacSettings
from controllers.rbac.controller import CONTROLLER
from controllers.runtime.objects.kinds import KINDS
from tests.support import builders
from tests.support.reconcile.case import Case, Content, Event, Table, event

ALLOW_FROM = "rbac.statcan.gc.ca/allow-from"
GROUP = "rbac.authorization.k8s.io"
ROLE = Key("Role", "alice", "profile-pipelines")
OWNERS = Key("RoleBinding", "alice", "ml-pipeline")
SUPPORT = Key("RoleBinding", "alice", "profile-support")
FROM_BOB = Key("RoleBinding", "alice", "allow-bob-kubeflow-edit")
READY = ("True", "2 objects are in place")
FOREIGN = "exists and is not managed by profiles-controller; rename or delete it"
NOT_ENABLED = (
    f"annotation {ALLOW_FROM} has no effect: cross-namespace access is not enabled"
    " on this platform; remove it, or contact the platform's operators"
)
OPEN = {"cross_namespace_access": True}
BOB = {ALLOW_FROM: "bob"}


def desired_body(key: Key, settings: Mapping[str, Any] | None = None, **profile: Any) -> Body:
    """The object that the controller creates for Alice."""
    whose = builders.profile(**profile)
    manifests = desired.desired(whose, None, RbacSettings.model_validate(settings or {})).objects
    (manifest,) = (one for one in manifests if one.key == key)
    version = KINDS[key.kind].api_version
    return to_body(manifest, api_version=version, profile=whose, component="rbac")


def legacy(body: Body, **fields: Any) -> Body:
    """The object of the older suite: without labels."""
    metadata = {name: value for name, value in body["metadata"].items() if name != "labels"}
    return {**body, "metadata": metadata, **fields}


def foreign(body: Body) -> Body:
    made = legacy(body)
    del made["metadata"]["ownerReferences"]
    return made


def subject(name: str, kind: str = "User") -> Body:
    return {"apiGroup": GROUP, "kind": kind, "name": name}


def annotated(body: Body, **annotations: str) -> Body:
    return {**body, "metadata": {**body["metadata"], "annotations": annotations}}


def writes(method: str, *keys: Key) -> list[str]:
    return [f"{method} {key}" for key in keys]


def changed(*changes: tuple[Key, str]) -> Event:
    return event(*(f"{key} {action}" for key, action in changes))


IN_SYNC = (desired_body(ROLE), desired_body(OWNERS))
SMALL = {"ml_pipeline": "Role"}
ONE_GROUP = {"support_groups": "support"}
BROAD_REFERENCE = {"apiGroup": GROUP, "kind": "ClusterRole", "name": "cluster-admin"}


CASES: Mapping[str, Case] = {
    "new tenant": Case(
        requests=writes("POST", ROLE, OWNERS),
        events=[changed((ROLE, "create"), (OWNERS, "create"))],
    ),
    "in sync": Case(before=IN_SYNC),
    "all features enabled": Case(
        settings={**ONE_GROUP, **OPEN},
        annotations=BOB,
        before=IN_SYNC,
        requests=writes("POST", SUPPORT, FROM_BOB),
        events=[changed((SUPPORT, "create"), (FROM_BOB, "create"))],
        condition=("True", "4 objects are in place"),
    ),
    "changed owner": Case(
        before=[desired_body(ROLE), desired_body(OWNERS, owner="joe@example.ca")],
        requests=[f"GET {OWNERS}", f"PUT {OWNERS}"],
        events=[changed((OWNERS, "update"))],
    ),
    "changed group": Case(
        settings=ONE_GROUP,
        before=[*IN_SYNC, desired_body(SUPPORT, {"support_groups": "support,former"})],
        requests=[f"GET {SUPPORT}", f"PUT {SUPPORT}"],
        events=[changed((SUPPORT, "update"))],
        condition=("True", "3 objects are in place"),
    ),
    "groups removed": Case(
        before=[*IN_SYNC, desired_body(SUPPORT, ONE_GROUP)],
        requests=writes("DELETE", SUPPORT),
        events=[changed((SUPPORT, "prune"))],
    ),
    "owner bound to the small role": Case(
        settings=SMALL,
        before=IN_SYNC,
        requests=writes("DELETE", OWNERS) + writes("POST", OWNERS),
        events=[changed((OWNERS, "recreate"))],
    ),
    "owner not bound": Case(
        settings={"ml_pipeline": "none"},
        before=IN_SYNC,
        requests=writes("DELETE", OWNERS),
        events=[changed((OWNERS, "prune"))],
        condition=("True", "Role profile-pipelines is in place"),
    ),
    "broader role reference": Case(
        before=[desired_body(ROLE), {**desired_body(OWNERS), "roleRef": BROAD_REFERENCE}],
        requests=writes("DELETE", OWNERS) + writes("POST", OWNERS),
        events=[changed((OWNERS, "recreate"))],
    ),
    "additional subject": Case(
        before=[
            desired_body(ROLE),
            {**desired_body(OWNERS), "subjects": [subject(builders.OWNER), subject("eve")]},
        ],
        requests=[f"GET {OWNERS}", f"PUT {OWNERS}"],
        events=[changed((OWNERS, "update"))],
    ),
    "additional rule": Case(
        before=[
            {
                **desired_body(ROLE),
                "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}],
            },
            desired_body(OWNERS),
        ],
        requests=[f"GET {ROLE}", f"PUT {ROLE}"],
        events=[changed((ROLE, "update"))],
    ),
    "annotated as a contributor": Case(
        settings=ONE_GROUP,
        before=[*IN_SYNC, annotated(desired_body(SUPPORT, ONE_GROUP), user="eve", role="admin")],
        requests=[f"GET {SUPPORT}", f"PUT {SUPPORT}"],
        events=[changed((SUPPORT, "update"))],
        condition=("True", "3 objects are in place"),
    ),
    "additional annotation": Case(
        before=[desired_body(ROLE), annotated(desired_body(OWNERS), note="ours")]
    ),
    "legacy objects that are desired": Case(
        settings=ONE_GROUP,
        before=[
            desired_body(ROLE),
            legacy(desired_body(OWNERS), subjects=[subject("alice@cloud.statcan.ca")]),
            legacy(desired_body(SUPPORT, ONE_GROUP)),
        ],
        requests=[f"GET {OWNERS}", f"GET {SUPPORT}", f"PUT {OWNERS}", f"PUT {SUPPORT}"],
        events=[changed((OWNERS, "adopt"), (SUPPORT, "adopt"))],
        condition=("True", "3 objects are in place"),
    ),
    "legacy objects that are not desired": Case(
        settings={"ml_pipeline": "none"},
        before=[
            desired_body(ROLE),
            legacy(desired_body(OWNERS)),
            legacy(desired_body(SUPPORT, ONE_GROUP)),
        ],
        requests=writes("DELETE", OWNERS, SUPPORT),
        events=[changed((OWNERS, "prune"), (SUPPORT, "prune"))],
        condition=("True", "Role profile-pipelines is in place"),
    ),
    "foreign object": Case(
        before=[desired_body(ROLE), foreign(desired_body(OWNERS))],
        events=[("Warning", "Refused", f"{OWNERS} refused ({FOREIGN})")],
        condition=("False", f"{OWNERS} refused ({FOREIGN})"),
    ),
    "foreign object that is not desired": Case(
        before=[*IN_SYNC, foreign(desired_body(SUPPORT, ONE_GROUP))],
    ),
    "source removed from the annotation": Case(
        settings=OPEN,
        before=[*IN_SYNC, desired_body(FROM_BOB, OPEN, annotations=BOB)],
        requests=writes("DELETE", FROM_BOB),
        events=[changed((FROM_BOB, "prune"))],
    ),
    "cross-namespace access no longer enabled": Case(
        annotations=BOB,
        before=[*IN_SYNC, desired_body(FROM_BOB, OPEN, annotations=BOB)],
        requests=writes("DELETE", FROM_BOB),
        events=[
            changed((FROM_BOB, "prune")),
            (
                "Warning",
                "AccessNotEnabled",
                NOT_ENABLED,
            ),
        ],
    ),
}


def desired_content(case: Case) -> Content:
    """The content of the desired objects."""
    settings = RbacSettings.model_validate(case.settings)
    return {one.key: one.content for one in desired.desired(case.profile(), None, settings).objects}


def is_ready(case: Case) -> bool:
    """Whether the expected condition is True."""
    return case.condition is None or case.condition[0] == "True"


TABLE = Table(
    controller=CONTROLLER,
    cases={
        name: dataclasses.replace(case, after=desired_content(case) if is_ready(case) else {})
        for name, case in CASES.items()
    },
    condition=READY,
)
