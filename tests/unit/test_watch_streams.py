"""Watches of the client: which events are omitted, and how a watch ends."""

import asyncio
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from controllers.manifests import Body
from controllers.runtime.client import responses
from controllers.runtime.client.client import ClientOptions, ResourceVersions, RestClient
from controllers.runtime.client.config import Timeouts
from controllers.runtime.errors import ApiError, UnreachableError
from tests.support.fakes import virtual_time
from tests.support.http.kubeconfigs import connected
from tests.support.http.scripted import Connection, Script, chunked, responding, response

PATH = "/api/v1/configmaps"


def line(version: int, kind: str = "MODIFIED") -> bytes:
    body = {"metadata": {"name": "one", "resourceVersion": str(version)}}
    return json.dumps({"type": kind, "object": body}, separators=(",", ":")).encode() + b"\n"


def sending(*pieces: bytes) -> Script:
    """A watch that sends these pieces, then ends."""

    async def script(connection: Connection) -> None:
        while await connection.request():
            for piece in chunked(*pieces):
                await connection.send(piece)
                await asyncio.sleep(0)

    return script


async def events(client: RestClient, skip: ResourceVersions = ()) -> list[tuple[str, str]]:
    return [
        (event["type"], event["object"]["metadata"]["resourceVersion"])
        async for batch in client.watch(PATH, {}, skip)
        for event in batch
    ]


async def collect(client: RestClient, into: list[Body]) -> None:
    async for batch in client.watch(PATH, {}):
        into.extend(batch)


# -- events ----------------------------------------------------------------------------------------


async def test_a_watch_asks_for_bookmarks(tmp_path: Path) -> None:
    requests: list[str] = []
    async with connected(tmp_path, responding(*chunked(line(1)), requests=requests)) as found:
        async for _ in found.client.watch(PATH, {"resourceVersion": "7"}):
            pass
    assert requests[0].startswith(
        f"GET {PATH}?resourceVersion=7&watch=1&allowWatchBookmarks=true HTTP/1.1\r\n"
    )


async def test_every_event_is_returned_if_none_is_skipped(tmp_path: Path) -> None:
    async with connected(tmp_path, sending(line(1), line(2) + line(3))) as found:
        assert await events(found.client) == [
            ("MODIFIED", "1"),
            ("MODIFIED", "2"),
            ("MODIFIED", "3"),
        ]


async def test_skipped_resource_versions_are_omitted_except_in_deleted_events(
    tmp_path: Path,
) -> None:
    script = sending(line(1), line(2, "ADDED"), line(2, "DELETED"), line(3))
    async with connected(tmp_path, script) as found:
        assert await events(found.client, ["2", "3"]) == [("MODIFIED", "1"), ("DELETED", "2")]


async def test_an_event_among_many_skipped_ones_is_returned(tmp_path: Path) -> None:
    versions = range(1, 201)
    async with connected(tmp_path, sending(*map(line, versions))) as found:
        skip = [str(version) for version in versions if version % 50]
        expected = [("MODIFIED", str(version)) for version in (50, 100, 150, 200)]
        assert await events(found.client, skip) == expected


async def test_while_many_writes_are_in_flight_their_responses_precede_their_events(
    tmp_path: Path,
) -> None:
    async def script(connection: Connection) -> None:
        request = await connection.request()
        if request.startswith("POST"):
            await connection.stay_silent()
        await connection.send(*chunked(line(1), line(2)))

    skip: set[str] = set()
    options = ClientOptions(max_writes=2)
    async with connected(tmp_path, script, options=options) as found:
        write = asyncio.create_task(found.client.write("POST", PATH, {}))
        await virtual_time.until(lambda: found.server.accepted == 1, "a write is in flight")
        watch = found.client.watch(PATH, {}, skip)
        assert list(await anext(watch)) == []
        asyncio.get_running_loop().call_later(0.004, skip.add, "1")  # as the response to a write
        versions = [
            event["object"]["metadata"]["resourceVersion"]
            async for batch in watch
            for event in batch
        ]
        assert versions == ["2"]
        write.cancel()
        await asyncio.wait([write])


async def test_an_event_that_arrives_in_pieces_is_one_event(tmp_path: Path) -> None:
    whole = line(1) + line(2)
    async with connected(tmp_path, sending(whole[:20], whole[20:90], whole[90:])) as found:
        assert await events(found.client) == [("MODIFIED", "1"), ("MODIFIED", "2")]


@hypothesis.given(
    cuts=st.sets(st.integers(1, 200), max_size=20),
    lines=st.lists(st.binary().filter(lambda text: b"\n" not in text)),
)
def test_lines_are_the_same_wherever_the_body_is_cut(cuts: set[int], lines: list[bytes]) -> None:
    body = b"".join(one + b"\n" for one in lines)
    places = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    buffer = responses.LineBuffer()
    found: list[bytes] = []
    for begin, end in itertools.pairwise(places):
        found += buffer.feed(body[begin:end])
    assert found == lines


def test_an_event_without_an_end_is_an_error() -> None:
    buffer = responses.LineBuffer()
    buffer.feed(b"x" * (1 << 25))
    with pytest.raises(UnreachableError, match="a watch event is longer than"):
        buffer.feed(b"x" * ((1 << 25) + 1))


async def test_an_event_that_is_not_json_is_an_error(tmp_path: Path) -> None:
    async with connected(tmp_path, sending(b"<html>from a proxy</html>\n")) as found:
        with pytest.raises(UnreachableError, match="a watch event is not valid JSON"):
            await events(found.client)


# -- beginning and end -----------------------------------------------------------------------------


async def test_events_are_returned_as_they_arrive(tmp_path: Path) -> None:
    steps = [asyncio.Event(), asyncio.Event()]

    async def script(connection: Connection) -> None:
        await connection.request()
        head, *pieces, end = chunked(line(1), line(2))
        await connection.send(head)
        for step, piece in zip(steps, pieces, strict=True):
            await step.wait()
            await connection.send(piece)
        await connection.send(end)

    async with connected(tmp_path, script) as found:
        watch = found.client.watch(PATH, {})
        assert list(await anext(watch)) == []
        for step, version in zip(steps, "12", strict=True):
            step.set()
            (event,) = await anext(watch)
            assert event["object"]["metadata"]["resourceVersion"] == version
        with pytest.raises(StopAsyncIteration):
            await anext(watch)


async def test_a_refused_watch_raises_the_error_of_the_response(tmp_path: Path) -> None:
    observed: list[tuple[str, str, str]] = []
    refusal = response(b'{"code":410,"reason":"Expired"}', "410 Gone", "Retry-After: 1")
    async with connected(
        tmp_path, responding(refusal), observer=lambda *each: observed.append(each)
    ) as found:
        with pytest.raises(ApiError) as caught:
            await events(found.client)
        assert (caught.value.code, caught.value.reason) == (410, "Expired")
        assert observed == [("410", "GET", found.client.config.host)]


async def test_the_refusal_of_a_watch_can_be_large(tmp_path: Path) -> None:
    refusal = response(b"x" * 9_000_000, "500 Internal Server Error")
    async with connected(tmp_path, responding(refusal)) as found:
        with pytest.raises(ApiError, match="500 : xxx"):
            await events(found.client)


async def test_a_refusal_that_does_not_end_is_lost(tmp_path: Path) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 100\r\n\r\n<html>")
        await connection.stay_silent()

    timeouts = Timeouts(watch_silence=0.1)
    async with connected(tmp_path, script, timeouts=timeouts) as found:
        with pytest.raises(UnreachableError, match=r"no data received for 0\.1 s"):
            await events(found.client)


async def test_a_watch_without_a_response_is_lost_and_observed(tmp_path: Path) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.stay_silent()

    observed: list[tuple[str, str, str]] = []
    async with connected(
        tmp_path,
        script,
        observer=lambda *each: observed.append(each),
        timeouts=Timeouts(watch_silence=0.1),
    ) as found:
        with pytest.raises(UnreachableError, match=r"no data received for 0\.1 s"):
            await events(found.client)
        assert observed == [("<error>", "GET", found.client.config.host)]


async def test_a_broken_watch_raises_after_the_events_that_arrived(tmp_path: Path) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        head, one, *_ = chunked(line(1))
        await connection.send(head, one)

    received: list[Body] = []
    async with connected(tmp_path, script) as found:
        with pytest.raises(UnreachableError, match="ended before the response did"):
            await collect(found.client, received)
    assert len(received) == 1


async def test_a_silent_watch_is_lost_and_a_slow_one_is_not(tmp_path: Path) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        head, one, _ = chunked(line(1))
        await connection.send(head)
        for _ in range(6):
            await asyncio.sleep(0.2)
            await connection.send(one)
        await connection.stay_silent()

    received: list[Body] = []
    timeouts = Timeouts(request=0.1, watch_silence=1.0)
    async with connected(tmp_path, script, timeouts=timeouts) as found:
        with pytest.raises(UnreachableError, match="no data received for 1 s"):
            await collect(found.client, received)
    assert len(received) == 6


async def test_a_slow_reader_makes_the_server_wait_and_loses_no_event(tmp_path: Path) -> None:
    piece = line(1).replace(b"one", b"x" * 65_536)
    sent = 0

    async def script(connection: Connection) -> None:
        nonlocal sent
        await connection.request()
        head, one, end = chunked(piece)
        await connection.send(head)
        for _ in range(800):
            await connection.send(one)
            sent += 1
        await connection.send(end)

    async with connected(tmp_path, script, timeouts=Timeouts(watch_silence=0.5)) as found:
        watch = found.client.watch(PATH, {})
        received = len(list(await anext(watch)))
        await until_constant(lambda: sent)
        assert sent < 450
        async for batch in watch:
            received += len(list(batch))
        assert received == 800 == sent


async def until_constant(count: Callable[[], int]) -> None:
    before = -1
    while before != count():
        before = count()
        await asyncio.sleep(0.7)


async def test_a_watch_that_is_left_closes_its_connection(tmp_path: Path) -> None:
    async with connected(tmp_path, responding(*chunked(line(1))[:2])) as found:
        watch = found.client.watch(PATH, {})
        assert list(await anext(watch)) == []
        assert len(list(await anext(watch))) == 1
        await watch.aclose()  # type: ignore[attr-defined]
        await virtual_time.until(lambda: not found.server.connections, "the connection is closed")
