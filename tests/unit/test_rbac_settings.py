"""The settings of the rbac controller: merged, read and refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from controllers import registry
from controllers.manifests import Manifest
from controllers.rbac import controller, desired
from controllers.rbac.config import DEFAULT_VERBS, PipelineRole, RbacSettings
from controllers.runtime import rbac as runtime_rbac
from profiles_controller.config.errors import InvalidSettingsError
from profiles_controller.config.load import Loader
from tests.support import builders
from tests.support.cli import config
from tests.support.cli.run import call

ARGO = "argoproj.io"
LOADER = Loader(registry=registry.controllers(), pod_namespace=config.MISSING_FILE)


def groups(value: object) -> tuple[str, ...]:
    return RbacSettings.model_validate({"support_groups": value}).support_groups


def verbs(given: object) -> dict[str, Any]:
    settings = RbacSettings.model_validate({"pipeline_verbs": given})
    return {group: dict(table) for group, table in settings.pipeline_verbs.items()}


def test_the_defaults_bind_the_owner_and_let_nobody_else_in() -> None:
    settings = RbacSettings()

    assert settings.support_groups == ()
    assert settings.ml_pipeline is PipelineRole.CLUSTER_ROLE
    assert settings.pipeline_verbs == DEFAULT_VERBS
    assert not settings.cross_namespace_access


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ()),
        ([""], ()),
        ([], ()),
        ("a", ("a",)),
        ("b, a ,,b,", ("b", "a")),
        (["a", "b,c"], ("a", "b,c")),
        ('"CN=support,OU=it",b', ("CN=support,OU=it", "b")),
        ("5f1c, 1e5, 007", ("5f1c", "1e5", "007")),
    ],
)
def test_support_groups_are_a_list_or_a_text_with_commas(
    value: object, expected: tuple[str, ...]
) -> None:
    assert groups(value) == expected


@pytest.mark.parametrize(
    ("flags", "variable", "expected"),
    [
        ({"support_groups": "a,b"}, "", ("a", "b")),
        ({}, "1e5", ("1e5",)),
        ({}, "", ()),
        ({"support_groups": "a"}, "b", ("a",)),
    ],
)
def test_support_groups_come_by_flag_or_variable(
    flags: dict[str, str], variable: str, expected: tuple[str, ...]
) -> None:
    environment = {"RBAC_SUPPORT_GROUPS": variable}
    loaded = config.load("rbac", flags=flags, environment=environment, loader=LOADER)
    [(_, settings)] = loaded.controllers
    assert settings.support_groups == expected


def test_verbs_are_merged_over_the_defaults_and_null_drops() -> None:
    merged = verbs(
        {ARGO: {"workflows": "get, list", "cronworkflows": None}, "kubeflow.org": None,
         "a.b": {"cs/status": ["patch"]}}
    )  # fmt: skip

    assert merged[ARGO]["workflows"] == ("get", "list")
    assert merged[ARGO]["workflowtemplates"] == ("*",)
    assert "cronworkflows" not in merged[ARGO]
    assert "kubeflow.org" not in merged
    assert merged["a.b"] == {"cs/status": ("patch",)}
    assert merged["pipelines.kubeflow.org"] == DEFAULT_VERBS["pipelines.kubeflow.org"]


def test_a_group_without_a_resource_left_is_none() -> None:
    assert ARGO not in verbs({ARGO: dict.fromkeys(DEFAULT_VERBS[ARGO])})


@pytest.mark.parametrize(
    ("given", "where", "said"),
    [
        ({"support_groups": 5}, "support_groups", "5 is not a list"),
        ({"support_groups": ["a", 5]}, "support_groups 1", "valid string"),
        ({"support_groups": [["a"]]}, "support_groups 0", "valid string"),
        (
            {"support_groups": "a,system:authenticated"},
            "support_groups 1",
            "'system:authenticated' would grant every user access to every profile",
        ),
        ({"ml_pipeline": "role"}, "ml_pipeline", "'ClusterRole', 'Role' or 'none'"),
        ({"cross_namespace_access": "perhaps"}, "cross_namespace_access", "valid boolean"),
        ({"pipeline_verbs": "get"}, "pipeline_verbs", "valid dictionary"),
        ({"pipeline_verbs": {ARGO: "get"}}, f"pipeline_verbs {ARGO}", "valid dictionary"),
        (
            {"pipeline_verbs": {ARGO: {"workflows": []}}},
            f"pipeline_verbs {ARGO} workflows",
            "expected at least one",
        ),
        (
            {"pipeline_verbs": {ARGO: {"workflows": ["get", "g-t"]}}},
            f"pipeline_verbs {ARGO} workflows 1",
            "'g-t' is not a verb: expected letters",
        ),
        (
            {"pipeline_verbs": {ARGO: {"*": ["get"]}}},
            f"pipeline_verbs {ARGO} * [key]",
            "'*' is not a resource: expected",
        ),
        (
            {"pipeline_verbs": {"*": {"pods": ["get"]}}},
            "pipeline_verbs * [key]",
            "'*' is not an API group: expected",
        ),
        (
            {"pipeline_verbs": {"rbac.authorization.k8s.io": {"roles": ["get"]}}},
            "pipeline_verbs rbac.authorization.k8s.io [key]",
            "would let members grant permissions: expected",
        ),
        (
            {"pipeline_verbs": {"": {"secrets": ["get"]}}},
            "pipeline_verbs  [key]",
            "'' is not an API group: expected",
        ),
        ({"supportgroups": "a"}, "supportgroups", "Extra inputs"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(
    given: dict[str, Any], where: str, said: str
) -> None:
    refusals = builders.validation_errors(RbacSettings, given)
    assert set(refusals) == {where}
    assert said in refusals[where]


def test_the_owner_cannot_be_bound_to_a_role_without_rules() -> None:
    given = {"ml_pipeline": "Role", "pipeline_verbs": dict.fromkeys(DEFAULT_VERBS)}
    (said,) = builders.validation_errors(RbacSettings, given).values()
    assert "leaves no rule for that Role: expected" in said


def test_all_errors_of_rbac_are_reported_at_once() -> None:
    wrong = {
        "RBAC_SUPPORT_GROUPS": "system:serviceaccounts",
        "RBAC_ML_PIPELINE": "all",
        "RBAC_PIPELINE_VERBS": yaml.safe_dump({ARGO: {"workflows": ["!"]}}),
        "RBAC_CROSS_NAMESPACE_ACCESS": "perhaps",
    }
    with pytest.raises(InvalidSettingsError) as caught:
        config.load("rbac", loader=LOADER, environment=wrong)
    message = str(caught.value)
    assert all(name in message for name in wrong)


def test_the_printed_cluster_role_follows_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    given = {"support_groups": ["a"], "ml_pipeline": "none", "pipeline_verbs": {ARGO: None}}
    file.write_text(yaml.safe_dump({"rbac": given}))
    arguments = ("permissions", "rbac", "--config", str(file))
    result = call(*arguments, registry=registry.controllers())

    assert result.exit_code == 0, result.output
    rules = yaml.safe_load(result.stdout)["rules"]
    assert [one["resourceNames"] for one in rules if "bind" in one["verbs"]] == [
        ["profile-support"]
    ]
    assert not [one for one in rules if ARGO in one["apiGroups"]]
    assert [one for one in rules if "pipelines.kubeflow.org" in one["apiGroups"]]


# Nobody is given what the controller may not give


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
VERBS = st.lists(st.sampled_from(["get", "list", "*", "readArtifact", "escalate"]), max_size=3)
TABLES = st.dictionaries(
    st.sampled_from([*DEFAULT_VERBS, "a.b", "rbac.authorization.k8s.io", "pods", "*"]),
    st.dictionaries(st.sampled_from(["runs", "workflows", "cs/status", "*"]), VERBS | JSON)
    | st.none(),
)


def held(settings: RbacSettings, group: str, resource: str, verb: str, name: str = "") -> bool:
    """Whether the controller's ClusterRole has this right."""
    return any(
        group in rule.groups
        and resource in rule.resources
        and (verb in rule.verbs or "*" in rule.verbs)
        and (not rule.names or name in rule.names)
        for rule in runtime_rbac.configured(controller.CONTROLLER, settings)
    )


def granted(manifest: Manifest) -> set[tuple[str, ...]]:
    """The permissions that a write requires: each rule of a Role, or to bind a role."""
    if manifest.kind == "RoleBinding":
        reference = manifest.content["roleRef"]
        resource = f"{reference['kind'].lower()}s"
        return {(reference["apiGroup"], resource, "bind", reference["name"])}
    return {
        (group, resource, verb)
        for rule in manifest.content["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "support_groups": JSON | st.lists(st.text(max_size=8), max_size=3),
            "ml_pipeline": st.sampled_from([*PipelineRole, "all"]),
            "pipeline_verbs": TABLES | JSON,
            "cross_namespace_access": st.booleans(),
        },
    )
)
def test_whatever_is_configured_is_refused_or_within_the_controllers_own_rights(
    given_value: dict[str, Any],
) -> None:
    try:
        settings = RbacSettings.model_validate(given_value)
    except ValidationError:
        return
    profile = builders.profile(annotations={"rbac.statcan.gc.ca/allow-from": "bob"})
    manifests = desired.desired(profile, None, settings).objects
    rights: set[tuple[str, ...]] = set().union(*map(granted, manifests))
    for right in rights:
        assert held(settings, *right), right
    binds = [
        (rule.resources, rule.names)
        for rule in runtime_rbac.configured(controller.CONTROLLER, settings)
        if "bind" in rule.verbs
    ]
    bound = {
        (resource, name) for resources, names in binds for resource in resources for name in names
    }
    assert bound == {right[1::2] for right in rights if "bind" in right}
