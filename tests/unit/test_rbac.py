"""The rbac controller: what it wants, and what it says of owners and of other namespaces."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.findings import Finding, Severity
from controllers.manifests import Manifest
from controllers.profiles import Owner, Profile
from controllers.rbac import controller, desired, names
from controllers.rbac.config import RbacSettings
from controllers.runtime import rbac as runtime_rbac
from tests.support import builders

ALLOW_FROM = "rbac.statcan.gc.ca/allow-from"
GROUP = "rbac.authorization.k8s.io"
DEFAULTS = RbacSettings()
OPEN = RbacSettings(cross_namespace_access=True)


def profile(allow_from: str | None = None, **owner: str) -> Profile:
    annotations = {} if allow_from is None else {ALLOW_FROM: allow_from}
    made = builders.profile(annotations=annotations)
    return dataclasses.replace(made, owner=Owner(**owner)) if owner else made


def wanted(whose: Profile, settings: RbacSettings = DEFAULTS) -> dict[str, Manifest]:
    manifests = desired.desired(whose, None, settings).objects
    assert len({one.key for one in manifests}) == len(manifests)
    return {one.name: one for one in manifests}


def found(whose: Profile, settings: RbacSettings = DEFAULTS) -> Sequence[Finding]:
    return desired.desired(whose, None, settings).findings


def sources(text: str, settings: RbacSettings = OPEN) -> list[str]:
    """The namespaces that are let in, in the order of the objects."""
    bindings = [
        one.content["subjects"]
        for name, one in wanted(profile(text), settings).items()
        if name.startswith("allow-")
    ]
    assert all(len(subjects) == 1 for subjects in bindings)
    return [subject["namespace"] for (subject,) in bindings]


@pytest.mark.parametrize(
    ("name", "whose", "settings"),
    [
        ("default", profile(), {}),
        ("support", profile(), {"support_groups": "support,stewards"}),
        ("small-role", profile(), {"ml_pipeline": "Role"}),
        (
            "account-owner",
            profile(kind="ServiceAccount", name="robot", api_group="", namespace="machines"),
            {"pipeline_verbs": dict.fromkeys(DEFAULTS.pipeline_verbs)},
        ),
        (
            "everything",
            profile("bob, team-c", kind="Group", name="analysts"),
            {
                "support_groups": ["support"],
                "cross_namespace_access": True,
                "pipeline_verbs": {
                    "pipelines.kubeflow.org": {"runs": ["get"], "jobs": ["get"]},
                    "kubeflow.org": None,
                    "argoproj.io": None,
                    "serving.kserve.io": {"inferenceservices": "get, list"},
                },
            },
        ),
    ],
)
def test_the_objects_match_the_golden_file(
    name: str, whose: Profile, settings: dict[str, Any]
) -> None:
    manifests = desired.desired(whose, None, RbacSettings.model_validate(settings)).objects
    assert builders.golden("rbac", name) == builders.bodies(manifests, whose, component="rbac")


def test_no_binding_resembles_that_of_a_contributor() -> None:
    settings = RbacSettings(support_groups=("a", "b"), cross_namespace_access=True)
    bindings = [
        one for one in wanted(profile("bob"), settings).values() if one.kind == "RoleBinding"
    ]
    assert len(bindings) == 3
    for binding in bindings:
        assert binding.annotations == {}
        assert set(binding.stripped_annotations) == {"user", "role"}


# The owner


@pytest.mark.parametrize(
    ("owner", "subject"),
    [
        ({"name": "jane@x.ca"}, {"apiGroup": GROUP, "kind": "User", "name": "jane@x.ca"}),
        (
            {"name": "jane@x.ca", "api_group": ""},
            {"apiGroup": GROUP, "kind": "User", "name": "jane@x.ca"},
        ),
        (
            {"kind": "Group", "name": "analysts"},
            {"apiGroup": GROUP, "kind": "Group", "name": "analysts"},
        ),
        (
            {"kind": "ServiceAccount", "name": "a.b", "api_group": "", "namespace": "n"},
            {"kind": "ServiceAccount", "name": "a.b", "namespace": "n"},
        ),
        (
            {"kind": "ServiceAccount", "name": "robot", "api_group": ""},
            {"kind": "ServiceAccount", "name": "robot"},
        ),
    ],
)
def test_the_owner_is_bound_with_its_kind_of_subject(
    owner: dict[str, str], subject: dict[str, str]
) -> None:
    assert [subject] == wanted(profile(**owner))["ml-pipeline"].content["subjects"]
    assert found(profile(**owner)) == []


@pytest.mark.parametrize(
    ("owner", "said"),
    [
        ({"name": ""}, "spec.owner.name is empty"),
        ({"kind": "Robot", "name": "r2"}, "spec.owner.kind is 'Robot': expected User, Group or"),
        ({"kind": "user", "name": "jane"}, "spec.owner.kind is 'user'"),
        ({"name": "jane", "api_group": "rbac/v1"}, f"User is 'rbac/v1': expected {GROUP}"),
        ({"kind": "ServiceAccount", "name": "robot"}, f"is '{GROUP}': expected none"),
        (
            {"kind": "ServiceAccount", "name": "Not A Name", "api_group": ""},
            "spec.owner.name is 'Not A Name'",
        ),
        ({"kind": "ServiceAccount", "name": "a" * 254, "api_group": ""}, "at most 253"),
    ],
)
def test_an_owner_that_cannot_be_bound_affects_the_binding_of_the_owner_only(
    owner: dict[str, str], said: str
) -> None:
    settings = RbacSettings(support_groups=("support",))
    assert set(wanted(profile(**owner), settings)) == {"profile-pipelines", "profile-support"}
    (finding,) = found(profile(**owner), settings)
    assert (finding.reason, finding.severity) == ("InvalidOwner", Severity.PROBLEM)
    assert said in finding.message
    assert "expected" in finding.message
    assert "RoleBinding ml-pipeline is not created" in finding.message


def test_the_owner_is_not_validated_if_the_owner_is_not_bound() -> None:
    settings = RbacSettings.model_validate({"ml_pipeline": "none"})
    assert found(profile(name=""), settings) == []
    assert set(wanted(profile(), settings)) == {"profile-pipelines"}


# Other namespaces


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  ", []),
        ("bob", ["bob"]),
        (" bob ,\n team-c", ["bob", "team-c"]),
        ("team-c,bob", ["team-c", "bob"]),
        ("x" * 63, ["x" * 63]),
    ],
)
def test_the_annotation_binds_its_namespaces(text: str, expected: list[str]) -> None:
    assert sources(text) == expected
    assert found(profile(text), OPEN) == []


@pytest.mark.parametrize(
    ("text", "expected", "reason", "said"),
    [
        ("bob,Team_C", ["bob"], "InvalidSource", "invalid entries 'Team_C': expected"),
        ("bob,-x", ["bob"], "InvalidSource", "'-x'"),
        ("a.b,bob", ["bob"], "InvalidSource", "'a.b'"),
        ("*", [], "InvalidSource", "'*'"),
        (f"{'x' * 64},bob", ["bob"], "InvalidSource", "at most 63"),
        ("bob;team-c", [], "InvalidSource", "'bob;team-c'"),
        ("é,bob", ["bob"], "InvalidSource", "'é'"),
        ("A,B,C,D,E", [], "InvalidSource", "'A', 'B', 'C' and 2 more"),
        ("alice,bob", ["bob"], "RedundantSource", "'alice'"),
        ("bob,team-c,bob", ["bob", "team-c"], "RedundantSource", "'bob'"),
        ("bob,", ["bob"], "RedundantSource", "''"),
    ],
)
def test_an_invalid_entry_is_reported_and_others_are_applied(
    text: str, expected: list[str], reason: str, said: str
) -> None:
    assert sources(text) == expected
    assert {"profile-pipelines", "ml-pipeline"} <= set(wanted(profile(text), OPEN))
    (finding,) = found(profile(text), OPEN)
    assert finding.reason == reason
    problem = Severity.PROBLEM if reason == "InvalidSource" else Severity.NOTICE
    assert finding.severity is problem
    assert f"annotation {ALLOW_FROM}" in finding.message
    assert said in finding.message
    assert "expected" in finding.message


def test_each_kind_of_error_has_its_own_finding() -> None:
    reasons = [one.reason for one in found(profile("B_D,alice,bob"), OPEN)]
    assert reasons == ["InvalidSource", "RedundantSource"]


def test_the_number_of_bound_namespaces_is_limited() -> None:
    every = [f"team-x{number}" for number in range(150)]
    assert sources(",".join(every)) == every[:100]
    (finding,) = found(profile(",".join(every)), OPEN)
    assert (finding.reason, finding.severity) == ("TooManySources", Severity.PROBLEM)
    assert "lists 150 namespaces: expected at most 100" in finding.message


@pytest.mark.parametrize("text", ["bob", "B_D", "bob,B_D,alice"])
def test_no_namespace_is_bound_unless_the_platform_enables_it(text: str) -> None:
    assert sources(text, DEFAULTS) == []
    (finding,) = found(profile(text))
    assert (finding.reason, finding.severity) == ("AccessNotEnabled", Severity.NOTICE)
    assert ALLOW_FROM in finding.message


@given(text=st.text(alphabet=st.sampled_from("ab-.,_ A\n*é1"), max_size=200) | st.text())
def test_any_annotation_binds_named_namespaces_only_and_does_not_change_other_bindings(
    text: str,
) -> None:
    whose = profile(text)
    manifests = wanted(whose, OPEN)
    named = {entry.strip() for entry in text.split(",")}
    assert {"profile-pipelines", "ml-pipeline"} <= set(manifests)
    assert set(sources(text)) <= named - {"alice", ""}
    for one in manifests.values():
        assert one.namespace == "alice"
        assert len(one.name) <= 82
    findings = found(whose, OPEN)
    assert len({one.reason for one in findings}) == len(findings)
    assert all(len(one.message) < 1000 for one in findings)
    complete = set(sources(text)) | {"alice", ""}
    assert bool(named - complete) == any(one.severity is Severity.PROBLEM for one in findings)


@given(name=st.text(), kind=st.text() | st.sampled_from(["User", "Group", "ServiceAccount"]))
def test_any_owner_is_bound_or_reported(name: str, kind: str) -> None:
    whose = profile(name=name, kind=kind, api_group="")
    bound = "ml-pipeline" in wanted(whose)
    assert bound == (not found(whose))


# Rights, and the older suite


def bound_roles(settings: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    held = runtime_rbac.configured(controller.CONTROLLER, RbacSettings.model_validate(settings))
    bound: dict[str, tuple[str, ...]] = {}
    for one in held:
        if one.verbs == ("bind",):
            bound[one.resources[0]] = (*bound.get(one.resources[0], ()), *one.names)
    return bound


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"clusterroles": ("ml-pipeline",)}),
        ({"ml_pipeline": "none"}, {}),
        ({"ml_pipeline": "Role"}, {"roles": ("profile-pipelines",)}),
        ({"support_groups": "a"}, {"clusterroles": ("ml-pipeline", "profile-support")}),
        (
            {"ml_pipeline": "Role", "support_groups": "a", "cross_namespace_access": True},
            {
                "clusterroles": ("profile-support", "kubeflow-edit"),
                "roles": ("profile-pipelines",),
            },
        ),
    ],
)
def test_the_rules_allow_binding_of_the_configured_roles_only(
    settings: dict[str, Any], expected: dict[str, tuple[str, ...]]
) -> None:
    assert bound_roles(settings) == expected


def test_the_rules_contain_those_of_the_written_role_and_not_escalate() -> None:
    settings = RbacSettings.model_validate({"pipeline_verbs": {"a.b": {"cs": ["get"]}}})
    given_rules = runtime_rbac.configured(controller.CONTROLLER, settings)
    held = [
        {"apiGroups": list(one.groups), "resources": list(one.resources), "verbs": list(one.verbs)}
        for one in given_rules
        if one.verbs != ("bind",)
    ]
    assert wanted(profile(), settings)["profile-pipelines"].content["rules"] == held
    assert {"apiGroups": ["a.b"], "resources": ["cs"], "verbs": ["get"]} in held
    assert not any("escalate" in one.verbs for one in given_rules)


def test_bindings_of_the_older_suite_are_adopted_by_name() -> None:
    assert names.is_legacy({"name": "ml-pipeline"})
    assert names.is_legacy({"name": "profile-support"})
    for name in ("namespaceAdmin", "default-editor", "seldon-user", "user-jane-clusterrole-edit"):
        assert not names.is_legacy({"name": name})
