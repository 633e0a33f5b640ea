"""The owner of a container, its retention, and the Secrets of storage accounts."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.blob_csi import names, observe
from controllers.blob_csi.accounts import ownership, retention, secrets
from controllers.blob_csi.accounts.ownership import (
    ContainerOwner,
    ContainerState,
    OwnershipMetadata,
)
from controllers.blob_csi.accounts.retention import RetentionState
from controllers.blob_csi.accounts.secrets import AccountKey, InvalidSecret
from controllers.blob_csi.facts import Unavailable
from tests.support import builders
from tests.support.azure import key_of

OWNER = ContainerOwner(profile="a-b", uid="uid-1", owner="jane", cluster="here")
NOW = datetime(2026, 1, 31, tzinfo=UTC)


def owner_with(**changes: Any) -> ContainerOwner:
    return dataclasses.replace(OWNER, **changes)


def metadata_with(**changes: Any) -> OwnershipMetadata:
    return dataclasses.replace(OWNER.metadata, **changes)


STATES = [
    (OWNER, metadata_with(), ContainerState.IN_SYNC),
    (OWNER, metadata_with(profile="a--b"), ContainerState.OWNED_BY_OTHER),
    (
        owner_with(accepts_former_data=True),
        metadata_with(profile="a--b"),
        ContainerState.OWNED_BY_OTHER,
    ),
    (owner_with(has_volume=True), metadata_with(profile="a--b"), ContainerState.OWNED_BY_OTHER),
    (OWNER, OwnershipMetadata(profile="a-b"), ContainerState.OUTDATED),
    (OWNER, metadata_with(uid="uid-0"), ContainerState.OUTDATED),
    (OWNER, metadata_with(uid="uid-0", gone=NOW), ContainerState.OUTDATED),
    (OWNER, metadata_with(gone=NOW), ContainerState.OUTDATED),
    (OWNER, metadata_with(owner="eve"), ContainerState.OUTDATED),
    (OWNER, metadata_with(cluster="there"), ContainerState.OUTDATED),
    (OWNER, metadata_with(uid="uid-0", owner="eve"), ContainerState.FORMER_OWNER),
    (OWNER, metadata_with(uid="uid-0", owner=""), ContainerState.FORMER_OWNER),
    (
        owner_with(has_volume=True),
        metadata_with(uid="uid-0", owner="eve", gone=NOW),
        ContainerState.FORMER_OWNER,
    ),
    (
        owner_with(accepts_former_data=True),
        metadata_with(uid="uid-0", owner="eve"),
        ContainerState.OUTDATED,
    ),
    (OWNER, None, ContainerState.ADOPTABLE),
    (owner_with(name_conflicts=("a--b",)), None, ContainerState.NAME_CONFLICT),
    (owner_with(name_conflicts=("a--b",), has_volume=True), None, ContainerState.NAME_CONFLICT),
    (owner_with(adopt_by_name=False), None, ContainerState.OWNER_UNKNOWN),
    (owner_with(adopt_by_name=False, has_volume=True), None, ContainerState.ADOPTABLE),
    (owner_with(profile="a--b"), None, ContainerState.OWNER_UNKNOWN),
    (owner_with(profile="a--b", has_volume=True), None, ContainerState.ADOPTABLE),
    (owner_with(profile="a--b", accepts_former_data=True), None, ContainerState.OWNER_UNKNOWN),
]


@pytest.mark.parametrize(("owner", "observed", "expected"), STATES)
def test_the_state_follows_from_the_metadata_and_the_facts(
    owner: ContainerOwner, observed: OwnershipMetadata | None, expected: ContainerState
) -> None:
    assert expected is ownership.determine_state(owner, observed, exists=True)


def test_every_state_is_covered() -> None:
    assert {*ContainerState} - {ContainerState.MISSING} == {expected for *_, expected in STATES}
    assert ContainerState.MISSING is ownership.determine_state(OWNER, None, exists=False)


@pytest.mark.parametrize("state", sorted(ownership.REFUSED, key=str))
def test_each_refusal_names_the_container_the_account_and_what_to_do(
    state: ContainerState,
) -> None:
    owner = owner_with(name_conflicts=("a--b",))
    unavailable = ownership.refusal(
        state, owner, metadata_with(profile="a--b"), account="acc", owner_exists=True
    )
    assert unavailable.retry_after is None
    assert "container 'a-b' of storage account acc" in unavailable.message
    assert any(text in unavailable.message for text in ("choose", "set its metadata", "annotate"))


def test_a_refusal_states_whether_the_other_profile_still_exists() -> None:
    other = metadata_with(profile="a--b")
    live, gone = (
        ownership.refusal(
            ContainerState.OWNED_BY_OTHER, OWNER, other, account="acc", owner_exists=exists
        ).message
        for exists in (True, False)
    )
    assert "is owned by profile a--b; choose another name" in live
    assert "set its metadata" not in live
    assert "which no longer exists" in gone
    assert "set its metadata to profile=a-b" in gone


def test_a_refusal_does_not_reveal_another_owner() -> None:
    unavailable = ownership.refusal(
        ContainerState.FORMER_OWNER,
        OWNER,
        metadata_with(uid="uid-0", owner="eve"),
        account="acc",
        owner_exists=True,
    )
    assert "eve" not in unavailable.message


_TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
_TIMES = st.none() | st.datetimes(
    datetime(2000, 1, 1),  # noqa: DTZ001 - a bound
    datetime(2100, 1, 1),  # noqa: DTZ001 - a bound
    timezones=st.just(UTC),
).map(lambda time: time.replace(microsecond=0))


@given(_TEXT, _TEXT, _TEXT, _TEXT, _TIMES)
def test_metadata_is_parsed_as_written_and_other_keys_stay(
    profile: str, uid: str, owner: str, cluster: str, gone: datetime | None
) -> None:
    written = OwnershipMetadata(profile=profile, uid=uid, owner=owner, cluster=cluster, gone=gone)
    others = {"Team": "x", "PROFILE": "somebody", "profilegone": "2020-01-01T00:00:00+00:00"}
    metadata = written.to_metadata(others)
    assert written == ownership.parse_metadata(metadata)
    assert "x" == metadata["Team"]
    assert "PROFILE" not in metadata


@given(st.dictionaries(st.sampled_from(["profile", "profileuid", "profilegone", "x"]), st.text()))
def test_any_metadata_is_parsed_without_an_error(metadata: dict[str, str]) -> None:
    observed = ownership.parse_metadata(metadata)
    assert (observed is None) is (not metadata.get("profile"))
    ownership.determine_state(OWNER, observed, exists=True)


def test_metadata_may_have_the_profile_alone() -> None:
    assert OwnershipMetadata(profile="a-b") == ownership.parse_metadata({"Profile": "a-b"})
    assert ownership.parse_metadata({}) is None
    assert ownership.parse_metadata(None) is None


def test_the_digests_of_owners_differ_and_contain_no_name() -> None:
    jane, eve = (
        ownership.owner_digest(builders.profile(owner=name))
        for name in ("jane.doe@example.ca", "eve@example.ca")
    )
    assert jane != eve
    assert "jane" not in jane
    assert jane == ownership.owner_digest(builders.profile("b", owner="jane.doe@example.ca"))


def test_name_conflicts_are_the_other_profiles_with_the_same_container_name() -> None:
    index = ownership.ContainerNameIndex()
    profiles = frozenset({"a-b", "a--b", "a---b", "c"})
    assert ("a---b", "a--b") == index.conflicts("a-b", profiles)
    assert () == index.conflicts("c", profiles)
    assert ("a-b",) == index.conflicts("a--b", frozenset({"a-b", "a--b"}))


# -- retention -----------------------------------------------------------------------------------


def retention_of(
    observed: OwnershipMetadata | None, name: str = "a-b", *, gone: bool = True, days: float = 30
) -> RetentionState:
    return retention.determine_retention(
        name,
        observed,
        cluster="here",
        profile_gone=lambda _name, _uid: gone,
        now=NOW,
        delay=timedelta(days=days),
    )


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (None, RetentionState.IN_USE),
        (OwnershipMetadata(profile="a-b"), RetentionState.IN_USE),
        (metadata_with(cluster="there"), RetentionState.IN_USE),
        (metadata_with(cluster=""), RetentionState.IN_USE),
        (metadata_with(profile="c"), RetentionState.IN_USE),
        (metadata_with(), RetentionState.ORPHANED),
        (metadata_with(gone=NOW), RetentionState.RETAINED),
        (metadata_with(gone=NOW + timedelta(days=1)), RetentionState.RETAINED),
        (metadata_with(gone=NOW - timedelta(days=29, hours=23)), RetentionState.RETAINED),
        (metadata_with(gone=NOW - timedelta(days=30)), RetentionState.EXPIRED),
    ],
)
def test_only_an_owned_container_of_this_cluster_is_deleted_and_only_after_the_delay(
    observed: OwnershipMetadata | None, expected: RetentionState
) -> None:
    assert expected is retention_of(observed)


@pytest.mark.parametrize(
    "observed", [metadata_with(), metadata_with(gone=NOW - timedelta(days=99))]
)
def test_the_container_of_a_profile_that_may_exist_is_retained(observed: OwnershipMetadata) -> None:
    assert RetentionState.IN_USE is retention_of(observed, gone=False)


def test_an_invalid_time_restarts_the_delay() -> None:
    observed = ownership.parse_metadata(
        {**metadata_with().to_metadata(), "profilegone": "yesterday"}
    )
    assert RetentionState.ORPHANED is retention_of(observed)


# -- secrets ------------------------------------------------------------------------------------


def secret(**data: str) -> dict[str, Any]:
    return builders.secret_body("azure-secret", names.AZURE_NAMESPACE, data)


def test_a_secret_holds_an_account_and_its_key() -> None:
    body = secret(azurestorageaccountname="goodaccount\n", azurestorageaccountkey=key_of("x"))
    found = secrets.parse_secret(body)
    assert AccountKey(account="goodaccount", key=key_of("x")) == found
    assert key_of("x") not in repr(found)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"azurestorageaccountname": "acc7"},
        {"azurestorageaccountkey": key_of("x")},
        {"azurestorageaccountname": "", "azurestorageaccountkey": key_of("x")},
        {"azurestorageaccountname": "evil.example/?", "azurestorageaccountkey": key_of("x")},
        {"azurestorageaccountname": key_of("x"), "azurestorageaccountkey": "acc7"},
        {"azurestorageaccountname": "acc7", "azurestorageaccountkey": "n:o base64"},
    ],
)
def test_the_error_of_an_invalid_secret_quotes_no_value(data: dict[str, str]) -> None:
    found = secrets.parse_secret(secret(**data))
    assert isinstance(found, InvalidSecret)
    assert "azurestorageaccount" in found.message
    for value in filter(None, data.values()):
        assert value not in found.message


def test_a_secret_that_is_not_base64_text_is_invalid() -> None:
    body = secret()
    body["data"] = {"azurestorageaccountname": "/w==", "azurestorageaccountkey": "!"}
    assert isinstance(secrets.parse_secret(body), InvalidSecret)


# -- waiting ---------------------------------------------------------------------------------


def test_a_reconcile_waits_for_the_account_that_is_retried_first() -> None:
    down = Unavailable(reason="Down", message="one", retry_after=9.0)
    rejected = Unavailable(reason="Rejected", message="two", retry_after=3.0, action_required=True)
    refused = ownership.refusal(
        ContainerState.OWNED_BY_OTHER, OWNER, None, account="acc", owner_exists=False
    )
    error = observe.waiting([down, down, refused, rejected])
    assert error is not None
    assert ("one; two", 3.0, True) == (error.message, error.after, error.warn)
    assert observe.waiting([refused]) is None
    assert observe.waiting([]) is None
