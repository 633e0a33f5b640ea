"""The objects, names and labels of the gitea controller, without a cluster or a server."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.gitea import desired, names
from controllers.gitea.config import GiteaSettings
from controllers.gitea.postgres import accounts
from controllers.gitea.postgres.accounts import DatabaseCredentials
from controllers.manifests import Body, Manifest
from controllers.profiles import parse_bool
from tests.support import builders

LABEL = "sourcecontrol.statcan.gc.ca/enabled"
CREDENTIALS = DatabaseCredentials(user="gitea_alice", password="p" * 43)
APPLICATION = desired.ObservedApplication(destination="alice")
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
    return desired.Facts(**{"credentials": CREDENTIALS, **changes})


def desired_manifests(
    label: str | None = "true", observed: desired.Facts | None = None, **changes: Any
) -> Sequence[Manifest]:
    profile = builders.profile(labels={} if label is None else {LABEL: label})
    return desired.desired(profile, observed or facts(), settings(**changes)).objects


def kinds(manifests: Sequence[Manifest]) -> list[str]:
    return sorted(one.kind for one in manifests)


def bodies(manifests: Sequence[Manifest], classification: str) -> list[Body]:
    component = f"gitea-{classification}"
    return builders.bodies(manifests, builders.profile(), component=component)


@pytest.mark.parametrize("classification", names.CLASSIFICATIONS)
def test_the_objects_match_the_golden_file(classification: str) -> None:
    manifests = desired_manifests(classification=classification)

    assert builders.golden("gitea", classification) == bodies(manifests, classification)


def test_protected_b_has_no_virtual_service() -> None:
    assert "VirtualService" not in kinds(desired_manifests(classification="protected-b"))
    assert sorted(KINDS) == kinds(desired_manifests())


def test_automated_sync_is_a_setting() -> None:
    (application, *_) = desired_manifests(argocd_automated=True)
    policy = {"automated": {"prune": True, "selfHeal": True}}
    assert policy == application.content["spec"]["syncPolicy"]


def test_only_the_secret_contains_a_password() -> None:
    for classification in names.CLASSIFICATIONS:
        for body in bodies(desired_manifests(classification=classification), classification):
            assert body["kind"] == "Secret" or CREDENTIALS.password not in str(body)
            assert "a-secret" not in str(body)
    assert CREDENTIALS.password not in repr(facts())


# The Secret


def secret_of(manifests: Sequence[Manifest]) -> Manifest:
    (found,) = (one for one in manifests if one.kind == "Secret")
    return found


def test_parsing_a_secret_returns_the_credentials_that_were_written() -> None:
    data = secret_of(desired_manifests()).content["data"]
    assert CREDENTIALS == accounts.parse_secret(data, "database")


def test_without_working_credentials_the_secret_is_not_changed() -> None:
    secret = secret_of(desired_manifests(observed=facts(credentials=None)))
    assert (True, True) == (secret.create_only, secret.update_only)


@given(st.dictionaries(st.sampled_from(["database", "other"]), st.text()))
def test_parsing_any_secret_raises_no_error(data: Mapping[str, str]) -> None:
    accounts.parse_secret(data, "database")


@given(st.binary())
def test_parsed_credentials_contain_no_line_break(content: bytes) -> None:
    for start in (b"", b"USER=u\nPASSWD="):
        encoded = base64.b64encode(start + content).decode()
        credentials = accounts.parse_secret({"database": encoded}, "database")
        if credentials is not None:
            text = accounts.gitea_settings(
                credentials, database="d", host="h:1", ssl_mode="require"
            )
            assert 6 == len(text.splitlines())


# Opting in and out


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "TRUE", "True"])
def test_every_true_boolean_opts_in(text: str) -> None:
    assert sorted(KINDS) == kinds(desired_manifests(text))


@given(st.text(max_size=63))
def test_every_label_value_returns_objects_and_an_invalid_one_a_finding(text: str) -> None:
    profile = builders.profile(labels={LABEL: text})
    manifests = desired.desired(profile, facts(), settings()).objects
    findings = desired.desired(profile, facts(), settings()).findings

    assert (parse_bool(text) is None) == any(one.reason == "InvalidOptIn" for one in findings)
    assert all(one.update_only for one in manifests) is (parse_bool(text) is not True)


@pytest.mark.parametrize("opt_out", ["keep", "stop", "detach"])
@pytest.mark.parametrize("label", [None, "false"])
def test_a_profile_that_never_opted_in_gets_no_object_and_no_legacy_virtual_service(
    opt_out: str, label: str | None
) -> None:
    manifests = desired_manifests(label, facts(credentials=None), opt_out=opt_out)

    assert all(one.update_only for one in manifests)
    assert "VirtualService" not in kinds(manifests)


def test_keep_removes_no_object_and_reports_opted_out() -> None:
    observed = facts(application=APPLICATION)
    profile = builders.profile()
    manifests = desired_manifests(None, observed)

    assert sorted(KINDS) == kinds(manifests)
    assert all(one.update_only for one in manifests)
    assert ["OptedOut"] == [
        one.reason for one in desired.desired(profile, observed, settings()).findings
    ]


@pytest.mark.parametrize(("opt_out", "before"), [("stop", False), ("detach", True)])
def test_the_finalizer_of_the_application_is_corrected_before_its_removal(
    opt_out: str,
    before: bool,  # noqa: FBT001
) -> None:
    observed = facts(
        application=desired.ObservedApplication(destination="alice", has_finalizer=before)
    )
    ready = facts(
        application=desired.ObservedApplication(destination="alice", has_finalizer=not before)
    )
    (application,) = (
        one
        for one in desired_manifests("false", observed, opt_out=opt_out)
        if one.kind == "Application"
    )

    assert {names.FINALIZER: not before} == application.finalizers
    assert "Application" not in kinds(desired_manifests("false", ready, opt_out=opt_out))
    assert desired.finalizer_is_wrong(builders.profile(), observed, settings(opt_out=opt_out))
    assert not desired.finalizer_is_wrong(builders.profile(), ready, settings(opt_out=opt_out))


def test_stop_retains_the_secret_and_detach_all_objects_that_gitea_needs() -> None:
    removed = facts(application=None, has_virtual_service=True)

    assert ["Secret"] == kinds(desired_manifests("false", removed, opt_out="stop"))
    retained = kinds(desired_manifests("false", removed, opt_out="detach"))
    assert ["ConfigMap", "Secret", "ServiceEntry", "VirtualService"] == retained


def test_an_invalid_label_does_not_stop_gitea() -> None:
    observed = facts(application=APPLICATION, has_virtual_service=True)

    assert sorted(KINDS) == kinds(desired_manifests("ture", observed, opt_out="stop"))


def test_an_application_is_adopted_only_if_it_deploys_to_the_profile() -> None:
    for destination, adoptable in (("alice", True), ("bob", False)):
        observed = facts(application=desired.ObservedApplication(destination=destination))
        assert adoptable is desired_manifests(observed=observed)[0].adoptable


# Names

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


@given(NAMES, NAMES)
def test_two_profiles_never_share_a_database_name(one: str, other: str) -> None:
    assert (one == other) is (names.database(one) == names.database(other))
    assert 63 >= len(names.database(one))


@given(NAMES)
def test_the_name_of_an_application_identifies_its_profile(profile: str) -> None:
    for classification in names.CLASSIFICATIONS:
        name = names.application(profile, classification)
        assert profile == names.profile_of(name, classification)
    assert names.profile_of(names.application(profile, "unclassified"), "protected-b") is None
