"""The benchmark's own watches: when an event arrived, by its own clock."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import aiohttp
import orjson

from tests.controlplane import ControlPlane

Json = dict[str, Any]
Take = Callable[[float, str, Json], None]


class Watcher:
    """One session with a control plane. Use `opened`."""

    def __init__(self, plane: ControlPlane, session: aiohttp.ClientSession) -> None:
        self._url = plane.url
        self._session = session
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, plane: ControlPlane) -> AsyncIterator[Self]:
        tls = ssl.create_default_context(cafile=str(plane.ca_file))
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=0),
            headers={"Authorization": f"Bearer {plane.admin_token}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        ) as session:
            watcher = cls(plane, session)
            try:
                yield watcher
            finally:
                await watcher.stop()

    async def request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> Json:
        async with self._session.request(
            method,
            self._url + path,
            data=None if body is None else orjson.dumps(body),
            headers={"Content-Type": content_type},
        ) as response:
            answer: Json = orjson.loads(await response.read())
            if response.status >= 400:
                raise RuntimeError(f"{method} {path}: {answer}")
            return answer

    async def watch(self, path: str, take: Take) -> None:
        """Calls `take` with arrival time, type and object of every change from now on."""
        listed = await self.request("GET", f"{path}?limit=1")
        version = listed["metadata"]["resourceVersion"]
        response = await self._session.get(
            f"{self._url}{path}?watch=1&resourceVersion={version}", raise_for_status=True
        )
        task = asyncio.create_task(follow(response, take))
        self._tasks.add(task)

    async def stop(self) -> None:
        """Ends every watch."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def follow(response: aiohttp.ClientResponse, take: Take) -> None:
    rest = b""
    async with response:
        async for chunk in response.content.iter_any():
            arrived = time.monotonic()
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                event = orjson.loads(line)
                take(arrived, event["type"], event["object"])
