"""Conditions: gathered, written only on change, and never over another writer's."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from controllers.manifests import Body, Key
from controllers.profiles import Condition, parse_profile
from controllers.runtime.cache.profiles import Profiles
from controllers.runtime.options import Shard
from controllers.runtime.status import conditions
from controllers.runtime.status.conditions import LONGEST_MESSAGE, PATIENT, PROMPT, Writer
from tests.support.builders import live_objects
from tests.support.fakes import Failure, FakeCluster, Request, event_loop
from tests.support.fakes.objects import Happening

pytestmark = pytest.mark.virtual_time

KEY = Key("Profile", "", "alice")
PATCH = "PATCH Profile alice status"


def ready(type_: str = "QuotasReady", message: str = "all is well") -> Condition:
    return Condition(type=type_, status="True", message=message)


def foreign(type_: str = "Theirs") -> dict[str, str]:
    return {"type": type_, "status": "True", "message": "not ours"}


class Desk:
    """A writer at work over a cluster with Alice's Profile, which the store follows."""

    def __init__(self, *, follow: bool = True, **profile: Any) -> None:
        self.cluster = FakeCluster()
        self.profiles = Profiles(Shard(), lambda _name, _profile: None)
        stored = self.cluster.objects.put(live_objects.profile_body(version=0, **profile))
        self.profiles.upsert(parse_profile(stored))
        if follow:
            self.cluster.objects.listeners.append(self.follow)
        self.writer = Writer(self.cluster, self.profiles, clock=event_loop.now)

    def follow(self, happening: Happening) -> None:
        if happening.after is not None:
            self.profiles.upsert(parse_profile(happening.after))

    @property
    def stored(self) -> list[dict[str, str]]:
        status = self.cluster.objects.read(KEY).get("status") or {}
        return list(status.get("conditions") or ())

    def edit(self, *entries: dict[str, str]) -> None:
        """Another writer sets the list."""

        def change(body: Body) -> None:
            body["status"] = {"conditions": list(entries)}

        self.cluster.objects.edit(KEY, change)

    async def wrote(self, count: int) -> None:
        await event_loop.until(lambda: len(self.cluster.writes()) >= count, f"{count} writes")
        await event_loop.turns()


@pytest_asyncio.fixture
async def working() -> AsyncIterator[Callable[..., Desk]]:
    """Makes desks whose writer runs until the test ends."""
    tasks = []

    def make(**profile: Any) -> Desk:
        desk = Desk(**profile)
        tasks.append(asyncio.create_task(desk.writer.run()))
        return desk

    yield make
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


Make = Callable[..., Desk]


async def test_what_is_said_is_written(working: Make) -> None:
    desk = working()
    desk.writer.say("alice", ready())
    await desk.wrote(1)

    assert [{"type": "QuotasReady", "status": "True", "message": "all is well"}] == desk.stored
    assert [PATCH] == desk.cluster.written()


async def test_what_several_controllers_say_is_one_write(working: Make) -> None:
    desk = working()
    for name in ("QuotasReady", "LimitrangesReady", "NetworkReady"):
        desk.writer.say("alice", ready(name))
        await asyncio.sleep(PROMPT / 4)
    await desk.wrote(1)
    await asyncio.sleep(10.0)

    assert [PATCH] == desk.cluster.written()
    assert ["LimitrangesReady", "NetworkReady", "QuotasReady"] == [
        one["type"] for one in desk.stored
    ]


async def test_the_last_word_counts(working: Make) -> None:
    desk = working()
    desk.writer.say("alice", ready(message="first"))
    desk.writer.say("alice", ready(message="second"))
    await desk.wrote(1)
    await asyncio.sleep(10.0)

    assert ["second"] == [one["message"] for one in desk.stored]
    assert [PATCH] == desk.cluster.written()


async def test_what_is_so_already_is_not_written(working: Make) -> None:
    desk = working(conditions=[{"type": "QuotasReady", "status": "True", "message": "all is well"}])
    desk.writer.say("alice", ready())
    await asyncio.sleep(10.0)

    assert [] == desk.cluster.requests


async def test_taking_a_word_back_writes_nothing(working: Make) -> None:
    desk = working(conditions=[{"type": "QuotasReady", "status": "True", "message": "all is well"}])
    desk.writer.say("alice", Condition(type="QuotasReady", status="False", message="oh"))
    desk.writer.say("alice", ready())
    await asyncio.sleep(10.0)

    assert [] == desk.cluster.requests


async def test_a_word_taken_back_while_it_is_being_written_is_put_right(working: Make) -> None:
    ours = {"type": "QuotasReady", "status": "True", "message": "all is well"}
    desk = working(follow=False, conditions=[ours])

    async def slowly(_request: Request) -> None:
        await asyncio.sleep(1.0)

    desk.cluster.before_answer = slowly
    desk.writer.say("alice", Condition(type="QuotasReady", status="False", message="oh"))
    await desk.wrote(1)
    desk.writer.say("alice", ready())
    await desk.wrote(2)

    assert [ours] == desk.stored


async def test_a_patient_word_waits_and_may_be_taken_back(working: Make) -> None:
    desk = working(conditions=[{"type": "QuotasReady", "status": "True", "message": "all is well"}])
    waiting = Condition(type="QuotasReady", status="False", message="waiting")
    desk.writer.say("alice", waiting, patient=True)
    await asyncio.sleep(PATIENT / 2)
    assert [] == desk.cluster.writes()
    desk.writer.say("alice", ready())
    await asyncio.sleep(10.0)

    assert [] == desk.cluster.writes()


async def test_a_patient_word_that_lasts_is_written(working: Make) -> None:
    desk = working()
    began = event_loop.now()
    desk.writer.say("alice", ready(), patient=True)
    await desk.wrote(1)

    assert PATIENT == pytest.approx(event_loop.now() - began, abs=0.1)


async def test_other_writers_conditions_keep_their_places(working: Make) -> None:
    ours = {"type": "QuotasReady", "status": "False", "message": "oh"}
    desk = working(conditions=[foreign("A"), ours, foreign("B")])
    desk.writer.say("alice", ready("LimitrangesReady"))
    desk.writer.say("alice", ready())
    await desk.wrote(1)

    assert ["A", "QuotasReady", "B", "LimitrangesReady"] == [one["type"] for one in desk.stored]
    assert foreign("B") == desk.stored[2]


async def test_what_another_writes_at_the_same_time_is_kept(working: Make) -> None:
    desk = working(follow=False)
    desk.edit(foreign())
    desk.writer.say("alice", ready())
    await desk.wrote(2)

    assert [foreign(), {"type": "QuotasReady", "status": "True", "message": "all is well"}] == (
        desk.stored
    )
    assert [PATCH, "GET Profile alice", PATCH] == [str(one) for one in desk.cluster.requests]


async def test_our_own_answer_is_the_base_of_the_next_write(working: Make) -> None:
    desk = working(follow=False)
    desk.writer.say("alice", ready())
    await desk.wrote(1)
    desk.writer.say("alice", ready(message="still"))
    await desk.wrote(2)

    assert [PATCH, PATCH] == [str(one) for one in desk.cluster.requests]


async def test_a_list_that_keeps_changing_is_tried_again_later(working: Make) -> None:
    desk = working()
    for _ in range(7):
        desk.cluster.fail_next(Failure.CONFLICT, lambda one: one.method == "PATCH")
    desk.writer.say("alice", ready())
    await desk.wrote(8)

    assert ["QuotasReady"] == [one["type"] for one in desk.stored]


@pytest.mark.parametrize("failure", Failure)
async def test_a_write_that_fails_is_made_later(working: Make, failure: Failure) -> None:
    desk = working()
    desk.cluster.fail_next(failure)
    desk.writer.say("alice", ready())
    await event_loop.until(lambda: desk.writer.idle, "it is written")

    assert ["QuotasReady"] == [one["type"] for one in desk.stored]


async def test_what_is_said_meanwhile_goes_before_what_failed(working: Make) -> None:
    desk = working()
    desk.cluster.fail_next(Failure.BROKEN)
    desk.writer.say("alice", ready(message="old"))
    desk.writer.say("alice", ready("Other"))
    await desk.wrote(1)
    desk.writer.say("alice", ready(message="new"))
    await event_loop.until(lambda: len(desk.stored) == 2, "both are written")

    assert ["", "new"] == [one["message"].replace("all is well", "") for one in desk.stored]


async def test_a_profile_that_is_gone_is_told_nothing(working: Make) -> None:
    desk = working(follow=False)
    desk.writer.say("alice", ready())
    desk.cluster.objects.delete(KEY)
    await desk.wrote(1)
    await asyncio.sleep(10.0)

    assert [PATCH] == desk.cluster.written()


async def test_a_forgotten_profile_is_told_nothing(working: Make) -> None:
    desk = working()
    desk.writer.say("alice", ready())
    desk.writer.forget("alice")
    await asyncio.sleep(10.0)

    assert [] == desk.cluster.requests


async def test_a_new_profile_of_the_same_name_is_told_nothing_about_the_old(working: Make) -> None:
    desk = working(follow=False)
    desk.cluster.objects.delete(KEY)
    desk.cluster.objects.put(live_objects.profile_body(uid="uid-new", version=0))
    desk.writer.say("alice", ready())
    await desk.wrote(1)
    await asyncio.sleep(10.0)

    assert [] == desk.stored
    assert [PATCH] == desk.cluster.written()


async def test_a_profile_that_is_being_deleted_is_told_nothing(working: Make) -> None:
    desk = working()
    desk.writer.say("alice", ready())
    desk.cluster.objects.edit(
        KEY, lambda body: body["metadata"].update(finalizers=["a/b"], deletionTimestamp="now")
    )
    await asyncio.sleep(10.0)

    assert [] == desk.cluster.writes()


async def test_the_path_has_the_version_that_the_profile_was_read_in(working: Make) -> None:
    desk = working()
    body = {**live_objects.profile_body(version=999), "apiVersion": "kubeflow.org/v1beta1"}
    desk.profiles.upsert(parse_profile(body))
    desk.writer.say("alice", ready())
    await desk.wrote(1)

    path = desk.cluster.writes()[0].path
    assert "/apis/kubeflow.org/v1beta1/profiles/alice/status" == path


async def test_a_long_message_is_cut_and_compared_as_cut(working: Make) -> None:
    desk = working()
    desk.writer.say("alice", ready(message="x" * 5000))
    await desk.wrote(1)
    desk.writer.say("alice", ready(message="x" * 5000))
    await asyncio.sleep(10.0)

    assert LONGEST_MESSAGE == len(desk.stored[0]["message"])
    assert desk.stored[0]["message"].endswith("xx...")
    assert [PATCH] == desk.cluster.written()


async def test_draining_writes_at_once_what_is_said() -> None:
    desk = Desk()
    began = event_loop.now()
    desk.writer.say("alice", ready(), patient=True)
    await desk.writer.drain()

    assert ["QuotasReady"] == [one["type"] for one in desk.stored]
    assert event_loop.now() - began < PROMPT


async def test_draining_waits_for_what_is_being_written(working: Make) -> None:
    desk = working()

    async def slowly(_request: Request) -> None:
        await asyncio.sleep(5.0)

    desk.cluster.before_answer = slowly
    desk.writer.say("alice", ready())
    await desk.wrote(1)
    began = event_loop.now()
    await desk.writer.drain()

    assert event_loop.now() - began > 4.0


async def test_draining_does_not_wait_for_a_server_that_is_away() -> None:
    desk = Desk()
    desk.cluster.down = True
    desk.writer.say("alice", ready())
    await asyncio.wait_for(desk.writer.drain(), 1.0)

    assert [PATCH] == desk.cluster.written()


def test_merging_puts_new_conditions_at_the_end_in_the_order_of_their_types() -> None:
    present = [ready("B"), ready("Z")]
    said = [ready("C"), ready("Z", "changed"), ready("A")]

    assert (ready("B"), ready("Z", "changed"), ready("A"), ready("C")) == conditions.merge(
        present, said
    )
