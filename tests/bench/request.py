"""One request: the CPU time of the suite's client beside that of aiohttp alone.

Both send the same POST requests with `dryRun`, so that the API server validates and stores nothing.
"""

import asyncio
import itertools
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import orjson

from controllers.manifests import Body, to_body
from controllers.profiles import parse_profile
from controllers.runtime.client import client
from controllers.runtime.client.client import ClientOptions
from controllers.runtime.objects.kinds import KINDS
from controllers.runtime.options import Connection
from tests.bench import workload
from tests.bench.environment import Environment, report_progress
from tests.bench.rows import Row
from tests.support.controlplane import ControlPlane

REQUESTS = 2_000
IN_FLIGHT = 16
TURNS = 3
QUERY = {"fieldManager": "bench", "dryRun": "All"}
Post = Callable[[Body], Awaitable[object]]


def rows(environment: Environment) -> list[Row]:
    """One row: milliseconds of CPU time per request."""
    profile = parse_profile(environment.profiles[0])
    kind = KINDS["NetworkPolicy"]
    path = kind.path(profile.namespace)
    bodies = [
        to_body(manifest, api_version=kind.api_version, profile=profile, component=component)
        for component, manifest in workload.manifests(workload.NETWORK, profile)
    ]
    samples: dict[str, list[float]] = {"suite": [], "bare": []}
    for _ in range(TURNS):
        for name, opened in (("suite", suite_client), ("bare", bare_client)):
            samples[name].append(asyncio.run(measure(opened(environment.plane, path), bodies)))
        report_progress(
            f"  one request: {samples['suite'][-1]:.3f} ms, bare {samples['bare'][-1]:.3f} ms"
        )
    title = "one request, client CPU"
    return [
        Row(name="request.cpu", title=title, unit="ms", samples=samples["suite"],
            bare=samples["bare"]),
    ]  # fmt: skip


async def measure(opened: AbstractAsyncContextManager[Post], bodies: list[Body]) -> float:
    async with opened as post:
        await send(post, itertools.islice(itertools.cycle(bodies), IN_FLIGHT))
        remaining = itertools.islice(itertools.cycle(bodies), REQUESTS)
        began = time.process_time()
        await asyncio.gather(*(send(post, remaining) for _ in range(IN_FLIGHT)))
        return (time.process_time() - began) / REQUESTS * 1000


async def send(post: Post, bodies: Iterator[Body]) -> None:
    for body in bodies:
        await post(body)


@asynccontextmanager
async def suite_client(plane: ControlPlane, path: str) -> AsyncIterator[Post]:
    connection = Connection(kubeconfig=plane.kubeconfig)
    opened = await client.connect(connection, ClientOptions(max_writes=IN_FLIGHT))

    async def post(body: Body) -> object:
        return await opened.write("POST", path, body, query=QUERY)

    try:
        yield post
    finally:
        await opened.close()


@asynccontextmanager
async def bare_client(plane: ControlPlane, path: str) -> AsyncIterator[Post]:
    tls = ssl.create_default_context(cafile=str(plane.ca_file))
    headers = {
        "Authorization": f"Bearer {plane.admin_token}",
        "Accept": "application/json",
        "Content-Type": "application/json",
    }
    target = f"{path}?{'&'.join(f'{name}={value}' for name, value in QUERY.items())}"
    connector = aiohttp.TCPConnector(ssl=tls, limit=0)
    async with aiohttp.ClientSession(plane.url, connector=connector, headers=headers) as session:

        async def post(body: Body) -> object:
            async with session.post(target, data=orjson.dumps(body)) as response:
                assert response.status == 201
                return orjson.loads(await response.read())

        yield post
