"""Every Profile belongs to exactly one shard."""

import hypothesis
from hypothesis import strategies

from controllers.runtime.options import Shard


@hypothesis.given(uid=strategies.text(), count=strategies.integers(min_value=1, max_value=20))
def test_every_profile_belongs_to_exactly_one_shard(uid: str, count: int) -> None:
    shards = [index for index in range(count) if Shard(index=index, count=count).contains(uid)]

    assert 1 == len(shards)


def test_shards_contain_about_the_same_number_of_profiles() -> None:
    uids = [f"0b5ce7a1-0000-4000-8000-{number:012x}" for number in range(3000)]
    sizes = [sum(map(Shard(index=index, count=3).contains, uids)) for index in range(3)]

    assert 3000 == sum(sizes)
    assert min(sizes) > 900


def test_the_shard_of_a_profile_is_the_same_in_every_process() -> None:
    assert [0] == [i for i in range(4) if Shard(index=i, count=4).contains("uid-alice")]
    assert [2] == [i for i in range(3) if Shard(index=i, count=3).contains("uid-bob")]
