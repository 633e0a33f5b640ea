"""The reconcile table of authz-policies."""

from collections.abc import Mapping
from typing import Any

from controllers.authz_policies import desired, names
from controllers.authz_policies.config import AuthzPoliciesSettings
from controllers.authz_policies.controller import CONTROLLER
from controllers.manifests import Body, Key
from tests.support import builders
from tests.support.cluster import kubeflow
from tests.support.reconcile.case import Case, Table, event

ACCESS = Key(names.KIND, "alice", names.OWNER_ACCESS)
BLOCK = Key(names.KIND, "alice", names.BLOCK_TRANSFER)
SETTINGS = AuthzPoliciesSettings()
READY = ("True", "2 objects are in place")
JOHN = "john@example.ca"
REFUSED = f"{BLOCK} refused (exists and is not managed by profiles-controller; rename or delete it)"


def desired_content(key: Key) -> Mapping[str, Any]:
    profile = builders.profile()
    manifests = desired.desired(profile, desired.Facts(), SETTINGS).objects
    return next(one.content for one in manifests if one.key == key)


def policy(key: Key, spec: Mapping[str, Any] | None = None, **fields: Any) -> Body:
    fields.setdefault("labels", builders.managed_labels("authz-policies"))
    fields.setdefault("uid", f"uid-{key.name}")
    content = desired_content(key) if spec is None else {"spec": dict(spec)}
    return builders.object_body(names.KIND, key.name, **fields, **content)


def legacy(**fields: Any) -> Body:
    """The policy of the Go suite: it accepts the header from any source."""
    spec = {"action": "ALLOW", "rules": [{"when": [kubeflow.header_condition(builders.OWNER)]}]}
    return policy(ACCESS, spec, labels={}, **fields)


CASES: Mapping[str, Case] = {
    "new tenant": Case(
        requests=[f"POST {BLOCK}", f"POST {ACCESS}"],
        events=[event(f"{BLOCK} create", f"{ACCESS} create")],
    ),
    "in sync": Case(before=[policy(BLOCK), policy(ACCESS)]),
    "edited": Case(
        before=[policy(BLOCK), policy(ACCESS, {"action": "ALLOW", "rules": [{}]})],
        requests=[f"GET {ACCESS}", f"PUT {ACCESS}"],
        events=[event(f"{ACCESS} update")],
    ),
    "legacy object without an owner": Case(
        before=[policy(BLOCK), legacy(owners=[])],
        requests=[f"GET {ACCESS}", f"PUT {ACCESS}"],
        events=[event(f"{ACCESS} adopt")],
    ),
    "legacy objects with an owner": Case(
        before=[policy(BLOCK, {"action": "DENY"}, labels={}), legacy()],
        requests=[f"GET {BLOCK}", f"PUT {BLOCK}", f"GET {ACCESS}", f"PUT {ACCESS}"],
        events=[event(f"{BLOCK} adopt", f"{ACCESS} adopt")],
    ),
    "foreign object": Case(
        before=[policy(BLOCK, {"action": "DENY"}, labels={}, owners=[]), policy(ACCESS)],
        events=[("Warning", "Refused", REFUSED)],
        condition=("False", REFUSED),
    ),
    "policies of Kubeflow and kfam": Case(
        before=[
            policy(BLOCK),
            policy(ACCESS),
            policy(Key(names.KIND, "alice", "ns-owner-access-istio"), {"rules": []}, labels={}),
            policy(
                Key(names.KIND, "alice", kubeflow.contributor_name(JOHN, "edit")),
                {"rules": []},
                labels={},
                owners=[],
            ),
        ],
    ),
    "disabled": Case(
        before=[policy(BLOCK), policy(ACCESS)],
        settings={"block_transfer": False},
        requests=[f"DELETE {BLOCK}"],
        events=[event(f"{BLOCK} prune")],
        condition=("True", f"{names.KIND} {ACCESS.name} is in place"),
    ),
    "disabled with a legacy object": Case(
        before=[policy(BLOCK, {"action": "DENY"}, labels={}), policy(ACCESS)],
        settings={"block_transfer": False},
        requests=[f"DELETE {BLOCK}"],
        events=[event(f"{BLOCK} prune")],
        condition=("True", f"{names.KIND} {ACCESS.name} is in place"),
    ),
}
TABLE = Table(controller=CONTROLLER, cases=CASES, condition=READY)
