"""Requests on connections that are kept, before a server that keeps to no manners."""

import asyncio
import contextlib
import itertools
import socket
import ssl
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.runtime.client import pools
from controllers.runtime.client.pools import Pool
from controllers.runtime.client.routes import Route
from controllers.runtime.client.wires import Answer
from tests.support.fakes import event_loop
from tests.support.http import scripted
from tests.support.http.scripted import Caller, Script, Server, answer, chunked, echoing, saying

GET = b"GET /one HTTP/1.1\r\n\r\n"
POST = b"POST /one HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
OK = Answer(200, "", b"{}")


def pool_to(server: Server, idle: float) -> Pool:
    route = Route.to(f"http://{scripted.HOST}:{server.port}", ssl.create_default_context())
    return Pool(route, idle=idle, tick=0.01)


@contextlib.asynccontextmanager
async def pool(*scripts: Script, idle: float = pools.IDLE) -> AsyncIterator[tuple[Pool, Server]]:
    async with scripted.serving(*scripts) as server:
        made = pool_to(server, idle)
        try:
            yield made, server
        finally:
            await made.close()


async def take(chunks: AsyncIterator[bytes], into: list[bytes]) -> None:
    async for chunk in chunks:
        into.append(chunk)  # noqa: PERF401 - it is told what came before the end


async def streamed(found: Pool, *, silence: float = 5.0) -> tuple[int, bytes]:
    async with found.stream(GET, silence=silence) as (begun, chunks):
        return begun.code, b"".join([chunk async for chunk in chunks]) or begun.payload


# -- keeping ---------------------------------------------------------------------------------------


async def test_what_is_asked_one_after_the_other_goes_on_one_connection() -> None:
    async with pool(echoing()) as (found, server):
        for _ in range(5):
            assert (await found.ask(GET, seconds=5)).payload == b"GET /one HTTP/1.1"
        assert server.taken == 1


async def test_what_is_asked_at_once_goes_side_by_side_and_each_gets_its_own_answer() -> None:
    async with pool(echoing()) as (found, server):
        requests = [b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(20)]
        answers = await asyncio.gather(*(found.ask(one, seconds=5) for one in requests))
        assert [one.payload + b"\r\n\r\n" for one in answers] == requests
        assert server.taken == 20


async def test_of_many_that_idle_one_is_used_and_the_others_end() -> None:
    async with pool(echoing(), idle=0.3) as (found, server):
        await asyncio.gather(*(found.ask(GET, seconds=5) for _ in range(5)))
        assert found.connections == 5

        async def busy() -> bool:
            await found.ask(GET, seconds=5)
            return found.connections == 1

        while not await busy():  # noqa: ASYNC110 - it is the asking that keeps one of them
            await asyncio.sleep(0.01)
        assert server.taken == 5


async def test_one_that_has_idled_for_too_long_ends_by_itself() -> None:
    async with pool(echoing(), idle=0.05) as (found, server):
        await found.ask(GET, seconds=5)
        await event_loop.until(lambda: not found.connections, "it has ended")
        await found.ask(GET, seconds=5)
        assert server.taken == 2


async def test_one_that_the_server_ends_meanwhile_is_forgotten() -> None:
    async with pool(echoing()) as (found, server):
        await found.ask(GET, seconds=5)
        server.hang_up()
        await event_loop.until(lambda: not found.connections, "the end is heard of")
        assert (await found.ask(POST, seconds=5)).code == 200
        assert server.taken == 2


async def test_one_that_is_not_to_be_kept_is_not() -> None:
    async with pool(saying(answer(b"{}", "200 OK", "Connection: close"))) as (found, server):
        assert await found.ask(GET, seconds=5) == OK
        assert await found.ask(GET, seconds=5) == OK
        assert server.taken == 2


async def test_one_that_speaks_unasked_is_not_used_again() -> None:
    async with pool(saying(answer(b"{}"), answer(b"more"))) as (found, server):
        assert await found.ask(GET, seconds=5) == OK
        await event_loop.until(lambda: not found.connections, "the connection is ended")
        assert await found.ask(GET, seconds=5) == OK
        assert server.taken == 2


async def once_then_gone(caller: Caller) -> None:
    """Answers once, and hangs up on the second request."""
    await caller.request()
    await caller.say(answer(b"{}"))
    await caller.request()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_what_may_be_repeated_is_when_a_kept_connection_ends_as_it_is_asked(
    method: str,
) -> None:
    request = f"{method} /one HTTP/1.1\r\n\r\n".encode()
    async with pool(once_then_gone, echoing()) as (found, server):
        await found.ask(request, seconds=5)
        assert (await found.ask(request, seconds=5)).code == 200
        assert server.taken == 2


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_what_may_have_been_done_already_is_not_repeated(method: str) -> None:
    request = f"{method} /one HTTP/1.1\r\n\r\n".encode()
    async with pool(once_then_gone, echoing()) as (found, server):
        await found.ask(request, seconds=5)
        with pytest.raises(ConnectionError):
            await found.ask(request, seconds=5)
        assert server.taken == 1


async def test_a_new_connection_that_ends_unheard_is_not_tried_again() -> None:
    async with pool(hung_up) as (found, server):
        with pytest.raises(ConnectionError, match="ended before the answer did"):
            await found.ask(GET, seconds=5)
        assert server.taken == 1


async def hung_up(caller: Caller) -> None:
    await caller.request()


# -- answers ---------------------------------------------------------------------------------------


async def test_the_body_is_sent_as_it_is_given() -> None:
    asked: list[str] = []

    async def script(caller: Caller) -> None:
        asked.append(await caller.request())
        await caller.say(answer(b"{}"))

    async with pool(script) as (found, _):
        await found.ask(POST, seconds=5)
    assert asked == [POST.decode()]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([answer(b"{}")], OK),
        ([answer(b"", "204 No Content")], Answer(204, "", b"")),
        ([answer(b"no", "429 Too Many", "Retry-After: 7")], Answer(429, "7", b"no")),
        ([answer(b"no", "503 Away", "RETRY-AFTER: 7")], Answer(503, "7", b"no")),
        (chunked(b"{", b"}"), OK),
        ([answer(b"moved", "302 Found")], Answer(302, "", b"moved")),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", answer(b"{}")], OK),
        ([answer(b"x" * 3_000_000)], Answer(200, "", b"x" * 3_000_000)),
    ],
)
async def test_an_answer_is_read_whole(pieces: list[bytes], expected: Answer) -> None:
    async with pool(saying(*pieces)) as (found, server):
        for _ in range(2):
            assert await found.ask(GET, seconds=5) == expected
        assert server.taken == 1


async def test_a_body_may_end_with_its_connection() -> None:
    async def script(caller: Caller) -> None:
        await caller.request()
        await caller.say(b"HTTP/1.0 503 Service Unavailable\r\n\r\n<html>", b"away</html>")

    async with pool(script) as (found, server):
        expected = Answer(503, "", b"<html>away</html>")
        assert await found.ask(GET, seconds=5) == expected
        assert await found.ask(GET, seconds=5) == expected
        assert server.taken == 2


@given(cuts=st.sets(st.integers(1, 200), max_size=20), chunks=st.lists(st.binary(min_size=1)))
async def test_wherever_an_answer_is_cut_it_reads_the_same(
    cuts: set[int], chunks: list[bytes]
) -> None:
    said = b"".join(chunked(*chunks))
    places = [0, *sorted(cut for cut in cuts if cut < len(said)), len(said)]
    pieces = [said[begin:end] for begin, end in itertools.pairwise(places)]

    async def script(caller: Caller) -> None:
        while await caller.request():
            for piece in pieces:
                await caller.say(piece)
                await asyncio.sleep(0)

    async with pool(script) as (found, _):
        assert await found.ask(GET, seconds=5) == Answer(200, "", b"".join(chunks))
        assert (200, b"".join(chunks)) == await streamed(found)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"220 a mail server\r\n", "is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", r"before the answer \(200\) did"),
        (
            b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
            "no HTTP/1.1 to",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "ended before"),
        (b"HTTP/1.1 200", "ended before"),
        (b"", "ended before"),
    ],
)
async def test_what_is_no_whole_answer_is_an_error_that_says_so(said: bytes, message: str) -> None:
    async def script(caller: Caller) -> None:
        await caller.request()
        await caller.say(said)

    async with pool(script, echoing()) as (found, _):
        with pytest.raises(ConnectionError, match=message):
            await found.ask(POST, seconds=5)
        assert (await found.ask(POST, seconds=5)).code == 200


async def test_who_does_not_answer_in_time_is_given_up_and_not_asked_again() -> None:
    async def script(caller: Caller) -> None:
        await caller.request()
        await caller.say(b"HTTP/1.1 200 OK\r\n")
        await caller.stay_silent()

    async with pool(script, echoing()) as (found, server):
        with pytest.raises(TimeoutError, match="no answer within"):
            await found.ask(GET, seconds=0.05)
        assert (await found.ask(GET, seconds=5)).code == 200
        assert server.taken == 2


async def test_an_answer_that_nobody_waits_for_any_more_reaches_nobody_else() -> None:
    async def script(caller: Caller) -> None:
        await caller.request()
        given_up.set()
        await late.wait()
        await caller.say(answer(b"late"))
        told.set()
        await caller.stay_silent()

    given_up, late, told = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with pool(script, echoing()) as (found, _):
        asking = asyncio.create_task(found.ask(GET, seconds=5))
        await given_up.wait()
        asking.cancel()
        await asyncio.wait([asking])
        late.set()
        await asyncio.wait_for(told.wait(), 5)
        assert (await found.ask(GET, seconds=5)).payload == b"GET /one HTTP/1.1"


async def test_the_seconds_are_for_the_whole_request_with_all_its_tries() -> None:
    async def slow_end(caller: Caller) -> None:
        await caller.request()
        await caller.say(answer(b"{}"))
        await caller.request()
        await asyncio.sleep(0.2)

    async with pool(slow_end, slow_end, slow_end, silent) as (found, server):
        await asyncio.gather(*(found.ask(GET, seconds=5) for _ in range(3)))
        with pytest.raises(TimeoutError):
            await found.ask(GET, seconds=0.5)
        assert server.taken == 4


async def silent(caller: Caller) -> None:
    await caller.request()
    await caller.stay_silent()


async def test_closing_asks_nobody_again_and_takes_nothing_new() -> None:
    async def silent_at_last(caller: Caller) -> None:
        await caller.request()
        await caller.say(answer(b"{}"))
        await silent(caller)

    async with pool(silent_at_last) as (found, server):
        await found.ask(GET, seconds=5)
        on_a_kept_one = asyncio.create_task(found.ask(GET, seconds=5))
        await asyncio.sleep(0)
        opening = asyncio.create_task(found.ask(GET, seconds=5))
        await asyncio.sleep(0)
        await found.close()
        ends = await asyncio.gather(on_a_kept_one, opening, return_exceptions=True)
        assert [isinstance(end, ConnectionError) for end in ends] == [True, True]
        with pytest.raises(ConnectionError, match="have been closed"):
            await found.ask(GET, seconds=5)
        assert not found.connections
        assert server.taken <= 2


@pytest.mark.parametrize("turns", range(12))
async def test_whenever_a_request_is_given_up_nothing_of_it_is_left(turns: int) -> None:
    async with pool(silent) as (found, _):
        task = asyncio.create_task(found.ask(GET, seconds=5))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await event_loop.until(lambda: not found.connections, "the connection is ended")


async def test_a_connection_whose_other_end_is_gone_is_found_by_tcp() -> None:
    async with pool(echoing()) as (found, _):
        await found.ask(GET, seconds=5)
        (wire,) = found._wires
        connection = wire._transport.get_extra_info("socket")
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        idle, pause, count = (connection.getsockopt(socket.IPPROTO_TCP, one) for one in options)
        assert idle + pause * count <= 90


async def test_an_end_of_any_kind_is_repeated_where_it_may_be() -> None:
    async with pool(echoing()) as (found, server):
        await found.ask(GET, seconds=5)
        (wire,) = found._wires
        asking = asyncio.create_task(found.ask(GET, seconds=5))
        await asyncio.sleep(0)
        wire._transport._force_close(OSError(113, "No route to host"))
        assert (await asking).code == 200
        assert server.taken == 2


async def test_one_whose_request_was_never_sent_whole_is_not_kept() -> None:
    async def refuse_early(caller: Caller) -> None:
        await caller.reader.readuntil(b"\r\n\r\n")
        await caller.say(answer(b"too large", "413 Payload Too Large"))
        await asyncio.sleep(0.2)

    body = b"x" * 50_000_000
    request = b"POST /one HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with pool(refuse_early, echoing()) as (found, server):
        assert (await found.ask(request, seconds=5)).code == 413
        assert (await found.ask(POST, seconds=5)).code == 200
        assert server.taken == 2


async def test_closing_ends_what_is_under_way_and_what_idles() -> None:
    async with pool(echoing(), silent) as (found, server):
        first = await found.ask(GET, seconds=5)
        waiting = [asyncio.create_task(found.ask(GET, seconds=5)) for _ in range(3)]
        await event_loop.until(lambda: server.taken == 3, "all are asked")
        await found.close()
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert first.code == 200
        assert [type(end) for end in ends[1:]] == [ConnectionResetError] * 2
        assert not found.connections


# -- streams ---------------------------------------------------------------------------------------


async def test_a_stream_is_told_as_it_comes() -> None:
    go_on = asyncio.Event()

    async def script(caller: Caller) -> None:
        await caller.request()
        head, one, two, end = chunked(b"one\n", b"two\n")
        await caller.say(head, one)
        await go_on.wait()
        await caller.say(two, end)

    async with pool(script) as (found, _), found.stream(GET, silence=5) as (begun, chunks):
        assert begun == Answer(200, "", b"")
        assert await anext(chunks) == b"one\n"
        go_on.set()
        assert [chunk async for chunk in chunks] == [b"two\n"]


async def test_a_refused_stream_has_its_whole_answer() -> None:
    refusal = answer(b'{"code":410}', "410 Gone", "Retry-After: 1")
    async with (
        pool(saying(refusal)) as (found, _),
        found.stream(GET, silence=5) as (begun, chunks),
    ):
        assert begun == Answer(410, "1", b'{"code":410}')
        assert [chunk async for chunk in chunks] == []


async def test_a_refusal_that_stays_half_told_is_given_up() -> None:
    async def script(caller: Caller) -> None:
        await caller.request()
        await caller.say(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 100\r\n\r\n<html>")
        await caller.stay_silent()

    async with pool(script) as (found, _):
        with pytest.raises(TimeoutError, match="no answer within"):
            await streamed(found, silence=0.1)


async def test_a_refusal_may_be_long() -> None:
    said = b"x" * 9_000_000
    async with pool(saying(answer(said, "500 Internal Server Error"))) as (found, _):
        assert await streamed(found) == (500, said)


async def test_a_stream_that_breaks_off_is_an_error_after_all_that_it_told() -> None:
    async def script(caller: Caller) -> None:
        await caller.request()
        head, one, *_ = chunked(b"one\n", b"two\n")
        await caller.say(head, one)

    heard: list[bytes] = []
    async with pool(script) as (found, _), found.stream(GET, silence=5) as (_, chunks):
        with pytest.raises(ConnectionError, match="ended before"):
            await take(chunks, heard)
    assert heard == [b"one\n"]


async def test_a_stream_that_falls_silent_is_given_up_and_one_that_speaks_is_not() -> None:
    async def script(caller: Caller) -> None:
        await caller.request()
        head, *_ = chunked()
        await caller.say(head)
        for _ in range(6):
            await asyncio.sleep(0.2)
            await caller.say(*chunked(b"still here\n")[1:2])
        await caller.stay_silent()

    heard: list[bytes] = []
    async with pool(script) as (found, _), found.stream(GET, silence=1.0) as (_, chunks):
        with pytest.raises(TimeoutError, match="nothing was heard for 1 s"):
            await take(chunks, heard)
    assert b"".join(heard) == b"still here\n" * 6


async def test_who_takes_slowly_makes_the_server_wait_and_loses_nothing() -> None:
    piece = b"x" * 65_536
    told = 0

    async def script(caller: Caller) -> None:
        nonlocal told
        await caller.request()
        head, one, end = chunked(piece)
        await caller.say(head)
        for _ in range(800):
            await caller.say(one)
            told += len(piece)
        await caller.say(end)

    async with pool(script) as (found, _), found.stream(GET, silence=60) as (_, chunks):
        total = len(await anext(chunks))
        (wire,) = found._wires
        await event_loop.until(
            lambda: not wire._transport.is_reading(), "the server is made to wait"
        )
        for now in (100.0, 200.0, 300.0):  # the silence is ours, however long it lasts
            wire.look_at_the_clock(asyncio.get_running_loop().time() + now)
        assert told < 30_000_000
        async for chunk in chunks:
            total += len(chunk)
        assert total == 800 * len(piece) == told


async def test_a_stream_that_is_left_ends_its_connection() -> None:
    async with pool(saying(*chunked(b"one\n")[:2])) as (found, _):
        async with found.stream(GET, silence=5) as (_, chunks):
            await anext(chunks)
        await event_loop.until(lambda: not found.connections, "the connection is ended")
