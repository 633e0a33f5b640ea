"""A request alone: the processor time that the suite's connections take, beside aiohttp's client.

The same POST, checked by the API server and not kept (`dryRun`), so many at once, in turns.
"""

import asyncio
import itertools
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import orjson

from controllers.manifests import to_body
from controllers.profiles import parse_profile
from controllers.runtime.client.pools import Pool
from controllers.runtime.client.routes import Route
from controllers.runtime.objects.kinds import KINDS
from tests.bench import synthetic
from tests.bench.reports import Row
from tests.bench.stages import Stage, say
from tests.support.controlplane import ControlPlane

REQUESTS = 2_000
IN_FLIGHT = 16
TURNS = 3
Post = Callable[[bytes], Awaitable[bytes]]


def rows(stage: Stage) -> list[Row]:
    """One row: milliseconds of processor time a request."""
    profile = parse_profile(stage.profiles[0])
    kind = KINDS["NetworkPolicy"]
    target = f"{kind.path(profile.namespace)}?fieldManager=bench&dryRun=All"
    bodies = [
        orjson.dumps(
            to_body(manifest, api_version=kind.api_version, profile=profile, component=component)
        )
        for component, manifest in synthetic.manifests(synthetic.NETWORK, profile)
    ]
    samples: dict[str, list[float]] = {"suite": [], "aiohttp": []}
    for _ in range(TURNS):
        for name, opened in (("suite", suites), ("aiohttp", aiohttps)):
            samples[name].append(asyncio.run(measured(opened(stage.plane, target), bodies)))
        say(f"  a request: {samples['suite'][-1]:.3f} ms, aiohttp {samples['aiohttp'][-1]:.3f} ms")
    what = "a request alone, client CPU"
    return [
        Row(name="request.cpu", what=what, unit="ms", samples=samples["suite"],
            bare=samples["aiohttp"], note="bare: aiohttp's client"),
    ]  # fmt: skip


async def measured(client: AbstractAsyncContextManager[Post], bodies: list[bytes]) -> float:
    async with client as post:
        await send(post, itertools.islice(itertools.cycle(bodies), IN_FLIGHT))
        remaining = itertools.islice(itertools.cycle(bodies), REQUESTS)
        began = time.process_time()
        await asyncio.gather(*(send(post, remaining) for _ in range(IN_FLIGHT)))
        return (time.process_time() - began) / REQUESTS * 1000


async def send(post: Post, bodies: Iterator[bytes]) -> None:
    for body in bodies:
        orjson.loads(await post(body))


@asynccontextmanager
async def suites(plane: ControlPlane, target: str) -> AsyncIterator[Post]:
    route = Route.to(plane.url, ssl.create_default_context(cafile=str(plane.ca_file)))
    fields = (
        f"Host: {route.netloc}\r\nAuthorization: Bearer {plane.admin_token}\r\n"
        "Accept: application/json\r\nContent-Type: application/json\r\n"
    )
    pool = Pool(route)

    async def post(body: bytes) -> bytes:
        head = f"POST {target} HTTP/1.1\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
        answer = await pool.ask(head.encode() + body, seconds=60)
        assert answer.code == 201, answer
        return answer.payload

    try:
        yield post
    finally:
        await pool.close()


@asynccontextmanager
async def aiohttps(plane: ControlPlane, target: str) -> AsyncIterator[Post]:
    tls = ssl.create_default_context(cafile=str(plane.ca_file))
    fields = {
        "Authorization": f"Bearer {plane.admin_token}",
        "Accept": "application/json",
        "Content-Type": "application/json",
    }
    connector = aiohttp.TCPConnector(ssl=tls, limit=0)
    async with aiohttp.ClientSession(plane.url, connector=connector, headers=fields) as session:

        async def post(body: bytes) -> bytes:
            async with session.post(target, data=body) as response:
                assert response.status == 201
                return await response.read()

        yield post
