"""What state an account is in, and which key it gets: pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.pipelines.objectstore import account, refusals
from controllers.pipelines.objectstore.account import (
    Candidate,
    Known,
    Record,
    Sight,
    State,
    Verdict,
)
from controllers.pipelines.objectstore.provider import Credentials, Decision, Tenant

TENANT = Tenant(namespace="team", uid="uid-1")
KEY = Credentials(access_key="KEY", secret_key="secret of KEY")
OTHER = Credentials(access_key="OTHER", secret_key="secret of OTHER")
RECORD = Record(uid="uid-1", access_key="KEY")


def sight(**changes: object) -> Sight:
    """As it should be, but for the changes."""
    fields: dict[str, object] = {
        "record": RECORD,
        "user": True,
        "guarded": True,
        "keys": {"KEY": True},
        "candidates": (Candidate(credentials=KEY, verdict=Verdict.WORKS),),
    }
    return Sight(**{**fields, **changes})  # type: ignore[arg-type]


def candidates(*verdicts: Verdict) -> tuple[Candidate, ...]:
    return tuple(Candidate(credentials=KEY, verdict=one) for one in verdicts)


STATES = [
    (sight(), State.HEALTHY),
    (sight(administrator=True), State.FOREIGN),
    (sight(record=None), State.FOREIGN),
    (sight(record=None, user=False), State.UNCLAIMED),
    (sight(record=None, kfps=True), State.UNCLAIMED),
    (sight(record=None, kfps=True, objects=True), State.HAUNTED),
    (sight(record=None, kfps=True, objects=True, proven=True), State.UNCLAIMED),
    (sight(record=Record(uid=""), objects=True, proven=True), State.UNCLAIMED),
    (sight(record=Record(uid="uid-0"), objects=True, proven=True), State.HAUNTED),
    (sight(record=Record(uid="uid-0")), State.UNCLAIMED),
    (sight(record=Record(uid="uid-1", generation="2")), State.OUTDATED),
    (sight(user=False), State.USERLESS),
    (sight(guarded=False), State.UNGUARDED),
    (sight(candidates=candidates(Verdict.WIDE)), State.UNGUARDED),
    (sight(candidates=candidates(Verdict.UNKNOWN)), State.SETTLING),
    (sight(candidates=candidates(Verdict.WRONG)), State.KEYLESS),
    (sight(candidates=()), State.KEYLESS),
    (sight(candidates=(), keys={}), State.KEYLESS),
    (sight(candidates=(), keys={"KEY": False}), State.DISABLED),
    (sight(record=Record(uid="uid-1", access_key="LOST")), State.UNRECORDED),
    (sight(keys={"KEY": True, "STRAY": True}), State.STRAYS),
    (sight(keys={"KEY": True, "STRAY": False}), State.STRAYS),
]


DECIDED = [
    (Decision.UNDECIDED, None, Decision.UNDECIDED),
    (Decision.ACCEPT, None, Decision.ACCEPT),
    (Decision.ARCHIVE, None, Decision.UNDECIDED),
    (Decision.PURGE, None, Decision.UNDECIDED),
    (Decision.PURGE, Record(uid=""), Decision.UNDECIDED),
    (Decision.PURGE, Record(uid="uid-0"), Decision.PURGE),
    (Decision.ARCHIVE, Record(uid="uid-0"), Decision.ARCHIVE),
]


@pytest.mark.parametrize(("said", "record", "expected"), DECIDED)
def test_what_is_decided_for_all_clears_only_after_a_profile_that_is_known(
    said: Decision, record: Record | None, expected: Decision
) -> None:
    by_setting = Tenant(namespace="team", uid="uid-1", decision=said, for_all=True)
    by_annotation = Tenant(namespace="team", uid="uid-1", decision=said)
    in_webhook = Tenant(namespace="team", decision=said, for_all=True)

    assert account.decision(by_setting, record) is expected
    assert account.decision(by_annotation, record) is said
    harmless = said if said is Decision.ACCEPT else Decision.UNDECIDED
    assert account.decision(in_webhook, record) is harmless


@pytest.mark.parametrize(("seen", "expected"), STATES)
def test_the_state_follows_from_what_is_seen(seen: Sight, expected: State) -> None:
    assert expected == account.determine_state(TENANT, seen)


@pytest.mark.parametrize("decision", [Decision.ACCEPT, Decision.ARCHIVE, Decision.PURGE])
def test_every_decision_ends_the_haunting(decision: Decision) -> None:
    tenant = Tenant(namespace="team", uid="uid-1", decision=decision)
    seen = sight(record=Record(uid="uid-0"), objects=True)
    assert State.UNCLAIMED == account.determine_state(tenant, seen)


def test_the_recorded_key_is_chosen_before_another_that_works() -> None:
    both = [Candidate(credentials=one, verdict=Verdict.WORKS) for one in (OTHER, KEY)]
    assert KEY == sight(candidates=tuple(both)).key


def test_a_lost_key_comes_back_only_if_it_was_the_recorded_one() -> None:
    derived = Credentials(access_key="DERIVED", secret_key="secret of DERIVED")
    lost = sight(keys={}, candidates=())
    assert KEY == account.to_create(lost, Known(held=KEY, derived=derived))
    assert KEY == account.to_create(lost, Known(held=OTHER, remembered=KEY, derived=derived))
    assert derived == account.to_create(lost, Known(held=OTHER, derived=derived))
    assert derived == account.to_create(sight(candidates=()), Known(held=KEY, derived=derived))
    assert account.to_create(lost, Known(held=KEY)) is None


NAMES = st.text(alphabet="abc-0", min_size=1, max_size=8)


@given(namespace=NAMES, uid=NAMES, generation=NAMES, root=NAMES, bucket=NAMES)
def test_derived_keys_are_each_tenants_own(
    namespace: str, uid: str, generation: str, root: str, bucket: str
) -> None:
    tenant = Tenant(namespace=namespace, uid=uid, generation=generation)
    key = account.derive(root, bucket, tenant)
    assert key == account.derive(root, bucket, tenant)
    assert key.access_key.isalnum()
    assert (24, 40) == (len(key.access_key), len(key.secret_key))
    others = [
        Tenant(namespace=namespace + "x", uid=uid, generation=generation),
        Tenant(namespace=namespace, uid=uid + "x", generation=generation),
        Tenant(namespace=namespace, uid=uid, generation=generation + "x"),
    ]
    made = {account.derive(root, bucket, one) for one in others}
    made |= {account.derive(root + "x", bucket, tenant), account.derive(root, "x", tenant)}
    assert key not in made
    assert len(made) == 5


def test_only_states_without_a_key_are_refusals() -> None:
    refused = {one for one in State if refusals.refusal(one, TENANT, sight()) is not None}
    assert refused == {State.FOREIGN, State.HAUNTED, State.DISABLED}
