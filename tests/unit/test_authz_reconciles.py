"""authz-policies on a cluster: what was there before, then exact writes, events and condition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from controllers.authz_policies import desired, names
from controllers.authz_policies.config import AuthzPoliciesSettings
from controllers.authz_policies.controller import CONTROLLER
from controllers.manifests import Body, Key
from tests.support.builders import live_objects
from tests.support.cluster import kubeflow
from tests.support.fakes import harness, virtual_time

pytestmark = pytest.mark.virtual_time

ACCESS = Key(names.KIND, "alice", names.OWNER_ACCESS)
BLOCK = Key(names.KIND, "alice", names.BLOCK_TRANSFER)
SETTINGS = AuthzPoliciesSettings()
WELL = ("True", "2 objects are in place")
JOHN = "john@example.ca"
USERS = "request.headers[kubeflow-userid]"
REFUSED = f"{BLOCK} refused (exists and is not managed by profiles-controller; rename or delete it)"


def wanted(key: Key) -> Mapping[str, Any]:
    profile = live_objects.profile()
    manifests = desired.desired(profile, desired.Facts(), SETTINGS).objects
    return next(one.content for one in manifests if one.key == key)


def policy(key: Key, spec: Mapping[str, Any] | None = None, **fields: Any) -> Body:
    fields.setdefault("labels", live_objects.marks("authz-policies"))
    fields.setdefault("uid", f"uid-{key.name}")
    content = wanted(key) if spec is None else {"spec": dict(spec)}
    return live_objects.object_body(names.KIND, key.name, **fields, **content)


def older(**fields: Any) -> Body:
    """As the Go suite makes it: the header from anybody."""
    spec = {"action": "ALLOW", "rules": [{"when": [kubeflow.header_condition(live_objects.OWNER)]}]}
    return policy(ACCESS, spec, labels={}, **fields)


def told(*lines: str) -> tuple[str, str, str]:
    return ("Normal", "Reconciled", ", ".join(lines))


@dataclass(frozen=True, kw_only=True)
class Case:
    """`requests` and `events` are exact."""

    before: Sequence[Body] = ()
    requests: Sequence[str] = ()
    events: Sequence[tuple[str, str, str]] = ()
    condition: tuple[str, str] = WELL
    settings: Mapping[str, Any] = field(default_factory=dict)


CASES = {
    "a_new_tenant": Case(
        requests=[f"POST {BLOCK}", f"POST {ACCESS}"],
        events=[told(f"{BLOCK} create", f"{ACCESS} create")],
    ),
    "in_shape": Case(before=[policy(BLOCK), policy(ACCESS)]),
    "edited": Case(
        before=[policy(BLOCK), policy(ACCESS, {"action": "ALLOW", "rules": [{}]})],
        requests=[f"GET {ACCESS}", f"PUT {ACCESS}"],
        events=[told(f"{ACCESS} update")],
    ),
    "the_older_suites_without_an_owner": Case(
        before=[policy(BLOCK), older(owners=[])],
        requests=[f"GET {ACCESS}", f"PUT {ACCESS}"],
        events=[told(f"{ACCESS} adopt")],
    ),
    "the_older_suites_with_an_owner": Case(
        before=[policy(BLOCK, {"action": "DENY"}, labels={}), older()],
        requests=[f"GET {BLOCK}", f"PUT {BLOCK}", f"GET {ACCESS}", f"PUT {ACCESS}"],
        events=[told(f"{BLOCK} adopt", f"{ACCESS} adopt")],
    ),
    "a_denial_that_is_nobodys": Case(
        before=[policy(BLOCK, {"action": "DENY"}, labels={}, owners=[]), policy(ACCESS)],
        events=[("Warning", "Refused", REFUSED)],
        condition=("False", REFUSED),
    ),
    "kubeflows_own_and_kfams_beside_ours": Case(
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
    "switched_off": Case(
        before=[policy(BLOCK), policy(ACCESS)],
        settings={"block_transfer": False},
        requests=[f"DELETE {BLOCK}"],
        events=[told(f"{BLOCK} prune")],
        condition=("True", f"{names.KIND} {ACCESS.name} is in place"),
    ),
    "switched_off_over_an_older_suites": Case(
        before=[policy(BLOCK, {"action": "DENY"}, labels={}), policy(ACCESS)],
        settings={"block_transfer": False},
        requests=[f"DELETE {BLOCK}"],
        events=[told(f"{BLOCK} prune")],
        condition=("True", f"{names.KIND} {ACCESS.name} is in place"),
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_what_is_there_is_brought_into_shape_by_exactly_these_requests(name: str) -> None:
    case = CASES[name]
    cluster = harness.tenants()
    before = [cluster.objects.put(body) for body in case.before]
    settings = AuthzPoliciesSettings.model_validate(case.settings)
    async with harness.running((CONTROLLER, settings), cluster=cluster) as process:
        requests = [
            str(one)
            for one in cluster.requests
            if one.kind == names.KIND and (one.method == "POST" or one.target.name)
        ]

        assert sorted(case.requests) == sorted(requests)
        assert list(case.events) == process.events()
        assert {"AuthzPoliciesReady": case.condition} == process.conditions()
        for body in before:
            key = Key(names.KIND, "alice", body["metadata"]["name"])
            if not any(str(key) in request for request in requests):
                assert body == cluster.objects.read(key)


def users(process: harness.Harness) -> list[str]:
    """The users whom the policy admits."""
    rules = process.cluster.objects.read(ACCESS)["spec"]["rules"]
    conditions = [one for rule in rules for one in rule.get("when", ()) if one["key"] == USERS]
    return [value for one in conditions for value in one["values"]]


def contributor(email: str = JOHN, role: str = "edit") -> Body:
    body = kubeflow.contributor_binding("alice", email, role)
    body["metadata"]["uid"] = f"uid-{email}-{role}"
    return body


async def test_a_contributor_is_in_the_policy_while_the_binding_is_there() -> None:
    async with harness.running((CONTROLLER, SETTINGS)) as process:
        objects = process.cluster.objects
        key = Key("RoleBinding", "alice", kubeflow.contributor_name(JOHN, "edit"))
        assert [live_objects.OWNER] == users(process)

        objects.put(contributor())
        await process.settled()
        assert [live_objects.OWNER, JOHN] == users(process)

        process.cluster.requests.clear()
        objects.edit(key, lambda body: body["metadata"].update(labels={"seen": "yes"}))
        await process.settled()
        assert [] == process.cluster.requests

        objects.edit(key, lambda body: body["metadata"]["annotations"].update(role="view"))
        await process.settled()
        assert [live_objects.OWNER] == users(process)

        objects.edit(key, lambda body: body["metadata"]["annotations"].update(role="admin"))
        await process.settled()
        assert [live_objects.OWNER, JOHN] == users(process)

        objects.delete(key)
        await process.settled()
        assert [live_objects.OWNER] == users(process)


async def test_a_binding_that_waits_for_a_finalizer_admits_nobody_any_more() -> None:
    cluster = harness.tenants()
    body = contributor()
    body["metadata"]["finalizers"] = ["test/hold"]
    cluster.objects.put(body)
    async with harness.running((CONTROLLER, SETTINGS), cluster=cluster) as process:
        assert [live_objects.OWNER, JOHN] == users(process)
        cluster.objects.delete(Key("RoleBinding", "alice", body["metadata"]["name"]))
        await process.settled()

        assert [live_objects.OWNER] == users(process)


async def test_another_owner_takes_the_old_ones_place_before_kubeflow_follows() -> None:
    cluster = harness.tenants()
    admin = contributor(live_objects.OWNER, "admin")
    admin["metadata"]["name"] = "namespaceAdmin"
    cluster.objects.put(admin)
    async with harness.running((CONTROLLER, SETTINGS), cluster=cluster) as process:
        profile = Key("Profile", "", "alice")
        process.cluster.objects.edit(
            profile, lambda body: body["spec"]["owner"].update(name="new@example.ca")
        )
        await process.settled()

        assert ["new@example.ca"] == users(process)


async def test_a_name_that_would_admit_others_is_told_and_the_others_come_in() -> None:
    cluster = harness.tenants()
    cluster.objects.put(contributor("*"))
    cluster.objects.put(contributor(JOHN))
    async with harness.running((CONTROLLER, SETTINGS), cluster=cluster) as process:
        status, message = process.conditions()["AuthzPoliciesReady"]
        (warning,) = (event for event in process.events() if event[0] == "Warning")

        assert ("False", ("SubjectExcluded", message)) == (status, warning[1:])
        assert "'*' starts or ends with *" in message
        assert [live_objects.OWNER, JOHN] == users(process)


async def test_without_istio_it_waits_aloud_and_starts_when_the_crd_appears() -> None:
    cluster = harness.tenants()
    cluster.unserved |= {(names.KIND, "v1"), (names.KIND, "v1beta1")}
    async with harness.running((CONTROLLER, SETTINGS), cluster=cluster) as process:
        status, message = process.conditions()["AuthzPoliciesReady"]
        assert "False" == status
        assert "serves no authorizationpolicies.security.istio.io yet" in message
        assert ("Warning", "KindNotServed", message) in process.events()
        (check,) = (one for one in process.health.readyz() if one.name == f"informer/{names.KIND}")
        assert ("", True) == (check.error, check.note.startswith("waiting: the cluster serves"))

        cluster.unserved.discard((names.KIND, "v1beta1"))
        await virtual_time.until(
            lambda: cluster.objects.get(ACCESS) is not None, "the policy is made"
        )
        await process.settled()
        assert WELL == process.conditions()["AuthzPoliciesReady"]
