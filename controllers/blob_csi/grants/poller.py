"""Reads all sources of shared buckets: polls the gateways, and parses the watched ConfigMap."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.grants import opa
from controllers.blob_csi.grants import parse as grants_parse
from controllers.blob_csi.grants.opa import GatewayClient, OpaClient
from controllers.blob_csi.grants.parse import Buckets, DocumentError
from controllers.blob_csi.grants.sources import SOURCES, Origin, Source
from controllers.blob_csi.grants.state import SourceHealth, SourceState
from controllers.manifests import Body
from controllers.runtime import ALL_PROFILES, Enqueue
from controllers.runtime.backoff import Backoff
from controllers.runtime.external.errors import ExternalError, Scope
from controllers.runtime.external.system import ComponentStatus, ExternalSystem

_FIRST_RETRY_SECONDS, _MAX_RETRY_SECONDS = 1.0, 60.0
_KEYS = frozenset(source.name for source in SOURCES if source.origin is not Origin.GATEWAY)

Document = tuple[bytes, Buckets | None]
"""The body of a response, and its buckets if they changed."""


def transform_config_map(body: Body) -> Mapping[str, str]:
    """Return the documents of the ConfigMap by key."""
    data = body.get("data") or {}
    return {key: data[key] for key in _KEYS if key in data}


class GatewayPoller:
    """Polls one gateway. An unchanged response is neither sent again nor parsed again."""

    def __init__(self, client: GatewayClient, state: SourceState, system: ExternalSystem) -> None:
        """Send no request."""
        self._client = client
        self._state = state
        self._system = system
        self._etag = ""

    async def poll(self) -> Document | None:
        """Send a request. Returns the document, or None if the gateway reports no change.

        Raises ExternalError. A request that is in flight is joined, never sent twice.
        """
        return await self._system.call(
            lambda: self._system.in_thread(self._get), request="document"
        )

    def status(self) -> ComponentStatus:
        """Return the status for probes and metrics, from any thread."""
        own = self._state.status()
        return replace(
            self._system.status(), name=own.name, error=own.error, last_success=own.last_success
        )

    async def close(self) -> None:
        """Close the connections, and wait some seconds for a request in flight."""
        self._client.close()
        await self._system.close()

    def _get(self) -> Document | None:
        response = self._client.get(self._etag)
        if response is None:
            return None
        try:
            document = response.body, self._state.parse_if_changed(response.body)
        except DocumentError as error:
            raise ExternalError(opa.INVALID_RESPONSE, str(error), scope=Scope.SYSTEM) from None
        self._etag = response.etag  # of a valid document only
        return document


class BucketSources:
    """All enabled sources. For one event loop; ``components`` may be called from any thread."""

    def __init__(
        self, settings: BlobCsiSettings, *, connect: Callable[[str], GatewayClient] = OpaClient
    ) -> None:
        """Send no request."""
        self._settings = settings
        self._interval = settings.fdi_opa_daemon_ticker_millis / 1000
        self._states = {source: _state(source) for source in settings.sources}
        self._pollers = {
            source: GatewayPoller(
                connect(settings.endpoint(source.classification)), state, self._system(source)
            )
            for source, state in self._states.items()
            if source.origin is Origin.GATEWAY
        }
        self._unread = set(self._states)
        self._synced = asyncio.Event()
        if not self._unread:
            self._synced.set()

    async def wait_synced(self) -> None:
        """Wait until each source was read once, with or without success; bounded in time."""
        await self._synced.wait()

    def components(self) -> list[ComponentStatus]:
        """Return the status of each source, from any thread."""
        return [
            self._pollers[source].status() if source in self._pollers else state.status()
            for source, state in self._states.items()
        ]

    def buckets_of(self, namespace: str) -> Mapping[Source, Buckets]:
        """Return, for each source with a valid document, the buckets that list the namespace."""
        return {
            source: tuple(one for one in state.buckets if one.lists(namespace))
            for source, state in self._states.items()
            if state.buckets is not None
        }

    @property
    def failing(self) -> frozenset[Source]:
        """The sources whose failure lasts."""
        return frozenset(
            source for source, state in self._states.items() if state.health is SourceHealth.FAILING
        )

    def update_config_map(self, documents: Mapping[str, str] | None, enqueue: Enqueue) -> None:
        """Read the transformed ConfigMap; None: it does not exist."""
        for source, state in self._states.items():
            if source.origin is not Origin.GATEWAY:
                self._update_document(state, documents, enqueue)

    async def run(self, enqueue: Enqueue) -> None:
        """Poll every gateway until cancelled: at each interval, or earlier after a failure."""
        async with asyncio.TaskGroup() as group:
            for source, poller in self._pollers.items():
                group.create_task(self._poll(self._states[source], poller, enqueue))

    async def close(self) -> None:
        """Close all connections; bounded in time."""
        await asyncio.gather(*(poller.close() for poller in self._pollers.values()))

    def _update_document(
        self, state: SourceState, documents: Mapping[str, str] | None, enqueue: Enqueue
    ) -> None:
        key = state.source.name
        place = f"ConfigMap {self._settings.config_map_namespace}/{self._settings.config_map}"
        if documents is None:
            self._enqueue(state, state.failed(f"{place} does not exist; create it"), enqueue)
        elif key not in documents:
            self._enqueue(state, state.failed(f"{place} has no key {key}; add it"), enqueue)
        else:
            body = documents[key].encode()
            try:
                buckets = state.parse_if_changed(body)
            except DocumentError as error:
                self._enqueue(state, state.failed(f"{place}, key {key}: {error}"), enqueue)
            else:
                self._update(state, body, buckets, enqueue)

    async def _poll(self, state: SourceState, poller: GatewayPoller, enqueue: Enqueue) -> None:
        while True:
            delay = self._interval
            try:
                document = await poller.poll()
            except ExternalError as error:
                delay = error.retry_after or delay
                self._enqueue(state, state.failed(error.message), enqueue)
            else:
                self._update(state, *(document or (b"", None)), enqueue)
            await asyncio.sleep(delay)

    def _update(
        self, state: SourceState, body: bytes, buckets: Buckets | None, enqueue: Enqueue
    ) -> None:
        if buckets is not None:
            self._enqueue(state, state.update(body, buckets), enqueue)
            return
        state.succeeded()
        self._enqueue(state, (), enqueue)

    def _enqueue(
        self, state: SourceState, namespaces: Collection[str] | None, enqueue: Enqueue
    ) -> None:
        """Enqueue the profiles of these namespaces, None: all, and mark the source as read."""
        self._unread.discard(state.source)
        if not self._unread:
            self._synced.set()
        enqueue(ALL_PROFILES if namespaces is None else namespaces)

    def _system(self, source: Source) -> ExternalSystem:
        maximum = max(_MAX_RETRY_SECONDS, self._interval)
        return ExternalSystem(
            source.name,
            concurrency=1,
            # A response is bounded by the client; this is for a server that never completes one.
            wait_seconds=opa.TIMEOUT + 1.0,
            backoff=Backoff(initial=_FIRST_RETRY_SECONDS, maximum=maximum),
        )


def _state(source: Source) -> SourceState:
    is_gateway = source.origin is Origin.GATEWAY
    parse = grants_parse.parse_gateway if is_gateway else grants_parse.parse_list
    return SourceState(source=source, parse=parse, clock=time.time)
