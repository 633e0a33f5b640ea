"""The authz-policies controller: what it wants, whom it leaves out, what it reads of bindings."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.authz_policies import controller, desired, names
from controllers.authz_policies.config import AuthzPoliciesSettings
from controllers.authz_policies.desired import Binding, Facts
from controllers.findings import Finding, Severity
from controllers.manifests import Body, Manifest
from controllers.profiles import Owner, Profile
from controllers.runtime.apply.changeset import Change
from tests.support import builders
from tests.support.cluster import kubeflow
from tests.support.istio.authorization import Request, is_allowed

SETTINGS = AuthzPoliciesSettings()
JANE, JOHN = "jane.doe@example.ca", "john@example.ca"


def facts(*subjects: tuple[str, str], role: str = "edit") -> Facts:
    """A binding for each kind and name."""
    return Facts(
        bindings=tuple(
            (f"binding-{number}", Binding(role=role, subjects=(subject,)))
            for number, subject in enumerate(subjects)
        )
    )


def specs(
    known: Facts, settings: AuthzPoliciesSettings = SETTINGS, owner: Owner | None = None
) -> dict[str, Any]:
    profile = Profile(name="alice", uid="uid", owner=owner or Owner(name=JANE))
    wanted = desired.desired(profile, known, settings).objects
    return {one.name: one.content["spec"] for one in wanted}


def found(known: Facts, owner: Owner | None = None) -> Sequence[Finding]:
    profile = Profile(name="alice", uid="uid", owner=owner or Owner(name=JANE))
    return desired.desired(profile, known, SETTINGS).findings


CONTRIBUTORS = facts(("User", JOHN), ("Group", "analysts"))


@pytest.mark.parametrize(
    ("name", "known", "settings"),
    [
        ("default", Facts(), {}),
        ("contributors", CONTRIBUTORS, {}),
        ("waypoint", Facts(), {"waypoint": "waypoint"}),
        (
            "configured",
            CONTRIBUTORS,
            {
                "user_header": "x-goog-authenticated-user-email",
                "user_prefix": "accounts.google.com:",
                "groups_header": "x-groups",
                "trusted_principals": ["td.example/ns/ingress/sa/gateway"],
                "notebook_controller_principals": [],
                "open_paths": ["/ready"],
                "blocked_operations": [{"methods": ["PUT"], "paths": ["/nb/<ns>/{*}/up"]}],
                "block_rewritten": False,
            },
        ),
        ("insecure", Facts(), {"trusted_principals": [], "insecure_any_principal": True}),
    ],
)
def test_the_policies_match_the_golden_file(
    name: str, known: Facts, settings: Mapping[str, Any]
) -> None:
    profile = builders.profile()
    manifests = desired.desired(
        profile, known, AuthzPoliciesSettings.model_validate(settings)
    ).objects
    assert builders.golden("authz-policies", name) == builders.bodies(
        manifests, profile, component="authz-policies"
    )


@pytest.mark.parametrize(
    ("switch", "left"),
    [
        ("block_transfer", {names.OWNER_ACCESS}),
        ("owner_access", {names.BLOCK_TRANSFER}),
    ],
)
def test_each_policy_can_be_switched_off(switch: str, left: set[str]) -> None:
    assert left == set(specs(Facts(), AuthzPoliciesSettings.model_validate({switch: False})))


def test_a_denial_without_operations_is_not_desired() -> None:
    settings = AuthzPoliciesSettings.model_validate(
        {"blocked_operations": [], "blocked_rewritten_operations": []}
    )
    assert {names.OWNER_ACCESS} == set(specs(Facts(), settings))


def test_order_and_duplicates_of_bindings_do_not_matter() -> None:
    people = [("User", JOHN), ("Group", "b"), ("Group", "a"), ("User", JANE)]

    assert specs(facts(*people)) == specs(facts(*reversed(people), *people))


def test_an_access_policy_always_has_a_rule() -> None:
    bare = AuthzPoliciesSettings.model_validate(
        {"open_paths": [], "culling_paths": [], "contributor_roles": []}
    )
    (rule,) = specs(Facts(), bare, Owner(name=""))[names.OWNER_ACCESS]["rules"]

    assert {"from": [{"source": {"namespaces": ["alice"]}}]} == rule


def test_only_the_access_policy_is_adoptable() -> None:
    wanted = desired.desired(builders.profile(), Facts(), SETTINGS).objects

    assert [names.OWNER_ACCESS] == [one.name for one in wanted if one.adoptable]


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        (
            "User",
            "*",
            "'*' starts or ends with *, which would admit others: expected a name without *",
        ),
        ("User", "*@example.ca", "'*@example.ca' starts or ends with *"),
        ("User", "jane*", "'jane*' starts or ends with *"),
        ("User", "", "the name is empty: expected the name that the gateway sets in the header"),
        ("Group", "*", "'*' starts or ends with *"),
        ("Group", "a,b", "'a,b' contains a comma, which separates groups"),
    ],
)
def test_a_name_that_would_admit_others_is_omitted_and_reported(
    kind: str, name: str, said: str
) -> None:
    known = facts((kind, name), ("User", JOHN))
    (finding,) = found(known)

    assert finding.severity is Severity.PROBLEM
    assert "SubjectExcluded" == finding.reason
    start = f"RoleBinding binding-0: {kind} is excluded from AuthorizationPolicy namespace-owner-"
    assert finding.message.startswith(start)
    assert said in finding.message
    assert specs(known) == specs(facts(("User", JOHN)))


@pytest.mark.parametrize(
    ("owner", "said"),
    [
        (Owner(name="*"), "spec.owner of Profile alice: User is excluded"),
        (Owner(name=""), "the name is empty"),
        (Owner(kind="ServiceAccount", name="bot"), "ServiceAccount with namespace"),
        (Owner(kind="Robot", name="bot"), "Robot is excluded"),
    ],
)
def test_an_owner_that_cannot_be_a_principal_is_omitted_and_reported(
    owner: Owner, said: str
) -> None:
    (finding,) = found(Facts(), owner)

    assert said in finding.message
    assert specs(Facts(), owner=owner) == specs(Facts(), owner=Owner(name=""))


def test_a_star_within_a_name_is_no_wildcard() -> None:
    assert found(facts(("User", "ja*ne"))) == []


def test_a_binding_with_a_role_that_is_not_admitted_has_no_finding() -> None:
    assert found(facts(("User", "*"), role="view")) == []


def test_without_the_access_policy_no_omission_is_reported() -> None:
    settings = AuthzPoliciesSettings(owner_access=False)
    assert desired.desired(builders.profile(owner="*"), Facts(), settings).findings == []


def test_the_number_of_findings_is_bounded_for_any_bindings() -> None:
    findings = found(facts(*(("User", f"{number}*") for number in range(50))))

    assert 11 == len(findings)
    assert "40 more users and groups are excluded" == findings[-1].message


@given(
    st.lists(st.tuples(st.sampled_from(["User", "Group"]), st.text(max_size=8)), max_size=6),
    st.text(max_size=8),
)
def test_any_bindings_admit_exactly_the_named_users(
    subjects: list[tuple[str, str]], asked: str
) -> None:
    known = facts(*subjects)
    policies = list(specs(known).values())
    (gateway, *_) = SETTINGS.trusted_principals
    headers = {"kubeflow-userid": asked}
    request = Request(principal=gateway, headers=headers, path="/a")

    users = {name for kind, name in subjects if kind == "User"}
    may = asked in users and bool(asked) and asked[0] != "*" and asked[-1] != "*"
    assert is_allowed(policies, request) is may
    assert len(found(known)) <= 11


GROUPS = st.text(alphabet="ab*, ", max_size=3)
LISTED = st.text(alphabet="ab ", min_size=1, max_size=3)


@given(st.lists(GROUPS, max_size=4), st.lists(LISTED, min_size=1, max_size=4))
def test_any_bound_group_is_admitted_at_any_place_of_the_header(
    bound: list[str], listed: list[str]
) -> None:
    known = facts(*(("Group", name) for name in bound))
    (gateway, *_) = SETTINGS.trusted_principals
    headers = {"kubeflow-userid": "stranger", "kubeflow-groups": ",".join(listed)}
    request = Request(principal=gateway, headers=headers, path="/a")

    assert is_allowed(list(specs(known).values()), request) is (
        bool({listed[0], listed[-1]} & set(bound))
    )
    wrong = {name for name in bound if not name or "," in name or "*" in (name[0], name[-1])}
    assert bool(wrong) is bool(found(known))


# What is read of RoleBindings


def binding(**metadata: Any) -> Body:
    body = kubeflow.contributor_binding("alice", JOHN)
    return {**body, "metadata": {**body["metadata"], **metadata}}


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (binding(), Binding(role="edit", subjects=(("User", JOHN),))),
        (binding(annotations={"role": "view"}), Binding(role="view", subjects=(("User", JOHN),))),
        (
            {**binding(), "subjects": [{"kind": "Group", "name": "analysts"}]},
            Binding(role="edit", subjects=(("Group", "analysts"),)),
        ),
        ({**binding(), "subjects": [{"kind": "ServiceAccount", "name": "a"}]}, None),
        ({**binding(), "subjects": None}, None),
        (binding(annotations={"user": JOHN}), None),
        (binding(annotations=None), None),
        (binding(deletionTimestamp="2026-01-01T00:00:00Z"), None),
        (binding(name="namespaceAdmin", annotations={"role": "admin"}), None),
    ],
)
def test_only_bindings_with_a_role_are_cached(body: Body, kept: Binding | None) -> None:
    assert kept == controller.transform(body)


def test_the_watch_maps_a_binding_to_the_profile_of_its_namespace() -> None:
    (watch,) = controller.CONTROLLER.watches(SETTINGS)
    assert ["alice"] == list(watch.map(binding()))


class FakeCache:
    profiles: frozenset[str] = frozenset()

    def get(self, kind: str, namespace: str, name: str) -> Any:
        raise NotImplementedError(kind, namespace, name)

    def list(self, kind: str, namespace: str) -> Mapping[str, Binding]:
        assert (kind, namespace) == ("RoleBinding", "alice")
        one = Binding(role="edit", subjects=(("User", JOHN),))
        return {"b": one, "a": one}

    def list_for_profile(self, kind: str, profile: str) -> Any:
        raise NotImplementedError(kind, profile)

    def blocked_write(self, profile: Profile, manifest: Manifest) -> Change | None:
        raise NotImplementedError(profile, manifest)


async def test_contributors_are_read_from_the_cache_in_the_order_of_their_bindings() -> None:
    facts = await controller.observe(builders.profile(), FakeCache(), SETTINGS, None)

    assert ["a", "b"] == [name for name, _ in facts.bindings]


def test_policies_of_the_older_suite_are_adopted_by_name_and_those_of_kubeflow_are_not() -> None:
    (owned,) = controller.CONTROLLER.owned(controller.CONTROLLER.default_settings())
    assert owned.adopt_legacy is not None
    assert owned.adopt_legacy({"name": "namespace-owner-access-istio"})
    assert owned.adopt_legacy({"name": "protected-b-block-transfer"})
    assert not owned.adopt_legacy({"name": "ns-owner-access-istio"})
    assert not owned.adopt_legacy({"name": kubeflow.contributor_name(JOHN, "edit")})


def test_the_older_suites_subcommand_still_works() -> None:
    assert ("auth-policies",) == controller.CONTROLLER.command.aliases
    assert "AuthzPoliciesReady" == controller.CONTROLLER.condition
