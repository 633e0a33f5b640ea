"""The webhook for Metacontroller: HTTP, the keys that are minted in it, and its probes.

It knows no Kubernetes API: what exists comes with each request.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import socket
import weakref
from collections.abc import AsyncIterator, Callable, Sequence

import orjson
import prometheus_client
import structlog
from aiohttp import web

from controllers.pipelines import desired
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.objectstore import providers
from controllers.pipelines.objectstore.provider import (
    Credentials,
    Decision,
    ObjectStore,
    Refusal,
    StoreError,
    Tenant,
)
from controllers.pipelines.webhook import protocol

logger = structlog.stdlib.get_logger(__name__)

_LARGEST = 64 * 2**20
"""Bytes of a request: Metacontroller sends every object of a namespace in each."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PATIENCE = 300
"""Seconds to come again after, where only a person can help."""
_MAINTENANCE = 600.0
_FIRST_RETRY = 5.0
_JSON = "application/json"


class Webhook:
    """Answers Metacontroller. For one event loop."""

    def __init__(self, settings: PipelinesSettings, store: ObjectStore) -> None:
        self._settings = settings
        self._store = store
        self._static = _keys(providers.static_credentials(settings))
        self._minted: dict[str, Credentials] = {}  # until a request shows the Secret
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._metrics = prometheus_client.CollectorRegistry()
        self._requests = prometheus_client.Counter(
            "pipelines_webhook_requests", "Replies by code.", ["code"], registry=self._metrics
        )

    def application(self) -> web.Application:
        """POST to any path; probes and metrics by GET."""
        app = web.Application(client_max_size=_LARGEST)
        for path in ("/healthz", "/livez", "/readyz"):
            app.router.add_get(path, self._well)
        app.router.add_get("/metrics", self._scrape)
        app.router.add_post("/{path:.*}", self._post)
        return app

    async def _well(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _scrape(self, _request: web.Request) -> web.Response:
        body = prometheus_client.generate_latest(self._metrics)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _post(self, request: web.Request) -> web.Response:
        try:
            response = await self._answer(await request.read())
        except web.RequestPayloadError as error:
            response = _refused(400, f"the body cannot be read: {error}")
        except web.HTTPRequestEntityTooLarge as error:
            response = _refused(error.status, f"the body is larger than {_LARGEST} bytes")
        self._requests.labels(code=str(response.status)).inc()
        return response

    async def _answer(self, payload: bytes) -> web.Response:
        try:
            asked = protocol.read(orjson.loads(payload))
            reply = orjson.dumps(await self._reply(asked))
        except orjson.JSONDecodeError as error:
            return _refused(400, f"the body is no JSON: {error}")
        except orjson.JSONEncodeError as error:  # deeper than any object of Kubernetes
            return _refused(400, f"what the body shows cannot be given back: {error}")
        except protocol.NonsenseError as error:
            return _refused(400, str(error))
        except protocol.UnsetError as error:
            return _refused(503, str(error), after=_PATIENCE)
        except StoreError as error:
            after = _PATIENCE if error.after is None else max(1, math.ceil(error.after))
            return _refused(503, f"{error.reason}: {error.message}", after=after)
        return web.Response(body=reply, content_type=_JSON)

    async def _reply(self, asked: protocol.Request) -> dict[str, object]:
        if not asked.enabled:
            return protocol.nothing(asked)
        if asked.older:
            return protocol.older(asked, self._static, self._settings)
        if asked.secret is not None:
            self._minted.pop(asked.namespace, None)
            return protocol.current(asked, None, self._settings)
        minted = await self._mint(asked.namespace)
        return protocol.current(asked, _keys(minted), self._settings)

    async def _mint(self, namespace: str) -> Credentials | None:
        """The namespace's key, made once however many requests ask before its Secret exists."""
        if not _NAME.fullmatch(namespace):
            message = f"object.metadata.name is {namespace!r:.80}, expected a namespace's name"
            raise protocol.NonsenseError(message)
        lock = self._locks.setdefault(namespace, asyncio.Lock())
        async with lock:
            held = self._minted.get(namespace)
            answer = await self._store.ensure(self._tenant(namespace), held)
            if isinstance(answer, Refusal):
                logger.warning(
                    "no key", namespace=namespace, reason=answer.reason, error=answer.message
                )
                return None
            if answer is not None:
                self._minted[namespace] = answer
            return answer

    def _tenant(self, namespace: str) -> Tenant:
        """Nothing is known of its Profile, so no more is decided than that old objects are its."""
        accepted = self._settings.old_objects == "accept"
        decision = Decision.ACCEPT if accepted else Decision.UNDECIDED
        return Tenant(namespace=namespace, decision=decision, for_all=True)

    async def maintain(self) -> None:
        """Keeps the bucket in shape, until cancelled."""
        delay = _FIRST_RETRY
        while True:
            try:
                await self._store.maintain()
            except StoreError as error:
                logger.warning("bucket not maintained", error=error.message, retry_seconds=delay)
                await asyncio.sleep(delay)
                delay = min(delay * 2, _MAINTENANCE)
            else:
                delay = _FIRST_RETRY
                await asyncio.sleep(_MAINTENANCE)


def _keys(credentials: Credentials | None) -> desired.Keys | None:
    if credentials is None:
        return None
    return desired.Keys(access=credentials.access_key, secret=credentials.secret_key)


def _refused(status: int, message: str, *, after: int | None = None) -> web.Response:
    """An error: Metacontroller tries again, and neither makes nor deletes anything."""
    logger.warning("request refused", code=status, error=message)
    headers = {} if after is None else {"Retry-After": str(after)}
    return web.json_response({"error": message}, status=status, headers=headers)


@contextlib.asynccontextmanager
async def serving(
    settings: PipelinesSettings,
    sockets: Sequence[socket.socket],
    connect: Callable[[PipelinesSettings], ObjectStore] = providers.connect,
) -> AsyncIterator[list[int]]:
    """Serves on sockets that listen already; yields their ports."""
    store = connect(settings)
    webhook = Webhook(settings, store)
    runner = web.AppRunner(webhook.application(), access_log=None, handle_signals=False)
    await runner.setup()
    for bound in sockets:
        await web.SockSite(runner, bound).start()
    maintaining = asyncio.create_task(webhook.maintain())
    try:
        yield [bound.getsockname()[1] for bound in sockets]
    finally:
        maintaining.cancel()
        await runner.cleanup()
        await store.close()


async def serve(
    settings: PipelinesSettings, sockets: Sequence[socket.socket], stop: asyncio.Event
) -> int:
    """Until ``stop``; the exit code."""
    async with serving(settings, sockets) as ports:
        logger.info("serving the webhook", ports=ports)
        await stop.wait()
        logger.info("stopping")
    return 0
