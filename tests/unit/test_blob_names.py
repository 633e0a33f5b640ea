"""The names of containers, volumes and claims of blob-csi."""

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
def test_the_container_name_of_a_profile(profile: str, container: str | None) -> None:
    assert container == names.container_name(profile)


@given(PROFILES)
def test_each_profile_name_has_a_valid_container_name(profile: str) -> None:
    container = names.container_name(profile)
    assert container is not None
    assert names.is_container(container)


@given(st.text())
def test_any_text_has_a_valid_container_name_or_none(profile: str) -> None:
    container = names.container_name(profile)
    assert container is None or names.is_container(container)


@given(PROFILES.filter(lambda name: len(name) >= 3 and "--" not in name))
def test_an_ordinary_profile_name_is_its_container_name(profile: str) -> None:
    assert profile == names.container_name(profile)


@pytest.mark.parametrize(
    "text", ["ab", "a--b", "-ab", "ab-", "ABC", "a.b", "x" * 64, "", "a b", "abc\n"]
)
def test_these_container_names_are_invalid(text: str) -> None:
    assert not names.is_container(text)


def test_volumes_and_claims_have_the_names_of_the_older_suite() -> None:
    assert "alice-standard" == names.platform_volume_name("alice", "standard")
    assert "standard" == names.platform_claim_name("standard")
    assert "alice-fdi-protected-b-test-iprotb" == names.shared_volume_name(
        "alice", "protected-b", "Test-iprotb"
    )
    assert "fdi-test-iprotb-protected-b" == names.shared_claim_name("protected-b", "test-iprotb")


def test_a_bucket_without_a_name_takes_its_key() -> None:
    assert "bucket101" == names.default_volume_name("bucket101")
    assert "bucket-sub-dir-2" == names.default_volume_name("bucket/Sub/dir_2/")


def test_a_service_principal_has_a_variable_and_a_secret() -> None:
    assert "PV_INTERNAL_DEV_SP" == names.client_id_key("pv-internal-dev-sp")
    assert "pv-internal-dev-sp-secret" == names.principal_secret_name("pv-internal-dev-sp")


def test_legacy_volumes_have_the_profile_label() -> None:
    assert names.is_legacy_volume({"labels": {"kubeflow-profile": "alice"}})
    for labels in (None, {}, {"blob.aaw.statcan.gc.ca/automount": "true"}):
        assert not names.is_legacy_volume({"labels": labels})


def test_legacy_claims_have_the_automount_label() -> None:
    assert names.is_legacy_claim({"labels": {"blob.aaw.statcan.gc.ca/automount": "true"}})
    for labels in (None, {}, {"blob.aaw.statcan.gc.ca/automount": "false"}):
        assert not names.is_legacy_claim({"labels": labels})
