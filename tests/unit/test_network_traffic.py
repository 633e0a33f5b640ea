"""What traffic the network controller's policies allow: connections, and not YAML.

The tables are in golden/network. A column is a pod of the tenant's, a row is whom it reaches
(egress) or who reaches it (ingress): `yes` and `-` are so with every network plugin, `block` only
where an ipBlock holds for pods' addresses too (`tests.support.network.evaluate.Blocks`). Pods
whose names begin with `pb-` are protected-b, those that begin with `other/` are another tenant's.
"""

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from controllers.network import desired
from tests.support.network import example_cluster
from tests.support.network.evaluate import External, IPBlockScope, Namespace, Network, Pod, Port
from tests.support.network.example_cluster import (
    LABELS_OF_PODS,
    Matrix,
    cell_of,
    networks,
    parse_target,
)

GOLDEN = Path(__file__).parent / "golden" / "network"
ENDS = example_cluster.peers()
OPT_INS: Mapping[str, Mapping[str, str]] = {
    "gitea": {"sourcecontrol.statcan.gc.ca/enabled": "true"},
    "cloud-main": {"state.aaw.statcan.gc.ca/exists-non-cloud-main-user": "false"},
    "s3": {"s3.statcan.gc.ca/enabled": "true"},
}
EVERYTHING = {key: value for labels in OPT_INS.values() for key, value in labels.items()}
OTHERS = [name for name in ENDS if name.startswith("other/")]
OUTSIDERS = [name for name in ENDS if name not in LABELS_OF_PODS]
PROTECTED_B = [name for name in LABELS_OF_PODS if name.startswith("pb-")]
FEW = ["internet", "datacentre", "gateway", "daaas", "kfp", "cloud-main", "other/workload"]
PORTS = example_cluster.parse_ports("22 53/UDP 80 443 3000 5432 8000 8443 8888 9999")


def table(name: str) -> Matrix:
    return example_cluster.parse_matrix((GOLDEN / f"{name}.txt").read_text())


def reached(source: str, text: str, within: Mapping[IPBlockScope, Network]) -> str:
    target, port = parse_target(text)
    return cell_of(within, lambda net: net.allows(ENDS[source], ENDS[target], port))


def let_in(source: str, text: str, within: Mapping[IPBlockScope, Network]) -> str:
    """Ingress by the tenant's own policies; the egress of the peer is assumed to be allowed."""
    target, port = parse_target(text)
    return cell_of(within, lambda net: net.allows_ingress(ENDS[source], ENDS[target], port))


def assert_is(expected: Matrix, found: Matrix) -> None:
    assert expected == found, f"\n{example_cluster.format_matrix(found)}"


def test_what_a_tenants_pods_reach() -> None:
    expected, within = table("egress"), networks()
    assert_is(
        expected,
        {
            target: {pod: reached(pod, target, within) for pod in pods}
            for target, pods in expected.items()
        },
    )
    assert {*LABELS_OF_PODS} == {pod for pods in expected.values() for pod in pods}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ingress", {}),
        ("ingress-default-deny", {"policies": {"protected-b-default-deny": True}}),
    ],
)
def test_who_reaches_a_tenants_pods(name: str, settings: dict[str, Any]) -> None:
    expected, within = table(name), networks(EVERYTHING, artifacts_proxy_enabled=True, **settings)
    assert_is(
        expected,
        {
            source: {target: let_in(source, target, within) for target in targets}
            for source, targets in expected.items()
        },
    )


# What an opt-in changes

Connection = tuple[str, str, str]


def connections(within: Network, others: Iterable[str]) -> frozenset[Connection]:
    """All that are possible between the tenant's pods, and between them and these others."""
    return frozenset(
        (source, target, example_cluster.format_port(port))
        for source, target in itertools.permutations((*LABELS_OF_PODS, *others), 2)
        if source in LABELS_OF_PODS or target in LABELS_OF_PODS
        for port in PORTS
        if within.allows(ENDS[source], ENDS[target], port)
    )


def difference(before: Iterable[Connection], after: Iterable[Connection]) -> set[str]:
    """Lines such as `+ notebook -> cloud-main: 22 443`; minus for what ends."""
    lines: dict[str, list[str]] = {}
    for sign, found in (("+", {*after} - {*before}), ("-", {*before} - {*after})):
        for source, target, port in sorted(found, key=lambda one: (*one[:2], len(one[2]), one[2])):
            lines.setdefault(f"{sign} {source} -> {target}:", []).append(port)
    return {" ".join((line, *ports)) for line, ports in lines.items()}


@pytest.mark.parametrize("blocks", IPBlockScope, ids=lambda one: str(one.name))
@pytest.mark.parametrize("opt_in", OPT_INS)
def test_what_an_opt_in_changes(opt_in: str, blocks: IPBlockScope) -> None:
    before = connections(example_cluster.network(blocks), FEW)
    after = connections(example_cluster.network(blocks, labels=OPT_INS[opt_in]), FEW)
    text = (GOLDEN / f"opt-in-{opt_in}.txt").read_text()
    # A line with a reading behind it holds in that one alone.
    stated = (line.partition("  # ")[::2] for line in text.splitlines() if line[:1] in "+-")
    expected = {line.strip() for line, reading in stated if reading in ("", blocks.name)}

    assert sorted(expected) == sorted(difference(before, after))


def test_opt_ins_do_not_change_what_others_change() -> None:
    def possible(*chosen: str) -> frozenset[Connection]:
        labels = {key: text for name in chosen for key, text in OPT_INS[name].items()}
        return connections(example_cluster.network(IPBlockScope.ANY_ADDRESS, labels=labels), FEW)

    nothing = possible()
    alone = {name: possible(name) for name in OPT_INS}
    for size in (2, 3):
        for chosen in itertools.combinations(OPT_INS, size):
            added = frozenset().union(*(alone[name] - nothing for name in chosen))
            ended = frozenset().union(*(nothing - alone[name] for name in chosen))
            assert (nothing | added) - ended == possible(*chosen)


# What the rows amount to


@pytest.mark.parametrize("labels", [{}, EVERYTHING], ids=["opted-out", "opted-in"])
@pytest.mark.parametrize("blocks", IPBlockScope, ids=lambda one: str(one.name))
def test_protected_b_reaches_no_pod_that_is_not_protected_b(
    labels: Mapping[str, str], blocks: IPBlockScope
) -> None:
    net = example_cluster.network(blocks, labels=labels)
    tenants = [name for name in (*LABELS_OF_PODS, *OTHERS) if "pb-" not in name]
    for source, target, port in itertools.product(PROTECTED_B, tenants, PORTS):
        assert not net.allows(ENDS[source], ENDS[target], port), f"{source} -> {target}:{port}"


ALL_PODS = {"dns:53", "dns:53/UDP", "istiod:15012", "vault:8200", "jfrog:8081", "jfrog:8082"}
"""What rows that name all pods let everybody reach."""
EXTRAS: Mapping[str, set[str]] = {
    "pb-notebook": {"internet:443", "cloud-main:22", "cloud-main:443", "cloud-main:8443"},
    "pb-gitea": {
        f"{outside}:{port}"
        for outside in ("internet", "datacentre", "api-server")
        for port in (22, 80, 3000, 5432)
    },
}
EVERY_PORT = example_cluster.parse_ports(
    "22 53 53/UDP 80 443 3000 5432 6443 8000 8080 8081 8082 8200 8333 8443 8887 8888 9200 9999"
    " 15012"
)


@pytest.mark.parametrize("pod", PROTECTED_B)
def test_the_egress_of_protected_b_is_exactly(pod: str) -> None:
    settings = {"driver_mode": "central", "artifacts_proxy_enabled": True}
    net = example_cluster.network(IPBlockScope.EXTERNAL_ONLY, labels=EVERYTHING, settings=settings)
    trino = {f"trino-pb:{example_cluster.format_port(port)}" for port in EVERY_PORT}
    found = {
        f"{target}:{example_cluster.format_port(port)}"
        for target, port in itertools.product(OUTSIDERS, EVERY_PORT)
        if net.allows_egress(ENDS[pod], ENDS[target], port)
    }
    assert ALL_PODS | trino | EXTRAS.get(pod, set()) == found


@pytest.mark.parametrize("blocks", IPBlockScope, ids=lambda one: str(one.name))
@pytest.mark.parametrize("labels", [{}, EVERYTHING], ids=["opted-out", "opted-in"])
def test_restricted_ingress_denies_other_tenants(
    labels: Mapping[str, str], blocks: IPBlockScope
) -> None:
    """All but protected-b pods that are no notebooks; gitea's protected-b row names everybody."""
    net = example_cluster.network(
        blocks, labels=labels, settings={"policies": {"protected-b-default-deny": True}}
    )
    for source, target, port in itertools.product(OTHERS, LABELS_OF_PODS, EVERY_PORT):
        named = (target, port.number) in (("pb-gitea", 3000), ("pb-gitea", 22))
        row = (
            named and bool(labels) and blocks is IPBlockScope.ANY_ADDRESS and port.protocol == "TCP"
        )
        assert row is net.allows_ingress(ENDS[source], ENDS[target], port), f"{source} -> {target}"


@pytest.mark.parametrize("blocks", IPBlockScope, ids=lambda one: str(one.name))
def test_without_opt_ins_no_tenant_reaches_another(blocks: IPBlockScope) -> None:
    """Not even protected-b pods whose ingress is open: no pod of a tenant is let out to them."""
    net = example_cluster.network(blocks)
    for source, target, port in itertools.product(OTHERS, LABELS_OF_PODS, EVERY_PORT):
        assert not net.allows(ENDS[source], ENDS[target], port), f"{source} -> {target}:{port}"


# Configuration


def test_without_dns_in_the_policies_no_pod_has_any() -> None:
    within = networks(policies={"allow-dns-egress": False})
    assert {"-"} == {reached(pod, "dns:53/UDP", within) for pod in LABELS_OF_PODS}


@pytest.mark.parametrize("pod", ["agent", "workload", "pb-agent"])
def test_the_driver_is_reached_by_agents_in_mode_central_alone(pod: str) -> None:
    marks = [
        reached(pod, "kfp-driver:8080", networks(driver_mode=mode))
        for mode in ("pod", "sidecar", "central")
    ]
    assert ["-", "-", "yes" if pod == "agent" else "-"] == marks


def test_the_artifact_proxy_is_reached_by_kubeflows_ui_where_it_is_enabled() -> None:
    enabled = networks(artifacts_proxy_enabled=True)
    assert "-" == let_in("kfp-ui", "artifacts:3000", networks())
    assert "yes" == let_in("kfp-ui", "artifacts:3000", enabled)
    assert "-" == let_in("kfp-ui", "artifacts:8000", enabled)
    assert "-" == let_in("other/workload", "artifacts:3000", enabled)


def test_pipelines_reach_no_object_store_where_the_pipelines_controller_is_not_used() -> None:
    within = networks(pipelines_controller=False)
    assert {"-"} == {reached("pipeline", to, within) for to in ("seaweedfs:8333", "metadata:8080")}


def test_clusters_without_the_purpose_label_name_their_system_namespaces() -> None:
    name = {"key": "kubernetes.io/metadata.name", "operator": "In"}
    namespaces = {"matchExpressions": [{**name, "values": ["istio-system", "kubeflow"]}]}
    within = networks(peers={"system": [{"namespaceSelector": namespaces}]})
    expected = {"gateway": "yes", "kfp-ui": "yes", "daaas": "-", "other/workload": "-"}
    assert expected == {one: let_in(one, "notebook:8888", within) for one in expected}


def test_a_wide_block_for_the_api_server_opens_pods_of_other_tenants() -> None:
    """With most network plugins, which is why the default is one address."""
    within = networks(peers={"api-server": ["10.0.0.0/8"]})
    assert "block" == reached("other/pipeline", "pb-workload:443", within)
    assert "-" == reached("other/pipeline", "workload:443", within)


@pytest.mark.parametrize("blocks", IPBlockScope, ids=lambda one: str(one.name))
def test_pipelines_alone_reach_the_api_server_where_it_says_that_it_is(
    blocks: IPBlockScope,
) -> None:
    rule = {
        "to": [{"ipBlock": {"cidr": "172.18.0.2/32"}}],
        "ports": [{"protocol": "TCP", "port": 8443}],
    }
    net = example_cluster.network(blocks, facts=desired.Facts(api_server=rule))
    server, other = External("172.18.0.2"), External("172.18.0.3")

    reaching = {
        name for name in LABELS_OF_PODS if net.allows_egress(ENDS[name], server, Port(8443))
    }
    assert {"pipeline"} == reaching
    assert not net.allows_egress(ENDS["pipeline"], server, Port(443))
    assert not net.allows_egress(ENDS["pipeline"], other, Port(8443))
    assert net.allows_egress(ENDS["pipeline"], ENDS["api-server"], Port(443))


def test_the_internet_has_pods_in_it_where_their_addresses_are_not_private() -> None:
    pod = Pod(namespace=Namespace(name="bob"), address="100.64.0.9")
    excepted = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"]
    for peers, expected in (
        ({}, True),
        ({"internet": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": excepted}}]}, False),
    ):
        net = example_cluster.network(IPBlockScope.ANY_ADDRESS, settings={"peers": peers})
        assert expected is net.allows_egress(ENDS["workload"], pod, Port(80))
        assert net.allows_egress(ENDS["workload"], External("93.184.216.34"), Port(80))


def test_a_further_policy_adds_what_it_allows_and_knows_the_namespace() -> None:
    own = {"namespaceSelector": {"matchLabels": {"tenant": "${namespace}"}}}
    manifest = {
        "metadata": {"name": "share"},
        "spec": {"podSelector": {}, "ingress": [{"from": [own], "ports": [{"port": 8080}]}]},
    }
    net = example_cluster.network(
        IPBlockScope.EXTERNAL_ONLY, settings={"extra_policies": [manifest]}
    )
    friend, stranger = (
        Pod(namespace=Namespace(name="shared", labels={"tenant": name}), address="10.9.9.9")
        for name in ("alice", "bob")
    )
    assert net.allows_ingress(friend, ENDS["workload"], Port(8080))
    assert not net.allows_ingress(friend, ENDS["workload"], Port(8081))
    assert not net.allows_ingress(stranger, ENDS["workload"], Port(8080))
