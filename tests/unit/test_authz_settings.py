"""The settings of authz-policies: what is taken, and what is refused with which words."""

from typing import Any

import pytest

from controllers.authz_policies.config import AuthzPoliciesSettings
from tests import builders


@pytest.mark.parametrize(
    "path",
    [
        "/a",
        "/a*",
        "*/a",
        "*",
        "/a/{*}/b",
        "/a/{**}",
        "/{**}",
        "/<ns>/{*}",
        "/a/{*}/",
        "/a%20b/{**}",
    ],
)
def test_paths_as_istio_takes_them_are_taken(path: str) -> None:
    assert (path,) == AuthzPoliciesSettings(open_paths=(path,)).open_paths


@pytest.mark.parametrize(
    "path",
    [
        "", "a", "/a b", "/a?b", "/a#b", "/é", "/a/*/b", "**", "/a/{**}/b", "/a/{*}.txt", "/{a}",
        "/*/b/{*}", "a/{*}", "/a//{*}", "/a=b/{*}", "*/{**}", "/{", "/{**}/{*}", "/{**}/",
    ],
)  # fmt: skip
def test_paths_that_istio_refuses_or_reads_otherwise_are_refused(path: str) -> None:
    said = builders.refusals(AuthzPoliciesSettings, {"open_paths": ["/fine", path]})

    assert ["open_paths 1"] == list(said)
    assert repr(path) in said["open_paths 1"]
    assert "expected" in said["open_paths 1"]


@pytest.mark.parametrize(
    "principal",
    ["cluster.local/ns/a/sa/b", "*/ns/istio-system/sa/gateway", "td-1.example/ns/a-b/sa/c.d"],
)
def test_a_service_account_in_one_trust_domain_or_in_any_is_trusted(principal: str) -> None:
    settings = AuthzPoliciesSettings(trusted_principals=(principal,))
    assert (principal,) == settings.trusted_principals


@pytest.mark.parametrize(
    "principal",
    ["*", "", "cluster.local/*", "*/sa/gateway", "cluster.local/ns/a/sa/*", "a*/ns/a/sa/b",
     "spiffe://cluster.local/ns/a/sa/b", "cluster.local/ns/*/sa/b"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["trusted_principals", "notebook_controller_principals"])
def test_a_principal_that_is_more_than_one_service_account_is_refused(
    name: str, principal: str
) -> None:
    said = builders.refusals(AuthzPoliciesSettings, {name: [principal]})

    assert f"{principal!r} is not one service account: expected" in said[f"{name} 0"]


def test_to_trust_nobody_must_be_said_twice() -> None:
    said = builders.refusals(AuthzPoliciesSettings, {"trusted_principals": []})

    assert "expected the gateway's principal, or insecure_any_principal: true" in str(said)
    AuthzPoliciesSettings(trusted_principals=(), insecure_any_principal=True)


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"user_header": "Kubeflow-UserID"}, "user_header"),
        ({"user_header": ""}, "user_header"),
        ({"groups_header": "a]"}, "groups_header"),
        ({"user_prefix": "*"}, "user_prefix"),
        ({"contributor_roles": ["edit", "Admin "]}, "contributor_roles 1"),
        ({"waypoint": "Way Point"}, "waypoint"),
        ({"waypoint": "w" * 254}, "waypoint"),
        ({"blocked_operations": [{"methods": ["get"], "paths": ["/a"]}]},
         "blocked_operations 0 methods 0"),
        ({"blocked_operations": [{"methods": [], "paths": ["/a"]}]},
         "blocked_operations 0 methods"),
        ({"blocked_operations": [{"methods": ["GET"]}]}, "blocked_operations 0 paths"),
        ({"blocked_operations": [{"methods": ["GET"], "paths": ["/a"], "hosts": ["b"]}]},
         "blocked_operations 0 hosts"),
        ({"unknown": 1}, "unknown"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_by_its_place(settings: dict[str, Any], where: str) -> None:
    assert [where] == list(builders.refusals(AuthzPoliciesSettings, settings))


def test_all_wrong_values_are_named_at_once() -> None:
    wrong = {
        "user_header": "A",
        "trusted_principals": [],
        "open_paths": ["x", "/{"],
        "blocked_operations": [{"methods": ["GET"], "paths": ["x"]}],
    }
    assert {
        "user_header",
        "trusted_principals",
        "open_paths 0",
        "open_paths 1",
        "blocked_operations 0 paths 0",
    } == set(builders.refusals(AuthzPoliciesSettings, wrong))


def test_the_defaults_are_those_of_the_specification() -> None:
    settings = AuthzPoliciesSettings()

    assert (
        "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account",
        "cluster.local/ns/kubeflow/sa/ml-pipeline-ui",
    ) == settings.trusted_principals
    assert ("admin", "edit") == settings.contributor_roles
    assert ("/healthz", "/metrics", "/wait-for-drain") == settings.open_paths
    assert not settings.insecure_any_principal
    revalidated = AuthzPoliciesSettings.model_validate(settings.model_dump())
    assert settings == revalidated
