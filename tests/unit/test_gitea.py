"""The gitea controller without a cluster and without a server: objects, names, labels."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.gitea import desired, names
from controllers.gitea.config import GiteaSettings
from controllers.gitea.postgres import accounts
from controllers.gitea.postgres.accounts import Account
from controllers.manifests import Body, Manifest
from controllers.profiles import read_boolean
from tests.support.builders import inputs

LABEL = "sourcecontrol.statcan.gc.ca/enabled"
ACCOUNT = Account(user="gitea_team_a", password="p" * 43)
APPLICATION = desired.Application(destination="team-a")
KINDS = ("Application", "Secret", "ConfigMap", "ServiceEntry", "VirtualService")


def settings(**changes: Any) -> GiteaSettings:
    fields = {
        "classification": "unclassified",
        "psql_hostname": "postgres.example.ca",
        "psql_admin_uname": "admin",
        "psql_admin_passwd": "a-secret",
        "argocd_source_repo_url": "https://git.example.ca/manifests.git",
        "argocd_source_target_revision": "main",
        **changes,
    }
    return GiteaSettings.model_validate(fields)


def facts(**changes: Any) -> desired.Facts:
    return desired.Facts(**{"account": ACCOUNT, **changes})


def wanted(
    label: str | None = "true", known: desired.Facts | None = None, **changes: Any
) -> Sequence[Manifest]:
    profile = inputs.profile(labels={} if label is None else {LABEL: label})
    return desired.desired(profile, known or facts(), settings(**changes)).objects


def kinds(manifests: Sequence[Manifest]) -> list[str]:
    return sorted(one.kind for one in manifests)


def bodies(manifests: Sequence[Manifest], classification: str) -> list[Body]:
    component = f"gitea-{classification}"
    return inputs.bodies(manifests, inputs.profile(), component=component)


@pytest.mark.parametrize("classification", names.CLASSIFICATIONS)
def test_the_objects_are_those_of_the_golden_file(classification: str) -> None:
    manifests = wanted(classification=classification)

    assert inputs.golden("gitea", classification) == bodies(manifests, classification)


def test_protected_b_has_no_virtual_service() -> None:
    assert "VirtualService" not in kinds(wanted(classification="protected-b"))
    assert sorted(KINDS) == kinds(wanted())


def test_automated_sync_is_a_setting() -> None:
    (application, *_) = wanted(argocd_automated=True)
    policy = {"automated": {"prune": True, "selfHeal": True}}
    assert policy == application.content["spec"]["syncPolicy"]


def test_no_object_but_the_secret_holds_a_password() -> None:
    for classification in names.CLASSIFICATIONS:
        for body in bodies(wanted(classification=classification), classification):
            assert body["kind"] == "Secret" or ACCOUNT.password not in str(body)
            assert "a-secret" not in str(body)
    assert ACCOUNT.password not in repr(facts())


# The Secret


def secret_of(manifests: Sequence[Manifest]) -> Manifest:
    (found,) = (one for one in manifests if one.kind == "Secret")
    return found


def test_a_secret_reads_as_it_was_written() -> None:
    data = secret_of(wanted()).content["data"]
    assert ACCOUNT == accounts.parse(data, "database")


def test_without_an_account_that_works_the_secret_is_left_alone() -> None:
    left = secret_of(wanted(known=facts(account=None)))
    assert (True, True) == (left.create_only, left.update_only)


@given(st.dictionaries(st.sampled_from(["database", "other"]), st.text()))
def test_any_secret_is_read_without_a_crash(data: Mapping[str, str]) -> None:
    accounts.parse(data, "database")


@given(st.binary())
def test_what_is_read_of_a_secret_is_one_line(content: bytes) -> None:
    for start in (b"", b"USER=u\nPASSWD="):
        encoded = base64.b64encode(start + content).decode()
        account = accounts.parse({"database": encoded}, "database")
        if account is not None:
            text = accounts.lines(account, database="d", host="h:1", ssl_mode="require")
            assert 6 == len(text.splitlines())


# In and out


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "TRUE", "True"])
def test_every_true_opts_in(text: str) -> None:
    assert sorted(KINDS) == kinds(wanted(text))


@given(st.text(max_size=63))
def test_any_label_gives_objects_and_a_wrong_one_is_told(text: str) -> None:
    profile = inputs.profile(labels={LABEL: text})
    manifests = desired.desired(profile, facts(), settings()).objects
    told = desired.desired(profile, facts(), settings()).findings

    assert (read_boolean(text) is None) == any(one.reason == "InvalidOptIn" for one in told)
    assert all(one.update_only for one in manifests) is (read_boolean(text) is not True)


@pytest.mark.parametrize("opt_out", ["keep", "stop", "detach"])
@pytest.mark.parametrize("label", [None, "false"])
def test_a_profile_that_never_opted_in_gets_nothing_and_loses_an_older_suites_route(
    opt_out: str, label: str | None
) -> None:
    manifests = wanted(label, facts(account=None), opt_out=opt_out)

    assert all(one.update_only for one in manifests)
    assert "VirtualService" not in kinds(manifests)


def test_keep_removes_nothing_and_says_so() -> None:
    known = facts(application=APPLICATION)
    profile = inputs.profile()
    manifests = wanted(None, known)

    assert sorted(KINDS) == kinds(manifests)
    assert all(one.update_only for one in manifests)
    assert ["OptedOut"] == [
        one.reason for one in desired.desired(profile, known, settings()).findings
    ]


@pytest.mark.parametrize(("opt_out", "before"), [("stop", False), ("detach", True)])
def test_the_application_is_made_ready_before_it_goes(opt_out: str, before: bool) -> None:  # noqa: FBT001
    known = facts(application=desired.Application(destination="team-a", finalizer=before))
    ready = facts(application=desired.Application(destination="team-a", finalizer=not before))
    (application,) = (
        one for one in wanted("false", known, opt_out=opt_out) if one.kind == "Application"
    )

    assert {names.FINALIZER: not before} == application.finalizers
    assert "Application" not in kinds(wanted("false", ready, opt_out=opt_out))
    assert desired.leaving(inputs.profile(), known, settings(opt_out=opt_out))
    assert not desired.leaving(inputs.profile(), ready, settings(opt_out=opt_out))


def test_stop_leaves_the_secret_and_detach_all_that_gitea_needs() -> None:
    gone = facts(application=None, route=True)

    assert ["Secret"] == kinds(wanted("false", gone, opt_out="stop"))
    left = kinds(wanted("false", gone, opt_out="detach"))
    assert ["ConfigMap", "Secret", "ServiceEntry", "VirtualService"] == left


def test_a_wrong_label_stops_nothing() -> None:
    known = facts(application=APPLICATION, route=True)

    assert sorted(KINDS) == kinds(wanted("ture", known, opt_out="stop"))


def test_an_application_is_adopted_only_where_it_deploys_here() -> None:
    for destination, adoptable in (("team-a", True), ("team-b", False)):
        known = facts(application=desired.Application(destination=destination))
        assert adoptable is wanted(known=known)[0].adoptable


# Names

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


@given(NAMES, NAMES)
def test_no_two_profiles_share_an_identifier(one: str, other: str) -> None:
    assert (one == other) is (names.identifier(one) == names.identifier(other))
    assert 63 >= len(names.identifier(one))


@given(NAMES)
def test_an_application_tells_its_profile(profile: str) -> None:
    for classification in names.CLASSIFICATIONS:
        name = names.application(profile, classification)
        assert profile == names.profile_of(name, classification)
    assert names.profile_of(names.application(profile, "unclassified"), "protected-b") is None
