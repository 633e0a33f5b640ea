"""A watch's stream: what is left out of it, and what never is."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from controllers.manifests import Body
from controllers.runtime.client import client
from controllers.runtime.client.client import Known, KubeCluster, Limits
from controllers.runtime.errors import UnreachableError
from controllers.runtime.options import Connection
from controllers.runtime.workqueue import Priority

PATH = "/api/v1/configmaps"
Told = list[bytes]
Connect = Callable[[Told], Awaitable[KubeCluster]]


def line(version: int, kind: str = "MODIFIED") -> bytes:
    body = {"metadata": {"name": "one", "resourceVersion": str(version)}}
    return json.dumps({"type": kind, "object": body}, separators=(",", ":")).encode() + b"\n"


@pytest_asyncio.fixture
async def connect(tmp_path: Path) -> AsyncIterator[Connect]:
    """A client of a server that tells these pieces, one after the other."""
    opened: list[tuple[TestServer, KubeCluster]] = []

    async def make(pieces: Told) -> KubeCluster:
        async def watch(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            for piece in pieces:
                await response.write(piece)
                await asyncio.sleep(0)
            return response

        application = web.Application()
        application.router.add_get(PATH, watch)
        server = TestServer(application)
        await server.start_server()
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config(str(server.make_url("")))))
        cluster = await client.connect(Connection(kubeconfig=kubeconfig), Limits(max_writes=2))
        opened.append((server, cluster))
        return cluster

    yield make
    for server, cluster in opened:
        await cluster.close()
        await server.close()


def config(server: str) -> Body:
    return {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "a-token"}}],
    }


async def told(cluster: KubeCluster, known: Known = ()) -> list[tuple[str, str]]:
    return [
        (event["type"], event["object"]["metadata"]["resourceVersion"])
        async for events in cluster.watch(PATH, {}, known)
        for event in events
    ]


async def test_everything_is_told_when_nothing_is_known(connect: Connect) -> None:
    cluster = await connect([line(1), line(2) + line(3)])
    assert [("MODIFIED", "1"), ("MODIFIED", "2"), ("MODIFIED", "3")] == await told(cluster)


async def test_known_versions_are_left_out_but_for_an_end(connect: Connect) -> None:
    cluster = await connect([line(1), line(2, "ADDED"), line(2, "DELETED"), line(3)])
    assert [("MODIFIED", "1"), ("DELETED", "2")] == await told(cluster, ["2", "3"])


async def test_news_among_many_echoes_is_told(connect: Connect) -> None:
    versions = range(1, 201)
    cluster = await connect([line(version) for version in versions])
    known = [str(version) for version in versions if version % 50]
    expected = [("MODIFIED", str(version)) for version in (50, 100, 150, 200)]
    assert expected == await told(cluster, known)


async def test_while_much_is_written_the_answers_come_before_their_echoes(
    connect: Connect,
) -> None:
    cluster = await connect([line(1), line(2)])
    known: set[str] = set()
    await cluster._limiter.enter(Priority.NORMAL)
    asyncio.get_running_loop().call_later(0.004, known.add, "1")  # as an answer to a write

    assert [("MODIFIED", "2")] == await told(cluster, known)


async def test_a_line_in_pieces_is_one_event(connect: Connect) -> None:
    whole = line(1) + line(2)
    cluster = await connect([whole[:20], whole[20:90], whole[90:]])
    assert [("MODIFIED", "1"), ("MODIFIED", "2")] == await told(cluster)


async def test_what_is_no_json_is_an_outage_and_no_crash(connect: Connect) -> None:
    cluster = await connect([b"<html>a proxy's word</html>\n"])
    with pytest.raises(UnreachableError):
        await told(cluster)
