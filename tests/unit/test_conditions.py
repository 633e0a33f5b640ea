"""Conditions are batched, written only when they change, and never overwrite other writers'."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from controllers.manifests import Body, Key
from controllers.profiles import Condition, parse_profile
from controllers.runtime.cache.profiles import ProfileStore
from controllers.runtime.options import Shard
from controllers.runtime.status import conditions
from controllers.runtime.status.conditions import (
    BATCH_SECONDS,
    DEBOUNCE_SECONDS,
    MAX_MESSAGE,
    ConditionWriter,
)
from tests.support import builders
from tests.support.fakes import Failure, FakeCluster, Request, virtual_time
from tests.support.fakes.object_tracker import ObjectChange

pytestmark = pytest.mark.virtual_time

KEY = Key("Profile", "", "alice")
PATCH = "PATCH Profile alice status"


def ready(type_: str = "QuotasReady", message: str = "in sync") -> Condition:
    return Condition(type=type_, status="True", message=message)


def foreign(type_: str = "Theirs") -> dict[str, str]:
    return {"type": type_, "status": "True", "message": "not ours"}


class Setup:
    """A writer over a cluster with Alice's Profile; the store follows the cluster."""

    def __init__(self, *, follow: bool = True, **profile: Any) -> None:
        self.cluster = FakeCluster()
        self.profiles = ProfileStore(Shard(), lambda _name, _profile: None)
        stored = self.cluster.objects.put(builders.profile_body(version=0, **profile))
        self.profiles.upsert(parse_profile(stored))
        if follow:
            self.cluster.objects.listeners.append(self.follow)
        self.writer = ConditionWriter(self.cluster, self.profiles, clock=virtual_time.now)

    def follow(self, happening: ObjectChange) -> None:
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
        await virtual_time.until(lambda: len(self.cluster.writes()) >= count, f"{count} writes")
        await virtual_time.turns()


@pytest_asyncio.fixture
async def working() -> AsyncIterator[Callable[..., Setup]]:
    """Creates setups whose writer runs until the test ends."""
    tasks = []

    def create(**profile: Any) -> Setup:
        setup = Setup(**profile)
        tasks.append(asyncio.create_task(setup.writer.run()))
        return setup

    yield create
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


Make = Callable[..., Setup]


async def test_a_condition_is_written(working: Make) -> None:
    setup = working()
    setup.writer.set("alice", ready())
    await setup.wrote(1)

    assert [{"type": "QuotasReady", "status": "True", "message": "in sync"}] == setup.stored
    assert [PATCH] == setup.cluster.written()


async def test_conditions_of_several_controllers_share_one_write(working: Make) -> None:
    setup = working()
    for name in ("QuotasReady", "LimitrangesReady", "NetworkReady"):
        setup.writer.set("alice", ready(name))
        await asyncio.sleep(BATCH_SECONDS / 4)
    await setup.wrote(1)
    await asyncio.sleep(10.0)

    assert [PATCH] == setup.cluster.written()
    assert ["LimitrangesReady", "NetworkReady", "QuotasReady"] == [
        one["type"] for one in setup.stored
    ]


async def test_the_last_value_is_written(working: Make) -> None:
    setup = working()
    setup.writer.set("alice", ready(message="first"))
    setup.writer.set("alice", ready(message="second"))
    await setup.wrote(1)
    await asyncio.sleep(10.0)

    assert ["second"] == [one["message"] for one in setup.stored]
    assert [PATCH] == setup.cluster.written()


async def test_an_unchanged_condition_is_not_written(working: Make) -> None:
    setup = working(conditions=[{"type": "QuotasReady", "status": "True", "message": "in sync"}])
    setup.writer.set("alice", ready())
    await asyncio.sleep(10.0)

    assert [] == setup.cluster.requests


async def test_a_condition_that_is_reverted_is_not_written(working: Make) -> None:
    setup = working(conditions=[{"type": "QuotasReady", "status": "True", "message": "in sync"}])
    setup.writer.set("alice", Condition(type="QuotasReady", status="False", message="failed"))
    setup.writer.set("alice", ready())
    await asyncio.sleep(10.0)

    assert [] == setup.cluster.requests


async def test_a_condition_that_is_reverted_during_its_write_is_written_again(
    working: Make,
) -> None:
    ours = {"type": "QuotasReady", "status": "True", "message": "in sync"}
    setup = working(follow=False, conditions=[ours])

    async def slowly(_request: Request) -> None:
        await asyncio.sleep(1.0)

    setup.cluster.before_response = slowly
    setup.writer.set("alice", Condition(type="QuotasReady", status="False", message="failed"))
    await setup.wrote(1)
    setup.writer.set("alice", ready())
    await setup.wrote(2)

    assert [ours] == setup.stored


async def test_a_debounced_condition_waits_and_can_be_reverted(working: Make) -> None:
    setup = working(conditions=[{"type": "QuotasReady", "status": "True", "message": "in sync"}])
    waiting = Condition(type="QuotasReady", status="False", message="waiting")
    setup.writer.set_debounced("alice", waiting)
    await asyncio.sleep(DEBOUNCE_SECONDS / 2)
    assert [] == setup.cluster.writes()
    setup.writer.set("alice", ready())
    await asyncio.sleep(10.0)

    assert [] == setup.cluster.writes()


async def test_a_debounced_condition_that_lasts_is_written(working: Make) -> None:
    setup = working()
    began = virtual_time.now()
    setup.writer.set_debounced("alice", ready())
    await setup.wrote(1)

    assert DEBOUNCE_SECONDS == pytest.approx(virtual_time.now() - began, abs=0.1)


async def test_conditions_of_other_writers_keep_their_places(working: Make) -> None:
    ours = {"type": "QuotasReady", "status": "False", "message": "failed"}
    setup = working(conditions=[foreign("A"), ours, foreign("B")])
    setup.writer.set("alice", ready("LimitrangesReady"))
    setup.writer.set("alice", ready())
    await setup.wrote(1)

    assert ["A", "QuotasReady", "B", "LimitrangesReady"] == [one["type"] for one in setup.stored]
    assert foreign("B") == setup.stored[2]


async def test_a_concurrent_write_of_another_writer_is_kept(working: Make) -> None:
    setup = working(follow=False)
    setup.edit(foreign())
    setup.writer.set("alice", ready())
    await setup.wrote(2)

    assert [foreign(), {"type": "QuotasReady", "status": "True", "message": "in sync"}] == (
        setup.stored
    )
    assert [PATCH, "GET Profile alice", PATCH] == [str(one) for one in setup.cluster.requests]


async def test_the_response_is_the_base_of_the_next_write(working: Make) -> None:
    setup = working(follow=False)
    setup.writer.set("alice", ready())
    await setup.wrote(1)
    setup.writer.set("alice", ready(message="still"))
    await setup.wrote(2)

    assert [PATCH, PATCH] == [str(one) for one in setup.cluster.requests]


async def test_repeated_conflicts_are_retried_later(working: Make) -> None:
    setup = working()
    for _ in range(7):
        setup.cluster.fail_next(Failure.CONFLICT, lambda one: one.method == "PATCH")
    setup.writer.set("alice", ready())
    await setup.wrote(8)

    assert ["QuotasReady"] == [one["type"] for one in setup.stored]


@pytest.mark.parametrize("failure", Failure)
async def test_a_failed_write_is_retried(working: Make, failure: Failure) -> None:
    setup = working()
    setup.cluster.fail_next(failure)
    setup.writer.set("alice", ready())
    await virtual_time.until(lambda: setup.writer.idle, "it is written")

    assert ["QuotasReady"] == [one["type"] for one in setup.stored]


async def test_a_newer_condition_replaces_the_one_whose_write_failed(working: Make) -> None:
    setup = working()
    setup.cluster.fail_next(Failure.INTERNAL_ERROR)
    setup.writer.set("alice", ready(message="old"))
    setup.writer.set("alice", ready("Other"))
    await setup.wrote(1)
    setup.writer.set("alice", ready(message="new"))
    await virtual_time.until(lambda: len(setup.stored) == 2, "both are written")

    assert ["", "new"] == [one["message"].replace("in sync", "") for one in setup.stored]


async def test_a_deleted_profile_is_not_retried(working: Make) -> None:
    setup = working(follow=False)
    setup.writer.set("alice", ready())
    setup.cluster.objects.delete(KEY)
    await setup.wrote(1)
    await asyncio.sleep(10.0)

    assert [PATCH] == setup.cluster.written()


async def test_a_forgotten_profile_is_not_written(working: Make) -> None:
    setup = working()
    setup.writer.set("alice", ready())
    setup.writer.forget("alice")
    await asyncio.sleep(10.0)

    assert [] == setup.cluster.requests


async def test_a_new_profile_of_the_same_name_does_not_receive_old_conditions(
    working: Make,
) -> None:
    setup = working(follow=False)
    setup.cluster.objects.delete(KEY)
    setup.cluster.objects.put(builders.profile_body(uid="uid-new", version=0))
    setup.writer.set("alice", ready())
    await setup.wrote(1)
    await asyncio.sleep(10.0)

    assert [] == setup.stored
    assert [PATCH] == setup.cluster.written()


async def test_a_terminating_profile_is_not_written(working: Make) -> None:
    setup = working()
    setup.writer.set("alice", ready())
    setup.cluster.objects.edit(
        KEY, lambda body: body["metadata"].update(finalizers=["a/b"], deletionTimestamp="now")
    )
    await asyncio.sleep(10.0)

    assert [] == setup.cluster.writes()


async def test_the_path_has_the_version_in_which_the_profile_was_read(working: Make) -> None:
    setup = working()
    body = {**builders.profile_body(version=999), "apiVersion": "kubeflow.org/v1beta1"}
    setup.profiles.upsert(parse_profile(body))
    setup.writer.set("alice", ready())
    await setup.wrote(1)

    path = setup.cluster.writes()[0].path
    assert "/apis/kubeflow.org/v1beta1/profiles/alice/status" == path


async def test_a_long_message_is_truncated_before_it_is_compared(working: Make) -> None:
    setup = working()
    setup.writer.set("alice", ready(message="x" * 5000))
    await setup.wrote(1)
    setup.writer.set("alice", ready(message="x" * 5000))
    await asyncio.sleep(10.0)

    assert MAX_MESSAGE == len(setup.stored[0]["message"])
    assert setup.stored[0]["message"].endswith("xx...")
    assert [PATCH] == setup.cluster.written()


async def test_flush_writes_pending_conditions_at_once() -> None:
    setup = Setup()
    began = virtual_time.now()
    setup.writer.set_debounced("alice", ready())
    await setup.writer.flush()

    assert ["QuotasReady"] == [one["type"] for one in setup.stored]
    assert virtual_time.now() - began < BATCH_SECONDS


async def test_flush_waits_for_writes_in_flight(working: Make) -> None:
    setup = working()

    async def slowly(_request: Request) -> None:
        await asyncio.sleep(5.0)

    setup.cluster.before_response = slowly
    setup.writer.set("alice", ready())
    await setup.wrote(1)
    began = virtual_time.now()
    await setup.writer.flush()

    assert virtual_time.now() - began > 4.0


async def test_flush_does_not_wait_for_an_unreachable_server() -> None:
    setup = Setup()
    setup.cluster.unreachable = True
    setup.writer.set("alice", ready())
    await asyncio.wait_for(setup.writer.flush(), 1.0)

    assert [PATCH] == setup.cluster.written()


def test_merge_appends_new_conditions_in_the_order_of_their_types() -> None:
    present = [ready("B"), ready("Z")]
    new = [ready("C"), ready("Z", "changed"), ready("A")]

    assert (ready("B"), ready("Z", "changed"), ready("A"), ready("C")) == conditions.merge(
        present, new
    )
