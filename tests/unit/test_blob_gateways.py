"""Asking a gateway: every way in which an answer can be none, and what an unchanged one costs.

A real OPA answers in `tests/real/test_blob_sources.py`.
"""

import asyncio
import gzip
import socket
from collections.abc import Callable, Iterator

import pytest

from controllers.blob_csi.grants import opa
from controllers.blob_csi.grants.opa import Gateway, GatewayError, Reply
from controllers.blob_csi.grants.parse import Answer, DocumentError, parse_gateway
from controllers.blob_csi.grants.requests import Question
from controllers.blob_csi.grants.state import Feed
from tests.support.azure.buckets import GATEWAY
from tests.support.http import raw_server
from tests.support.http.raw_server import RawServer, raw, reply

GOOD = b'{"result": {"lab": {"readers": ["alice"]}}}'


@pytest.fixture
def server() -> Iterator[RawServer]:
    with raw_server.serving() as one:
        yield one


def ask(server: RawServer, **bounds: float) -> Reply | None:
    gateway = Gateway(server.url, timeout=bounds.get("timeout", 5.0), longest=100_000)
    try:
        return gateway.ask(str(bounds.get("tag", "")))
    finally:
        gateway.close()


def refused(server: RawServer, **bounds: float) -> str:
    with pytest.raises(GatewayError) as caught:
        ask(server, **bounds)
    return str(caught.value)


def test_a_good_answer_is_read_whole_with_its_tag(server: RawServer) -> None:
    server.answer = reply(GOOD, "200 OK", 'ETag: "one"')
    assert Reply(body=GOOD, tag='"one"') == ask(server)
    assert "accept: application/json" in server.requests[0].lower()
    assert "if-none-match" not in server.requests[0].lower()


def test_a_packed_answer_is_unpacked(server: RawServer) -> None:
    server.answer = reply(gzip.compress(GOOD), "200 OK", "Content-Encoding: gzip")
    assert Reply(body=GOOD) == ask(server)


BROKEN: dict[str, tuple[Callable[[RawServer], raw_server.Answer], str]] = {
    "an error": (lambda _: reply(GOOD, "500 Internal Server Error"), "500 Internal Server Error"),
    "not found": (lambda _: reply(GOOD, "404 Not Found"), "404 Not Found: expected 200 OK"),
    "no content": (lambda _: reply(b"", "204 No Content"), "204 No Content"),
    "a part": (lambda _: reply(GOOD, "206 Partial Content"), "206 Partial Content"),
    "unasked for 304": (lambda _: reply(b"", "304 Not Modified"), "304 Not Modified"),
    "a login page": (
        lambda _: reply(b"", "302 Found", "Location: http://127.0.0.1:1/login"),
        "302 Found, and another address: expected the answer itself",
    ),
    "less than was promised": (lambda _: reply(GOOD, length=500), "more expected"),
    "no HTTP": (lambda _: raw(b"SSH-2.0-OpenSSH\r\n\r\n"), "SSH-2.0"),
    "nothing": (lambda _: raw(b""), "closed"),
    "what is no gzip": (lambda _: reply(GOOD, "200 OK", "Content-Encoding: gzip"), "incorrect"),
    "too much": (lambda _: reply(b" " * 200_000), "more than 100000 bytes"),
    "too much, unpacked": (
        lambda _: reply(gzip.compress(b" " * 2_000_000), "200 OK", "Content-Encoding: gzip"),
        "more than 100000 bytes",
    ),
    "no end": (
        lambda server: raw_server.trickle(
            server, b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b" ", seconds=0.02
        ),
        "no whole answer within 0.3 s",
    ),
    "silence": (raw_server.silence, "no whole answer within 0.3 s"),
    "silence in the middle": (
        lambda server: raw_server.trickle(
            server, b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{", b" ", seconds=60
        ),
        "no whole answer within 0.3 s",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_answer_is_an_error_that_says_so(server: RawServer, case: str) -> None:
    make, said = BROKEN[case]
    server.answer = make(server)
    timeout = 0.3 if "no whole" in said else 5.0
    message = refused(server, timeout=timeout)
    assert said in message
    assert message.startswith("127.0.0.1:")


def test_nobody_there_is_an_error_that_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    gateway = Gateway(f"http://someone:a-password@127.0.0.1:{port}/?token=a-token")
    with pytest.raises(GatewayError, match="Connection refused") as caught:
        gateway.ask()
    assert "a-password" not in str(caught.value)
    assert "a-token" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://no-such-host.invalid/", "http://%zz/", "http://a..b/"])
def test_a_host_that_is_none_is_an_error(url: str) -> None:
    with pytest.raises(GatewayError):
        Gateway(url, timeout=5.0).ask()


# What an unchanged answer costs


class Counting:
    """A gateway without a network, and a parser that counts."""

    def __init__(self) -> None:
        self.tags: list[str] = []
        self.parsed = 0
        self.replies: list[Reply | Exception | None] = []
        self.feed = Feed(source=GATEWAY, parse=self.parse, clock=lambda: 7.0)

    def parse(self, body: bytes) -> Answer:
        self.parsed += 1
        return parse_gateway(body)

    def ask(self, tag: str = "") -> Reply | None:
        self.tags.append(tag)
        answer = self.replies.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Holds nothing."""

    async def put(self, question: Question, *replies: Reply | Exception | None) -> list[object]:
        self.replies = list(replies)
        found: list[object] = []
        for _ in replies:
            try:
                answer = await question.put()
            except (GatewayError, DocumentError) as error:
                self.feed.fail(str(error))
                found.append(type(error))
            else:
                body, said = answer or (b"", None)
                found.append(said)
                if said is not None:
                    self.feed.take(body, said)
        return found


async def test_an_unchanged_answer_is_neither_sent_again_nor_parsed_again() -> None:
    counting = Counting()
    question = Question(counting, counting.feed)
    good = Reply(body=GOOD, tag='"one"')
    first, *others = await counting.put(question, good, None, good, Reply(body=GOOD))
    assert first == parse_gateway(GOOD)
    assert [None, None, None] == others
    assert ["", '"one"', '"one"', '"one"'] == counting.tags
    assert 1 == counting.parsed


async def test_a_bad_answers_tag_is_not_asked_for_again() -> None:
    counting = Counting()
    question = Question(counting, counting.feed)
    good, bad = Reply(body=GOOD, tag='"one"'), Reply(body=b"<html>", tag='"bad"')
    found = await counting.put(question, good, bad, GatewayError("away"), good)
    assert [DocumentError, GatewayError, None] == found[1:]
    assert ["", '"one"', '"one"', '"one"'] == counting.tags


async def test_one_that_hangs_is_given_up_and_not_asked_beside_itself(server: RawServer) -> None:
    """Headers that trickle are bounded by no timeout of an HTTP client."""
    server.answer = raw_server.trickle(server, b"HTTP/1.1 200 OK\r\nX: ", b"y", seconds=0.01)
    feed = Feed(source=GATEWAY, parse=parse_gateway, clock=lambda: 7.0)
    question = Question(Gateway(server.url, timeout=1.0), feed, timeout=0.2)
    for _ in range(3):
        with pytest.raises(GatewayError, match="no whole answer within 0"):
            await question.put()
    assert 1 == len(server.requests)
    server.close()
    with pytest.raises((GatewayError, DocumentError), match=r"not JSON|127"):
        await asyncio.wait_for(_ended(question), 10.0)
    question.close()


async def _ended(question: Question) -> None:
    while True:
        try:
            await question.put()
        except GatewayError as error:
            if "0.2 s" not in str(error):
                raise


def test_the_bounds_are_those_of_an_operator() -> None:
    assert 10.0 == opa.TIMEOUT
    assert opa.LONGEST > 8_000_000
