"""The guarantees of the work queue, in virtual time."""

import asyncio
from collections.abc import Callable

import pytest

from controllers.runtime.backoff import Backoff
from controllers.runtime.workqueue import Priority, ShutDown, WorkQueue
from tests.support.fakes import virtual_time

pytestmark = pytest.mark.virtual_time

STEADY = Backoff(initial=1.0, maximum=8.0, jitter=lambda: 0.5)


def new_queue(**observers: Callable[[float], None]) -> WorkQueue:
    return WorkQueue(clock=virtual_time.now, backoff=STEADY, **observers)


async def taken(queue: WorkQueue) -> str:
    """The next key, which is marked as processed at once."""
    key = await queue.get()
    queue.done(key)
    return key


async def all_taken(queue: WorkQueue) -> list[str]:
    return [await taken(queue) for _ in range(len(queue))]


async def test_keys_are_taken_in_the_order_in_which_they_were_added() -> None:
    queue = new_queue()
    for key in "cab":
        queue.add(key)

    assert ["c", "a", "b"] == await all_taken(queue)


async def test_a_key_added_twice_before_it_is_taken_is_queued_once() -> None:
    queue = new_queue()
    queue.add("a")
    queue.add("b")
    queue.add("a")

    assert ["a", "b"] == await all_taken(queue)
    assert 2 == queue.adds


async def test_normal_priority_is_taken_before_low_priority() -> None:
    queue = new_queue()
    queue.add("old", Priority.LOW)
    queue.add("new", Priority.NORMAL)

    assert ["new", "old"] == await all_taken(queue)


async def test_adding_a_key_again_can_raise_its_priority() -> None:
    queue = new_queue()
    for key in ("a", "b"):
        queue.add(key, Priority.LOW)
    queue.add("b", Priority.NORMAL)

    assert ["b", "a"] == await all_taken(queue)


async def test_adding_a_key_again_does_not_lower_its_priority() -> None:
    queue = new_queue()
    queue.add("a", Priority.NORMAL)
    queue.add("b", Priority.NORMAL)
    queue.add("a", Priority.LOW)

    assert ["a", "b"] == await all_taken(queue)


async def test_many_keys_of_normal_priority_do_not_starve_low_priority() -> None:
    queue = new_queue()
    queue.add("low", Priority.LOW)
    order = []
    for number in range(40):
        queue.add(f"event-{number}")
        queue.add(f"event-{number}-again")
        order.append(await taken(queue))

    assert 15 == order.index("low")


async def test_no_key_is_processed_by_two_workers_at_the_same_time() -> None:
    queue = new_queue()
    queue.add("a")
    assert "a" == await queue.get()
    queue.add("a")

    second = asyncio.create_task(queue.get())
    await virtual_time.turns()
    assert not second.done()
    queue.done("a")

    assert "a" == await second


async def test_a_key_added_while_it_is_processed_is_queued_once_more() -> None:
    queue = new_queue()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    queue.add("a", Priority.LOW)
    queue.add("b", Priority.LOW)

    assert ["b"] == [await taken(queue)]
    queue.done(key)
    assert ["a"] == await all_taken(queue)
    assert queue.idle


async def test_a_processed_key_is_not_queued_again() -> None:
    queue = new_queue()
    queue.add("a")
    await taken(queue)

    assert 0 == len(queue)
    assert queue.idle


async def test_a_queue_is_not_idle_while_a_key_is_processed() -> None:
    queue = new_queue()
    queue.add("a")
    await queue.get()

    assert 0 == len(queue)
    assert not queue.idle


async def test_each_key_resumes_one_waiting_worker() -> None:
    queue = new_queue()
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await virtual_time.turns()
    queue.add("a")
    queue.add("b")
    await virtual_time.turns()

    assert ["a", "b"] == [one.result() for one in workers if one.done()]
    workers[2].cancel()


async def test_a_delayed_key_is_added_after_its_delay() -> None:
    queue = new_queue()
    began = virtual_time.now()
    queue.add_after("a", 300.0)

    assert 0 == len(queue)
    assert "a" == await taken(queue)
    assert 300.0 == pytest.approx(virtual_time.now() - began)


async def test_the_earliest_of_several_delayed_adds_counts_and_the_others_are_dropped() -> None:
    queue = new_queue()
    began = virtual_time.now()
    queue.add_after("a", 20.0)
    queue.add_after("a", 5.0)
    queue.add_after("a", 60.0)

    assert "a" == await taken(queue)
    assert 5.0 == pytest.approx(virtual_time.now() - began)
    await asyncio.sleep(100.0)
    assert 0 == len(queue)


async def test_delayed_keys_are_added_in_the_order_of_their_times() -> None:
    queue = new_queue()
    queue.add_after("late", 30.0)
    queue.add_after("early", 10.0)

    assert ["early", "late"] == [await taken(queue), await taken(queue)]


async def test_a_delay_of_zero_adds_the_key_at_once() -> None:
    queue = new_queue()
    began = virtual_time.now()
    queue.add_after("a", 0.0)

    assert "a" == await taken(queue)
    assert began == virtual_time.now()


async def test_the_backoff_doubles_up_to_its_maximum_and_is_reset_by_forget() -> None:
    queue = new_queue()

    assert [1.0, 2.0, 4.0, 8.0, 8.0] == [queue.add_rate_limited("a") for _ in range(5)]
    assert 5 == queue.num_requeues("a")
    assert 5 == queue.retries
    queue.forget("a")
    assert 0 == queue.num_requeues("a")
    assert 1.0 == queue.add_rate_limited("a")


async def test_each_key_has_its_own_backoff() -> None:
    queue = new_queue()
    queue.add_rate_limited("a")
    queue.add_rate_limited("a")

    assert 1.0 == queue.add_rate_limited("b")


@pytest.mark.parametrize(("random", "expected"), [(0.0, 40.0), (0.5, 50.0), (1.0, 60.0)])
def test_jitter_is_at_most_a_fifth(random: float, expected: float) -> None:
    backoff = Backoff(initial=50.0, jitter=lambda: random)

    assert expected == pytest.approx(backoff.delay(1))


def test_a_backoff_of_very_many_failures_is_the_maximum() -> None:
    assert 8.0 == STEADY.delay(100_000)


async def test_an_add_does_not_wait_for_the_backoff() -> None:
    queue = new_queue()
    queue.add_rate_limited("a")
    queue.add("a")

    assert ["a"] == await all_taken(queue)


async def test_a_removed_key_loses_its_place_its_failures_and_its_delayed_adds() -> None:
    queue = new_queue()
    queue.add("a")
    queue.add("b", Priority.LOW)
    queue.add_rate_limited("a")
    queue.add_after("b", 10.0)
    queue.remove("a")
    queue.remove("b")
    await asyncio.sleep(100.0)

    assert 0 == len(queue)
    assert 0 == queue.num_requeues("a")


async def test_a_key_removed_while_it_is_processed_is_not_queued_again() -> None:
    queue = new_queue()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    queue.remove("a")
    queue.done(key)

    assert queue.idle


async def test_a_removed_key_can_be_added_again() -> None:
    queue = new_queue()
    queue.add_after("a", 10.0)
    queue.remove("a")
    queue.add_after("a", 20.0)
    began = virtual_time.now()

    assert "a" == await taken(queue)
    assert 20.0 == pytest.approx(virtual_time.now() - began)


async def test_retry_now_adds_every_delayed_key_at_low_priority() -> None:
    queue = new_queue()
    queue.add_after("a", 100.0)
    queue.add_rate_limited("b")
    queue.add("c")
    queue.retry_now()

    assert ["c", "a", "b"] == await all_taken(queue)
    await asyncio.sleep(500.0)
    assert 0 == len(queue)


async def test_retry_now_does_not_reset_failures() -> None:
    queue = new_queue()
    queue.add_rate_limited("a")
    queue.retry_now()

    assert 1 == queue.num_requeues("a")


async def test_a_queue_that_was_shut_down_is_empty_and_accepts_no_keys() -> None:
    queue = new_queue()
    queue.add("a")
    queue.add_after("b", 1.0)
    queue.shut_down()
    queue.add("c")
    queue.add_after("d", 1.0)
    await asyncio.sleep(10.0)

    assert 0 == len(queue)
    with pytest.raises(ShutDown):
        await queue.get()


async def test_shutting_down_ends_every_waiting_worker() -> None:
    queue = new_queue()
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await virtual_time.turns()
    queue.shut_down()
    ends = await asyncio.gather(*workers, return_exceptions=True)

    assert [ShutDown] * 3 == [type(one) for one in ends]


async def test_a_key_in_processing_can_be_finished_after_shut_down() -> None:
    queue = new_queue()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    queue.shut_down()
    queue.done(key)

    assert queue.idle


async def test_the_key_that_woke_a_cancelled_worker_goes_to_another_worker() -> None:
    queue = new_queue()
    first, second = (asyncio.create_task(queue.get()) for _ in range(2))
    await virtual_time.turns()
    queue.add("a")  # resumes the first worker, which has not run yet
    first.cancel()

    assert "a" == await second


async def test_a_worker_cancelled_while_it_waits_does_not_take_the_next_key() -> None:
    queue = new_queue()
    first, second = (asyncio.create_task(queue.get()) for _ in range(2))
    await virtual_time.turns()
    first.cancel()
    await virtual_time.turns()
    queue.add("a")

    assert "a" == await second


async def test_a_queue_reports_how_long_keys_waited_and_were_processed() -> None:
    waits: list[float] = []
    works: list[float] = []
    queue = new_queue(observe_wait=waits.append, observe_work=works.append)
    queue.add("a")
    await asyncio.sleep(3.0)
    key = await queue.get()
    await asyncio.sleep(2.0)
    assert [2.0] == pytest.approx(queue.running_seconds())
    queue.done(key)

    assert [3.0] == pytest.approx(waits)
    assert [2.0] == pytest.approx(works)
    assert [] == queue.running_seconds()


async def test_a_key_whose_priority_was_raised_has_waited_since_it_was_first_added() -> None:
    waits: list[float] = []
    queue = new_queue(observe_wait=waits.append)
    queue.add("a", Priority.LOW)
    await asyncio.sleep(3.0)
    queue.add("a", Priority.NORMAL)
    await taken(queue)

    assert [3.0] == pytest.approx(waits)
