"""Shared buckets out of a real OPA: what it says, what it no longer says, and what it breaks."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

from controllers.blob_csi.grants.poller import Followers
from controllers.runtime.controller import ALL_PROFILES
from tests.support.azure.buckets import GATEWAY, settings_with
from tests.support.http import raw_server
from tests.support.http.raw_server import RawServer, reply
from tests.support.opa import Opa

LAB = {"readers": ["alice", "bob"], "writers": ["bob"], "spn": "lab-sp"}
SECONDS = 20.0


class Following:
    """One gateway that is followed, and whom that woke."""

    def __init__(self, url: str) -> None:
        self.followers = Followers(
            settings_with(
                fdi_unclass_opa_endpoint=url,
                fdi_unclass_storage_account="gateway",
                fdi_unclass_internal_storage_account="",
                fdi_unclass_external_storage_account="",
                fdi_protected_b_internal_storage_account="",
                fdi_opa_daemon_ticker_millis=100,
            )
        )
        self.woken: list[str | None] = []

    def enqueue(self, profiles: Collection[str], /) -> None:
        self.woken += [None] if profiles is ALL_PROFILES else profiles

    async def until(self, check: Any, what: str) -> None:
        async with asyncio.timeout(SECONDS):
            while not check():  # noqa: ASYNC110 - a thread at work tells of nothing
                await asyncio.sleep(0.02)
        assert check(), what

    @property
    def readers(self) -> dict[str, Collection[str]] | None:
        answer = self.followers.answers.get(GATEWAY)
        return None if answer is None else {one.volume: set(one.readers) for one in answer}

    @property
    def trouble(self) -> str:
        (part,) = self.followers.components()
        return part.error

    async def news(self) -> set[str | None]:
        """Whom the next change wakes."""
        self.woken.clear()
        await self.until(lambda: self.woken, "somebody is woken")
        return set(self.woken)


@contextlib.asynccontextmanager
async def following(url: str) -> AsyncIterator[Following]:
    one = Following(url)
    task = asyncio.create_task(one.followers.follow(one.enqueue))
    try:
        await asyncio.wait_for(one.followers.asked(), SECONDS)
        yield one
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_real_gateway_is_followed_and_each_change_wakes_whom_it_concerns(opa: Opa) -> None:
    opa.put("story", {"lab": LAB, "raw/data": {"readers": ["carol"]}, "httpapi": {"authz": {}}})
    async with following(opa.url("story")) as one:
        assert {"lab": {"alice", "bob"}, "raw-data": {"carol"}} == one.readers
        assert [None] == one.woken

        opa.put("story/lab/readers", ["bob", "dave"])
        assert {"alice", "dave"} == await one.news()
        opa.put("story/lab/writers", ["bob", "dave"])
        assert {"dave"} == await one.news()
        opa.put("story/lab/spn", "other-sp")
        assert {"bob", "dave"} == await one.news()
        opa.put("story", {"lab": {**LAB, "spn": "other-sp"}})
        assert {"alice", "dave", "carol"} == await one.news()
        opa.put("story", {})
        assert {"alice", "bob"} == await one.news()
        assert {} == one.readers


async def test_an_answer_without_a_result_and_a_gateway_that_is_away_change_nothing(
    tmp_path: Path,
) -> None:
    opa = Opa.start(tmp_path / "own")
    try:
        opa.put("story", {"lab": LAB})
        async with following(opa.url("story")) as one:
            before = one.readers
            opa.delete("story")
            await one.until(lambda: "result is None: expected an object" in one.trouble, "said")
            assert before == one.readers

            opa.put("story", {"lab": LAB})
            await one.until(lambda: not one.trouble, "well again")
            one.woken.clear()
            opa.pause()
            await one.until(lambda: "Connection refused" in one.trouble, "said")
            await one.until(lambda: {"alice", "bob"} == set(one.woken), "told once it lasts")
            assert frozenset({GATEWAY}) == one.followers.failing
            assert before == one.readers

            opa.resume()
            opa.put("story", {"lab": {**LAB, "readers": ["alice"]}})
            assert {"bob"} == await one.news()
            assert frozenset() == one.followers.failing
    finally:
        opa.stop()


async def test_one_that_never_answered_says_nothing_and_then_concerns_everybody() -> None:
    with raw_server.serving() as server:
        server.answer = reply(b"<html>", "503 Service Unavailable")
        async with following(server.url) as one:
            assert (None, []) == (one.readers, one.woken)
            assert "503 Service Unavailable: expected 200 OK" in one.trouble
            server.answer = reply(b'{"result": {}}')
            assert {None} == await one.news()
            assert {} == one.readers


async def test_an_unchanged_answer_wakes_nobody_whether_it_has_a_tag_or_not() -> None:
    with raw_server.serving() as server:
        server.answer = reply(b'{"result": {"lab": {"readers": ["alice"]}}}')
        async with following(server.url) as one:
            await one.until(lambda: len(server.requests) > 3, "asked again")
            assert [None] == one.woken

            server.answer = tagged(server)
            await one.until(lambda: asked_with_tag(server) > 3, "asked with the tag")
            assert ([None], "") == (one.woken, one.trouble)


def tagged(server: RawServer) -> raw_server.Answer:
    """A tag, and 304 for whoever names it: what OPA itself does not do, and a proxy may."""
    whole = reply(b'{"result": {"lab": {"readers": ["alice"]}}}', "200 OK", 'ETag: "one"')
    same = reply(b"", "304 Not Modified", 'ETag: "one"')

    def answer(connection: socket.socket) -> None:
        (same if 'If-None-Match: "one"' in server.requests[-1] else whole)(connection)

    return answer


def asked_with_tag(server: RawServer) -> int:
    return sum('If-None-Match: "one"' in request for request in server.requests)
