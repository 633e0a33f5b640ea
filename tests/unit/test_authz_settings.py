"""The settings of authz-policies: what is taken, and what is refused with which words."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from controllers import registry
from controllers.authz_policies import desired, rules
from controllers.authz_policies.config import AuthzPoliciesSettings
from profiles_controller.config.errors import InvalidSettingsError
from profiles_controller.config.load import Loader
from tests.support import builders
from tests.support.cli import config
from tests.support.istio.authorization import Request, is_allowed, path_matches, text_matches


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
        "*a*", "/a**", "**/a",
        "/*/b/{*}", "a/{*}", "/a//{*}", "/a=b/{*}", "*/{**}", "/{", "/{**}/{*}", "/{**}/",
    ],
)  # fmt: skip
def test_paths_that_istio_refuses_or_reads_otherwise_are_refused(path: str) -> None:
    said = builders.validation_errors(AuthzPoliciesSettings, {"open_paths": ["/fine", path]})

    assert ["open_paths 1"] == list(said)
    assert repr(path) in said["open_paths 1"]
    assert "expected" in said["open_paths 1"]


@pytest.mark.parametrize(
    "principal",
    [
        "cluster.local/ns/a/sa/b",
        "*/ns/istio-system/sa/gateway",
        "td-1.example/ns/a-b/sa/c.d",
        "old_mesh/ns/a/sa/b",
    ],
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
    said = builders.validation_errors(AuthzPoliciesSettings, {name: [principal]})

    assert f"{principal!r} is not one service account: expected" in said[f"{name} 0"]


def test_an_empty_list_of_principals_requires_the_insecure_setting() -> None:
    said = builders.validation_errors(AuthzPoliciesSettings, {"trusted_principals": []})

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
    assert [where] == list(builders.validation_errors(AuthzPoliciesSettings, settings))


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
    } == set(builders.validation_errors(AuthzPoliciesSettings, wrong))


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


# Whatever is given


PIECES = ("/", "/", "a", "*", "**", "{*}", "{**}", "<ns>", "?", "#", "=", " ", "é", "{", "}", "%2F")
ENDS = ("", "/", "x", "/x", "/a/b", "alice")


@given(st.lists(st.sampled_from(PIECES), max_size=7).map("".join))
@example("/{*}/")
@example("/{*}/<ns>")
def test_a_path_that_is_taken_means_to_istio_what_it_looks_like(path: str) -> None:
    try:
        AuthzPoliciesSettings(open_paths=(path,))
    except ValidationError:
        return
    path = path.replace(rules.NAMESPACE, "alice")
    template = "{" in path
    for text in ENDS[2:] if template else ENDS:
        rest, one = (text.strip("/"), text.strip("/").partition("/")[0])
        filled = path.replace("{**}", rest).replace("{*}", one)
        concrete = filled if template else path.replace("*", text)
        assert path_matches(path, concrete) or not concrete
    assert path_matches(path, "elsewhere") is (path == "*")


@given(st.lists(st.sampled_from(["*", "a", "b.c", "/", "/ns/", "/sa/", "-"]), max_size=8))
def test_a_principal_that_is_taken_is_one_account_whatever_the_trust_domain(
    pieces: list[str],
) -> None:
    text = "".join(pieces)
    try:
        AuthzPoliciesSettings(trusted_principals=(text,))
    except ValidationError:
        return
    account = text[text.index("/ns/") :]
    assert text_matches(text, text.replace("*", "td"))
    for other in (
        f"td{account}x",
        f"td{account[:-1]}",
        "td/ns/x/sa/y",
        "",
        f"td/ns/x{account[4:]}",
    ):
        assert not text_matches(text, other)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {
            "methods": st.lists(st.sampled_from(["GET", "POST", "get"]), max_size=2),
            "paths": st.lists(st.sampled_from(["/a", "/b*", "/c/{**}", "x"]), max_size=2),
        }
    ),
    max_size=2,
)


@given(
    st.dictionaries(
        st.sampled_from([*AuthzPoliciesSettings.model_fields, "other"]),
        JSON | OPERATIONS | st.lists(st.sampled_from(["/a", "td/ns/a/sa/b", "edit"])),
        max_size=4,
    )
)
def test_whatever_is_configured_is_refused_or_admits_nobody_unnamed(given_value: Any) -> None:
    try:
        settings = AuthzPoliciesSettings.model_validate(given_value)
    except ValidationError:
        return
    manifests = desired.desired(builders.profile(), desired.Facts(), settings).objects
    policies = [one.content["spec"] for one in manifests]
    # No pod of another tenant, unless who configured it says so.
    open_to_all = not settings.owner_access or "/elsewhere" in settings.open_paths
    stranger = Request(principal="cluster.local/ns/bob/sa/default-editor", path="/elsewhere")
    assert is_allowed(policies, stranger) is open_to_all


def test_an_unknown_key_of_an_operation_is_reported_with_the_valid_keys() -> None:
    loader = Loader(registry=registry.controllers(), pod_namespace=config.MISSING_FILE)
    text = '[{"method": ["GET"], "paths": ["/a"]}]'
    environment = {"AUTHZ_POLICIES_BLOCKED_OPERATIONS": text}
    with pytest.raises(InvalidSettingsError) as caught:
        config.load("authz-policies", environment=environment, loader=loader)
    said = [str(fault) for fault in caught.value.errors]

    assert any("0.methods" in text and text.endswith("required") for text in said)
    assert any("unknown key; did you mean 'methods'?" in text for text in said)
