"""The webhook for Metacontroller: an HTTP server that also issues keys.

It does not use the Kubernetes API: each request contains the existing objects.
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

from controllers.findings import Finding
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.objectstore import provider
from controllers.pipelines.objectstore.provider import ObjectStore
from controllers.pipelines.objectstore.spec import AccountSpec, Credentials, OldObjects
from controllers.pipelines.webhook import protocol
from controllers.pipelines.webhook.protocol import Protocol
from controllers.runtime.backoff import Backoff
from controllers.runtime.external.errors import ExternalError

logger = structlog.stdlib.get_logger(__name__)

_MAX_REQUEST_BYTES = 64 * 2**20
"""Metacontroller sends every object of the namespace in each request."""
_NAMESPACE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ACTION_RETRY_SECONDS = 300
"""``Retry-After`` of an error that lasts until a person acts."""
_BUCKET_SECONDS = 600.0
"""Between two reconciles of the bucket."""
_BACKOFF = Backoff(initial=5.0, maximum=_BUCKET_SECONDS)


class Webhook:
    """Responds to Metacontroller. For one event loop."""

    def __init__(self, settings: PipelinesSettings, store: ObjectStore) -> None:
        self._settings = settings
        self._store = store
        self._static_key = provider.static_credentials(settings)
        self._issued: dict[str, Credentials] = {}  # until a request contains the Secret
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._metrics = prometheus_client.CollectorRegistry()
        self._requests = prometheus_client.Counter(
            "pipelines_webhook_requests",
            "Responses of the webhook by HTTP status code.",
            ["code"],
            registry=self._metrics,
        )

    def application(self) -> web.Application:
        """Return the routes: POST to any path; probes and metrics by GET."""
        app = web.Application(client_max_size=_MAX_REQUEST_BYTES)
        for path in ("/healthz", "/livez", "/readyz"):
            app.router.add_get(path, self._healthz)
        app.router.add_get("/metrics", self._metrics_response)
        app.router.add_post("/{path:.*}", self._post)
        return app

    async def reconcile_bucket(self) -> None:
        """Reconcile the bucket periodically, until cancelled."""
        failures = 0
        while True:
            delay = _BUCKET_SECONDS
            try:
                await self._store.reconcile_bucket()
                failures = 0
            except ExternalError as error:
                failures += 1
                delay = _BACKOFF.delay(failures)
                logger.warning(
                    "bucket not reconciled", error=error.message, retry_seconds=round(delay, 1)
                )
            await asyncio.sleep(delay)

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _metrics_response(self, _request: web.Request) -> web.Response:
        body = prometheus_client.generate_latest(self._metrics)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _post(self, request: web.Request) -> web.Response:
        try:
            response = await self._respond(await request.read())
        except web.RequestPayloadError as error:
            response = _error(400, f"the body cannot be read: {error}")
        except web.HTTPRequestEntityTooLarge as error:
            response = _error(error.status, f"the body is larger than {_MAX_REQUEST_BYTES} bytes")
        self._requests.labels(code=str(response.status)).inc()
        return response

    async def _respond(self, payload: bytes) -> web.Response:
        try:
            request = protocol.parse(orjson.loads(payload))
            body = orjson.dumps(await self._sync(request))
        except orjson.JSONDecodeError as error:
            return _error(400, f"the body is not JSON: {error}")
        except orjson.JSONEncodeError as error:  # it is nested deeper than any Kubernetes object
            return _error(400, f"an object of the body cannot be returned: {error}")
        except protocol.InvalidRequestError as error:
            return _error(400, str(error))
        except protocol.MissingSettingError as error:
            return _error(503, str(error), retry_after=_ACTION_RETRY_SECONDS)
        except ExternalError as error:
            seconds = error.retry_after
            retry_after = _ACTION_RETRY_SECONDS if seconds is None else max(1, math.ceil(seconds))
            return _error(503, f"{error.reason}: {error.message}", retry_after=retry_after)
        return web.Response(body=body, content_type="application/json")

    async def _sync(self, request: protocol.Request) -> dict[str, object]:
        if not request.enabled:
            return protocol.disabled_response(request)
        if request.protocol is Protocol.V1:
            return protocol.v1_response(request, self._static_key, self._settings)
        if request.secret is not None:
            self._issued.pop(request.namespace, None)
            return protocol.v2_response(request, None, self._settings)
        key = await self._issue_key(request.namespace)
        return protocol.v2_response(request, key, self._settings)

    async def _issue_key(self, namespace: str) -> Credentials | None:
        """Return the namespace's key. Requests that arrive before its Secret get the same one."""
        if not _NAMESPACE_NAME.fullmatch(namespace):
            raise protocol.InvalidRequestError(
                f"object.metadata.name is {namespace!r:.80}, expected a namespace's name"
            )
        lock = self._locks.setdefault(namespace, asyncio.Lock())
        async with lock:
            result = await self._store.ensure_key(
                self._account_spec(namespace), self._issued.get(namespace)
            )
            if isinstance(result, Finding):
                logger.warning(
                    "no key issued",
                    namespace=namespace,
                    reason=result.reason,
                    error=result.message,
                )
                return None
            if result is not None:
                self._issued[namespace] = result
            return result

    def _account_spec(self, namespace: str) -> AccountSpec:
        """Return the account of a namespace whose Profile is unknown: old objects stay."""
        accept = self._settings.old_objects == OldObjects.ACCEPT.value
        return AccountSpec(
            namespace=namespace,
            old_objects=OldObjects.ACCEPT if accept else OldObjects.REFUSE,
            old_objects_by_default=True,
        )


def _error(status: int, message: str, *, retry_after: int | None = None) -> web.Response:
    """Return an error: Metacontroller retries and changes no object."""
    logger.warning("webhook request failed", code=status, error=message)
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.json_response({"error": message}, status=status, headers=headers)


@contextlib.asynccontextmanager
async def serving(
    settings: PipelinesSettings,
    sockets: Sequence[socket.socket],
    connect: Callable[[PipelinesSettings], ObjectStore] = provider.connect,
) -> AsyncIterator[list[int]]:
    """Serve on listening sockets; yields their ports."""
    store = connect(settings)
    webhook = Webhook(settings, store)
    runner = web.AppRunner(webhook.application(), access_log=None, handle_signals=False)
    await runner.setup()
    for each in sockets:
        await web.SockSite(runner, each).start()
    bucket = asyncio.create_task(webhook.reconcile_bucket())
    try:
        yield [each.getsockname()[1] for each in sockets]
    finally:
        bucket.cancel()
        await runner.cleanup()
        await store.close()


async def serve(
    settings: PipelinesSettings, sockets: Sequence[socket.socket], stop: asyncio.Event
) -> int:
    """Serve until ``stop``. Returns the exit code."""
    async with serving(settings, sockets) as ports:
        logger.info("serving the webhook", ports=ports)
        await stop.wait()
        logger.info("stopping")
    return 0
