"""The network controller: which policies a profile gets, and what is said of its labels."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.findings import Severity
from controllers.manifests import Manifest
from controllers.network import controller, desired, names, templates
from controllers.network.config import NetworkSettings
from controllers.network.rules import Group
from controllers.profiles import Profile, parse_bool
from tests.support import builders

SETTINGS = NetworkSettings()
NOTHING = desired.Facts()
LABELS = {
    names.GITEA_LABEL: Group.GITEA,
    names.CLOUD_MAIN_LABEL: Group.CLOUD_MAIN,
    names.S3_LABEL: Group.S3,
}
ENTITLING = {names.GITEA_LABEL: "true", names.CLOUD_MAIN_LABEL: "false", names.S3_LABEL: "true"}
EXTRA = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "from-twin", "labels": {"team": "x"}, "annotations": {"why": "asked"}},
    "spec": {
        "podSelector": {"matchLabels": {"app": "api"}},
        "ingress": [
            {
                "from": [
                    {
                        "namespaceSelector": {
                            "matchLabels": {"kubernetes.io/metadata.name": "${namespace}"}
                        }
                    }
                ],
                "ports": [{"port": 8080}],
            }
        ],
    },
}
CONFIGURED: dict[str, Any] = {
    "policies": {
        "unclassified-elasticsearch-egress": False,
        "protected-b-default-deny": True,
        "allow-dns-egress": True,
    },
    "peers": {
        "api-server": ["10.0.0.1/32", "fd00::1/128"],
        "system": [
            {
                "namespaceSelector": {
                    "matchExpressions": [
                        {
                            "key": "kubernetes.io/metadata.name",
                            "operator": "In",
                            "values": ["istio-system", "kubeflow"],
                        }
                    ]
                }
            }
        ],
        "internet": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}],
    },
    "ports": {
        "vault": [8200, "8300-8310", "vault"],
        "trino": ["8443"],
        "jfrog": "any",
        "dns": ["53/UDP"],
    },
    "extra_policies": [EXTRA],
    "driver_mode": "central",
    "artifacts_proxy_enabled": True,
}


def wanted(labels: dict[str, str], settings: NetworkSettings = SETTINGS) -> Sequence[Manifest]:
    return desired.desired(builders.profile(labels=labels), NOTHING, settings).objects


def named(labels: dict[str, str], settings: NetworkSettings = SETTINGS) -> set[str]:
    return {one.name for one in wanted(labels, settings)}


def group(which: Group) -> set[str]:
    return set(templates.read(which.value))


@pytest.mark.parametrize(
    ("name", "labels", "settings"),
    [
        ("default", {}, {}),
        ("everything", ENTITLING, {}),
        ("configured", ENTITLING, CONFIGURED),
        (
            "statcan",
            {},
            {
                "pipelines_controller": False,
                "peers": {
                    "pipelines-api": [
                        {
                            "namespaceSelector": {
                                "matchLabels": {"namespace.statcan.gc.ca/purpose": "daaas"}
                            },
                            "podSelector": {
                                "matchLabels": {
                                    "app.kubernetes.io/name": "kubeflow-pipelines",
                                    "app.kubernetes.io/component": "ml-pipeline",
                                }
                            },
                        }
                    ]
                },
            },
        ),
    ],
)
def test_the_policies_match_the_golden_file(
    name: str, labels: dict[str, str], settings: dict[str, Any]
) -> None:
    profile = builders.profile(labels=labels)
    manifests = desired.desired(profile, NOTHING, NetworkSettings.model_validate(settings)).objects
    assert builders.golden("network", name) == builders.bodies(
        manifests, profile, component="network"
    )


# What every boolean of a label may be


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("text", ["1", "t", "T", "true", "TRUE", "True"])
def test_true_adds_the_policies_of_the_label_except_cloud_main(label: str, text: str) -> None:
    entitled = named({label: text}) - named({})
    assert entitled == (set() if label == names.CLOUD_MAIN_LABEL else group(LABELS[label]))


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("text", ["0", "f", "F", "false", "FALSE", "False"])
def test_false_adds_policies_for_the_cloud_main_label_only(label: str, text: str) -> None:
    entitled = named({label: text}) - named({})
    assert entitled == (group(Group.CLOUD_MAIN) if label == names.CLOUD_MAIN_LABEL else set())


def test_a_profile_without_labels_is_not_employees_only() -> None:
    assert not group(Group.CLOUD_MAIN) & named({})


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("text", ["", "yes", "tRUE", " true", "truee", "01", "on"])
def test_a_label_that_is_not_a_boolean_is_ignored_and_reported(label: str, text: str) -> None:
    others = {key: value for key, value in ENTITLING.items() if key != label}
    assert named(others) == named({**others, label: text})
    (finding,) = desired.desired(
        builders.profile(labels={**others, label: text}), NOTHING, SETTINGS
    ).findings
    assert finding.severity is Severity.PROBLEM
    assert finding.reason == "InvalidBoolean"
    assert f"label {label} is invalid: {text!r} is not a boolean" in finding.message
    assert "expected 1, t, T, true" in finding.message


@given(
    st.dictionaries(
        st.sampled_from([*LABELS, "unrelated"]),
        st.one_of(st.sampled_from(["true", "false", "T", "0", "yes"]), st.text(max_size=63)),
    )
)
def test_any_labels_have_the_default_policies(labels: dict[str, str]) -> None:
    found = named(labels)
    assert named({}) <= found
    refused = {label for label in LABELS if label in labels and parse_bool(labels[label]) is None}
    said = desired.desired(builders.profile(labels=labels), NOTHING, SETTINGS).findings
    assert len(refused) == len(said)
    for label in refused:
        assert not group(LABELS[label]) & found


# Names


def test_the_names_of_the_older_suite_are_those_of_its_tables() -> None:
    tables = (Group.PROFILES, Group.GITEA, Group.CLOUD_MAIN, Group.S3)
    assert set().union(*map(group, tables)) == names.SAME_NAMES


def test_every_policy_has_a_unique_name() -> None:
    every = [name for one in Group for name in templates.read(one.value)]
    assert len(every) == len(set(every))


@pytest.mark.parametrize("name", sorted(names.SAME_NAMES | names.RETIRED))
def test_policies_of_the_older_suite_are_adopted_by_name_without_labels(name: str) -> None:
    assert names.is_legacy({"name": name})
    assert names.is_legacy({"name": name, "labels": {}})
    assert not names.is_legacy({"name": name, "labels": {"app": "theirs"}})


@pytest.mark.parametrize("name", ["allow-dns-egress", "deny-all", "allow-istiod-egress", ""])
def test_other_unlabelled_policies_are_not_the_older_suites(name: str) -> None:
    assert not names.is_legacy({"name": name})


def test_every_placeholder_has_an_entry_and_every_entry_is_used() -> None:
    needed = frozenset().union(
        *(templates.placeholders(dict(templates.read(one.value))) for one in Group)
    )
    stated = {(table, name) for table in ("peers", "ports") for name in templates.read(table)}
    assert stated == needed


# What does not depend on the profile


def test_profiles_share_the_content_of_their_policies() -> None:
    alice, bob = (
        desired.desired(Profile(name=name, uid=name), NOTHING, SETTINGS).objects
        for name in ("alice", "bob")
    )
    for one, other in zip(alice, bob, strict=True):
        assert one.content is other.content
        assert ("alice", "bob") == (one.namespace, other.namespace)


def test_a_further_policy_that_names_the_namespace_is_made_for_each() -> None:
    settings = NetworkSettings.model_validate({"extra_policies": [EXTRA]})
    texts = [
        str(desired.desired(Profile(name=name, uid=name), NOTHING, settings).objects[-1].content)
        for name in ("alice", "bob")
    ]
    assert ["alice" in text for text in texts] == [True, False]
    assert not any("$" in text for text in texts)


# Where the API server is


def endpoints(*addresses: str, **fields: Any) -> dict[str, Any]:
    """The EndpointSlice as the API server writes it for itself."""
    slices: dict[str, Any] = {
        "addressType": "IPv4",
        "endpoints": [{"addresses": [*addresses], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
    }
    return {**slices, **fields}


def to(*cidrs: str) -> list[dict[str, Any]]:
    return [{"ipBlock": {"cidr": cidr}} for cidr in cidrs]


PORT = [{"protocol": "TCP", "port": 6443}]


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (endpoints("172.18.0.3"), {"to": to("172.18.0.3/32"), "ports": PORT}),
        (
            endpoints("172.18.0.3", "172.18.0.2", "172.18.0.2"),
            {"to": to("172.18.0.2/32", "172.18.0.3/32"), "ports": PORT},
        ),
        (
            endpoints("FD00::0:1", addressType="IPv6"),
            {"to": to("fd00::1/128"), "ports": PORT},
        ),
        (endpoints("10.0.0.1", ports=None), {"to": to("10.0.0.1/32")}),
        (
            endpoints("10.0.0.1", ports=[{"protocol": "TCP"}]),
            {"to": to("10.0.0.1/32"), "ports": [{"protocol": "TCP"}]},
        ),
        (
            endpoints(
                endpoints=[
                    {"addresses": ["10.0.0.1"], "conditions": {"ready": False}},
                    {"addresses": ["10.0.0.2"], "conditions": {}},
                    {"addresses": ["10.0.0.3"]},
                ]
            ),
            {"to": to("10.0.0.2/32", "10.0.0.3/32"), "ports": PORT},
        ),
        (endpoints(endpoints=None), None),
        (endpoints(endpoints=[]), None),
        (endpoints("api.example.ca", addressType="FQDN"), None),
        (endpoints("010.0.0.1", "10.0.0.2"), {"to": to("10.0.0.2/32"), "ports": PORT}),
        (endpoints(endpoints=[{"conditions": {}}]), None),
        ({}, None),
    ],
)
def test_the_api_servers_own_endpoints_are_read_as_a_rule(
    body: dict[str, Any], rule: dict[str, Any] | None
) -> None:
    assert rule == controller.transform(body)


def test_the_endpoints_of_the_api_server_add_a_rule_to_one_policy_only() -> None:
    facts = desired.Facts(api_server=controller.transform(endpoints("172.18.0.2")))
    profile = builders.profile()
    plain, found = (
        {one.name: one for one in desired.desired(profile, known, SETTINGS).objects}
        for known in (NOTHING, facts)
    )
    name = "allow-api-server-egress"
    before, after = plain[name].content["spec"], found[name].content["spec"]

    assert {**before, "egress": [*before["egress"], facts.api_server]} == after
    assert {name} == {one for one in plain if plain[one] != found[one]}
    assert dataclasses.replace(plain[name], content=found[name].content) == found[name]


def test_the_api_servers_endpoints_do_not_count_where_the_settings_say_so() -> None:
    facts = desired.Facts(api_server=controller.transform(endpoints("172.18.0.2")))
    exact = NetworkSettings(discover_api_server=False)
    without = NetworkSettings(policies={"allow-api-server-egress": False})

    assert wanted({}) == desired.desired(builders.profile(labels={}), facts, exact).objects
    assert (
        wanted({}, without) == desired.desired(builders.profile(labels={}), facts, without).objects
    )
