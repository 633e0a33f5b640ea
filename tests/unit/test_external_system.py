"""How a controller's requests to an external system run, fail and recover; in virtual time."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from controllers.findings import Finding, Severity
from controllers.runtime.backoff import Backoff
from controllers.runtime.errors import Terminal, Waiting
from controllers.runtime.external.breaker import BreakerState
from controllers.runtime.external.errors import ExternalError, Scope
from controllers.runtime.external.system import PENDING, ExternalSystem
from tests.support.fakes import virtual_time

pytestmark = pytest.mark.virtual_time


def steady(initial: float, maximum: float) -> Backoff:
    return Backoff(initial=initial, maximum=maximum, jitter=lambda: 0.5)


def make(*, wait_seconds: float = 5.0, concurrency: int = 8) -> ExternalSystem:
    return ExternalSystem(
        "store",
        wait_seconds=wait_seconds,
        concurrency=concurrency,
        backoff=steady(1.0, 60.0),
        tenant_backoff=steady(2.0, 300.0),
        clock=virtual_time.now,
        now=lambda: 1_700_000_000.0,
        jitter=lambda: 0.0,
    )


def down() -> ExternalError:
    return ExternalError("Down", "store: refused", scope=Scope.SYSTEM)


def denied(**fields: Any) -> ExternalError:
    return ExternalError("Denied", "bucket a: denied", **fields)


async def ok() -> str:
    return "ok"


def failing(error: Exception) -> Callable[[], Any]:
    async def work() -> str:
        raise error

    return work


async def error_of(system: ExternalSystem, error: Exception, tenant: str = "a") -> ExternalError:
    with pytest.raises(ExternalError) as caught:
        await system.call(failing(error), tenant=tenant)
    return caught.value


async def test_a_call_returns_the_result_and_counts() -> None:
    system = make()
    before = system.status()
    assert (before.error, before.last_success, before.requests) == ("", None, 0)

    assert await system.call(ok) == "ok"

    after = system.status()
    assert (after.name, after.error, after.requests) == ("store", "", 1)
    assert after.last_success == 1_700_000_000.0
    assert after.breaker is BreakerState.CLOSED


async def test_a_failure_of_the_system_stops_the_requests_of_every_tenant() -> None:
    system = make()
    assert (await error_of(system, down())).retry_after == 1.0

    with pytest.raises(ExternalError, match="refused"):
        await system.call(ok, tenant="b")

    status = system.status()
    assert (status.error, status.breaker) == ("store: refused", BreakerState.OPEN)
    assert status.next_request == 1.0
    assert (status.requests, dict(status.errors)) == (1, {"Down": 1})
    await asyncio.sleep(1.0)
    assert await system.call(ok, tenant="b") == "ok"
    assert (system.status().error, system.status().next_request) == ("", None)


async def test_a_failure_for_one_tenant_stops_only_its_requests_with_a_backoff_of_its_own() -> None:
    system = make()
    assert (await error_of(system, denied())).retry_after == 2.0
    with pytest.raises(ExternalError, match="denied"):
        await system.call(ok, tenant="a")
    assert await system.call(ok, tenant="b") == "ok"
    assert system.status().error == ""

    await asyncio.sleep(2.0)
    assert (await error_of(system, denied())).retry_after == 4.0
    await asyncio.sleep(4.0)
    assert await system.call(ok, tenant="a") == "ok"
    assert (await error_of(system, denied())).retry_after == 2.0


async def test_an_error_with_its_own_delay_stops_no_request() -> None:
    system = make()
    assert (await error_of(system, denied(retry_after=30.0))).retry_after == 30.0
    assert await system.call(ok, tenant="a") == "ok"


async def test_an_error_that_needs_a_person_is_final_for_one_tenant_and_retried_for_all() -> None:
    system = make()
    assert (await error_of(system, denied(action_required=True))).retry_after is None
    assert await system.call(ok, tenant="a") == "ok"

    error = ExternalError("WrongKey", "no", scope=Scope.SYSTEM, action_required=True)
    assert (await error_of(system, error)).retry_after == 1.0


async def test_a_trial_that_fails_for_its_tenant_closes_the_breaker_of_the_system() -> None:
    system = make()
    await error_of(system, down())
    await asyncio.sleep(1.0)
    await error_of(system, denied())
    assert system.status().error == ""
    assert await system.call(ok, tenant="b") == "ok"


async def test_an_internal_error_is_not_a_failure_of_the_system() -> None:
    system = make()
    await error_of(system, down())
    await asyncio.sleep(1.0)
    with pytest.raises(ZeroDivisionError):
        await system.call(failing(ZeroDivisionError()), tenant="a")
    assert system.status().breaker is BreakerState.HALF_OPEN
    assert await system.call(ok, tenant="a") == "ok"


async def test_calls_of_one_tenant_run_one_after_the_other() -> None:
    system, running, most = make(concurrency=10), {"a": 0, "b": 0}, {"a": 0, "b": 0}

    def work(tenant: str) -> Callable[[], Any]:
        async def run() -> None:
            running[tenant] += 1
            most[tenant] = max(most[tenant], running[tenant])
            await asyncio.sleep(1.0)
            running[tenant] -= 1

        return run

    began = virtual_time.now()
    await asyncio.gather(*(system.call(work(one), tenant=one) for one in "aabb"))
    assert most == {"a": 1, "b": 1}
    assert virtual_time.now() - began == pytest.approx(2.0)


async def test_no_more_calls_run_at_once_than_are_allowed() -> None:
    system, running, most = make(concurrency=2), 0, 0

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1.0)
        running -= 1

    await asyncio.gather(*(system.call(work, tenant=str(one)) for one in range(6)))
    assert most == 2


async def test_a_caller_waits_for_a_bounded_time_and_the_next_one_joins_the_request() -> None:
    system, started = make(wait_seconds=5.0), 0

    async def slow() -> str:
        nonlocal started
        started += 1
        await asyncio.sleep(8.0)
        return "late"

    with pytest.raises(ExternalError, match="has taken more than 5 s") as caught:
        await system.call(slow, tenant="a", request="key")
    assert (caught.value.reason, caught.value.retry_after) == (PENDING, 2.0)
    assert isinstance(caught.value.outcome(), Waiting)

    assert await system.call(slow, tenant="a", request="key") == "late"
    assert started == 1
    assert system.status().error == ""


async def test_another_request_of_the_tenant_waits_for_the_first() -> None:
    system, order = make(), []

    def work(name: str) -> Callable[[], Any]:
        async def run() -> None:
            order.append(f"{name} begins")
            await asyncio.sleep(1.0)
            order.append(f"{name} ends")

        return run

    await asyncio.gather(
        system.call(work("create"), tenant="a", request=1),
        system.call(work("delete"), tenant="a", request=2),
    )
    assert order == ["create begins", "create ends", "delete begins", "delete ends"]


async def test_a_request_continues_when_its_caller_is_cancelled() -> None:
    system, done = make(), []

    async def work() -> None:
        await asyncio.sleep(1.0)
        done.append(True)

    caller = asyncio.create_task(system.call(work, tenant="a"))
    await asyncio.sleep(0.1)
    caller.cancel()
    await asyncio.sleep(1.0)
    assert done == [True]


async def test_closing_waits_for_requests_in_flight_and_cancels_those_that_hang() -> None:
    system, done, cancelled = make(wait_seconds=0.1), [], []

    async def short() -> None:
        await asyncio.sleep(2.0)
        done.append(True)

    async def hanging() -> None:
        try:
            await asyncio.sleep(1000.0)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    for work in (short, hanging):
        with pytest.raises(ExternalError):
            await system.call(work)
    began = virtual_time.now()
    await system.close(grace=5.0)
    assert (done, cancelled) == ([True], [True])
    assert virtual_time.now() - began == pytest.approx(5.0)


async def test_closing_ends_the_calls_with_an_error_and_does_not_cancel_the_callers() -> None:
    system = make(wait_seconds=100.0)

    async def hanging() -> None:
        await asyncio.sleep(1000.0)

    callers = [
        asyncio.create_task(system.call(hanging)),
        asyncio.create_task(system.run(hanging)),
    ]
    await asyncio.sleep(0)
    await system.close(grace=1.0)
    errors = await asyncio.gather(*callers, return_exceptions=True)
    with pytest.raises(ExternalError) as late:
        await system.call(hanging)
    for error in (*errors, late.value):
        assert isinstance(error, ExternalError)
        assert (error.reason, error.retry_after) == ("ExternalSystemClosed", 2.0)


async def test_a_blocking_function_runs_in_a_thread_of_the_system() -> None:
    system = make()

    name = await system.call(lambda: system.in_thread(lambda: threading.current_thread().name))

    assert name.startswith("store")
    await system.close()


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (denied(retry_after=3.0), Waiting("Denied", "bucket a: denied", after=3.0)),
        (
            denied(retry_after=3.0, action_required=True),
            Waiting("Denied", "bucket a: denied", after=3.0, warn=True),
        ),
        (denied(action_required=True), Terminal("Denied", "bucket a: denied")),
    ],
)
def test_an_error_ends_a_reconcile_by_one_mapping(
    error: ExternalError, outcome: Waiting | Terminal
) -> None:
    assert type(outcome) is type(error.outcome())
    assert vars(outcome) == vars(error.outcome())


def test_an_error_becomes_a_finding_where_the_reconcile_continues() -> None:
    assert denied(action_required=True).finding() == Finding(
        reason="Denied", message="bucket a: denied", severity=Severity.PROBLEM
    )
    assert denied().finding().severity is Severity.NOTICE
