"""Parsing of Profiles: incomplete bodies, and what people write on them."""

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from controllers import profiles
from controllers.profiles import PAUSED_ANNOTATION, Condition, Owner
from tests.support import builders


def test_every_field_of_a_profile_is_parsed() -> None:
    body = builders.profile_body(labels={"a": "b"}, annotations={"c": "d"})
    body["spec"]["owner"] = {
        "kind": "ServiceAccount",
        "name": "robot",
        "namespace": "robots",
        "apiGroup": "",
    }
    profile = profiles.parse_profile(body)

    assert ("alice", "alice", "uid-alice", "10") == (
        profile.name,
        profile.namespace,
        profile.uid,
        profile.resource_version,
    )
    assert ({"a": "b"}, {"c": "d"}, False) == (
        profile.labels,
        profile.annotations,
        profile.deleting,
    )
    assert profile.owner == Owner(
        kind="ServiceAccount", name="robot", namespace="robots", api_group=""
    )


@pytest.mark.parametrize("empty", [{}, None])
@pytest.mark.parametrize("field", ["spec", "status"])
def test_missing_and_null_fields_are_empty(field: str, empty: Any) -> None:
    profile = profiles.parse_profile({**builders.profile_body(), field: empty})

    assert "alice" == profile.name


def test_the_owner_of_an_empty_profile_is_a_user_without_a_name() -> None:
    profile = profiles.parse_profile({"metadata": {"name": "alice", "labels": None}})

    assert ("User", "") == (profile.owner.kind, profile.owner.name)
    assert ("kubeflow.org/v1", {}) == (profile.api_version, profile.labels)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"kind": "Pod", "metadata": {"name": "a"}}, "kind is 'Pod', expected 'Profile'"),
        ({"metadata": {}}, "metadata.name is missing"),
        ({"metadata": []}, "metadata.name is missing"),
        ({"metadata": {"name": "a"}, "spec": "x"}, "spec is str, expected a mapping"),
    ],
)
def test_a_body_that_is_not_a_profile_is_rejected_by_field(
    body: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        profiles.parse_profile(body)


def test_conditions_are_parsed_in_order_and_invalid_ones_are_dropped() -> None:
    body = {"status": {"conditions": [{"type": "B", "status": "True"}, None, {"type": "A"}]}}

    assert (
        Condition(type="B", status="True", message=""),
        Condition(type="A", status="", message=""),
    ) == profiles.parse_conditions(body)


def test_profiles_that_differ_in_status_only_are_equal() -> None:
    other = builders.profile(version=99, conditions=[{"type": "A"}])

    assert builders.profile() == other
    assert builders.profile() != builders.profile(labels={"a": "b"})


def test_the_last_applied_annotation_of_kubectl_is_ignored() -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}

    assert {} == builders.profile(annotations=annotations).annotations


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "TRUE", "True"])
def test_values_that_go_parses_as_true_are_true(text: str) -> None:
    assert profiles.parse_bool(text) is True


@pytest.mark.parametrize("text", ["0", "f", "F", "false", "FALSE", "False"])
def test_values_that_go_parses_as_false_are_false(text: str) -> None:
    assert profiles.parse_bool(text) is False


@pytest.mark.parametrize("text", ["", "yes", "tRUE", " true", "1.0", "on", "２"])  # noqa: RUF001
def test_any_other_value_is_not_a_boolean(text: str) -> None:
    assert profiles.parse_bool(text) is None


PAUSES = {
    "": frozenset[str](),
    "false": frozenset[str](),
    "true": None,
    " True ": None,
    "quotas": frozenset({"quotas"}),
    "quotas, rbac,": frozenset({"quotas", "rbac"}),
    ",": frozenset[str](),
}


@pytest.mark.parametrize("text", PAUSES)
def test_the_pause_annotation_names_all_or_some_controllers(text: str) -> None:
    profile = builders.profile(annotations={PAUSED_ANNOTATION: text})
    paused = PAUSES[text]

    assert paused == profiles.paused_controllers(profile)
    assert profiles.is_paused(profile, "quotas") is (paused is None or "quotas" in paused)


@hypothesis.given(text=strategies.text())
def test_no_value_of_the_pause_annotation_raises(text: str) -> None:
    profiles.paused_controllers(builders.profile(annotations={PAUSED_ANNOTATION: text}))
