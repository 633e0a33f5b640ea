"""Whose a container is: pure."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.blob_csi import names
from controllers.blob_csi.accounts import ownership, retention, secrets
from controllers.blob_csi.accounts.ownership import Mark, State, Tenant
from controllers.blob_csi.accounts.retention import Fate
from controllers.blob_csi.accounts.secrets import AccountKey, Unusable
from controllers.blob_csi.accounts.troubles import AccountError, Breaker, SparedError, waiting
from tests.support.azure import key_of
from tests.support.builders import inputs, live_objects

TENANT = Tenant(profile="a-b", uid="uid-1", owner="jane", cluster="here")
NOW = datetime(2026, 1, 31, tzinfo=UTC)


def tenant(**changes: Any) -> Tenant:
    return dataclasses.replace(TENANT, **changes)


def mark(**changes: Any) -> Mark:
    return dataclasses.replace(TENANT.mark, **changes)


STATES = [
    (TENANT, mark(), State.WELL),
    (TENANT, mark(profile="a--b"), State.FOREIGN),
    (tenant(accepts=True), mark(profile="a--b"), State.FOREIGN),
    (tenant(pointed=True), mark(profile="a--b"), State.FOREIGN),
    (TENANT, Mark(profile="a-b"), State.STALE),
    (TENANT, mark(uid="uid-0"), State.STALE),
    (TENANT, mark(uid="uid-0", gone=NOW), State.STALE),
    (TENANT, mark(gone=NOW), State.STALE),
    (TENANT, mark(owner="eve"), State.STALE),
    (TENANT, mark(cluster="there"), State.STALE),
    (TENANT, mark(uid="uid-0", owner="eve"), State.FORMER),
    (TENANT, mark(uid="uid-0", owner=""), State.FORMER),
    (tenant(pointed=True), mark(uid="uid-0", owner="eve", gone=NOW), State.FORMER),
    (tenant(accepts=True), mark(uid="uid-0", owner="eve"), State.STALE),
    (TENANT, None, State.UNMARKED),
    (tenant(rivals=("a--b",)), None, State.CONTESTED),
    (tenant(rivals=("a--b",), pointed=True), None, State.CONTESTED),
    (tenant(by_name=False), None, State.UNPROVEN),
    (tenant(by_name=False, pointed=True), None, State.UNMARKED),
    (tenant(profile="a--b"), None, State.UNPROVEN),
    (tenant(profile="a--b", pointed=True), None, State.UNMARKED),
    (tenant(profile="a--b", accepts=True), None, State.UNPROVEN),
]


@pytest.mark.parametrize(("who", "seen", "expected"), STATES)
def test_the_state_follows_from_the_mark_and_what_is_known(
    who: Tenant, seen: Mark | None, expected: State
) -> None:
    assert expected is ownership.determine_state(who, seen, exists=True)


def test_every_state_is_covered() -> None:
    assert {*State} - {State.ABSENT} == {expected for *_, expected in STATES}
    assert State.ABSENT is ownership.determine_state(TENANT, None, exists=False)


@pytest.mark.parametrize("state", sorted(ownership.REFUSED, key=str))
def test_each_refusal_names_the_container_the_account_and_what_would_be_right(
    state: State,
) -> None:
    who = tenant(rivals=("a--b",))
    said = ownership.refusal(state, who, mark(profile="a--b"), account="acc", is_live=True)
    assert said.after is None
    assert "container 'a-b' of storage account acc" in said.message
    assert any(word in said.message for word in ("expected", "set its metadata", "annotate"))


def test_who_is_refused_is_told_whether_the_other_is_still_there() -> None:
    other = mark(profile="a--b")
    live, gone = (
        ownership.refusal(State.FOREIGN, TENANT, other, account="acc", is_live=there).message
        for there in (True, False)
    )
    assert "is that of profile a--b: expected another name" in live
    assert "set its metadata" not in live
    assert "which is gone" in gone
    assert "set its metadata profile=a-b" in gone


def test_who_is_refused_is_told_nothing_of_another_owner() -> None:
    said = ownership.refusal(
        State.FORMER, TENANT, mark(uid="uid-0", owner="eve"), account="acc", is_live=True
    )
    assert "eve" not in said.message


_TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
_MOMENTS = st.none() | st.datetimes(
    datetime(2000, 1, 1),  # noqa: DTZ001 - a bound
    datetime(2100, 1, 1),  # noqa: DTZ001 - a bound
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(microsecond=0))


@given(_TEXT, _TEXT, _TEXT, _TEXT, _MOMENTS)
def test_a_mark_is_read_as_it_was_written_and_keeps_what_others_wrote(
    profile: str, uid: str, owner: str, cluster: str, gone: datetime | None
) -> None:
    written = Mark(profile=profile, uid=uid, owner=owner, cluster=cluster, gone=gone)
    others = {"Team": "x", "PROFILE": "somebody", "profilegone": "2020-01-01T00:00:00+00:00"}
    metadata = written.metadata(others)
    assert written == ownership.mark_of(metadata)
    assert "x" == metadata["Team"]
    assert "PROFILE" not in metadata


@given(st.dictionaries(st.sampled_from(["profile", "profileuid", "profilegone", "x"]), st.text()))
def test_whatever_stands_in_the_metadata_is_read_without_an_error(metadata: dict[str, str]) -> None:
    seen = ownership.mark_of(metadata)
    assert (seen is None) is (not metadata.get("profile"))
    ownership.determine_state(TENANT, seen, exists=True)


def test_a_mark_of_the_older_kind_says_the_profile_alone() -> None:
    assert Mark(profile="a-b") == ownership.mark_of({"Profile": "a-b"})
    assert ownership.mark_of({}) is None
    assert ownership.mark_of(None) is None


def test_owners_are_told_apart_and_not_named() -> None:
    jane, eve = (
        ownership.owner_digest(live_objects.profile(owner=name))
        for name in ("jane@example.ca", "eve@example.ca")
    )
    assert jane != eve
    assert "jane" not in jane
    assert jane == ownership.owner_digest(live_objects.profile("b", owner="jane@example.ca"))


def test_rivals_are_the_others_that_map_to_one_name() -> None:
    claims = ownership.Claims()
    profiles = frozenset({"a-b", "a--b", "a---b", "c"})
    assert ("a---b", "a--b") == claims.rivals("a-b", profiles)
    assert () == claims.rivals("c", profiles)
    assert ("a-b",) == claims.rivals("a--b", frozenset({"a-b", "a--b"}))


# -- what becomes of a container --------------------------------------------------------------


def fate(seen: Mark | None, name: str = "a-b", *, gone: bool = True, days: float = 30) -> Fate:
    return retention.determine_fate(
        name,
        seen,
        cluster="here",
        profile_gone=lambda _name, _uid: gone,
        now=NOW,
        delay=timedelta(days=days),
    )


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (None, Fate.KEPT),
        (Mark(profile="a-b"), Fate.KEPT),
        (mark(cluster="there"), Fate.KEPT),
        (mark(cluster=""), Fate.KEPT),
        (mark(profile="c"), Fate.KEPT),
        (mark(), Fate.ORPHANED),
        (mark(gone=NOW), Fate.AWAITED),
        (mark(gone=NOW + timedelta(days=1)), Fate.AWAITED),
        (mark(gone=NOW - timedelta(days=29, hours=23)), Fate.AWAITED),
        (mark(gone=NOW - timedelta(days=30)), Fate.OVER),
    ],
)
def test_only_a_marked_container_of_this_cluster_goes_and_only_after_the_delay(
    seen: Mark | None, expected: Fate
) -> None:
    assert expected is fate(seen)


@pytest.mark.parametrize("seen", [mark(), mark(gone=NOW - timedelta(days=99))])
def test_nothing_goes_of_a_profile_that_may_be_there(seen: Mark) -> None:
    assert Fate.KEPT is fate(seen, gone=False)


def test_an_unreadable_moment_begins_the_delay_anew() -> None:
    seen = ownership.mark_of({**mark().metadata(), "profilegone": "yesterday"})
    assert Fate.ORPHANED is fate(seen)


# -- keys ------------------------------------------------------------------------------------


def secret(**data: str) -> dict[str, Any]:
    return inputs.secret_body("azure-secret", names.AZURE_NAMESPACE, data)


def test_a_secret_holds_an_account_and_its_key() -> None:
    body = secret(azurestorageaccountname="goodaccount\n", azurestorageaccountkey=key_of("x"))
    found = secrets.read(body)
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
def test_an_unusable_secret_is_told_without_quoting_it(data: dict[str, str]) -> None:
    found = secrets.read(secret(**data))
    assert isinstance(found, Unusable)
    assert "azurestorageaccount" in found.why
    for value in filter(None, data.values()):
        assert value not in found.why


def test_a_secret_that_is_no_text_is_told() -> None:
    body = secret()
    body["data"] = {"azurestorageaccountname": "/w==", "azurestorageaccountkey": "!"}
    assert isinstance(secrets.read(body), Unusable)


# -- patience --------------------------------------------------------------------------------


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock) -> Breaker:
    return Breaker(clock=clock, chance=lambda: 0.0)


def fail(one: Breaker, **fields: Any) -> float:
    one.enter()
    error = AccountError("Away", "no answer", **fields)
    one.failed(error)
    return one.withheld(error).after or 0.0


def test_an_account_that_failed_is_spared_and_then_one_alone_tries() -> None:
    clock = Clock()
    one = breaker(clock)
    one.enter()
    one.enter()
    assert fail(one) >= 0.8
    with pytest.raises(SparedError) as spared:
        one.enter()
    assert ("Away", "no answer") == (spared.value.withheld.reason, spared.value.withheld.message)

    clock.now = one.until
    one.enter()
    with pytest.raises(SparedError):
        one.enter()
    one.abandoned()
    one.enter()
    assert one.succeeded()
    assert not one.succeeded()
    one.enter()


def test_the_backoff_grows_to_five_minutes_and_honours_what_the_account_says() -> None:
    clock = Clock()
    one = breaker(clock)
    waits = []
    for _ in range(12):
        waits.append(fail(one))
        clock.now = one.until
    assert sorted(waits[:8]) == waits[:8]
    assert 240 <= waits[-1] <= 360

    assert fail(breaker(clock), after=60.0) == 60.0
    assert fail(breaker(clock), after=1e9) == 300.0


def test_calls_that_fail_together_count_once() -> None:
    clock = Clock()
    one = breaker(clock)
    for _ in range(5):
        one.enter()
    assert [True, *[False] * 4] == [one.failed(AccountError("Away", "")) for _ in range(5)]
    assert 1 == one.failures


def test_a_profile_waits_for_the_first_account_that_is_asked_again() -> None:
    away = AccountError("Away", "one").withheld(9.0)
    refuses = AccountError("Refuses", "two", lasting=True).withheld(3.0)
    taken = ownership.refusal(State.FOREIGN, TENANT, None, account="acc", is_live=False)
    said = waiting([away, away, taken, refuses])
    assert said is not None
    assert ("one; two", 3.0, True) == (said.message, said.after, said.warn)
    assert waiting([taken]) is None
    assert waiting([]) is None
