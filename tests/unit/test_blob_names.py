"""The names that the blob-csi controller gives to containers, volumes and claims."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.blob_csi import names

PROFILES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


@pytest.mark.parametrize(
    ("profile", "container"),
    [
        ("alice", "alice"),
        ("jane-doe", "jane-doe"),
        ("a--b", "a-b"),
        ("a-----b", "a-b"),
        ("Jane.Doe", "janedoe"),
        ("-x-", "a-xa"),
        ("a", "aaa"),
        ("ab", "aba"),
        ("a-", "aaa"),
        ("x" * 70, "x" * 63),
        ("x" * 62 + "-yz", "x" * 62 + "a"),
        ("éa", "aaa"),
        ("", None),
        ("--", None),
        ("._é", None),
    ],
)
def test_a_profile_has_this_container(profile: str, container: str | None) -> None:
    assert container == names.container_name(profile)


@given(PROFILES)
def test_each_profile_has_a_container_that_azure_takes(profile: str) -> None:
    container = names.container_name(profile)
    assert container is not None
    assert names.is_container(container)


@given(st.text())
def test_whatever_the_name_there_is_a_valid_container_or_none(profile: str) -> None:
    container = names.container_name(profile)
    assert container is None or names.is_container(container)


@given(PROFILES.filter(lambda name: len(name) >= 3 and "--" not in name))
def test_an_ordinary_name_needs_no_change(profile: str) -> None:
    assert profile == names.container_name(profile)


@pytest.mark.parametrize(
    "text", ["ab", "a--b", "-ab", "ab-", "ABC", "a.b", "x" * 64, "", "a b", "abc\n"]
)
def test_azure_takes_no_such_container(text: str) -> None:
    assert not names.is_container(text)


def test_volumes_and_claims_are_called_as_the_older_suite_called_them() -> None:
    assert "alice-standard" == names.platform_volume("alice", "standard")
    assert "standard" == names.platform_claim("standard")
    assert "alice-fdi-protected-b-test-iprotb" == names.shared_volume(
        "alice", "protected-b", "Test-iprotb"
    )
    assert "fdi-test-iprotb-protected-b" == names.shared_claim("protected-b", "test-iprotb")


def test_a_bucket_without_a_name_is_called_by_its_key() -> None:
    assert "bucket101" == names.derived_volume("bucket101")
    assert "bucket-sub-dir-2" == names.derived_volume("bucket/Sub/dir_2/")


def test_a_principal_is_looked_up_as_its_variable_spells_it() -> None:
    assert "PV_INTERNAL_DEV_SP" == names.principal_key("pv-internal-dev-sp")
    assert "pv-internal-dev-sp-secret" == names.principal_secret("pv-internal-dev-sp")


def test_an_older_suites_volumes_are_known_by_their_label() -> None:
    assert names.is_legacy_volume({"labels": {"kubeflow-profile": "alice"}})
    for labels in (None, {}, {"blob.aaw.statcan.gc.ca/automount": "true"}):
        assert not names.is_legacy_volume({"labels": labels})


def test_an_older_suites_claims_are_known_by_their_label() -> None:
    assert names.is_legacy_claim({"labels": {"blob.aaw.statcan.gc.ca/automount": "true"}})
    for labels in (None, {}, {"blob.aaw.statcan.gc.ca/automount": "false"}):
        assert not names.is_legacy_claim({"labels": labels})
