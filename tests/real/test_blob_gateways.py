"""Polling of a real OPA and of failing gateways."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

from controllers.blob_csi.grants.poller import BucketSources
from controllers.runtime import ALL_PROFILES
from tests.support.azure.builders import GATEWAY, settings_with
from tests.support.http import raw_server
from tests.support.http.raw_server import RawServer, reply
from tests.support.opa import Opa

LAB = {"readers": ["alice", "bob"], "writers": ["bob"], "spn": "lab-sp"}
SECONDS = 20.0
NAMESPACES = ("alice", "bob", "carol", "dave")


class Polling:
    """One gateway that is polled, and the profiles that are enqueued; None stands for all."""

    def __init__(self, url: str) -> None:
        self.sources = BucketSources(
            settings_with(
                fdi_unclass_opa_endpoint=url,
                fdi_unclass_storage_account="gateway",
                fdi_unclass_internal_storage_account="",
                fdi_unclass_external_storage_account="",
                fdi_protected_b_internal_storage_account="",
                fdi_opa_daemon_ticker_millis=100,
            )
        )
        self.enqueued: list[str | None] = []

    def enqueue(self, profiles: Collection[str], /) -> None:
        self.enqueued += [None] if profiles is ALL_PROFILES else profiles

    async def until(self, check: Any, what: str) -> None:
        async with asyncio.timeout(SECONDS):
            while not check():  # noqa: ASYNC110 - a thread sets no event
                await asyncio.sleep(0.02)
        assert check(), what

    @property
    def readers(self) -> dict[str, Collection[str]] | None:
        """The readers of each bucket; None before the first valid response."""
        found = [self.sources.buckets_of(one).get(GATEWAY) for one in NAMESPACES]
        if None in found:
            return None
        return {one.volume: set(one.readers) for buckets in found for one in buckets or ()}

    @property
    def error(self) -> str:
        (status,) = self.sources.components()
        return status.error

    async def next_enqueued(self) -> set[str | None]:
        """The profiles that the next change enqueues."""
        self.enqueued.clear()
        await self.until(lambda: self.enqueued, "a profile is enqueued")
        return set(self.enqueued)


@contextlib.asynccontextmanager
async def polling(url: str) -> AsyncIterator[Polling]:
    one = Polling(url)
    task = asyncio.create_task(one.sources.run(one.enqueue))
    try:
        await asyncio.wait_for(one.sources.wait_synced(), SECONDS)
        yield one
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await one.sources.close()


async def test_each_change_of_a_gateway_enqueues_the_affected_profiles(opa: Opa) -> None:
    opa.put("story", {"lab": LAB, "raw/data": {"readers": ["carol"]}, "httpapi": {"authz": {}}})
    async with polling(opa.url("story")) as one:
        assert {"lab": {"alice", "bob"}, "raw-data": {"carol"}} == one.readers
        assert [None] == one.enqueued

        opa.put("story/lab/readers", ["bob", "dave"])
        assert {"alice", "dave"} == await one.next_enqueued()
        opa.put("story/lab/writers", ["bob", "dave"])
        assert {"dave"} == await one.next_enqueued()
        opa.put("story/lab/spn", "other-sp")
        assert {"bob", "dave"} == await one.next_enqueued()
        opa.put("story", {"lab": {**LAB, "spn": "other-sp"}})
        assert {"alice", "dave", "carol"} == await one.next_enqueued()
        opa.put("story", {})
        assert {"alice", "bob"} == await one.next_enqueued()
        assert {} == one.readers


async def test_a_response_without_a_result_and_an_unreachable_gateway_change_nothing(
    tmp_path: Path,
) -> None:
    opa = Opa.start(tmp_path / "own")
    try:
        opa.put("story", {"lab": LAB})
        async with polling(opa.url("story")) as one:
            before = one.readers
            opa.delete("story")
            await one.until(lambda: "result is None; expected an object" in one.error, "reported")
            assert before == one.readers

            opa.put("story", {"lab": LAB})
            await one.until(lambda: not one.error, "recovered")
            one.enqueued.clear()
            opa.pause()
            await one.until(lambda: "Connection refused" in one.error, "reported")
            await one.until(lambda: {"alice", "bob"} == set(one.enqueued), "enqueued once it lasts")
            assert frozenset({GATEWAY}) == one.sources.failing
            assert before == one.readers

            opa.resume()
            opa.put("story", {"lab": {**LAB, "readers": ["alice"]}})
            assert {"bob"} == await one.next_enqueued()
            assert frozenset() == one.sources.failing
    finally:
        opa.stop()


async def test_the_first_valid_response_enqueues_all_profiles() -> None:
    with raw_server.serving() as server:
        server.response = reply(b"<html>", "503 Service Unavailable")
        async with polling(server.url) as one:
            assert (None, []) == (one.readers, one.enqueued)
            assert "503 Service Unavailable; expected 200 OK" in one.error
            server.response = reply(b'{"result": {}}')
            assert {None} == await one.next_enqueued()
            assert {} == one.readers


async def test_an_unchanged_response_enqueues_no_profile_with_or_without_an_etag() -> None:
    with raw_server.serving() as server:
        server.response = reply(b'{"result": {"lab": {"readers": ["alice"]}}}')
        async with polling(server.url) as one:
            await one.until(lambda: len(server.requests) > 3, "polled again")
            assert [None] == one.enqueued

            server.response = with_etag(server)
            await one.until(lambda: requests_with_etag(server) > 3, "polled with the ETag")
            assert ([None], "") == (one.enqueued, one.error)


def with_etag(server: RawServer) -> raw_server.Response:
    """A response with an ETag, and 304 for a request with it. OPA does not do this; a proxy may."""
    whole = reply(b'{"result": {"lab": {"readers": ["alice"]}}}', "200 OK", 'ETag: "one"')
    not_modified = reply(b"", "304 Not Modified", 'ETag: "one"')

    def answer(connection: socket.socket) -> None:
        (not_modified if 'If-None-Match: "one"' in server.requests[-1] else whole)(connection)

    return answer


def requests_with_etag(server: RawServer) -> int:
    return sum('If-None-Match: "one"' in request for request in server.requests)
