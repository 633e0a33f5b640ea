"""network in a fake cluster while it runs. The table is in tests/support/reconcile."""

import pytest

from controllers.manifests import Body, Key
from controllers.network import names
from controllers.network.config import NetworkSettings
from controllers.network.controller import CONTROLLER
from tests.support import builders
from tests.support.fakes import FakeCluster, harness
from tests.support.reconcile.tables.network import FEW, SETTINGS, VAULT, policy

pytestmark = pytest.mark.virtual_time


def settings() -> NetworkSettings:
    return NetworkSettings.model_validate(SETTINGS)


def requests(cluster: FakeCluster) -> list[str]:
    return [
        str(one)
        for one in cluster.requests
        if one.kind == "NetworkPolicy" and (one.method == "POST" or one.target.name)
    ]


def put_label(cluster: FakeCluster, text: str) -> None:
    cluster.objects.edit(
        Key("Profile", "", "alice"),
        lambda body: body["metadata"].update(labels={names.GITEA_LABEL: text}),
    )


async def test_a_label_adds_its_policy_and_its_removal_prunes_it() -> None:
    cluster = harness.tenants()
    async with harness.running((CONTROLLER, settings()), cluster=cluster) as process:
        for text, expected in (("true", set(FEW)), ("f", {VAULT.name})):
            put_label(cluster, text)
            await process.settled()
            found = {one["metadata"]["name"] for one in cluster.objects.all_of(VAULT.kind)}
            assert expected == found


async def test_a_label_that_is_not_a_boolean_is_reported_and_the_others_are_applied() -> None:
    cluster = harness.tenants(labels={names.GITEA_LABEL: "yes"})
    async with harness.running((CONTROLLER, settings()), cluster=cluster) as process:
        status, message = process.conditions()["NetworkReady"]

        assert "False" == status
        assert f"label {names.GITEA_LABEL} is invalid: 'yes' is not a boolean" in message
        assert ("Warning", "InvalidBoolean", message) in process.events()
        assert [f"POST {VAULT}"] == requests(cluster)


async def test_a_restart_with_other_settings_prunes_what_is_no_longer_desired() -> None:
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


async def test_a_changed_setting_updates_the_policy_in_place() -> None:
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
    return builders.object_body(
        SLICE.kind, SLICE.name, SLICE.namespace, uid="uid-slice", labels={}, owners=[],
        addressType="IPv4", endpoints=[{"addresses": [address]}], ports=[{"port": 6443}],
    )  # fmt: skip


async def test_all_profiles_follow_the_address_of_the_api_server() -> None:
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
        await process.resync()
        assert cluster.written() == []
        cluster.objects.delete(SLICE)
        await process.settled()
        assert reached() == [[kubeadms]] * 2
        asked = {one.path for one in cluster.requests if one.kind == SLICE.kind}
        assert asked <= {"/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"}
