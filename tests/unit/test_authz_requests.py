"""Who reaches what: requests against the policies of authz-policies, as Istio reads them."""

from collections.abc import Mapping
from typing import Any

import pytest

from controllers.authz_policies.config import AuthzPoliciesSettings
from controllers.authz_policies.desired import Binding, Facts, desired
from controllers.profiles import Owner, Profile
from tests.support.cluster import kubeflow
from tests.support.istio.authorization import Policy, Request, is_allowed

GATEWAY, PIPELINES_UI, CULLER = (
    kubeflow.GATEWAY, kubeflow.PIPELINES_UI, kubeflow.NOTEBOOK_CONTROLLER,
)  # fmt: skip
NEIGHBOUR = "cluster.local/ns/bob/sa/default-editor"
OWN_POD = "cluster.local/ns/alice/sa/default-editor"
IMPOSTOR = "cluster.local/ns/bob/sa/istio-ingressgateway-service-account"

OWNER, EDITOR, ADMIN, VIEWER, STRANGER = (
    f"{name}@example.ca" for name in ("owner", "editor", "admin", "viewer", "stranger")
)
CONTRIBUTORS = (
    (EDITOR, "edit", "User"),
    (ADMIN, "admin", "User"),
    (VIEWER, "view", "User"),
    ("analysts", "edit", "Group"),
)
PROTECTED = {"data.statcan.gc.ca/classification": "protected-b", "notebook-name": "nb"}
UNCLASSIFIED = {"data.statcan.gc.ca/classification": "unclassified", "notebook-name": "nb"}
LAB = "/notebook/alice/nb"


def policies(
    *contributors: tuple[str, str, str], owner: Owner | None = None, **settings: Any
) -> list[Policy]:
    profile = Profile(name="alice", uid="u", owner=owner or Owner(name=OWNER))
    bindings = tuple(
        (f"b-{number}", Binding(role=role, subjects=((kind, name),)))
        for number, (name, role, kind) in enumerate(contributors)
    )
    wanted = desired(
        profile, Facts(bindings=bindings), AuthzPoliciesSettings.model_validate(settings)
    ).objects
    return [one.content["spec"] for one in wanted]


DEFAULT = policies(*CONTRIBUTORS)


def user(name: str, *, by: str = GATEWAY, **fields: Any) -> Request:
    return Request(principal=by, headers={"kubeflow-userid": name}, **{"path": LAB, **fields})


def groups(text: str, *, by: str = GATEWAY) -> Request:
    headers = {"kubeflow-userid": STRANGER, "kubeflow-groups": text}
    return Request(principal=by, headers=headers, path=LAB)


COMES_IN: Mapping[str, tuple[Request, bool]] = {
    "the owner through the gateway": (user(OWNER), True),
    "the owner through the pipelines UI": (user(OWNER, by=PIPELINES_UI), True),
    "the owner, to write": (user(OWNER, method="PUT", path=f"{LAB}/api/contents/a"), True),
    "a contributor with edit": (user(EDITOR), True),
    "a contributor with admin": (user(ADMIN), True),
    "a contributor with view": (user(VIEWER), False),
    "a stranger through the gateway": (user(STRANGER), False),
    "nobody through the gateway": (Request(principal=GATEWAY, path=LAB), False),
    "an empty user through the gateway": (user(""), False),
    "the owner in other letters": (user(OWNER.upper()), False),
    "what begins with the owner's name": (user(f"{OWNER}.evil.org"), False),
    "what ends with the owner's name": (user(f"x{OWNER}"), False),
    "the owner's name forged by a neighbour's pod": (user(OWNER, by=NEIGHBOUR), False),
    "a contributor's name forged by a neighbour's pod": (user(EDITOR, by=NEIGHBOUR), False),
    "the owner's name forged without mTLS": (user(OWNER, by=""), False),
    "an account that has the gateway's name elsewhere": (user(OWNER, by=IMPOSTOR), False),
    "the culler with a forged owner": (user(OWNER, by=CULLER), False),
    "a group alone": (groups("analysts"), True),
    "a group first": (groups("analysts,staff,all"), True),
    "a group last": (groups("all,staff,analysts"), True),
    "a group in the middle, which Istio cannot see": (groups("all,analysts,staff"), False),
    "no such group": (groups("staff,all"), False),
    "a group whose name only begins so": (groups("analysts2,staff"), False),
    "a group whose name only ends so": (groups("staff,exanalysts"), False),
    "a group whose name holds another's, which the header cannot tell": (
        groups("x,analysts"),
        True,
    ),
    "a group forged by a neighbour's pod": (groups("analysts", by=NEIGHBOUR), False),
    "a group's name as a user": (user("analysts"), False),
    "a user's name as a group": (groups(EDITOR), False),
    "a pod of the namespace": (Request(principal=OWN_POD, path="/anything"), True),
    "a pod of another namespace": (Request(principal=NEIGHBOUR, path="/anything"), False),
    "a probe of anybody": (Request(path="/healthz"), True),
    "metrics for anybody": (Request(path="/metrics"), True),
    "Knative's drain": (Request(path="/wait-for-drain"), True),
    "metrics with a query": (Request(path="/metrics?name=x"), True),
    "what lies below a probe": (Request(path="/healthz/secrets"), False),
    "the culler asks for kernels": (
        Request(principal=CULLER, path=f"{LAB}/api/kernels"),
        True,
    ),
    "the culler asks for the status": (Request(principal=CULLER, path=f"{LAB}/api/status"), True),
    "the culler asks for a file": (Request(principal=CULLER, path=f"{LAB}/files/a"), False),
    "the culler starts a kernel": (
        Request(principal=CULLER, method="POST", path=f"{LAB}/api/kernels"),
        False,
    ),
    "a neighbour asks for kernels": (
        Request(principal=NEIGHBOUR, path=f"{LAB}/api/kernels"),
        False,
    ),
}


@pytest.mark.parametrize("case", COMES_IN)
@pytest.mark.parametrize("labels", [PROTECTED, UNCLASSIFIED, {}], ids=["b", "unclassified", "pod"])
def test_who_comes_in(case: str, labels: Mapping[str, str]) -> None:
    request, expected = COMES_IN[case]

    assert is_allowed(DEFAULT, request, labels) is expected


# method, path, whether it is a transfer
TRANSFERS = [
    ("POST", f"{LAB}/rstudio/upload", True),
    ("POST", f"{LAB}/rstudio/upload?a=b", True),
    ("GET", f"{LAB}/rstudio/export", True),
    ("GET", f"{LAB}/rstudio/export/", True),
    ("GET", f"{LAB}/rstudio/export/data.csv", True),
    ("GET", f"{LAB}/rstudio/export/deep/er/data.csv?name=x", True),
    ("GET", f"{LAB}/files/data.csv", True),
    ("GET", f"{LAB}/files/deep/er/data.csv?download=1", True),
    ("GET", f"{LAB}/files/a%3Db.csv", True),
    ("GET", f"{LAB}/files/a=b.csv", True),
    ("GET", f"{LAB}/files/a*b.csv", True),
    ("GET", f"{LAB}/files/a|b[1].csv", True),
    ("GET", f"{LAB}/nbconvert/html/work.ipynb", True),
    ("GET", f"{LAB}/nbconvert/pdf/a=b.ipynb", True),
    ("GET", "/notebook/alice/another/files/data.csv", True),
    ("POST", "/upload", True),
    ("GET", "/export", True),
    ("GET", "/export/data.csv", True),
    ("GET", f"{LAB}/api/contents/a*b.ipynb", True),  # no wildcard, but matches like one
    ("GET", LAB, False),
    ("GET", f"{LAB}/lab/tree/data.csv?file=a=b", False),
    ("PUT", f"{LAB}/api/contents/data.csv", False),
    ("GET", f"{LAB}/api/contents/year%3D2020/data.csv", False),
    ("POST", f"{LAB}/api/kernels", False),
    ("GET", f"{LAB}/rstudio/", False),
    ("GET", f"{LAB}/rstudio/exports", False),
    ("GET", "/notebook/bob/nb/files/data.csv", False),
    ("GET", "/static/app.js?v=1", False),
    ("POST", "/uploads", False),
]


@pytest.mark.parametrize(("method", "path", "transfer"), TRANSFERS)
def test_transfers_are_blocked_on_protected_b_pods_and_nowhere_else(
    method: str, path: str, *, transfer: bool
) -> None:
    for who in (OWNER, EDITOR):
        request = user(who, method=method, path=path)
        assert is_allowed(DEFAULT, request, PROTECTED) is not transfer
        assert is_allowed(DEFAULT, request, UNCLASSIFIED)
    inside = Request(principal=OWN_POD, method=method, path=path)
    assert is_allowed(DEFAULT, inside, PROTECTED) is not transfer


def test_rewritten_paths_are_blocked_only_where_that_is_wanted() -> None:
    without = policies(block_rewritten=False)

    assert is_allowed(without, user(OWNER, path="/export/a"), PROTECTED)
    assert not is_allowed(without, user(OWNER, path=f"{LAB}/files/a"), PROTECTED)


def test_without_the_guard_a_character_that_envoy_has_no_word_for_slips_past() -> None:
    without = policies(block_unmatchable=False)

    assert is_allowed(without, user(OWNER, path=f"{LAB}/files/a=b"), PROTECTED)
    assert not is_allowed(without, user(OWNER, path=f"{LAB}/files/ab"), PROTECTED)


def test_a_removed_contributor_is_denied() -> None:
    assert is_allowed(policies((EDITOR, "edit", "User")), user(EDITOR))
    assert not is_allowed(policies(), user(EDITOR))
    assert is_allowed(policies(), user(OWNER))


def test_a_removed_group_is_denied() -> None:
    assert not is_allowed(policies((EDITOR, "edit", "User")), groups("analysts"))


def test_view_comes_in_where_the_platform_says_so() -> None:
    rendered = policies(*CONTRIBUTORS, contributor_roles=["admin", "edit", "view"])

    assert is_allowed(rendered, user(VIEWER))


def test_an_owner_who_is_a_group_or_an_account_comes_in_as_one() -> None:
    group = policies(owner=Owner(kind="Group", name="staff"))
    account = policies(owner=Owner(kind="ServiceAccount", name="bot", namespace="ci"))

    assert is_allowed(group, groups("all,staff"))
    assert not is_allowed(group, user("staff"))
    assert is_allowed(account, user("system:serviceaccount:ci:bot"))
    assert not is_allowed(account, user("bot"))


@pytest.mark.parametrize("kind", ["User", "Group"])
@pytest.mark.parametrize("name", ["*", "*@example.ca", "owner*", "**", "*,*", ""])
def test_a_name_that_would_admit_others_admits_nobody(kind: str, name: str) -> None:
    for rendered in (
        policies((name, "edit", kind)),
        policies(owner=Owner(kind=kind, name=name)),
    ):
        assert not is_allowed(rendered, user(STRANGER))
        assert not is_allowed(rendered, user(""))
        assert not is_allowed(rendered, groups("a,b"))
        assert is_allowed(rendered, Request(principal=OWN_POD))


def test_a_group_with_a_comma_does_not_admit_the_members_of_two() -> None:
    rendered = policies(("all,staff", "edit", "Group"))

    assert not is_allowed(rendered, groups("all,staff"))
    assert not is_allowed(rendered, groups("all,staff,x"))


def test_the_header_and_its_prefix_are_as_configured() -> None:
    rendered = policies(user_header="x-goog-user", user_prefix="accounts.google.com:")
    headers = {"x-goog-user": f"accounts.google.com:{OWNER}"}

    assert is_allowed(rendered, Request(principal=GATEWAY, headers=headers))
    assert not is_allowed(rendered, Request(principal=GATEWAY, headers={"x-goog-user": OWNER}))
    assert not is_allowed(rendered, user(OWNER))


def test_only_the_insecure_setting_lets_every_pod_name_a_user() -> None:
    rendered = policies(trusted_principals=[], insecure_any_principal=True)

    assert is_allowed(rendered, user(OWNER, by=NEIGHBOUR))
    assert not is_allowed(rendered, user(STRANGER, by=NEIGHBOUR))


def test_the_insecure_setting_alone_lets_no_other_pod_name_a_user() -> None:
    assert not is_allowed(policies(insecure_any_principal=True), user(OWNER, by=NEIGHBOUR))


def test_without_a_notebook_controller_nobody_may_cull() -> None:
    rendered = policies(notebook_controller_principals=[])

    for principal in (CULLER, NEIGHBOUR, ""):
        request = Request(principal=principal, path=f"{LAB}/api/kernels")
        assert not is_allowed(rendered, request)


def test_without_the_access_policy_ours_lets_everybody_in() -> None:
    """Kubeflow's own policies are what is left then."""
    assert is_allowed(policies(owner_access=False), user(STRANGER, by=NEIGHBOUR), UNCLASSIFIED)


def test_a_waypoint_cannot_tell_pods_apart_and_blocks_transfers_for_all() -> None:
    rendered = policies(waypoint="waypoint")

    assert not is_allowed(rendered, user(OWNER, path=f"{LAB}/files/a"), UNCLASSIFIED)
    assert is_allowed(rendered, user(OWNER), UNCLASSIFIED)


# Beside what Kubeflow itself writes


def theirs(*contributors: tuple[str, str]) -> list[Policy]:
    """The specs of its profile-controller's policy of the owner, and of kfam's of contributors."""
    profile = kubeflow.profile_manifest("alice", owner=OWNER)
    owners = kubeflow.owner_policy({**profile, "metadata": {"name": "alice", "uid": "u"}})
    twins = [kubeflow.contributor_policy("alice", name, role) for name, role in contributors]
    return [dict(one["spec"]) for one in (owners, *twins)]


@pytest.mark.parametrize("case", COMES_IN)
def test_beside_kubeflows_policy_of_the_owner_the_same_come_in(case: str) -> None:
    request, expected = COMES_IN[case]

    assert is_allowed([*DEFAULT, *theirs()], request, UNCLASSIFIED) is expected


def test_whom_kfam_lets_in_comes_in_until_kfam_takes_that_back() -> None:
    """A contributor with `view` too: policies that allow are a union."""
    viewer, editor = user(VIEWER), user(EDITOR)
    both = theirs((VIEWER, "view"), (EDITOR, "edit"))

    assert is_allowed([*policies((EDITOR, "edit", "User")), *both], viewer)
    assert is_allowed([*policies(), *both], editor)
    assert not is_allowed([*policies(), *theirs()], editor)
    assert not is_allowed([*DEFAULT, *both], user(VIEWER, by=NEIGHBOUR))


@pytest.mark.parametrize(("method", "path", "transfer"), TRANSFERS)
def test_transfers_are_blocked_whatever_kubeflow_allows(
    method: str, path: str, *, transfer: bool
) -> None:
    beside = [*DEFAULT, *theirs((EDITOR, "edit"))]
    for who in (OWNER, EDITOR):
        request = user(who, method=method, path=path)
        assert is_allowed(beside, request, PROTECTED) is not transfer


def test_the_older_suites_policy_beside_ours_would_keep_the_header_forgeable() -> None:
    """Why it is taken over: what several policies allow is a union."""
    theirs: Policy = {"action": "ALLOW", "rules": [{"when": [kubeflow.header_condition(OWNER)]}]}
    forged = user(OWNER, by=NEIGHBOUR)

    assert is_allowed([*DEFAULT, theirs], forged)
    assert not is_allowed(DEFAULT, forged)
