"""Cached objects, and when two contents are equivalent."""

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from controllers.manifests import COMPONENT_LABEL, MANAGED_BY_LABEL
from controllers.profiles import PAUSED_ANNOTATION
from controllers.runtime.objects import cached_object, compare
from controllers.runtime.objects.kinds import KINDS
from tests.support import builders

QUOTA, POLICY = KINDS["ResourceQuota"], KINDS["NetworkPolicy"]
SECRET, BINDING, SERVICE = KINDS["Secret"], KINDS["RoleBinding"], KINDS["Service"]


def quota(**hard: Any) -> dict[str, Any]:
    return {"spec": {"hard": hard}}


def policy(**spec: Any) -> dict[str, Any]:
    return {"spec": {"podSelector": {}, **spec}}


def limits(**amounts: Any) -> dict[str, Any]:
    return {"spec": {"limits": [{"type": "Container", "max": amounts}]}}


SAME = {
    "quantities_of_one_value": ("ResourceQuota", quota(cpu="1000m"), quota(cpu="1")),
    "binary_quantities": ("ResourceQuota", quota(memory="1Gi"), quota(memory="1024Mi")),
    "a_number_and_a_text": ("ResourceQuota", quota(pods=100), quota(pods="100")),
    "a_quantity_in_a_list": ("LimitRange", limits(cpu="0.5"), limits(cpu="500m")),
    "keys_in_another_order": (
        "ResourceQuota",
        {"spec": {"hard": {"a": "1", "b": "2"}}},
        {"spec": {"hard": {"b": "2", "a": "1"}}},
    ),
    "null_and_absent": ("NetworkPolicy", policy(ingress=None), policy()),
    "null_within_a_list": (
        "NetworkPolicy",
        policy(egress=[{"to": None}]),
        policy(egress=[{}]),
    ),
    "an_empty_list_of_a_field_that_may_be_empty": ("NetworkPolicy", policy(ingress=[]), policy()),
    "empty_data": ("ConfigMap", {"data": {}}, {}),
    "null_data": ("ConfigMap", {"data": None}, {}),
    "no_rules": ("Role", {"rules": []}, {"rules": None}),
}
DIFFERENT = {
    "another_value": ("ResourceQuota", quota(cpu="1"), quota(cpu="2")),
    "a_decimal_and_a_binary_suffix": ("ResourceQuota", quota(memory="1G"), quota(memory="1Gi")),
    "quantities_that_are_texts_elsewhere": (
        "ConfigMap",
        {"data": {"cpu": "1000m"}},
        {"data": {"cpu": "1"}},
    ),
    "an_empty_selector_and_none": (
        "NetworkPolicy",
        {"spec": {"podSelector": {}}},
        {"spec": {}},
    ),
    "an_empty_peer_and_none": (
        "NetworkPolicy",
        policy(ingress=[{"from": [{"podSelector": {}}]}]),
        policy(ingress=[{"from": [{}]}]),
    ),
    "an_empty_rule_and_no_rule": ("NetworkPolicy", policy(ingress=[{}]), policy(ingress=[])),
    "items_in_another_order": (
        "Role",
        {"rules": [{"verbs": ["get"]}, {"verbs": ["list"]}]},
        {"rules": [{"verbs": ["list"]}, {"verbs": ["get"]}]},
    ),
    "an_empty_value_and_none": ("ConfigMap", {"data": {"key": ""}}, {"data": {}}),
    "true_and_one": ("ConfigMap", {"immutable": True}, {"immutable": 1}),
}


@pytest.mark.parametrize("case", SAME)
def test_equivalent_contents_have_the_same_digest(case: str) -> None:
    kind, one, other = SAME[case]

    assert cached_object.digest(KINDS[kind], one) == cached_object.digest(KINDS[kind], other)


@pytest.mark.parametrize("case", DIFFERENT)
def test_different_contents_have_different_digests(case: str) -> None:
    kind, one, other = DIFFERENT[case]

    assert cached_object.digest(KINDS[kind], one) != cached_object.digest(KINDS[kind], other)


JSON_VALUES = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers(-9, 9) | strategies.text("ab"),
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(strategies.text('abc:"\\', max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@hypothesis.given(spec=strategies.dictionaries(strategies.text("ab"), JSON_VALUES, max_size=3))
def test_the_digest_of_any_content_is_that_of_its_normalised_form(
    spec: dict[str, Any],
) -> None:
    content = {"spec": spec}
    normal = compare.normalise(POLICY, content)

    assert cached_object.digest(POLICY, normal) == cached_object.digest(POLICY, content)
    assert normal == compare.normalise(POLICY, normal)


def test_a_digest_does_not_modify_the_content() -> None:
    content = quota(cpu="1000m", memory=None)
    cached_object.digest(QUOTA, content)

    assert quota(cpu="1000m", memory=None) == content


HAVE = {
    "selector": {"app": "sample"},
    "clusterIP": "10.0.0.1",
    "ports": [
        {"name": "theirs", "port": 9090, "protocol": "TCP"},
        {"name": "http", "port": 80, "protocol": "TCP"},
    ],
    "externalIPs": ["10.0.0.7"],
}
COVERED: dict[str, tuple[dict[str, Any], bool]] = {
    "nothing": ({}, True),
    "a_field": ({"clusterIP": "10.0.0.1"}, True),
    "a_nested_field": ({"ports": [{"port": 80}]}, True),
    "a_null": ({"type": None}, True),
    "another_value": ({"clusterIP": "10.0.0.2"}, False),
    "a_missing_field": ({"type": "ClusterIP"}, False),
    "another_nested_value": ({"ports": [{"port": 81}]}, False),
    "an_item_more": ({"ports": [{"port": 80}, {"port": 81}]}, False),
    "another_item_alone": ({"ports": [{"port": 81, "protocol": "TCP"}]}, False),
    "an_item_with_another_name": ({"ports": [{"port": 80, "name": "web"}]}, False),
    "no_items_of_a_list_of_others": ({"ports": []}, True),
    "a_list_without_keys": ({"externalIPs": ["10.0.0.7"]}, True),
    "fewer_of_a_list_without_keys": ({"externalIPs": []}, False),
    "a_mapping_for_a_text": ({"clusterIP": {"a": "b"}}, False),
}


@pytest.mark.parametrize("case", COVERED)
def test_contains_compares_only_the_desired_fields(case: str) -> None:
    want, expected = COVERED[case]

    assert expected is compare.contains(SERVICE, {"spec": HAVE}, {"spec": want})


def test_contains_compares_quantities_by_value() -> None:
    claim = KINDS["PersistentVolumeClaim"]
    have = {"spec": {"resources": {"requests": {"storage": "1Gi"}}}}
    want = {"spec": {"resources": {"requests": {"storage": "1024Mi"}}}}

    assert compare.contains(claim, have, want)


def test_the_immutable_digest_covers_immutable_fields_only() -> None:
    role = {"kind": "Role", "name": "a"}
    one = cached_object.immutable_digest(BINDING, {"roleRef": role, "subjects": [1]})
    other = cached_object.immutable_digest(BINDING, {"subjects": [2], "roleRef": dict(role)})

    assert one == other
    assert one != cached_object.immutable_digest(BINDING, {"roleRef": role | {"name": "b"}})
    assert b"" == cached_object.immutable_digest(QUOTA, quota(cpu="1"))


def test_the_component_requires_both_labels() -> None:
    assert "samples" == builders.cached_object().component
    assert builders.cached_object(labels={COMPONENT_LABEL: "samples"}).component is None
    assert (
        builders.cached_object(
            labels=builders.managed_labels() | {MANAGED_BY_LABEL: "helm"}
        ).component
        is None
    )


def test_a_cached_object_has_uid_and_name_of_its_controlling_profile() -> None:
    cached = builders.cached_object()

    assert ("uid-alice", "alice", True) == (cached.owner_uid, cached.owner_name, cached.has_owner)


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param({"controller": False}, id="not_its_controller"),
        pytest.param({"kind": "Deployment"}, id="another_kind"),
        pytest.param({"apiVersion": "example.ca/v1"}, id="another_group"),
        pytest.param({"apiVersion": "kubeflow.org.example.ca/v1"}, id="a_longer_group"),
    ],
)
def test_another_owner_is_an_owner_but_not_a_profile(
    reference: dict[str, Any],
) -> None:
    cached = builders.cached_object(owners=[builders.profile_reference() | reference])

    assert ("", "", True) == (cached.owner_uid, cached.owner_name, cached.has_owner)


@pytest.mark.parametrize(
    ("text", "paused"),
    [("true", True), (" T ", True), ("1", True), ("false", False), ("", False), ("quotas", False)],
)
def test_an_object_is_paused_only_if_its_annotation_is_true(text: str, paused: bool) -> None:  # noqa: FBT001
    assert paused is builders.cached_object(annotations={PAUSED_ANNOTATION: text}).paused


def test_cached_objects_that_differ_in_version_and_status_only_are_equivalent() -> None:
    before = builders.cached_object(data={"key": "value"}, version=1)

    assert before.equivalent(
        builders.cached_object(data={"key": "value"}, version=2, status={"a": 1})
    )


@pytest.mark.parametrize(
    "change",
    [
        {"uid": "uid-other"},
        {"data": {"key": "other"}},
        {"labels": {}},
        {"annotations": {"note": "a"}},
        {"owners": []},
        {"deleting": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_cached_objects_that_differ_in_a_planned_field_are_not_equivalent(
    change: dict[str, Any],
) -> None:
    before = builders.cached_object(data={"key": "value"})

    assert not before.equivalent(builders.cached_object(**{"data": {"key": "value"}, **change}))


def test_long_values_are_cached_and_compared_as_digests() -> None:
    long = "x" * 5000
    texts = cached_object.pairs({"note": long})

    assert len(texts[0][1]) < 100
    assert cached_object.includes(texts, {"note": long})
    assert not cached_object.includes(texts, {"note": "y" + long[1:]})


def test_the_last_applied_annotation_of_kubectl_is_not_cached() -> None:
    assert () == cached_object.pairs({"kubectl.kubernetes.io/last-applied-configuration": "{}"})


def test_equal_labels_share_one_tuple() -> None:
    assert cached_object.pairs({"a": "b", "c": "d"}) is cached_object.pairs({"c": "d", "a": "b"})


def test_including_no_labels_is_always_true() -> None:
    assert cached_object.includes((), {})
    assert not cached_object.includes((), {"a": "b"})


def test_an_exact_kind_is_cached_as_a_digest_and_a_merge_kind_as_content() -> None:
    exact = builders.cached_object("ConfigMap", data={"key": "value"})
    merge = builders.cached_object("Service", **builders.partial_service())

    assert (16, None) == (len(exact.digest), exact.content)
    assert (b"", builders.partial_service()) == (merge.digest, merge.content)


def test_the_content_has_only_fields_of_the_kind() -> None:
    body = {"data": {"a": "b"}, "type": "Opaque", "immutable": None, "extra": 1, "metadata": {}}

    assert {"data": {"a": "b"}, "type": "Opaque"} == cached_object.content_of(SECRET, body)
