"""Events are posted once, then counted, and recording them never waits."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from controllers.manifests import Body
from controllers.profiles import Profile
from controllers.runtime.status.events import (
    CAPACITY,
    MAX_MESSAGE,
    REPEAT_SECONDS,
    Event,
    EventRecorder,
)
from tests.support import builders
from tests.support.fakes import Failure, FakeCluster, virtual_time

pytestmark = pytest.mark.virtual_time

ALICE = builders.profile()
CREATED = Event(controller="samples", reason="Reconciled", message="ConfigMap alice/a create")
REFUSED = Event(controller="samples", reason="Refused", message="not ours", warning=True)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def recorder_over(cluster: FakeCluster, *, capacity: int = CAPACITY) -> EventRecorder:
    return EventRecorder(cluster, clock=virtual_time.now, identity="pod-1", capacity=capacity)


@pytest_asyncio.fixture
async def recorder(cluster: FakeCluster) -> AsyncIterator[EventRecorder]:
    recorder = recorder_over(cluster)
    task = asyncio.create_task(recorder.run())
    yield recorder
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def stored(cluster: FakeCluster) -> list[Body]:
    return cluster.objects.all_of("Event")


async def test_an_event_involves_the_profile(cluster: FakeCluster, recorder: EventRecorder) -> None:
    recorder.record(ALICE, REFUSED)
    await recorder.flush()
    (event,) = stored(cluster)
    metadata = event.pop("metadata")
    first, last = event.pop("firstTimestamp"), event.pop("lastTimestamp")

    assert "default" == metadata["namespace"]
    assert metadata["name"].startswith("alice.")
    assert first == last
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": {
            "apiVersion": "kubeflow.org/v1",
            "kind": "Profile",
            "name": "alice",
            "uid": "uid-alice",
        },
        "reason": "Refused",
        "message": "not ours",
        "type": "Warning",
        "source": {"component": "profiles-controller-samples"},
        "reportingComponent": "profiles-controller-samples",
        "reportingInstance": "pod-1",
        "count": 1,
    }


async def test_an_event_that_is_not_a_warning_is_normal(
    cluster: FakeCluster, recorder: EventRecorder
) -> None:
    recorder.record(ALICE, CREATED)
    await recorder.flush()

    assert ["Normal"] == [event["type"] for event in stored(cluster)]


async def test_the_same_event_is_posted_once_within_the_repeat_period(
    cluster: FakeCluster, recorder: EventRecorder
) -> None:
    for _ in range(3):
        recorder.record(ALICE, REFUSED)
        await asyncio.sleep(REPEAT_SECONDS / 4)
    await recorder.flush()

    assert 1 == len(cluster.writes())


async def test_the_same_event_is_counted_after_the_repeat_period(
    cluster: FakeCluster, recorder: EventRecorder
) -> None:
    recorder.record(ALICE, REFUSED)
    await asyncio.sleep(REPEAT_SECONDS + 1)
    recorder.record(ALICE, REFUSED)
    await recorder.flush()

    assert [2] == [event["count"] for event in stored(cluster)]


async def test_the_same_event_is_counted_after_a_restart(
    cluster: FakeCluster, recorder: EventRecorder
) -> None:
    recorder.record(ALICE, REFUSED)
    await recorder.flush()
    restarted = recorder_over(cluster)
    restarted.record(ALICE, REFUSED)
    await restarted.flush()

    name = stored(cluster)[0]["metadata"]["name"]
    assert [2] == [event["count"] for event in stored(cluster)]
    assert [
        f"POST Event default/{name}",
        f"POST Event default/{name}",
        f"GET Event default/{name}",
        f"PATCH Event default/{name}",
    ] == [str(request) for request in cluster.requests]


@pytest.mark.parametrize(
    "other",
    [
        (ALICE, CREATED),
        (builders.profile("bob", uid="uid-bob"), REFUSED),
        (builders.profile(uid="uid-new"), REFUSED),
        (ALICE, Event(controller="others", reason="Refused", message="not ours", warning=True)),
    ],
    ids=["another_event", "another_profile", "a_new_profile_of_the_name", "another_controller"],
)
async def test_a_difference_makes_another_event(
    cluster: FakeCluster, recorder: EventRecorder, other: tuple[Profile, Event]
) -> None:
    recorder.record(ALICE, REFUSED)
    recorder.record(*other)
    await recorder.flush()

    assert 2 == len(stored(cluster))


async def test_a_long_message_is_truncated_between_characters(
    cluster: FakeCluster, recorder: EventRecorder
) -> None:
    recorder.record(ALICE, Event(controller="samples", reason="Long", message="é" * 5000))
    await recorder.flush()
    (event,) = stored(cluster)

    assert len(event["message"].encode()) <= MAX_MESSAGE
    assert event["message"].endswith("é...")


async def test_long_messages_with_the_same_beginning_are_different_events(
    cluster: FakeCluster, recorder: EventRecorder
) -> None:
    for end in "ab":
        message = "x" * 5000 + end
        recorder.record(ALICE, Event(controller="samples", reason="Long", message=message))
    await recorder.flush()

    assert 2 == len(stored(cluster))


async def test_the_name_of_an_event_is_never_too_long(
    cluster: FakeCluster, recorder: EventRecorder
) -> None:
    recorder.record(builders.profile("p" * 253), REFUSED)
    await recorder.flush()

    assert len(stored(cluster)[0]["metadata"]["name"]) <= 253


@pytest.mark.parametrize("failure", Failure)
async def test_an_event_that_could_not_be_posted_can_be_posted_again(
    cluster: FakeCluster, recorder: EventRecorder, failure: Failure
) -> None:
    cluster.fail_next(failure)
    recorder.record(ALICE, REFUSED)
    await recorder.flush()
    recorder.record(ALICE, REFUSED)
    await recorder.flush()

    assert 1 == len(stored(cluster))


async def test_a_failed_event_does_not_stop_the_others(
    cluster: FakeCluster, recorder: EventRecorder
) -> None:
    cluster.fail_next(Failure.INTERNAL_ERROR)
    recorder.record(ALICE, REFUSED)
    recorder.record(ALICE, CREATED)
    await recorder.flush()

    assert ["Reconciled"] == [event["reason"] for event in stored(cluster)]


async def test_recording_never_waits_and_drops_events_above_the_capacity(
    cluster: FakeCluster,
) -> None:
    recorder = recorder_over(cluster, capacity=2)
    for number in range(5):
        recorder.record(ALICE, Event(controller="samples", reason="Many", message=str(number)))

    assert 3 == recorder.dropped
    await recorder.flush()
    assert ["0", "1"] == sorted(event["message"] for event in stored(cluster))


async def test_a_dropped_event_can_be_posted_again(
    cluster: FakeCluster,
) -> None:
    recorder = recorder_over(cluster, capacity=1)
    recorder.record(ALICE, CREATED)
    recorder.record(ALICE, REFUSED)
    await recorder.flush()
    recorder.record(ALICE, REFUSED)
    await recorder.flush()

    assert 2 == len(stored(cluster))


async def test_flush_posts_events_without_run(cluster: FakeCluster) -> None:
    recorder = recorder_over(cluster)
    recorder.record(ALICE, CREATED)
    await asyncio.wait_for(recorder.flush(), 1.0)

    assert ["Reconciled"] == [event["reason"] for event in stored(cluster)]
