"""The promises of the work queue, in virtual time."""

import asyncio

import pytest

from controllers.runtime.backoff import Backoff
from controllers.runtime.workqueue import Closed, Priority, Queue
from tests.support.fakes import event_loop

pytestmark = pytest.mark.virtual_time

STEADY = Backoff(initial=1.0, maximum=8.0, jitter=lambda: 0.5)


def queue() -> Queue:
    return Queue(clock=event_loop.now, backoff=STEADY)


async def taken(line: Queue) -> str:
    """The next key, done with at once."""
    key = await line.get()
    line.done(key)
    return key


async def all_taken(line: Queue) -> list[str]:
    return [await taken(line) for _ in range(len(line))]


async def test_keys_come_in_the_order_in_which_they_were_added() -> None:
    line = queue()
    for key in "cab":
        line.add(key)

    assert ["c", "a", "b"] == await all_taken(line)


async def test_a_key_that_is_added_twice_before_it_is_taken_comes_once() -> None:
    line = queue()
    line.add("a")
    line.add("b")
    line.add("a")

    assert ["a", "b"] == await all_taken(line)
    assert 2 == line.adds


async def test_events_go_before_the_backlog() -> None:
    line = queue()
    line.add("old", Priority.BACKLOG)
    line.add("new", Priority.EVENT)

    assert ["new", "old"] == await all_taken(line)


async def test_an_event_moves_a_key_up_from_the_backlog() -> None:
    line = queue()
    for key in ("a", "b"):
        line.add(key, Priority.BACKLOG)
    line.add("b", Priority.EVENT)

    assert ["b", "a"] == await all_taken(line)


async def test_a_resync_does_not_move_a_key_back_into_the_backlog() -> None:
    line = queue()
    line.add("a", Priority.EVENT)
    line.add("b", Priority.EVENT)
    line.add("a", Priority.BACKLOG)

    assert ["a", "b"] == await all_taken(line)


async def test_a_storm_of_events_does_not_starve_the_backlog() -> None:
    line = queue()
    line.add("patient", Priority.BACKLOG)
    order = []
    for number in range(40):
        line.add(f"event-{number}")
        line.add(f"event-{number}-again")
        order.append(await taken(line))

    assert 15 == order.index("patient")


async def test_no_key_is_handed_to_two_workers_at_once() -> None:
    line = queue()
    line.add("a")
    assert "a" == await line.get()
    line.add("a")

    second = asyncio.create_task(line.get())
    await event_loop.turns()
    assert not second.done()
    line.done("a")

    assert "a" == await second


async def test_a_key_that_is_added_while_it_is_worked_on_comes_once_again() -> None:
    line = queue()
    line.add("a")
    key = await line.get()
    line.add("a")
    line.add("a", Priority.BACKLOG)
    line.add("b", Priority.BACKLOG)

    assert ["b"] == [await taken(line)]
    line.done(key)
    assert ["a"] == await all_taken(line)
    assert line.idle


async def test_a_key_that_was_not_added_meanwhile_does_not_come_again() -> None:
    line = queue()
    line.add("a")
    await taken(line)

    assert 0 == len(line)
    assert line.idle


async def test_a_queue_is_not_idle_while_a_key_is_worked_on() -> None:
    line = queue()
    line.add("a")
    await line.get()

    assert 0 == len(line)
    assert not line.idle


async def test_waiting_workers_are_woken_one_a_key() -> None:
    line = queue()
    workers = [asyncio.create_task(line.get()) for _ in range(3)]
    await event_loop.turns()
    line.add("a")
    line.add("b")
    await event_loop.turns()

    assert ["a", "b"] == [one.result() for one in workers if one.done()]
    workers[2].cancel()


async def test_a_delayed_add_comes_after_its_delay() -> None:
    line = queue()
    began = event_loop.now()
    line.add_after("a", 300.0)

    assert 0 == len(line)
    assert "a" == await taken(line)
    assert 300.0 == pytest.approx(event_loop.now() - began)


async def test_the_earliest_of_several_delayed_adds_wins_and_the_others_are_no_more() -> None:
    line = queue()
    began = event_loop.now()
    line.add_after("a", 20.0)
    line.add_after("a", 5.0)
    line.add_after("a", 60.0)

    assert "a" == await taken(line)
    assert 5.0 == pytest.approx(event_loop.now() - began)
    await asyncio.sleep(100.0)
    assert 0 == len(line)


async def test_delayed_adds_of_several_keys_come_in_the_order_of_their_times() -> None:
    line = queue()
    line.add_after("late", 30.0)
    line.add_after("early", 10.0)

    assert ["early", "late"] == [await taken(line), await taken(line)]


async def test_a_delayed_add_with_no_delay_comes_at_once() -> None:
    line = queue()
    began = event_loop.now()
    line.add_after("a", 0.0)

    assert "a" == await taken(line)
    assert began == event_loop.now()


async def test_the_backoff_doubles_up_to_its_bound_and_starts_anew_once_forgotten() -> None:
    line = queue()

    assert [1.0, 2.0, 4.0, 8.0, 8.0] == [line.retry("a") for _ in range(5)]
    assert 5 == line.failures("a")
    assert 5 == line.retries
    line.forget("a")
    assert 0 == line.failures("a")
    assert 1.0 == line.retry("a")


async def test_each_key_has_a_backoff_of_its_own() -> None:
    line = queue()
    line.retry("a")
    line.retry("a")

    assert 1.0 == line.retry("b")


@pytest.mark.parametrize(("random", "expected"), [(0.0, 40.0), (0.5, 50.0), (1.0, 60.0)])
def test_jitter_stays_within_a_fifth(random: float, expected: float) -> None:
    backoff = Backoff(initial=50.0, jitter=lambda: random)

    assert expected == pytest.approx(backoff.delay(1))


def test_a_backoff_of_very_many_failures_is_the_longest() -> None:
    assert 8.0 == STEADY.delay(100_000)


async def test_an_event_does_not_wait_for_the_backoff() -> None:
    line = queue()
    line.retry("a")
    line.add("a")

    assert ["a"] == await all_taken(line)


async def test_a_dropped_key_loses_its_place_its_failures_and_its_delayed_adds() -> None:
    line = queue()
    line.add("a")
    line.add("b", Priority.BACKLOG)
    line.retry("a")
    line.add_after("b", 10.0)
    line.drop("a")
    line.drop("b")
    await asyncio.sleep(100.0)

    assert 0 == len(line)
    assert 0 == line.failures("a")


async def test_a_key_that_is_dropped_while_it_is_worked_on_does_not_come_again() -> None:
    line = queue()
    line.add("a")
    key = await line.get()
    line.add("a")
    line.drop("a")
    line.done(key)

    assert line.idle


async def test_a_dropped_key_can_be_added_again() -> None:
    line = queue()
    line.add_after("a", 10.0)
    line.drop("a")
    line.add_after("a", 20.0)
    began = event_loop.now()

    assert "a" == await taken(line)
    assert 20.0 == pytest.approx(event_loop.now() - began)


async def test_hurry_puts_every_delayed_key_in_line_behind_the_others() -> None:
    line = queue()
    line.add_after("a", 100.0)
    line.retry("b")
    line.add("c")
    line.hurry()

    assert ["c", "a", "b"] == await all_taken(line)
    await asyncio.sleep(500.0)
    assert 0 == len(line)


async def test_hurry_leaves_the_count_of_failures() -> None:
    line = queue()
    line.retry("a")
    line.hurry()

    assert 1 == line.failures("a")


async def test_a_closed_queue_hands_nothing_out_and_takes_nothing_in() -> None:
    line = queue()
    line.add("a")
    line.add_after("b", 1.0)
    line.close()
    line.add("c")
    line.add_after("d", 1.0)
    await asyncio.sleep(10.0)

    assert 0 == len(line)
    with pytest.raises(Closed):
        await line.get()


async def test_closing_ends_every_waiting_worker() -> None:
    line = queue()
    workers = [asyncio.create_task(line.get()) for _ in range(3)]
    await event_loop.turns()
    line.close()
    ends = await asyncio.gather(*workers, return_exceptions=True)

    assert [Closed] * 3 == [type(one) for one in ends]


async def test_what_is_worked_on_goes_on_after_closing() -> None:
    line = queue()
    line.add("a")
    key = await line.get()
    line.add("a")
    line.close()
    line.done(key)

    assert line.idle


async def test_a_worker_that_is_cancelled_hands_the_key_that_woke_it_to_another() -> None:
    line = queue()
    first, second = (asyncio.create_task(line.get()) for _ in range(2))
    await event_loop.turns()
    line.add("a")  # wakes the first, which has not run yet
    first.cancel()

    assert "a" == await second


async def test_a_worker_that_is_cancelled_while_it_waits_takes_no_wake_with_it() -> None:
    line = queue()
    first, second = (asyncio.create_task(line.get()) for _ in range(2))
    await event_loop.turns()
    first.cancel()
    await event_loop.turns()
    line.add("a")

    assert "a" == await second


async def test_a_queue_tells_how_long_keys_waited_and_were_worked_on() -> None:
    line = queue()
    waits: list[float] = []
    works: list[float] = []
    line.observe_wait, line.observe_work = waits.append, works.append
    line.add("a")
    await asyncio.sleep(3.0)
    key = await line.get()
    await asyncio.sleep(2.0)
    assert [2.0] == pytest.approx(line.running())
    line.done(key)

    assert [3.0] == pytest.approx(waits)
    assert [2.0] == pytest.approx(works)
    assert [] == line.running()


async def test_a_key_that_moves_up_has_waited_since_it_was_first_added() -> None:
    line = queue()
    waits: list[float] = []
    line.observe_wait = waits.append
    line.add("a", Priority.BACKLOG)
    await asyncio.sleep(3.0)
    line.add("a", Priority.EVENT)
    await taken(line)

    assert [3.0] == pytest.approx(waits)
