"""When a circuit breaker lets requests through."""

from dataclasses import dataclass

import pytest

from controllers.runtime.backoff import Backoff
from controllers.runtime.external.breaker import BreakerState, CircuitBreaker
from controllers.runtime.external.errors import ExternalError, Scope

BACKOFF = Backoff(initial=1.0, maximum=60.0, jitter=lambda: 0.5)


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def make(clock: Clock, jitter: float = 0.0) -> CircuitBreaker:
    return CircuitBreaker(clock=clock, backoff=BACKOFF, jitter=lambda: jitter)


def down(retry_after: float | None = None) -> ExternalError:
    return ExternalError("Down", "no route", scope=Scope.SYSTEM, retry_after=retry_after)


def fail(breaker: CircuitBreaker, retry_after: float | None = None) -> float:
    breaker.check()
    return breaker.failed(down(retry_after)).retry_after or 0.0


def test_a_closed_breaker_allows_every_request() -> None:
    breaker = make(Clock())
    for _ in range(3):
        breaker.check()
    breaker.succeeded()
    breaker.check()
    assert breaker.state is BreakerState.CLOSED
    assert breaker.error is None


def test_an_open_breaker_raises_the_error_that_opened_it_with_a_delay() -> None:
    breaker = make(Clock())
    assert fail(breaker) == 1.0
    assert breaker.state is BreakerState.OPEN
    with pytest.raises(ExternalError, match="no route") as caught:
        breaker.check()
    assert (caught.value.reason, caught.value.retry_after) == ("Down", 1.0)


def test_the_delay_doubles_up_to_the_maximum() -> None:
    clock = Clock()
    breaker = make(clock)
    delays = []
    for _ in range(9):
        delays.append(fail(breaker))
        clock.now += delays[-1]
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_success_resets_the_delay() -> None:
    clock = Clock()
    breaker = make(clock)
    for _ in range(3):
        clock.now += fail(breaker)
    breaker.check()
    assert breaker.succeeded() is True
    assert breaker.succeeded() is False
    assert fail(breaker) == 1.0


@pytest.mark.parametrize(("requested", "delay"), [(30.0, 30.0), (0.5, 1.0), (900.0, 60.0)])
def test_the_delay_that_the_system_requested_is_respected_within_bounds(
    requested: float, delay: float
) -> None:
    assert fail(make(Clock()), requested) == delay


def test_requests_in_flight_together_count_as_one_failure() -> None:
    breaker = make(Clock())
    for _ in range(5):
        breaker.check()
    assert {breaker.failed(down()).retry_after for _ in range(5)} == {1.0}


def test_one_trial_request_is_allowed_after_the_delay() -> None:
    clock = Clock()
    breaker = make(clock)
    clock.now += fail(breaker)
    assert breaker.state is BreakerState.HALF_OPEN
    breaker.check()
    with pytest.raises(ExternalError):
        breaker.check()
    breaker.succeeded()
    breaker.check()
    breaker.check()


def test_an_abandoned_trial_leaves_the_trial_to_another_request() -> None:
    clock = Clock()
    breaker = make(clock)
    clock.now += fail(breaker)
    breaker.check()
    breaker.abandoned()
    breaker.check()


@pytest.mark.parametrize("jitter", [0.0, 0.25, 1.0])
def test_callers_retry_at_different_times(jitter: float) -> None:
    assert fail(make(Clock(), jitter)) == 1.0 + 0.5 * jitter
