"""The evaluator of NetworkPolicies, held to what Kubernetes says of them."""

from typing import Any

import pytest

from controllers.manifests import Body
from tests.support.network.evaluate import (
    External,
    IPBlockScope,
    Namespace,
    Network,
    Peer,
    Pod,
    Port,
    covers,
    selects,
)

HOME, AWAY = Namespace(name="home", labels={"team": "a"}), Namespace(name="away")
WEB = Pod(namespace=HOME, labels={"app": "web"}, address="10.0.0.1", names={"http": (8080, "TCP")})
DB = Pod(namespace=HOME, labels={"app": "db"}, address="10.0.0.2")
TWIN = Pod(namespace=AWAY, labels={"app": "web"}, address="10.0.1.1")
WORLD = External("93.184.216.34")
HTTP, DNS = Port(8080), Port(53, "UDP")


def network(*specs: Body, blocks: IPBlockScope = IPBlockScope.ANY_ADDRESS) -> Network:
    return Network(policies={"home": specs}, blocks=blocks)


def policy(direction: str, *rules: Body, pods: Body | None = None) -> Body:
    return {"podSelector": pods or {}, "policyTypes": [direction], direction.lower(): list(rules)}


def test_without_a_policy_everything_is_allowed() -> None:
    for source, target in ((WEB, DB), (WEB, TWIN), (TWIN, WEB), (WORLD, WEB), (WEB, WORLD)):
        assert network().allows(source, target, HTTP)


def test_a_policy_closes_its_direction_for_the_pods_it_selects_and_no_other() -> None:
    denies = network(policy("Egress", pods={"matchLabels": {"app": "web"}}))
    assert not denies.allows(WEB, DB, HTTP)
    assert denies.allows(DB, WEB, HTTP)
    assert denies.allows(DB, WORLD, HTTP)
    assert denies.allows(WORLD, WEB, HTTP)
    assert denies.allows(TWIN, WORLD, HTTP)


def test_policies_add_up() -> None:
    some = network(policy("Egress"), policy("Egress", {"ports": [{"port": 8080}]}))
    assert some.allows(WEB, DB, HTTP)
    assert not some.allows(WEB, DB, Port(8081))


def test_a_connection_needs_both_sides() -> None:
    out = policy("Egress", {"to": [{"podSelector": {"matchLabels": {"app": "db"}}}]})
    closed = policy("Ingress", pods={"matchLabels": {"app": "db"}})
    assert network(out).allows(WEB, DB, HTTP)
    assert not network(out, closed).allows(WEB, DB, HTTP)
    assert network(out, closed).allows_egress(WEB, DB, HTTP)
    assert not network(out, closed).allows_ingress(WEB, DB, HTTP)


def test_a_pod_reaches_itself_whatever_policies_say() -> None:
    assert network(policy("Egress"), policy("Ingress")).allows(WEB, WEB, HTTP)


PEERS: list[tuple[Body, dict[str, bool]]] = [
    ({"podSelector": {}}, {"web": True, "twin": False, "world": False}),
    ({"podSelector": {"matchLabels": {"app": "db"}}}, {"web": False, "twin": False}),
    ({"namespaceSelector": {}}, {"web": True, "twin": True, "world": False}),
    ({"namespaceSelector": {"matchLabels": {"team": "a"}}}, {"web": True, "twin": False}),
    (
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "away"}}},
        {"web": False, "twin": True},
    ),
    (
        {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}},
        {"web": True, "twin": True, "world": False},
    ),
    (
        {
            "namespaceSelector": {"matchLabels": {"team": "a"}},
            "podSelector": {"matchLabels": {"app": "db"}},
        },
        {"web": False, "twin": False},
    ),
    ({"ipBlock": {"cidr": "0.0.0.0/0"}}, {"web": True, "twin": True, "world": True}),
    (
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/24"]}},
        {"web": False, "twin": True, "world": True},
    ),
]


@pytest.mark.parametrize(("peer", "expected"), PEERS)
def test_a_peer_is_who_its_selectors_say(peer: Body, expected: dict[str, bool]) -> None:
    ends: dict[str, Peer] = {"web": WEB, "twin": TWIN, "world": WORLD}
    allowing = network(policy("Ingress", {"from": [peer]}, pods={"matchLabels": {"app": "db"}}))
    for name, allowed in expected.items():
        assert allowed is allowing.allows(ends[name], DB, HTTP), name


def test_a_block_holds_for_pods_in_one_reading_and_not_in_the_other() -> None:
    everywhere = policy("Egress", {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})
    assert network(everywhere, blocks=IPBlockScope.ANY_ADDRESS).allows(WEB, TWIN, HTTP)
    assert not network(everywhere, blocks=IPBlockScope.EXTERNAL_ONLY).allows(WEB, TWIN, HTTP)
    assert network(everywhere, blocks=IPBlockScope.EXTERNAL_ONLY).allows(WEB, WORLD, HTTP)


PORTS: list[tuple[list[Body], Port, bool]] = [
    ([], DNS, True),
    ([{"port": 53}], DNS, False),
    ([{"port": 53, "protocol": "UDP"}], DNS, True),
    ([{"protocol": "UDP"}], DNS, True),
    ([{"protocol": "UDP"}], HTTP, False),
    ([{"port": 80}, {"port": 8080}], HTTP, True),
    ([{"port": 8000, "endPort": 8080}], HTTP, True),
    ([{"port": 8000, "endPort": 8079}], HTTP, False),
    ([{"port": "http"}], HTTP, True),
    ([{"port": "http", "protocol": "UDP"}], HTTP, False),
    ([{"port": "http"}], Port(80), False),
    ([{"port": "https"}], HTTP, False),
]


@pytest.mark.parametrize(("ports", "port", "expected"), PORTS)
def test_ports_are_numbers_ranges_and_names_of_the_pod_that_is_connected_to(
    ports: list[Body], port: Port, *, expected: bool
) -> None:
    into = network(policy("Ingress", {"ports": ports}, pods={"matchLabels": {"app": "web"}}))
    out = network(policy("Egress", {"ports": ports}, pods={"matchLabels": {"app": "db"}}))
    assert expected is into.allows(DB, WEB, port)
    assert expected is out.allows(DB, WEB, port)


def test_an_address_outside_has_no_named_ports() -> None:
    assert not network(policy("Egress", {"ports": [{"port": "http"}]})).allows(WEB, WORLD, HTTP)


@pytest.mark.parametrize(
    ("operator", "values", "holds"),
    [
        ("In", ["a"], {"a": True, "b": False, None: False}),
        ("NotIn", ["a"], {"a": False, "b": True, None: True}),
        ("Exists", None, {"a": True, "": True, None: False}),
        ("DoesNotExist", None, {"a": False, "": False, None: True}),
    ],
)
def test_an_expression_holds_as_in_kubernetes(
    operator: str, values: Any, holds: dict[str | None, bool]
) -> None:
    for value, expected in holds.items():
        labels = {} if value is None else {"key": value}
        requirement = {"key": "key", "operator": operator, "values": values}
        assert expected is selects({"matchExpressions": [requirement]}, labels)


def test_all_that_a_selector_requires_must_hold() -> None:
    both = {
        "matchLabels": {"a": "1"},
        "matchExpressions": [{"key": "b", "operator": "Exists"}],
    }
    assert selects(both, {"a": "1", "b": ""})
    assert not selects(both, {"a": "1"})
    assert not selects(both, {"b": ""})


def test_a_block_ends_where_its_prefix_and_its_exceptions_say() -> None:
    block = {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}
    expected = {
        "9.255.255.255": False,
        "10.0.0.0": True,
        "10.0.255.255": True,
        "10.1.0.0": False,
        "10.1.255.255": False,
        "10.2.0.0": True,
        "11.0.0.0": False,
        "fd00::1": False,
    }
    assert expected == {address: covers(block, address) for address in expected}
