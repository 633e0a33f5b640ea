"""Containers in storage accounts, on a real Azurite: whose they are, and how little is asked."""

import asyncio
import dataclasses
import functools
import itertools
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from controllers.blob_csi import names
from controllers.blob_csi.accounts import ownership
from controllers.blob_csi.accounts.account import Keeper
from controllers.blob_csi.accounts.accounts import Accounts
from controllers.blob_csi.grants.resolve import Withheld
from tests.support.azure import ACCOUNTS, Azurite, key_of
from tests.support.azure.offices import Office, instance, volume_of, wrong_key
from tests.support.cluster import waiting
from tests.support.controlplane import ports

pytestmark = pytest.mark.xdist_group("azurite")

GOOD, OTHER = ACCOUNTS[:2]
_numbers = itertools.count(1)


@pytest.fixture
def make(azurite: Azurite) -> Iterator[Callable[..., Office]]:
    made: list[Office] = []

    def office(**settings: Any) -> Office:
        made.append(Office(azurite, **settings))
        return made[-1]

    yield office
    for one in made:
        one.close()


@pytest.fixture
def office(make: Callable[..., Office]) -> Office:
    return make()


@pytest.fixture
def name() -> str:
    """Of a profile that no other test has; it maps to a container of the same name."""
    return f"team-{next(_numbers)}"


def metadata(office: Office, container: str, account: str = GOOD) -> dict[str, str] | None:
    return office.azurite.containers(account).get(container)


def asked(office: Office, container: str = "") -> list[str]:
    """What was asked of the good account about this container, since the last call."""
    found = [one for one in office.azurite.requests(GOOD) if container in one]
    seen = office.__dict__.setdefault("seen", {})
    before, seen[container] = seen.get(container, 0), len(found)
    return found[before:]


# -- own containers -----------------------------------------------------------------------------


def test_each_account_with_a_writable_instance_gets_a_marked_container(
    office: Office, name: str
) -> None:
    profile = office.profile(name)
    assert {} == office.withheld(profile)

    expected = {
        "profile": name,
        "profileuid": profile.uid,
        "profileowner": ownership.owner_digest(profile),
        "profilecluster": office.cluster,
    }
    assert expected == metadata(office, name)
    assert expected == metadata(office, name, OTHER)


def test_a_steady_state_asks_nothing_and_a_restart_lists_once(office: Office, name: str) -> None:
    profiles = [office.profile(f"{name}-{letter}") for letter in "abcde"]
    for profile in profiles:
        assert {} == office.withheld(profile)
    asked(office)
    for profile in profiles * 3:
        assert {} == office.withheld(profile)
    assert [] == asked(office)

    office.start()
    for profile in profiles:
        assert {} == office.withheld(profile)
    assert [f"GET /{GOOD}/?comp=list&include=metadata 200"] == asked(office)


def test_containers_are_verified_once_in_the_stated_time(office: Office, name: str) -> None:
    seconds = [1000.0]
    office.start(make=functools.partial(Keeper, clock=lambda: seconds[0]))
    profile = office.profile(name)
    office.withheld(profile)
    office.azurite.mark(name, {"profile": "mallory"})

    seconds[0] += office.settings.storage_verify_minutes * 60 - 1
    assert {} == office.withheld(profile)
    seconds[0] += 2
    assert {"standard": "ContainerTaken", "reader": "ContainerTaken"} == office.reasons(profile)


def test_many_profiles_cost_a_list_and_one_request_each(office: Office, name: str) -> None:
    asked(office)
    for number in range(20):
        assert {} == office.withheld(office.profile(f"{name}-{number}"))
    assert ["GET", *["PUT"] * 20] == [one.split()[0] for one in asked(office)]


def test_a_dry_run_asks_and_changes_nothing(office: Office, name: str) -> None:
    office.start(dry_run=True)
    assert {} == office.withheld(office.profile(name))
    assert metadata(office, name) is None

    office.azurite.create(f"{name}-x", metadata={"profile": "mallory"})
    assert {"standard", "reader"} == set(office.withheld(office.profile(f"{name}-x")))


# -- collisions ---------------------------------------------------------------------------------


def test_of_two_profiles_that_map_to_one_name_the_second_is_refused(
    office: Office, name: str
) -> None:
    first, second = office.profile(f"{name}--x"), office.profile(f"{name}-x")
    container = names.container_name(first.name)
    assert container == names.container_name(second.name) == f"{name}-x"
    assert {} == office.withheld(first)
    before = metadata(office, f"{name}-x")

    refused = office.withheld(second)
    assert {"standard", "reader", "other"} == set(refused)
    assert {"ContainerTaken"} == {one.reason for one in refused.values()}
    assert f"is that of profile {first.name}" in refused["reader"].message
    assert {} == office.withheld(first)
    assert before == metadata(office, f"{name}-x")

    del office.profiles[first.name]
    assert "which is gone" in office.withheld(second)["standard"].message
    assert before == metadata(office, f"{name}-x")


def test_two_that_come_at_the_same_moment_do_not_share(office: Office, name: str) -> None:
    both = [office.profile(f"{name}--x"), office.profile(f"{name}-x")]
    office.accounts.read(office.kept)

    async def at_once() -> list[Any]:
        profiles = frozenset(office.profiles)
        return await asyncio.gather(*(office.accounts.withheld(one, {}, profiles) for one in both))

    answers = office.run(at_once())
    for each in ("standard", "other"):
        assert 1 == sum(each in one for one in answers)


def test_a_name_that_needed_no_change_is_adopted(office: Office, name: str) -> None:
    office.azurite.create(name, metadata={"Team": "data"})
    profile = office.profile(name)
    assert {} == office.withheld(profile)
    marked = metadata(office, name)
    assert marked is not None
    assert (name, profile.uid, "data") == (
        marked["profile"], marked["profileuid"], marked["Team"]
    )  # fmt: skip


def test_once_the_takeover_is_over_a_name_alone_is_not_enough(
    make: Callable[..., Office], name: str
) -> None:
    office = make(adopt_by_name=False)
    office.azurite.create(name)
    profile = office.profile(name)
    assert {"ContainerUnproven"} == set(office.reasons(profile).values())
    assert {} == metadata(office, name)
    assert {} == office.withheld(profile, {"pv": volume_of(profile, name)})


def test_a_changed_name_is_adopted_where_a_volume_shows_it(office: Office, name: str) -> None:
    profile = office.profile(f"{name}--x")
    office.azurite.create(f"{name}-x")
    assert {"standard": "ContainerUnproven", "reader": "ContainerUnproven"} == office.reasons(
        profile
    )
    assert {} == metadata(office, f"{name}-x")

    elsewhere = {"pv": volume_of(profile, f"{name}-x", "other")}
    assert {"standard", "reader"} == set(office.withheld(profile, elsewhere))
    anothers = {"pv": dataclasses.replace(volume_of(profile, f"{name}-x"), owner="uid-x")}
    assert {"standard", "reader"} == set(office.withheld(profile, anothers))

    assert {} == office.withheld(profile, {"pv": volume_of(profile, f"{name}-x")})
    assert profile.name == (metadata(office, f"{name}-x") or {})["profile"]


def test_what_two_live_profiles_could_claim_is_left_to_a_person(office: Office, name: str) -> None:
    one, other = office.profile(f"{name}-x"), office.profile(f"{name}--x")
    office.azurite.create(f"{name}-x")
    volumes = {"pv": volume_of(other, f"{name}-x")}
    for refused in (office.withheld(one), office.withheld(other, volumes)):
        assert "ContainerContested" == refused["standard"].reason
    assert {} == metadata(office, f"{name}-x")

    office.azurite.mark(f"{name}-x", {"profile": other.name})
    assert "standard" not in office.withheld(other)
    assert "ContainerTaken" == office.reasons(one)["standard"]


def test_a_read_only_instance_waits_for_its_container_and_does_not_make_it(
    make: Callable[..., Office], name: str
) -> None:
    office = make(instances=[instance("reader", "good", read_only=True)])
    profile = office.profile(name)
    refused = office.withheld(profile)
    assert "ContainerAbsent" == refused["reader"].reason
    assert refused["reader"].after
    assert metadata(office, name) is None

    office.azurite.create(name)
    assert {} == office.withheld(profile)
    assert name == (metadata(office, name) or {})["profile"]


def test_two_processes_that_know_nothing_of_each_other_never_share(
    office: Office, name: str
) -> None:
    one, other = office.profile(f"{name}-x"), office.profile(f"{name}--x")
    office.azurite.create(f"{name}-x")
    volumes = {"pv": volume_of(other, f"{name}-x")}
    second = Accounts(office.settings)
    for accounts in (office.accounts, second):
        accounts.read(office.kept)

    async def at_once() -> Sequence[Mapping[str, Withheld]]:
        return await asyncio.gather(
            office.accounts.withheld(one, {}, frozenset({one.name})),
            second.withheld(other, volumes, frozenset({other.name})),
        )

    def winners() -> list[str]:
        answers = zip((one.name, other.name), office.run(at_once()), strict=True)
        return [profile for profile, answer in answers if "standard" not in answer]

    first = waiting.until(winners, "one has it")
    for _ in range(3):
        assert winners() == first == [metadata(office, f"{name}-x")["profile"]]  # type: ignore[index]
    office.run(second.close())


# -- earlier profiles ---------------------------------------------------------------------------


def test_a_profile_that_comes_back_keeps_its_data_and_another_owner_is_refused(
    office: Office, name: str
) -> None:
    office.withheld(office.profile(name))
    office.azurite.put(name, "diary", "dear diary")

    again = office.profile(name)
    assert {} == office.withheld(again)
    assert again.uid == (metadata(office, name) or {})["profileuid"]

    other = office.profile(name, owner="eve@example.ca")
    refused = office.withheld(other)
    assert {"standard", "reader", "other"} == set(refused)
    assert {"FormerData"} == {one.reason for one in refused.values()}
    assert again.uid == (metadata(office, name) or {})["profileuid"]

    accepted = dataclasses.replace(other, annotations={names.FORMER_DATA_ANNOTATION: "accept"})
    assert {} == office.withheld(accepted)
    assert {} == office.withheld(other)


def test_a_profile_that_changes_hands_takes_its_data_along(office: Office, name: str) -> None:
    profile = office.profile(name)
    office.withheld(profile)
    changed = dataclasses.replace(office.profile(name, owner="eve@example.ca"), uid=profile.uid)
    office.profiles[name] = changed
    assert {} == office.withheld(changed)
    expected = ownership.owner_digest(changed)
    assert expected == (metadata(office, name) or {})["profileowner"]


# -- one account fails --------------------------------------------------------------------------


def test_a_wrong_key_withholds_the_volumes_of_its_account_alone(office: Office, name: str) -> None:
    office.secrets["other"] = wrong_key(OTHER)
    profile = office.profile(name)
    refused = office.withheld(profile)
    assert {"other": "StorageAccountRefuses"} == {k: v.reason for k, v in refused.items()}
    assert refused["other"].after
    assert refused["other"].warn
    assert f"storage account {OTHER}" in refused["other"].message
    assert metadata(office, name) is not None

    parts = {part.name: part for part in office.accounts.components()}
    assert "403" in parts[f"account/{OTHER}"].error
    assert ("", True) == (
        parts[f"account/{GOOD}"].error,
        bool(parts[f"account/{GOOD}"].last_success),
    )

    tries = len(office.azurite.requests(OTHER))
    for _ in range(20):
        assert {"other"} == set(office.withheld(profile))
    assert tries == len(office.azurite.requests(OTHER))

    office.secrets["other"] = office.azurite.key(OTHER)
    assert {} == office.withheld(profile)
    assert not [part.error for part in office.accounts.components() if part.error]


@pytest.mark.parametrize("how", ["nobody listens", "nobody answers"])
def test_an_account_that_is_away_holds_nobody_up_for_long(
    make: Callable[..., Office], name: str, how: str
) -> None:
    port = ports.free()
    with socket.socket() as silent:
        if how == "nobody answers":
            silent.bind(("127.0.0.1", port))
            silent.listen()
        url = f"http://127.0.0.1:{port}/{OTHER}"
        office = make(storage_endpoints={OTHER: url}, storage_timeout_seconds=1)
        began = time.monotonic()
        refused = office.withheld(office.profile(name))
        assert time.monotonic() - began < 15.0
        expected = "StorageAccountAway" if how == "nobody listens" else "StorageAccountSlow"
        assert {"other": expected} == {key: one.reason for key, one in refused.items()}
        assert refused["other"].after
        assert not refused["other"].warn

        began = time.monotonic()
        for number in range(10):
            assert {"other"} == set(office.withheld(office.profile(f"{name}-{number}")))
        assert time.monotonic() - began < 15.0


def test_a_secret_that_is_missing_or_unusable_is_told_and_costs_its_own_volumes(
    office: Office, name: str
) -> None:
    del office.secrets["other"]
    profile = office.profile(name)
    refused = office.withheld(profile)
    assert {"other": "StorageAccountUnknown"} == {k: v.reason for k, v in refused.items()}
    assert "azure-blob-csi-system/other does not exist" in refused["other"].message
    parts = [part for part in office.accounts.components() if part.error]
    assert ["secret/other/azure-blob-csi-system"] == [part.name for part in parts]


def test_a_container_that_somebody_leases_waits(office: Office, name: str) -> None:
    office.azurite.create(name)
    release = office.azurite.lease(name)
    profile = office.profile(name)
    refused = office.withheld(profile)
    assert {"standard", "reader"} == set(refused)
    assert "LeaseAlreadyPresent" == refused["standard"].reason
    assert refused["standard"].after
    assert not [part for part in office.accounts.components() if part.error]

    release()
    assert {} == office.withheld(profile)


# -- deletion -----------------------------------------------------------------------------------


def test_containers_are_kept_unless_it_is_configured_otherwise(office: Office, name: str) -> None:
    office.withheld(office.profile(name))
    del office.profiles[name]
    office.sweep()
    assert "profilegone" not in (metadata(office, name) or {"profilegone": ""})


def test_a_container_goes_after_its_profile_and_the_delay(
    make: Callable[..., Office], name: str
) -> None:
    office = make(delete_data=True, delete_data_after_days=1.0)
    stays = office.profile(f"{name}-stays")
    for profile in (office.profile(name), stays):
        office.withheld(profile)
    office.azurite.create(f"{name}-unmarked")
    office.azurite.create(f"{name}-theirs", metadata={
        "profile": f"{name}-theirs", "profileuid": "uid-x", "profilecluster": "another",
    })  # fmt: skip
    del office.profiles[name]
    office.start()
    office.withheld(stays)

    office.sweep()
    orphaned = metadata(office, name)
    assert orphaned is not None
    assert "profilegone" in orphaned
    office.sweep()
    assert orphaned == metadata(office, name)

    long_ago = {**orphaned, "profilegone": "2020-01-01T00:00:00+00:00"}
    office.azurite.mark(name, long_ago)
    office.start()
    office.withheld(stays)
    office.sweep()
    assert metadata(office, name) is None
    left = {f"{name}-stays", f"{name}-unmarked", f"{name}-theirs"}
    assert left <= set(office.azurite.containers(GOOD))
    assert "profilegone" not in (metadata(office, f"{name}-theirs") or {})


def test_who_comes_back_within_the_delay_keeps_the_data(
    make: Callable[..., Office], name: str
) -> None:
    office = make(delete_data=True, delete_data_after_days=1.0)
    office.withheld(office.profile(name))
    office.azurite.put(name, "diary", "dear diary")
    del office.profiles[name]
    office.sweep()
    assert "profilegone" in (metadata(office, name) or {})

    other = office.profile(name, owner="eve@example.ca")
    assert {"FormerData"} == set(office.reasons(other).values())
    again = office.profile(name)
    assert {} == office.withheld(again)
    assert "profilegone" not in (metadata(office, name) or {"profilegone": ""})
    office.sweep()
    assert "dear diary" == office.azurite.read(name, "diary")


def test_a_leased_container_is_not_deleted_and_the_next_look_does_it(
    make: Callable[..., Office], name: str
) -> None:
    office = make(delete_data=True, delete_data_after_days=0.000001)
    for each in (name, f"{name}-next"):
        office.withheld(office.profile(each))
        del office.profiles[each]
    release = office.azurite.lease(name)

    def is_swept(container: str) -> bool:
        office.sweep()
        return metadata(office, container) is None

    waiting.until(lambda: is_swept(f"{name}-next"), "the other one goes")
    assert metadata(office, name) is not None
    release()
    waiting.until(lambda: is_swept(name), "it goes")


def test_no_key_is_in_anything_that_is_said(
    office: Office, name: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    office.secrets["other"] = wrong_key(OTHER)
    said = repr(office.withheld(office.profile(name)))
    said += repr(office.accounts.components()) + repr(office.accounts.__dict__)
    output = capsys.readouterr()
    said += output.out + output.err
    for key in (key_of(GOOD), key_of("somebody-else")):
        assert key not in said
        assert key not in caplog.text
