"""The benchmark's own watches: when an event arrived.

They use aiohttp alone, so that no figure depends on the code under test.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import aiohttp
import orjson

from tests.support.controlplane import ControlPlane

Json = dict[str, Any]
Handler = Callable[[float, str, Json], None]
"""Called with the monotonic time of arrival, the type and the object of an event."""
_READ_BUFFER = 1 << 21


class Watcher:
    """Watches of one control plane. Use `opened`."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, plane: ControlPlane) -> AsyncIterator[Self]:
        tls = ssl.create_default_context(cafile=str(plane.ca_file))
        async with aiohttp.ClientSession(
            plane.url,
            connector=aiohttp.TCPConnector(ssl=tls, limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Authorization": f"Bearer {plane.admin_token}", "Accept-Encoding": "identity"},
            read_bufsize=_READ_BUFFER,
            timeout=aiohttp.ClientTimeout(),
        ) as session:
            watcher = cls(session)
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
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": content_type}
        async with self._session.request(method, path, data=data, headers=headers) as response:
            found: Json = orjson.loads(await response.read())
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {found}")
        return found

    async def watch(self, path: str, handler: Handler) -> None:
        """Call the handler for every change from now on."""
        listed = await self.request("GET", f"{path}?limit=1")
        version = listed["metadata"]["resourceVersion"]
        response = await self._session.get(f"{path}?watch=1&resourceVersion={version}")
        if response.status != 200:
            raise RuntimeError(f"watch {path}: {response.status}")
        self._tasks.add(asyncio.create_task(self._read(response, handler)))

    async def stop(self) -> None:
        """End every watch."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, response: aiohttp.ClientResponse, handler: Handler) -> None:
        rest = b""
        async with response:
            async for chunk in response.content.iter_any():
                arrived = time.monotonic()
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = orjson.loads(line)
                    handler(arrived, event["type"], event["object"])
