"""authz-policies in a fake cluster while it runs. The table is in tests/support/reconcile."""

import pytest

from controllers.authz_policies import names
from controllers.authz_policies.config import AuthzPoliciesSettings
from controllers.authz_policies.controller import CONTROLLER
from controllers.manifests import Body, Key
from tests.support import builders
from tests.support.cluster import kubeflow
from tests.support.fakes import harness, virtual_time
from tests.support.reconcile.tables.authz_policies import ACCESS, JOHN, READY

pytestmark = pytest.mark.virtual_time

SETTINGS = AuthzPoliciesSettings()
USERS = "request.headers[kubeflow-userid]"


def users(process: harness.Harness) -> list[str]:
    """The users whom the policy allows."""
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
        assert [builders.OWNER] == users(process)

        objects.put(contributor())
        await process.settled()
        assert [builders.OWNER, JOHN] == users(process)

        process.cluster.requests.clear()
        objects.edit(key, lambda body: body["metadata"].update(labels={"seen": "yes"}))
        await process.settled()
        assert [] == process.cluster.requests

        objects.edit(key, lambda body: body["metadata"]["annotations"].update(role="view"))
        await process.settled()
        assert [builders.OWNER] == users(process)

        objects.edit(key, lambda body: body["metadata"]["annotations"].update(role="admin"))
        await process.settled()
        assert [builders.OWNER, JOHN] == users(process)

        objects.delete(key)
        await process.settled()
        assert [builders.OWNER] == users(process)


async def test_a_binding_that_is_being_deleted_admits_nobody() -> None:
    cluster = harness.tenants()
    body = contributor()
    body["metadata"]["finalizers"] = ["test/hold"]
    cluster.objects.put(body)
    async with harness.running((CONTROLLER, SETTINGS), cluster=cluster) as process:
        assert [builders.OWNER, JOHN] == users(process)
        cluster.objects.delete(Key("RoleBinding", "alice", body["metadata"]["name"]))
        await process.settled()

        assert [builders.OWNER] == users(process)


async def test_a_changed_owner_is_in_the_policy_before_kubeflow_updates_its_binding() -> None:
    cluster = harness.tenants()
    admin = contributor(builders.OWNER, "admin")
    admin["metadata"]["name"] = "namespaceAdmin"
    cluster.objects.put(admin)
    async with harness.running((CONTROLLER, SETTINGS), cluster=cluster) as process:
        profile = Key("Profile", "", "alice")
        process.cluster.objects.edit(
            profile, lambda body: body["spec"]["owner"].update(name="new@example.ca")
        )
        await process.settled()

        assert ["new@example.ca"] == users(process)


async def test_a_name_that_would_admit_others_is_reported_and_the_others_are_admitted() -> None:
    cluster = harness.tenants()
    cluster.objects.put(contributor("*"))
    cluster.objects.put(contributor(JOHN))
    async with harness.running((CONTROLLER, SETTINGS), cluster=cluster) as process:
        status, message = process.conditions()["AuthzPoliciesReady"]
        (warning,) = (event for event in process.events() if event[0] == "Warning")

        assert ("False", ("SubjectExcluded", message)) == (status, warning[1:])
        assert "'*' starts or ends with *" in message
        assert [builders.OWNER, JOHN] == users(process)


async def test_without_istio_the_condition_is_false_until_the_crd_is_served() -> None:
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
        assert READY == process.conditions()["AuthzPoliciesReady"]
