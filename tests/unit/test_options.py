"""Shards: every Profile has exactly one."""

import hypothesis
from hypothesis import strategies

from controllers.runtime.options import Shard


@hypothesis.given(uid=strategies.text(), count=strategies.integers(min_value=1, max_value=20))
def test_every_profile_is_held_by_exactly_one_shard(uid: str, count: int) -> None:
    holders = [index for index in range(count) if Shard(index=index, count=count).holds(uid)]

    assert 1 == len(holders)


def test_shards_hold_about_the_same_number_of_profiles() -> None:
    uids = [f"0b5ce7a1-0000-4000-8000-{number:012x}" for number in range(3000)]
    held = [sum(map(Shard(index=index, count=3).holds, uids)) for index in range(3)]

    assert 3000 == sum(held)
    assert min(held) > 900


def test_who_holds_a_profile_does_not_change_between_processes() -> None:
    assert [0] == [i for i in range(4) if Shard(index=i, count=4).holds("uid-alice")]
    assert [2] == [i for i in range(3) if Shard(index=i, count=3).holds("uid-bob")]
