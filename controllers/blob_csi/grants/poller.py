"""Follows all sources of shared buckets: gateways by asking, the ConfigMap by the watch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping

from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.grants import parse as grants_parse
from controllers.blob_csi.grants.opa import Gateway, GatewayError
from controllers.blob_csi.grants.parse import Answer, DocumentError
from controllers.blob_csi.grants.requests import Asks, Question
from controllers.blob_csi.grants.sources import SOURCES, Origin, Source
from controllers.blob_csi.grants.state import Feed
from controllers.manifests import Body
from controllers.runtime.backoff import Backoff
from controllers.runtime.controller import ALL_PROFILES, Enqueue
from controllers.runtime.external.system import ComponentStatus

_FIRST_RETRY, _LONGEST_RETRY = 1.0, 60.0
_KEYS = frozenset(source.key for source in SOURCES if source.origin is not Origin.GATEWAY)


def keep_config_map(body: Body) -> Mapping[str, str]:
    """What is remembered of the ConfigMap: its documents, by their keys."""
    data = body.get("data") or {}
    return {key: data[key] for key in _KEYS if key in data}


class Followers:
    """All sources that are asked. For one event loop, but for ``parts``."""

    def __init__(
        self, settings: BlobCsiSettings, *, connect: Callable[[str], Asks] = Gateway
    ) -> None:
        """Asks nothing yet."""
        self._settings = settings
        self._connect = connect
        self._interval = settings.fdi_opa_daemon_ticker_millis / 1000
        self._retry = Backoff(initial=_FIRST_RETRY, maximum=max(_LONGEST_RETRY, self._interval))
        self._feeds = {source: _feed(source) for source in settings.storages}
        self._unasked = set(self._feeds)
        self._asked = asyncio.Event()
        if not self._unasked:
            self._asked.set()

    async def asked(self) -> None:
        """Returns once each source was asked, whatever came of it; bounded in time."""
        await self._asked.wait()

    def components(self) -> list[ComponentStatus]:
        """How each source is, from any thread."""
        return [feed.status for feed in self._feeds.values()]

    @property
    def answers(self) -> Mapping[Source, Answer]:
        """The last good answers of those that ever gave one to this process."""
        every = ((source, feed.answer) for source, feed in self._feeds.items())
        return {source: answer for source, answer in every if answer is not None}

    @property
    def failing(self) -> frozenset[Source]:
        """Those that have given no good answer for longer than a moment."""
        return frozenset(source for source, feed in self._feeds.items() if feed.failing)

    def read(self, kept: Mapping[str, str] | None, enqueue: Enqueue) -> None:
        """Takes the ConfigMap as ``keep_config_map`` kept it; None: there is none."""
        for source, feed in self._feeds.items():
            if source.origin is not Origin.GATEWAY:
                self._read(feed, kept, enqueue)

    async def follow(self, enqueue: Enqueue) -> None:
        """Asks every gateway at each tick, or sooner after a failure, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for source, feed in self._feeds.items():
                if source.origin is Origin.GATEWAY:
                    group.create_task(self._poll(feed, enqueue))

    def _read(self, feed: Feed, kept: Mapping[str, str] | None, enqueue: Enqueue) -> None:
        key = feed.source.key
        place = f"ConfigMap {self._settings.config_map_namespace}/{self._settings.config_map}"
        if kept is None or key not in kept:
            why = f"{place} is not there" if kept is None else f"{place} has no key {key}"
            self._told(feed, feed.fail(why), enqueue)
            return
        body = kept[key].encode()
        try:
            answer = feed.reread(body)
        except DocumentError as error:
            self._told(feed, feed.fail(f"{place}, key {key}: {error}"), enqueue)
        else:
            self._take(feed, body, answer, enqueue)

    async def _poll(self, feed: Feed, enqueue: Enqueue) -> None:
        url = self._settings.endpoint(feed.source.classification)
        question = Question(self._connect(url), feed)
        try:
            while True:
                try:
                    found = await question.put()
                except (GatewayError, DocumentError) as error:
                    self._told(feed, feed.fail(str(error)), enqueue)
                else:
                    self._take(feed, *(found or (b"", None)), enqueue)
                failures = feed.failures
                await asyncio.sleep(self._retry.delay(failures) if failures else self._interval)
        finally:
            question.close()

    def _take(self, feed: Feed, body: bytes, answer: Answer | None, enqueue: Enqueue) -> None:
        if answer is not None:
            self._told(feed, feed.take(body, answer), enqueue)
            return
        feed.succeed()
        self._told(feed, (), enqueue)

    def _told(self, feed: Feed, concerned: Collection[str] | None, enqueue: Enqueue) -> None:
        """A source has responded: enqueue the affected profiles; None means all of them."""
        self._unasked.discard(feed.source)
        if not self._unasked:
            self._asked.set()
        enqueue(ALL_PROFILES if concerned is None else concerned)


def _feed(source: Source) -> Feed:
    gateway = source.origin is Origin.GATEWAY
    parse = grants_parse.parse_gateway if gateway else grants_parse.parse_list
    return Feed(source=source, parse=parse, clock=time.time)
