"""Containers in storage accounts of a real Azurite: their owners, and the number of requests."""

import asyncio
import dataclasses
import itertools
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from controllers.blob_csi import names
from controllers.blob_csi.accounts import ownership
from controllers.blob_csi.accounts.storage_accounts import StorageAccounts
from controllers.blob_csi.facts import Unavailable
from tests.support.azure import ACCOUNTS, Azurite, key_of
from tests.support.azure.account_harness import AccountHarness, instance, owned_volume, wrong_key
from tests.support.cluster import waiting
from tests.support.controlplane import ports

pytestmark = pytest.mark.xdist_group("azurite")

GOOD, OTHER = ACCOUNTS[:2]
_numbers = itertools.count(1)


@pytest.fixture
def make(azurite: Azurite) -> Iterator[Callable[..., AccountHarness]]:
    created: list[AccountHarness] = []

    def harness(**settings: Any) -> AccountHarness:
        created.append(AccountHarness(azurite, **settings))
        return created[-1]

    yield harness
    for one in created:
        one.close()


@pytest.fixture
def harness(make: Callable[..., AccountHarness]) -> AccountHarness:
    return make()


@pytest.fixture
def name() -> str:
    """The name of a profile, and of its container, that no other test has."""
    return f"team-{next(_numbers)}"


def metadata(harness: AccountHarness, container: str, account: str = GOOD) -> dict[str, str] | None:
    return harness.azurite.containers(account).get(container)


def requests_since(harness: AccountHarness, container: str = "") -> list[str]:
    """The requests to the first account about this container since the last call."""
    found = [one for one in harness.azurite.requests(GOOD) if container in one]
    counts = harness.__dict__.setdefault("counts", {})
    before, counts[container] = counts.get(container, 0), len(found)
    return found[before:]


# -- containers --------------------------------------------------------------------------------


def test_each_account_with_a_writable_instance_gets_a_container_with_metadata(
    harness: AccountHarness, name: str
) -> None:
    profile = harness.profile(name)
    assert {} == harness.unavailable(profile)

    expected = {
        "profile": name,
        "profileuid": profile.uid,
        "profileowner": ownership.owner_digest(profile),
        "profilecluster": harness.cluster,
    }
    assert expected == metadata(harness, name)
    assert expected == metadata(harness, name, OTHER)


def test_the_steady_state_sends_no_request_and_a_restart_lists_once(
    harness: AccountHarness, name: str
) -> None:
    profiles = [harness.profile(f"{name}-{letter}") for letter in "abcde"]
    for profile in profiles:
        assert {} == harness.unavailable(profile)
    requests_since(harness)
    for profile in profiles * 3:
        assert {} == harness.unavailable(profile)
    assert [] == requests_since(harness)

    harness.restart()
    for profile in profiles:
        assert {} == harness.unavailable(profile)
    assert [f"GET /{GOOD}/?comp=list&include=metadata 200"] == requests_since(harness)


def test_containers_are_listed_again_after_the_configured_time(
    harness: AccountHarness, name: str
) -> None:
    seconds = [1000.0]
    harness.restart(clock=lambda: seconds[0])
    profile = harness.profile(name)
    harness.unavailable(profile)
    harness.azurite.set_metadata(name, {"profile": "mallory"})

    seconds[0] += harness.settings.storage_verify_minutes * 60 - 1
    assert {} == harness.unavailable(profile)
    seconds[0] += 2
    assert {
        "standard": "ContainerOwnedByOther",
        "reader": "ContainerOwnedByOther",
    } == harness.reasons(profile)


def test_many_profiles_cost_one_list_and_one_request_each(
    harness: AccountHarness, name: str
) -> None:
    requests_since(harness)
    for number in range(20):
        assert {} == harness.unavailable(harness.profile(f"{name}-{number}"))
    assert ["GET", *["PUT"] * 20] == [one.split()[0] for one in requests_since(harness)]


def test_a_dry_run_reads_and_changes_nothing(harness: AccountHarness, name: str) -> None:
    harness.restart(dry_run=True)
    assert {} == harness.unavailable(harness.profile(name))
    assert metadata(harness, name) is None

    harness.azurite.create(f"{name}-x", metadata={"profile": "mallory"})
    assert {"standard", "reader"} == set(harness.unavailable(harness.profile(f"{name}-x")))


# -- collisions ---------------------------------------------------------------------------------


def test_of_two_profiles_with_one_container_name_the_second_is_refused(
    harness: AccountHarness, name: str
) -> None:
    first, second = harness.profile(f"{name}--x"), harness.profile(f"{name}-x")
    container = names.container_name(first.name)
    assert container == names.container_name(second.name) == f"{name}-x"
    assert {} == harness.unavailable(first)
    before = metadata(harness, f"{name}-x")

    refused = harness.unavailable(second)
    assert {"standard", "reader", "other"} == set(refused)
    assert {"ContainerOwnedByOther"} == {one.reason for one in refused.values()}
    assert f"is owned by profile {first.name}" in refused["reader"].message
    assert {} == harness.unavailable(first)
    assert before == metadata(harness, f"{name}-x")

    del harness.profiles[first.name]
    assert "which no longer exists" in harness.unavailable(second)["standard"].message
    assert before == metadata(harness, f"{name}-x")


def test_two_concurrent_profiles_do_not_share_a_container(
    harness: AccountHarness, name: str
) -> None:
    both = [harness.profile(f"{name}--x"), harness.profile(f"{name}-x")]
    harness.accounts.update_secrets(harness.read_cache)

    async def at_once() -> list[Any]:
        profiles = frozenset(harness.profiles)
        return await asyncio.gather(
            *(harness.accounts.unavailable(one, {}, profiles) for one in both)
        )

    results = harness.run(at_once())
    for each in ("standard", "other"):
        assert 1 == sum(each in one for one in results)


def test_a_container_with_exactly_the_profiles_name_is_adopted(
    harness: AccountHarness, name: str
) -> None:
    harness.azurite.create(name, metadata={"Team": "data"})
    profile = harness.profile(name)
    assert {} == harness.unavailable(profile)
    adopted = metadata(harness, name)
    assert adopted is not None
    assert (name, profile.uid, "data") == (
        adopted["profile"], adopted["profileuid"], adopted["Team"]
    )  # fmt: skip


def test_without_adopt_by_name_the_name_is_not_enough(
    make: Callable[..., AccountHarness], name: str
) -> None:
    harness = make(adopt_by_name=False)
    harness.azurite.create(name)
    profile = harness.profile(name)
    assert {"ContainerOwnerUnknown"} == set(harness.reasons(profile).values())
    assert {} == metadata(harness, name)
    assert {} == harness.unavailable(profile, {"pv": owned_volume(profile, name)})


def test_a_container_with_another_name_is_adopted_if_a_volume_uses_it(
    harness: AccountHarness, name: str
) -> None:
    profile = harness.profile(f"{name}--x")
    harness.azurite.create(f"{name}-x")
    assert {
        "standard": "ContainerOwnerUnknown",
        "reader": "ContainerOwnerUnknown",
    } == harness.reasons(profile)
    assert {} == metadata(harness, f"{name}-x")

    elsewhere = {"pv": owned_volume(profile, f"{name}-x", "other")}
    assert {"standard", "reader"} == set(harness.unavailable(profile, elsewhere))
    anothers = {"pv": dataclasses.replace(owned_volume(profile, f"{name}-x"), owner_uid="uid-x")}
    assert {"standard", "reader"} == set(harness.unavailable(profile, anothers))

    assert {} == harness.unavailable(profile, {"pv": owned_volume(profile, f"{name}-x")})
    assert profile.name == (metadata(harness, f"{name}-x") or {})["profile"]


def test_a_container_that_two_profiles_could_own_is_refused_to_both(
    harness: AccountHarness, name: str
) -> None:
    one, other = harness.profile(f"{name}-x"), harness.profile(f"{name}--x")
    harness.azurite.create(f"{name}-x")
    volumes = {"pv": owned_volume(other, f"{name}-x")}
    for refused in (harness.unavailable(one), harness.unavailable(other, volumes)):
        assert "ContainerNameConflict" == refused["standard"].reason
    assert {} == metadata(harness, f"{name}-x")

    harness.azurite.set_metadata(f"{name}-x", {"profile": other.name})
    assert "standard" not in harness.unavailable(other)
    assert "ContainerOwnedByOther" == harness.reasons(one)["standard"]


def test_a_read_only_instance_does_not_create_its_container(
    make: Callable[..., AccountHarness], name: str
) -> None:
    harness = make(instances=[instance("reader", "good", read_only=True)])
    profile = harness.profile(name)
    refused = harness.unavailable(profile)
    assert "ContainerMissing" == refused["reader"].reason
    assert refused["reader"].retry_after
    assert metadata(harness, name) is None

    harness.azurite.create(name)
    assert {} == harness.unavailable(profile)
    assert name == (metadata(harness, name) or {})["profile"]


def test_two_processes_with_different_profiles_never_share_a_container(
    harness: AccountHarness, name: str
) -> None:
    one, other = harness.profile(f"{name}-x"), harness.profile(f"{name}--x")
    harness.azurite.create(f"{name}-x")
    volumes = {"pv": owned_volume(other, f"{name}-x")}
    second = StorageAccounts(harness.settings)
    for accounts in (harness.accounts, second):
        accounts.update_secrets(harness.read_cache)

    async def at_once() -> Sequence[Mapping[str, Unavailable]]:
        return await asyncio.gather(
            harness.accounts.unavailable(one, {}, frozenset({one.name})),
            second.unavailable(other, volumes, frozenset({other.name})),
        )

    def winners() -> list[str]:
        results = zip((one.name, other.name), harness.run(at_once()), strict=True)
        return [profile for profile, result in results if "standard" not in result]

    first = waiting.until(winners, "one profile has it")
    for _ in range(3):
        assert winners() == first == [metadata(harness, f"{name}-x")["profile"]]  # type: ignore[index]
    harness.run(second.close())


# -- earlier profiles ---------------------------------------------------------------------------


def test_a_recreated_profile_keeps_its_data_and_another_owner_is_refused(
    harness: AccountHarness, name: str
) -> None:
    harness.unavailable(harness.profile(name))
    harness.azurite.put(name, "diary", "dear diary")

    again = harness.profile(name)
    assert {} == harness.unavailable(again)
    assert again.uid == (metadata(harness, name) or {})["profileuid"]

    other = harness.profile(name, owner="eve@example.ca")
    refused = harness.unavailable(other)
    assert {"standard", "reader", "other"} == set(refused)
    assert {"ContainerHasFormerData"} == {one.reason for one in refused.values()}
    assert again.uid == (metadata(harness, name) or {})["profileuid"]

    accepted = dataclasses.replace(other, annotations={names.FORMER_DATA_ANNOTATION: "accept"})
    assert {} == harness.unavailable(accepted)
    assert {} == harness.unavailable(other)


def test_a_profile_with_a_new_owner_keeps_its_data(harness: AccountHarness, name: str) -> None:
    profile = harness.profile(name)
    harness.unavailable(profile)
    changed = dataclasses.replace(harness.profile(name, owner="eve@example.ca"), uid=profile.uid)
    harness.profiles[name] = changed
    assert {} == harness.unavailable(changed)
    expected = ownership.owner_digest(changed)
    assert expected == (metadata(harness, name) or {})["profileowner"]


# -- account errors ----------------------------------------------------------------------------


def test_a_wrong_key_affects_its_account_only(harness: AccountHarness, name: str) -> None:
    harness.secrets["other"] = wrong_key(OTHER)
    profile = harness.profile(name)
    refused = harness.unavailable(profile)
    assert {"other": "StorageAccountRequestRejected"} == {k: v.reason for k, v in refused.items()}
    assert refused["other"].retry_after
    assert refused["other"].action_required
    assert f"storage account {OTHER}" in refused["other"].message
    assert metadata(harness, name) is not None

    statuses = {one.name: one for one in harness.accounts.components()}
    assert "403" in statuses[f"storage-account/{OTHER}"].error
    good = statuses[f"storage-account/{GOOD}"]
    assert ("", True) == (good.error, bool(good.last_success))

    tries = len(harness.azurite.requests(OTHER))
    for _ in range(20):
        assert {"other"} == set(harness.unavailable(profile))
    assert tries == len(harness.azurite.requests(OTHER))

    harness.secrets["other"] = harness.azurite.key(OTHER)
    assert {} == harness.unavailable(profile)
    assert {} == harness.errors()


@pytest.mark.parametrize("how", ["connection refused", "no response"])
def test_an_unreachable_account_delays_no_reconcile_for_long(
    make: Callable[..., AccountHarness], name: str, how: str
) -> None:
    port = ports.free()
    with socket.socket() as silent:
        if how == "no response":
            silent.bind(("127.0.0.1", port))
            silent.listen()
        url = f"http://127.0.0.1:{port}/{OTHER}"
        harness = make(storage_endpoints={OTHER: url}, storage_timeout_seconds=1)
        began = time.monotonic()
        refused = harness.unavailable(harness.profile(name))
        assert time.monotonic() - began < 15.0
        expected = (
            "StorageAccountUnreachable" if how == "connection refused" else "StorageAccountTimeout"
        )
        assert {"other": expected} == {key: one.reason for key, one in refused.items()}
        assert refused["other"].retry_after
        assert not refused["other"].action_required

        began = time.monotonic()
        for number in range(10):
            assert {"other"} == set(harness.unavailable(harness.profile(f"{name}-{number}")))
        assert time.monotonic() - began < 15.0


def test_a_missing_secret_is_reported_and_affects_its_account_only(
    harness: AccountHarness, name: str
) -> None:
    del harness.secrets["other"]
    profile = harness.profile(name)
    refused = harness.unavailable(profile)
    assert {"other": "StorageAccountSecretInvalid"} == {k: v.reason for k, v in refused.items()}
    assert "azure-blob-csi-system/other does not exist" in refused["other"].message
    assert {"secret/azure-blob-csi-system/other"} == set(harness.errors())


def test_a_leased_container_is_retried(harness: AccountHarness, name: str) -> None:
    harness.azurite.create(name)
    release = harness.azurite.lease(name)
    profile = harness.profile(name)
    refused = harness.unavailable(profile)
    assert {"standard", "reader"} == set(refused)
    assert "LeaseAlreadyPresent" == refused["standard"].reason
    assert refused["standard"].retry_after
    assert {} == harness.errors()

    release()
    assert {} == harness.unavailable(profile)


# -- retention ----------------------------------------------------------------------------------


def test_containers_are_retained_by_default(harness: AccountHarness, name: str) -> None:
    harness.unavailable(harness.profile(name))
    del harness.profiles[name]
    harness.collect_garbage()
    assert "profilegone" not in (metadata(harness, name) or {"profilegone": ""})


def test_the_container_of_a_deleted_profile_is_deleted_after_the_delay(
    make: Callable[..., AccountHarness], name: str
) -> None:
    harness = make(delete_data=True, delete_data_after_days=1.0)
    stays = harness.profile(f"{name}-stays")
    for profile in (harness.profile(name), stays):
        harness.unavailable(profile)
    harness.azurite.create(f"{name}-unowned")
    harness.azurite.create(f"{name}-theirs", metadata={
        "profile": f"{name}-theirs", "profileuid": "uid-x", "profilecluster": "another",
    })  # fmt: skip
    del harness.profiles[name]
    harness.restart()
    harness.unavailable(stays)

    harness.collect_garbage()
    orphaned = metadata(harness, name)
    assert orphaned is not None
    assert "profilegone" in orphaned
    harness.collect_garbage()
    assert orphaned == metadata(harness, name)

    long_ago = {**orphaned, "profilegone": "2020-01-01T00:00:00+00:00"}
    harness.azurite.set_metadata(name, long_ago)
    harness.restart()
    harness.unavailable(stays)
    harness.collect_garbage()
    assert metadata(harness, name) is None
    retained = {f"{name}-stays", f"{name}-unowned", f"{name}-theirs"}
    assert retained <= set(harness.azurite.containers(GOOD))
    assert "profilegone" not in (metadata(harness, f"{name}-theirs") or {})


def test_a_profile_that_is_recreated_within_the_delay_keeps_its_data(
    make: Callable[..., AccountHarness], name: str
) -> None:
    harness = make(delete_data=True, delete_data_after_days=1.0)
    harness.unavailable(harness.profile(name))
    harness.azurite.put(name, "diary", "dear diary")
    del harness.profiles[name]
    harness.collect_garbage()
    assert "profilegone" in (metadata(harness, name) or {})

    other = harness.profile(name, owner="eve@example.ca")
    assert {"ContainerHasFormerData"} == set(harness.reasons(other).values())
    again = harness.profile(name)
    assert {} == harness.unavailable(again)
    assert "profilegone" not in (metadata(harness, name) or {"profilegone": ""})
    harness.collect_garbage()
    assert "dear diary" == harness.azurite.read(name, "diary")


def test_a_leased_container_is_deleted_after_the_lease(
    make: Callable[..., AccountHarness], name: str
) -> None:
    harness = make(delete_data=True, delete_data_after_days=0.000001)
    for each in (name, f"{name}-next"):
        harness.unavailable(harness.profile(each))
        del harness.profiles[each]
    release = harness.azurite.lease(name)

    def is_deleted(container: str) -> bool:
        harness.collect_garbage()
        return metadata(harness, container) is None

    waiting.until(lambda: is_deleted(f"{name}-next"), "the other one is deleted")
    assert metadata(harness, name) is not None
    release()
    waiting.until(lambda: is_deleted(name), "it is deleted")


def test_no_output_contains_a_key(
    harness: AccountHarness,
    name: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    harness.secrets["other"] = wrong_key(OTHER)
    output_text = repr(harness.unavailable(harness.profile(name)))
    output_text += repr(harness.accounts.components()) + repr(harness.accounts.__dict__)
    output = capsys.readouterr()
    output_text += output.out + output.err
    for key in (key_of(GOOD), key_of("somebody-else")):
        assert key not in output_text
        assert key not in caplog.text
