"""The state of an account, and the key that it gets: pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.pipelines.objectstore import account
from controllers.pipelines.objectstore.account import (
    AccountState,
    CheckedKey,
    KeyAccess,
    KnownKeys,
    ObservedAccount,
    OwnerRecord,
)
from controllers.pipelines.objectstore.spec import AccountSpec, Credentials, OldObjects

SPEC = AccountSpec(namespace="team", uid="uid-1")
KEY = Credentials(access_key="KEY", secret_key="secret of KEY")
OTHER = Credentials(access_key="OTHER", secret_key="secret of OTHER")
RECORD = OwnerRecord(uid="uid-1", access_key="KEY")


def observed(**changes: object) -> ObservedAccount:
    """An account in sync, with these changes."""
    fields: dict[str, object] = {
        "record": RECORD,
        "user_exists": True,
        "policy_in_sync": True,
        "keys": {"KEY": True},
        "checked_keys": (CheckedKey(credentials=KEY, access=KeyAccess.RESTRICTED),),
    }
    return ObservedAccount(**{**fields, **changes})  # type: ignore[arg-type]


def checked_keys(*access: KeyAccess) -> tuple[CheckedKey, ...]:
    return tuple(CheckedKey(credentials=KEY, access=one) for one in access)


STATES = [
    (observed(), AccountState.IN_SYNC),
    (observed(is_administrator=True), AccountState.FOREIGN_USER),
    (observed(record=None), AccountState.FOREIGN_USER),
    (observed(record=None, user_exists=False), AccountState.UNCLAIMED),
    (observed(record=None, has_kfp_policy=True), AccountState.UNCLAIMED),
    (observed(record=None, has_kfp_policy=True, has_old_objects=True), AccountState.ORPHANED_DATA),
    (
        observed(record=None, has_kfp_policy=True, has_old_objects=True, secret_has_valid_key=True),
        AccountState.UNCLAIMED,
    ),
    (
        observed(record=OwnerRecord(uid=""), has_old_objects=True, secret_has_valid_key=True),
        AccountState.UNCLAIMED,
    ),
    (
        observed(record=OwnerRecord(uid="uid-0"), has_old_objects=True, secret_has_valid_key=True),
        AccountState.ORPHANED_DATA,
    ),
    (observed(record=OwnerRecord(uid="uid-0")), AccountState.UNCLAIMED),
    (observed(record=OwnerRecord(uid="uid-1", generation="2")), AccountState.KEY_OUTDATED),
    (observed(user_exists=False), AccountState.USER_MISSING),
    (observed(policy_in_sync=False), AccountState.POLICY_DRIFT),
    (observed(checked_keys=checked_keys(KeyAccess.TOO_BROAD)), AccountState.POLICY_DRIFT),
    (observed(checked_keys=checked_keys(KeyAccess.UNKNOWN_KEY)), AccountState.PROPAGATING),
    (observed(checked_keys=checked_keys(KeyAccess.WRONG_SECRET)), AccountState.KEY_MISSING),
    (observed(checked_keys=()), AccountState.KEY_MISSING),
    (observed(checked_keys=(), keys={}), AccountState.KEY_MISSING),
    (observed(checked_keys=(), keys={"KEY": False}), AccountState.KEY_DISABLED),
    (observed(record=OwnerRecord(uid="uid-1", access_key="LOST")), AccountState.KEY_NOT_RECORDED),
    (observed(keys={"KEY": True, "STRAY": True}), AccountState.EXTRA_KEYS),
    (observed(keys={"KEY": True, "STRAY": False}), AccountState.EXTRA_KEYS),
]


DECIDED = [
    (OldObjects.REFUSE, None, OldObjects.REFUSE),
    (OldObjects.ACCEPT, None, OldObjects.ACCEPT),
    (OldObjects.ARCHIVE, None, OldObjects.REFUSE),
    (OldObjects.PURGE, None, OldObjects.REFUSE),
    (OldObjects.PURGE, OwnerRecord(uid=""), OldObjects.REFUSE),
    (OldObjects.PURGE, OwnerRecord(uid="uid-0"), OldObjects.PURGE),
    (OldObjects.ARCHIVE, OwnerRecord(uid="uid-0"), OldObjects.ARCHIVE),
]


@pytest.mark.parametrize(("policy", "record", "expected"), DECIDED)
def test_the_setting_for_all_tenants_clears_only_objects_of_a_recorded_profile(
    policy: OldObjects, record: OwnerRecord | None, expected: OldObjects
) -> None:
    by_setting = AccountSpec(
        namespace="team", uid="uid-1", old_objects=policy, old_objects_by_default=True
    )
    by_annotation = AccountSpec(namespace="team", uid="uid-1", old_objects=policy)
    in_webhook = AccountSpec(namespace="team", old_objects=policy, old_objects_by_default=True)

    assert account.old_objects_decision(by_setting, record) is expected
    assert account.old_objects_decision(by_annotation, record) is policy
    harmless = policy if policy is OldObjects.ACCEPT else OldObjects.REFUSE
    assert account.old_objects_decision(in_webhook, record) is harmless


@pytest.mark.parametrize(("actual", "expected"), STATES)
def test_the_state_follows_from_the_observed_account(
    actual: ObservedAccount, expected: AccountState
) -> None:
    assert expected == account.determine_state(SPEC, actual)


@pytest.mark.parametrize("decision", [OldObjects.ACCEPT, OldObjects.ARCHIVE, OldObjects.PURGE])
def test_every_decision_about_old_objects_ends_the_state(decision: OldObjects) -> None:
    spec = AccountSpec(namespace="team", uid="uid-1", old_objects=decision)
    actual = observed(record=OwnerRecord(uid="uid-0"), has_old_objects=True)
    assert AccountState.UNCLAIMED == account.determine_state(spec, actual)


def test_the_recorded_key_is_used_before_another_valid_one() -> None:
    both = [CheckedKey(credentials=one, access=KeyAccess.RESTRICTED) for one in (OTHER, KEY)]
    assert KEY == observed(checked_keys=tuple(both)).key


def test_a_key_that_the_store_lost_is_created_again_only_if_it_was_recorded() -> None:
    derived = Credentials(access_key="DERIVED", secret_key="secret of DERIVED")
    lost, other = observed(keys={}, checked_keys=()), observed(checked_keys=())
    for state, known, expected in (
        (lost, KnownKeys(in_secret=KEY, derived=derived), KEY),
        (lost, KnownKeys(in_secret=OTHER, issued=KEY, derived=derived), KEY),
        (lost, KnownKeys(in_secret=OTHER, derived=derived), derived),
        (other, KnownKeys(in_secret=KEY, derived=derived), derived),
        (lost, KnownKeys(in_secret=KEY), None),
    ):
        assert expected == account.key_to_create(state, known)


NAMES = st.text(alphabet="abc-0", min_size=1, max_size=8)


@given(namespace=NAMES, uid=NAMES, generation=NAMES, root=NAMES, bucket=NAMES)
def test_each_account_has_its_own_derived_key(
    namespace: str, uid: str, generation: str, root: str, bucket: str
) -> None:
    spec = AccountSpec(namespace=namespace, uid=uid, generation=generation)
    key = account.derive_key(root, bucket, spec)
    assert key == account.derive_key(root, bucket, spec)
    assert key.access_key.isalnum()
    assert (24, 40) == (len(key.access_key), len(key.secret_key))
    others = [
        AccountSpec(namespace=namespace + "x", uid=uid, generation=generation),
        AccountSpec(namespace=namespace, uid=uid + "x", generation=generation),
        AccountSpec(namespace=namespace, uid=uid, generation=generation + "x"),
    ]
    made = {account.derive_key(root, bucket, one) for one in others}
    made |= {account.derive_key(root + "x", bucket, spec), account.derive_key(root, "x", spec)}
    assert key not in made
    assert len(made) == 5


def test_each_finding_names_the_user_or_prefix_and_what_to_do() -> None:
    disabled = observed(keys={"KEY": False})

    foreign = account.foreign_user(SPEC, observed())
    orphaned = account.orphaned_data(SPEC, observed(record=OwnerRecord(uid="uid-0")))
    inactive = account.key_disabled(SPEC, disabled)

    assert ("ForeignUser", "OldObjects", "KeyDisabled") == (
        foreign.reason,
        orphaned.reason,
        inactive.reason,
    )
    assert "user team" in foreign.message
    assert "private/team/*" in orphaned.message
    assert "access key KEY" in inactive.message
