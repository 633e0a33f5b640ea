"""The benchmark's own watches: when an event arrived, by its own clock.

It asks on the suite's own connections: what it takes itself is in every figure, and that is little.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import orjson

from controllers.runtime.client.pools import Pool
from controllers.runtime.client.routes import Route
from tests.support.controlplane import ControlPlane

Json = dict[str, Any]
Take = Callable[[float, str, Json], None]
_SILENCE = 3600.0


class Watcher:
    """A control plane's clock. Use `opened`."""

    def __init__(self, plane: ControlPlane) -> None:
        tls = ssl.create_default_context(cafile=str(plane.ca_file))
        route = Route.to(plane.url, tls)
        self._fields = f"Host: {route.netloc}\r\nAuthorization: Bearer {plane.admin_token}\r\n"
        self._pool = Pool(route)
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, plane: ControlPlane) -> AsyncIterator[Self]:
        watcher = cls(plane)
        try:
            yield watcher
        finally:
            await watcher.stop()
            await watcher._pool.close()

    async def request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> Json:
        data = b"" if body is None else orjson.dumps(body)
        fields = f"Content-Type: {content_type}\r\nContent-Length: {len(data)}\r\n\r\n"
        found = await self._pool.ask(self._head(method, path) + fields.encode() + data, seconds=60)
        answer: Json = orjson.loads(found.payload)
        if found.code >= 400:
            raise RuntimeError(f"{method} {path}: {answer}")
        return answer

    async def watch(self, path: str, take: Take) -> None:
        """Calls `take` with arrival time, type and object of every change from now on."""
        listed = await self.request("GET", f"{path}?limit=1")
        version = listed["metadata"]["resourceVersion"]
        up = asyncio.Event()
        follows = self._follow(f"{path}?watch=1&resourceVersion={version}", take, up)
        task = asyncio.create_task(follows)
        self._tasks.add(task)
        ready = asyncio.create_task(up.wait())
        await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
        if not up.is_set():
            ready.cancel()
            await task

    async def stop(self) -> None:
        """Ends every watch."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, target: str, take: Take, up: asyncio.Event) -> None:
        rest = b""
        request = self._head("GET", target) + b"\r\n"
        async with self._pool.stream(request, silence=_SILENCE) as (answer, chunks):
            if answer.code != 200:
                raise RuntimeError(f"{target}: {answer}")
            up.set()
            async for chunk in chunks:
                arrived = time.monotonic()
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = orjson.loads(line)
                    take(arrived, event["type"], event["object"])

    def _head(self, method: str, target: str) -> bytes:
        return f"{method} {target} HTTP/1.1\r\n{self._fields}".encode()
