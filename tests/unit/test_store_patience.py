"""When a store that does not answer is asked again."""

from dataclasses import dataclass

import pytest

from controllers.pipelines.objectstore.patience import Patience
from controllers.pipelines.objectstore.provider import UnavailableError


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def make(clock: Clock, chance: float = 0.5) -> Patience:
    return Patience(clock=clock, chance=lambda: chance)


def fail(patience: Patience) -> float:
    patience.enter()
    return patience.failed(UnavailableError("down", after=0.0)).after or 0.0


def test_everybody_may_ask_while_it_answers() -> None:
    patience = make(Clock())
    for _ in range(3):
        patience.enter()
    patience.succeeded()
    patience.enter()


def test_a_failure_spares_the_store_and_says_what_failed() -> None:
    patience = make(Clock())
    assert fail(patience) == 1.5
    with pytest.raises(UnavailableError, match="down") as caught:
        patience.enter()
    assert caught.value.after == 1.5


def test_the_backoff_doubles_up_to_a_minute() -> None:
    clock = Clock()
    patience = make(clock)
    delays = []
    for _ in range(9):
        fail(patience)
        delays.append(patience._until - clock.now)
        clock.now = patience._until
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_failures_of_calls_that_were_under_way_together_count_once() -> None:
    patience = make(Clock())
    for _ in range(5):
        patience.enter()
    errors = [patience.failed(UnavailableError("down", after=0.0)) for _ in range(5)]
    assert {error.after for error in errors} == {1.5}


def test_after_the_backoff_one_alone_tries() -> None:
    clock = Clock()
    patience = make(clock)
    fail(patience)
    clock.now += 1.0
    patience.enter()
    with pytest.raises(UnavailableError):
        patience.enter()
    patience.succeeded()
    patience.enter()
    patience.enter()


def test_a_try_that_was_abandoned_leaves_the_turn_to_another() -> None:
    clock = Clock()
    patience = make(clock)
    fail(patience)
    clock.now += 1.0
    patience.enter()
    patience.abandoned()
    patience.enter()


@pytest.mark.parametrize("chance", [0.0, 0.25, 1.0])
def test_callers_are_told_different_times(chance: float) -> None:
    assert fail(make(Clock(), chance)) == 0.75 + 0.5 * chance + chance


def test_it_is_well_until_a_failure_and_again_after_an_answer() -> None:
    clock = Clock()
    patience = make(clock)
    assert patience.health() == ""
    fail(patience)
    assert patience.health() == "away, asked again in 1 s: down"
    clock.now += 5
    patience.enter()
    patience.succeeded()
    assert patience.health() == ""
