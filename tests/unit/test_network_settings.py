"""The settings of the network controller: what is merged, what is refused, all of it at once."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from controllers.network import desired, names, rules, templates
from controllers.network.config import NetworkSettings
from controllers.network.controller import CONTROLLER
from profiles_controller.config.errors import InvalidSettingsError
from profiles_controller.config.load import Loader
from profiles_controller.config.settings import LaunchSettings
from profiles_controller.config.sources import Inputs
from tests.support import builders

PLAIN = {"metadata": {"name": "further"}, "spec": {"podSelector": {}}}
ENTITLED = {
    "sourcecontrol.statcan.gc.ca/enabled": "1",
    "state.aaw.statcan.gc.ca/exists-non-cloud-main-user": "0",
    "s3.statcan.gc.ca/enabled": "1",
}
"""Labels that entitle a profile to the policies of every group."""
EVERY = [name for group in rules.Group for name in templates.read(group.value)]


def network(**settings: object) -> NetworkSettings:
    return NetworkSettings.model_validate(settings)


def made(labels: Mapping[str, str] | None = None, /, **settings: object) -> dict[str, Any]:
    """Name -> spec of the policies of a profile with these labels."""
    profile = builders.profile(labels=dict(labels or {}))
    manifests = desired.desired(profile, desired.Facts(), network(**settings)).objects
    return {one.name: one.content["spec"] for one in manifests}


def refused(**settings: object) -> dict[str, str]:
    return builders.validation_errors(NetworkSettings, settings)


# Switches

OFF_BY_DEFAULT = (names.DEFAULT_DENY, names.DRIVER, names.ARTIFACT_PROXY)


@pytest.mark.parametrize("name", [*EVERY, "further"])
def test_each_policy_is_on_or_off_by_name(name: str) -> None:
    further = [PLAIN]
    without = made(ENTITLED, policies={name: False}, extra_policies=further)
    with_it = made(ENTITLED, policies={name: True}, extra_policies=further)
    assert with_it.keys() - without.keys() == {name}
    expected = without if name in OFF_BY_DEFAULT else with_it
    assert made(ENTITLED, extra_policies=further) == expected
    assert made(ENTITLED, policies={name: None}, extra_policies=further) == expected


@pytest.mark.parametrize(
    "group", [one.group for one in rules.ENTITLEMENTS], ids=lambda one: one.value
)
def test_a_switch_adds_no_policy_that_the_labels_do_not_allow(group: rules.Group) -> None:
    rows = templates.read(group.value)
    assert rows
    assert made(policies=dict.fromkeys(rows, True)) == made()
    assert made(ENTITLED).keys() >= rows.keys()


@pytest.mark.parametrize(
    ("settings", "name", "by_default"),
    [
        ({"pipelines_controller": False}, names.OBJECT_STORE, True),
        ({"driver_mode": "central"}, names.DRIVER, False),
        ({"artifacts_proxy_enabled": True}, names.ARTIFACT_PROXY, False),
    ],
)
def test_a_switch_by_name_precedes_the_mode_of_pipelines(
    settings: dict[str, Any], name: str, *, by_default: bool
) -> None:
    assert by_default is (name in made())
    assert by_default is not (name in made(**settings))
    assert by_default is (name in made(**settings, policies={name: by_default}))


def test_no_policy_is_desired_if_all_are_switched_off() -> None:
    assert made(ENTITLED).keys() <= set(EVERY)
    assert made(ENTITLED, policies=dict.fromkeys(EVERY, False)) == {}


# Peers and ports


def test_an_entry_changes_one_name_and_null_leaves_its_default() -> None:
    settings = network(peers={"vault": ["10.0.0.0/8"], "dns": None}, ports={"vault": [1, 2]})
    default = network()
    assert {"vault"} == {one for one in default.peers if default.peers[one] != settings.peers[one]}
    assert {"vault"} == {one for one in default.ports if default.ports[one] != settings.ports[one]}


@pytest.mark.parametrize("name", sorted(templates.read("peers")))
def test_every_peer_is_configuration(name: str) -> None:
    settings: dict[str, Any] = {"driver_mode": "central", "artifacts_proxy_enabled": True}
    profile = builders.profile(labels=ENTITLED)
    before, after = (
        desired.desired(profile, desired.Facts(), network(**settings, peers=peers)).objects
        for peers in ({}, {name: ["203.0.113.0/24"]})
    )
    changed = [new for old, new in zip(before, after, strict=True) if new.content != old.content]
    assert changed
    assert all("203.0.113.0/24" in str(one.content) for one in changed)


PORTS: list[tuple[object, dict[str, Any]]] = [
    (443, {"protocol": "TCP", "port": 443}),
    ("443", {"protocol": "TCP", "port": 443}),
    ("443/TCP", {"protocol": "TCP", "port": 443}),
    ("53/UDP", {"protocol": "UDP", "port": 53}),
    ("http", {"protocol": "TCP", "port": "http"}),
    ("h2/SCTP", {"protocol": "SCTP", "port": "h2"}),
    ("8000-8080/UDP", {"protocol": "UDP", "port": 8000, "endPort": 8080}),
    ("9-9", {"protocol": "TCP", "port": 9, "endPort": 9}),
    ({"port": 443}, {"protocol": "TCP", "port": 443}),
    ({"port": 1, "endPort": 65535, "protocol": "UDP"},
     {"protocol": "UDP", "port": 1, "endPort": 65535}),
    ({"protocol": "UDP"}, {"protocol": "UDP"}),
]  # fmt: skip


@pytest.mark.parametrize(("written", "expected"), PORTS)
def test_a_port_is_parsed_as_written(written: object, expected: dict[str, Any]) -> None:
    assert made(ports={"vault": [written]})["vault-egress"]["egress"][0]["ports"] == [expected]


def test_any_is_every_port_and_leaves_the_field_out() -> None:
    assert "ports" not in made(ports={"vault": "any"})["vault-egress"]["egress"][0]


@pytest.mark.parametrize(
    "port",
    [0, -1, 65536, True, None, 1.5, "", "0", "65536", "http!", "HTTP", "a" * 16, "a--b", "-a",
     "53/udp", "53/ICMP", "90-80", "80-", "1-65536", "٣", [], {"port": "80"},
     {"port": True}, {"endPort": 3}, {"port": "http", "endPort": 9}, {"prot": 1}],
)  # fmt: skip
def test_an_invalid_port_is_rejected(port: object) -> None:
    said = refused(ports={"vault": [80, port]})
    assert all(place.startswith("ports vault 1") for place in said)


@pytest.mark.parametrize(
    "peer",
    ["", "10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "10.0.0.0/ 8", "::/129",
     "internet", 7, None, [], {}, {"podSelector": None}, {"pods": {}},
     {"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}},
     {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}},
     {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}},
     {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["::/16"]}},
     {"ipBlock": {"except": ["10.0.0.0/9"]}},
     {"podSelector": {"matchLabels": {"a b": "c"}}},
     {"podSelector": {"matchLabels": {"a": "c d"}}},
     {"podSelector": {"matchLabels": {"a": 1}}},
     {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
     {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}},
     {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Is", "values": ["b"]}]}}],
)  # fmt: skip
def test_an_invalid_peer_is_rejected(peer: object) -> None:
    said = refused(peers={"vault": ["10.0.0.0/8", peer]})
    assert all(place.startswith("peers vault 1") for place in said)


@pytest.mark.parametrize("given", [[], "10.0.0.0/8", {}, 1, False])
def test_an_empty_list_of_peers_is_rejected(given: object) -> None:
    (message,) = refused(peers={"vault": given}).values()
    assert "expected at least one" in message
    assert "disable the policies" in message


def test_an_empty_list_of_ports_is_rejected() -> None:
    (message,) = refused(ports={"vault": []}).values()
    assert "expected at least one, or the word any" in message


# Further policies


def test_a_further_policy_is_completed_as_the_api_server_would() -> None:
    spec: dict[str, Any] = {
        "podSelector": {"matchLabels": {}, "matchExpressions": []},
        "egress": [{"to": [], "ports": [{"port": 53, "protocol": "UDP"}, {"port": 80}]}, {}],
    }
    (found,) = [
        value
        for name, value in made(extra_policies=[{**PLAIN, "spec": spec}]).items()
        if name == "further"
    ]
    assert found == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "egress": [
            {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 80}]},
            {},
        ],
    }


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"kind": "Pod"}, "kind"),
        ({"apiVersion": "v1"}, "apiVersion"),
        ({"status": {}}, "status"),
        ({"metadata": {}}, "metadata name"),
        ({"metadata": {"name": "A"}}, "metadata name"),
        ({"metadata": {"name": "vault-egress"}}, "metadata name"),
        ({"metadata": {"name": "a", "namespace": "b"}}, "metadata namespace"),
        ({"metadata": {"name": "a", "labels": {"b": "c d"}}}, "metadata labels b"),
        ({"spec": None}, "spec"),
        ({"spec": {"podSelecter": {}}}, "spec podSelecter"),
        ({"spec": {"policyTypes": ["Ingress", "Ingress"]}}, "spec"),
        ({"spec": {"policyTypes": ["Both"]}}, "spec policyTypes 0"),
        ({"spec": {"ingress": [{"to": []}]}}, "spec ingress 0 to"),
        (
            {"spec": {"podSelector": {"matchLabels": {"a": "${namespace}-b"}}}},
            "spec podSelector matchLabels a",
        ),
        ({"spec": {"podSelector": {"matchLabels": {"a": "${owner}"}}}},
         "spec podSelector matchLabels a"),
    ],
)  # fmt: skip
def test_a_wrong_manifest_is_refused_with_its_place(change: dict[str, Any], place: str) -> None:
    said = refused(extra_policies=[PLAIN, {**PLAIN, "metadata": {"name": "b"}, **change}])
    assert [f"extra_policies 1 {place}"] == list(said)


def test_two_further_policies_of_one_name_are_refused() -> None:
    (message,) = refused(extra_policies=[PLAIN, PLAIN]).values()
    assert "'further' is the name of another policy" in message


# All at once


def test_all_wrong_settings_of_network_are_named_at_once() -> None:
    said = refused(
        policies={"vault-egres": False, "vault-egress": "perhaps"},
        peers={"valt": [], "vault": [], "dns": ["x"]},
        ports={"http": [80], "vault": [0], "dns": "all"},
        extra_policies=[{"metadata": {"name": "_"}, "spec": {"egress": 5}}],
        pipelines_controller="perhaps",
        driver_mode="centre",
        artifacts_proxy_enabled=7,
        networks={},
    )
    simple = {"pipelines_controller", "driver_mode", "artifacts_proxy_enabled", "networks"}
    assert said.keys() - simple == {
        "policies vault-egres",
        "policies vault-egress",
        "peers valt",
        "peers vault",
        "peers dns 0 ipBlock cidr",
        "ports http",
        "ports vault 0",
        "ports dns",
        "extra_policies 0 metadata name",
        "extra_policies 0 spec egress",
    }
    assert simple <= said.keys()
    tables = said.keys() - simple
    assert all("expected" in said[name] or "did you mean" in said[name] for name in tables)
    assert "did you mean 'vault-egress'?" in said["policies vault-egres"]


@pytest.mark.parametrize("table", ["policies", "peers", "ports", "extra_policies"])
def test_a_value_that_is_not_a_table_is_invalid(table: str) -> None:
    (message,) = refused(**{table: 7}).values()
    assert "7 is not a" in message


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.sampled_from(["policies", "peers", "ports", "extra_policies"]),
    st.one_of(
        JSON,
        st.dictionaries(st.sampled_from(["vault", "dns", "vault-egress"]), JSON),
        st.lists(st.fixed_dictionaries({"metadata": JSON, "spec": JSON}), max_size=2),
    ),
)
def test_any_settings_are_rejected_or_valid_policies(table: str, given_value: object) -> None:
    try:
        settings = network(**{table: given_value})
    except ValidationError:
        return
    assert isinstance(desired.desired(builders.profile(), desired.Facts(), settings).objects, list)


# Through the command line's layers


def loaded(folder: Path, content: object = None, **environment: str) -> NetworkSettings:
    """What a process makes of the file's section `network` and of the environment."""
    file = folder / "config.yaml"
    file.write_text(json.dumps({"network": content or {}}))
    inputs = Inputs(flags={"config": str(file)}, environment=environment)
    loader = Loader(registry=(CONTROLLER,), pod_namespace=folder / "none")
    ((_, settings),) = loader.load(["network"], inputs, LaunchSettings).controllers
    assert isinstance(settings, NetworkSettings)
    return settings


@pytest.mark.parametrize("variable", ["ARTIFACTS_PROXY_ENABLED", "NETWORK_ARTIFACTS_PROXY_ENABLED"])
def test_kubeflows_own_variable_turns_the_artifact_proxys_policy_on(
    tmp_path: Path, variable: str
) -> None:
    assert not loaded(tmp_path).artifacts_proxy_enabled
    assert loaded(tmp_path, **{variable: "true"}).artifacts_proxy_enabled


def test_tables_are_merged_name_by_name_through_file_and_environment(tmp_path: Path) -> None:
    content = {
        "peers": {"dns": ["10.0.0.10/32"], "vault": ["10.0.0.11/32"]},
        "extraPolicies": [PLAIN],
    }
    settings = loaded(tmp_path, content, NETWORK_PEERS='{"vault": ["10.0.0.12/32"]}')
    expected = network(
        peers={"dns": ["10.0.0.10/32"], "vault": ["10.0.0.12/32"]}, extra_policies=[PLAIN]
    )
    assert expected.model_dump() == settings.model_dump()


def test_an_error_is_reported_with_its_source(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingsError) as caught:
        loaded(tmp_path, {"ports": {"vault": [0]}}, NETWORK_PEERS='{"dns": []}', NETWORK_PORTS="{")
    said = "\n".join(str(fault) for fault in caught.value.errors)
    assert "network.peers.dns" in said
    assert "environment variable NETWORK_PEERS" in said
    assert "NETWORK_PORTS" in said
