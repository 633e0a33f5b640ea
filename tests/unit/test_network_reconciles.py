"""network on a cluster: what was there before, then exact writes, events and condition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from controllers.manifests import Body, Key
from controllers.network import desired, names
from controllers.network.config import NetworkSettings
from controllers.network.controller import CONTROLLER
from tests.support.builders import live_objects
from tests.support.fakes import FakeCluster, harness

pytestmark = pytest.mark.virtual_time

# Two policies of all: so a case can say exactly what happens.
FEW = ("vault-egress", "allow-gitea-to-postgres")
SETTINGS = {
    "policies": {
        one.name: one.name in FEW
        for one in desired.desired(
            live_objects.profile(labels={names.GITEA_LABEL: "1"}),
            desired.Facts(),
            NetworkSettings(),
        ).objects
    }
}
GITEA = {names.GITEA_LABEL: "true"}
DENY = {"podSelector": {}, "policyTypes": ["Egress"]}
VAULT = Key("NetworkPolicy", "alice", "vault-egress")
POSTGRES = Key("NetworkPolicy", "alice", "allow-gitea-to-postgres")
ONE = ("True", "NetworkPolicy vault-egress is in place")
TWO = ("True", "2 objects are in place")
REFUSED = f"{VAULT} refused (exists and is not managed by profiles-controller; rename or delete it)"
BOBS = f"{VAULT} refused (exists and belongs to Profile bob; rename or delete it)"
SPECS = {
    one.name: one.content["spec"]
    for one in desired.desired(
        live_objects.profile(labels=GITEA),
        desired.Facts(),
        NetworkSettings.model_validate(SETTINGS),
    ).objects
}


def policy(name: str, spec: Body | None = None, **fields: Any) -> Body:
    """Ours unless `labels` or `owners` say otherwise, and as wanted unless `spec` does."""
    fields.setdefault("labels", live_objects.marks("network"))
    return live_objects.object_body(
        "NetworkPolicy", name, uid=f"uid-{name}", spec=spec or SPECS.get(name, DENY), **fields
    )


def older(name: str) -> Body:
    """As the older suite makes it: the Profile controls it, and it bears no labels."""
    return policy(name, DENY, labels={})


def told(*changes: str) -> tuple[str, str, str]:
    return ("Normal", "Reconciled", ", ".join(changes))


@dataclass(frozen=True, kw_only=True)
class Case:
    """`requests` and `events` are exact; `left` is what is there then, by name."""

    labels: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[Body] = ()
    requests: Sequence[str] = ()
    events: Sequence[tuple[str, str, str]] = ()
    condition: tuple[str, str] = ONE
    left: set[str] = field(default_factory=lambda: {VAULT.name})


def deletes(name: str) -> tuple[str, str]:
    key = Key("NetworkPolicy", "alice", name)
    return f"DELETE {key}", f"{key} prune"


RETIRED = "unclassified-minio-egress"
BOB = [live_objects.profile_reference("bob", "uid-bob")]
CASES = {
    "a_new_tenant": Case(requests=[f"POST {VAULT}"], events=[told(f"{VAULT} create")]),
    "opted_in": Case(
        labels=GITEA,
        requests=[f"POST {VAULT}", f"POST {POSTGRES}"],
        events=[told(f"{VAULT} create", f"{POSTGRES} create")],
        condition=TWO,
        left=set(FEW),
    ),
    "in_shape": Case(before=[policy("vault-egress")]),
    "in_shape_with_an_empty_list_more": Case(
        before=[policy("vault-egress", {**SPECS["vault-egress"], "ingress": []})]
    ),
    "opted_out": Case(
        before=[policy("vault-egress"), policy("allow-gitea-to-postgres")],
        requests=[deletes(POSTGRES.name)[0]],
        events=[told(deletes(POSTGRES.name)[1])],
    ),
    "edited": Case(
        before=[policy("vault-egress", DENY)],
        requests=[f"GET {VAULT}", f"PUT {VAULT}"],
        events=[told(f"{VAULT} update")],
    ),
    "the_older_suites_wanted": Case(
        before=[older("vault-egress")],
        requests=[f"GET {VAULT}", f"PUT {VAULT}"],
        events=[told(f"{VAULT} adopt")],
    ),
    "the_older_suites_not_entitled": Case(
        before=[policy("vault-egress"), older("allow-gitea-to-postgres")],
        requests=[deletes(POSTGRES.name)[0]],
        events=[told(deletes(POSTGRES.name)[1])],
    ),
    "the_older_suites_retired": Case(
        before=[policy("vault-egress"), older(RETIRED)],
        requests=[deletes(RETIRED)[0]],
        events=[told(deletes(RETIRED)[1])],
    ),
    "the_older_suites_switched_off": Case(
        before=[policy("vault-egress"), older("allow-jfrog-egress")],
        requests=[deletes("allow-jfrog-egress")[0]],
        events=[told(deletes("allow-jfrog-egress")[1])],
    ),
    "unlabelled_of_the_profile_by_another_name": Case(
        before=[policy("vault-egress"), older("theirs"), older("allow-dns-egress")],
        left={VAULT.name, "theirs", "allow-dns-egress"},
    ),
    "a_retired_name_with_labels_of_others": Case(
        before=[policy("vault-egress"), policy(RETIRED, labels={"app": "theirs"})],
        left={VAULT.name, RETIRED},
    ),
    "a_retired_name_of_nobody": Case(
        before=[policy("vault-egress"), policy(RETIRED, labels={}, owners=[])],
        left={VAULT.name, RETIRED},
    ),
    "a_retired_name_of_another_profile": Case(
        before=[policy("vault-egress"), policy(RETIRED, labels={}, owners=BOB)],
        left={VAULT.name, RETIRED},
    ),
    "nobodys_under_our_name": Case(
        before=[policy("vault-egress", DENY, labels={}, owners=[])],
        events=[("Warning", "Refused", REFUSED)],
        condition=("False", REFUSED),
    ),
    "another_profiles_under_our_name": Case(
        before=[policy("vault-egress", DENY, labels={}, owners=BOB)],
        events=[("Warning", "Refused", BOBS)],
        condition=("False", BOBS),
    ),
}


def settings() -> NetworkSettings:
    return NetworkSettings.model_validate(SETTINGS)


def requests(cluster: FakeCluster) -> list[str]:
    return [
        str(one)
        for one in cluster.requests
        if one.kind == "NetworkPolicy" and (one.method == "POST" or one.target.name)
    ]


@pytest.mark.parametrize("name", CASES)
async def test_what_is_there_is_brought_into_shape_by_exactly_these_requests(name: str) -> None:
    case = CASES[name]
    cluster = harness.tenants(labels=case.labels)
    for body in case.before:
        cluster.objects.put(body)
    async with harness.running((CONTROLLER, settings()), cluster=cluster) as process:
        assert sorted(case.requests) == sorted(requests(cluster))
        assert list(case.events) == process.events()
        assert {"NetworkReady": case.condition} == process.conditions()
        assert case.left == {one["metadata"]["name"] for one in cluster.objects.all_of(VAULT.kind)}
        if case.condition[0] == "True":
            assert SPECS[VAULT.name].items() <= cluster.objects.read(VAULT)["spec"].items()


def put_label(cluster: FakeCluster, text: str) -> None:
    cluster.objects.edit(
        Key("Profile", "", "alice"),
        lambda body: body["metadata"].update(labels={names.GITEA_LABEL: text}),
    )


async def test_labels_that_come_and_go_take_their_policies_with_them() -> None:
    cluster = harness.tenants()
    async with harness.running((CONTROLLER, settings()), cluster=cluster) as process:
        for text, expected in (("true", set(FEW)), ("f", {VAULT.name})):
            put_label(cluster, text)
            await process.settled()
            found = {one["metadata"]["name"] for one in cluster.objects.all_of(VAULT.kind)}
            assert expected == found


async def test_a_label_that_is_no_boolean_is_told_and_the_rest_is_in_force() -> None:
    cluster = harness.tenants(labels={names.GITEA_LABEL: "yes"})
    async with harness.running((CONTROLLER, settings()), cluster=cluster) as process:
        status, message = process.conditions()["NetworkReady"]

        assert "False" == status
        assert f"label {names.GITEA_LABEL} is invalid: 'yes' is not a boolean" in message
        assert ("Warning", "InvalidBoolean", message) in process.events()
        assert [f"POST {VAULT}"] == requests(cluster)


async def test_a_restart_with_other_settings_removes_what_is_no_longer_wanted() -> None:
    cluster = harness.tenants()
    theirs = cluster.objects.put(policy("theirs", labels={}, owners=[]))
    further = {"metadata": {"name": "further"}, "spec": {"podSelector": {}}}
    first = NetworkSettings.model_validate({**SETTINGS, "extra_policies": [further]})
    async with harness.running((CONTROLLER, first), cluster=cluster):
        assert cluster.objects.read(Key("NetworkPolicy", "alice", "further"))
    cluster.requests.clear()
    other = {
        "policies": {**SETTINGS["policies"], "vault-egress": False, "allow-jfrog-egress": True}
    }
    second = NetworkSettings.model_validate(other)
    async with harness.running((CONTROLLER, second), cluster=cluster):
        expected = {
            "DELETE NetworkPolicy alice/further",
            f"DELETE {VAULT}",
            "POST NetworkPolicy alice/allow-jfrog-egress",
        }
        assert expected == set(requests(cluster))
        assert theirs == cluster.objects.read(Key("NetworkPolicy", "alice", "theirs"))


async def test_a_setting_that_changes_updates_in_place() -> None:
    cluster = harness.tenants()
    async with harness.running((CONTROLLER, settings()), cluster=cluster):
        before = cluster.objects.read(VAULT)
    changed = NetworkSettings.model_validate({**SETTINGS, "ports": {"vault": [8300]}})
    async with harness.running((CONTROLLER, changed), cluster=cluster):
        after = cluster.objects.read(VAULT)
        assert before["metadata"]["uid"] == after["metadata"]["uid"]
        assert [{"port": 8300, "protocol": "TCP"}] == after["spec"]["egress"][0]["ports"]


# Where the API server is

REACH = Key("NetworkPolicy", "alice", names.API_SERVER)
SLICE = Key("EndpointSlice", *names.ENDPOINTS)


def endpoints(address: str) -> Body:
    return live_objects.object_body(
        SLICE.kind, SLICE.name, SLICE.namespace, uid="uid-slice", labels={}, owners=[],
        addressType="IPv4", endpoints=[{"addresses": [address]}], ports=[{"port": 6443}],
    )  # fmt: skip


async def test_all_profiles_follow_the_api_server_and_other_endpoints_are_not_read() -> None:
    cluster = harness.tenants("alice", "bob")
    only = {"policies": {**dict.fromkeys(SETTINGS["policies"], False), names.API_SERVER: True}}
    default = NetworkSettings.model_validate(only)
    async with harness.running((CONTROLLER, default), cluster=cluster) as process:

        def reached() -> list[list[str]]:
            """The addresses of each profile's policy."""
            specs = [one["spec"] for one in cluster.objects.all_of(REACH.kind)]
            return [
                [peer["ipBlock"]["cidr"] for rule in spec["egress"] for peer in rule["to"]]
                for spec in specs
            ]

        kubeadms = "10.96.0.1/32"
        assert reached() == [[kubeadms]] * 2
        cluster.objects.put(endpoints("172.18.0.2"))
        await process.settled()
        assert reached() == [[kubeadms, "172.18.0.2/32"]] * 2
        cluster.objects.edit(SLICE, lambda body: body.update(endpoints("172.18.0.9")))
        await process.settled()
        assert reached() == [[kubeadms, "172.18.0.9/32"]] * 2

        cluster.requests.clear()
        cluster.objects.edit(SLICE, lambda body: body["metadata"].update(labels={"a": "b"}))
        await process.resynced()
        assert cluster.written() == []
        cluster.objects.delete(SLICE)
        await process.settled()
        assert reached() == [[kubeadms]] * 2
        asked = {one.path for one in cluster.requests if one.kind == SLICE.kind}
        assert asked <= {"/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"}
