"""The Profile watch, by kopf, in a thread and event loop of its own.

kopf finds the CRD (also one that comes later), lists, watches, reconnects and re-authenticates. It
ends an operator on some errors, and then every task of its event loop with it; so it has a loop to
itself, and is started again. kopf tells neither the end of a list nor what vanished while a watch
was down: after each of its lists we take one of our own, of metadata only, and compare.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import types
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import kopf
import structlog

from controllers.profiles import parse_profile
from controllers.runtime import tracebacks
from controllers.runtime.backoff import Backoff
from controllers.runtime.cache.profiles import ProfileStore
from controllers.runtime.client.config import RestConfig
from controllers.runtime.manager.profile_watch import relist
from controllers.runtime.manager.profile_watch.bridge import Mailbox
from controllers.runtime.objects.kinds import KINDS

logger = structlog.stdlib.get_logger(__name__)

_PROFILES = KINDS["Profile"]
_PAGE = 500
_RESTART = Backoff(initial=0.5, maximum=10.0)
_STOP_SECONDS = 10.0
_CONNECT_SECONDS = 10.0
_FAREWELL_SECONDS = 0.25
"""For TLS to end before the loop does; aiohttp does not wait for it."""
_LOOK_SECONDS = 2.0
_LOOKS = 2
"""How often the CRD is seen before kopf counts as having overlooked it."""
# kopf tells of every attempt as an error, for each of its watches; ours is told once (_down).
_CHATTY = (
    "kopf._cogs.clients.fetching",
    "kopf._cogs.clients.watching",
    "kopf._core.reactor.observation",
    "kopf._core.reactor.running",
)
_NO_NEWS = ("Request attempt", "OS signals are ignored")
_ABSENT = f"CustomResourceDefinition {_PROFILES.plural}.{_PROFILES.group} is not served yet"


class ProfileWatch:
    """Keeps a store of Profiles up to date, from another thread."""

    def __init__(
        self, config: RestConfig, profiles: ProfileStore, *, clock: Callable[[], float]
    ) -> None:
        """To be made in the event loop that the store belongs to."""
        self.down_since: float | None = clock()
        self.trouble = _ABSENT
        self._config = config
        self._profiles = profiles
        self._clock = clock
        self._mailbox = Mailbox()
        self._stop = threading.Event()
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        """The loop of the kopf that runs, and what ends it."""
        self._relisted = False
        self._asked = False
        """Whether the kopf that runs has found the CRD."""
        self._told_down = False
        self._censuses: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="profile-watch", daemon=True)

    def start(self) -> None:
        """Watch until ``stop``."""
        self._thread.start()

    async def stop(self) -> None:
        """End the watch; waits for the thread, bounded."""
        self._stop.set()
        if self._running is not None:
            loop, ended = self._running
            with contextlib.suppress(RuntimeError):  # that loop is closed already
                loop.call_soon_threadsafe(ended.set)
        await asyncio.to_thread(self._thread.join, _STOP_SECONDS)

    def health(self) -> str:
        """A sentence for /readyz?verbose; empty when all is well."""
        if self.down_since is not None:
            return self.trouble
        return "" if self._profiles.synced else "the first list is not complete yet"

    # -- in the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        tracebacks.silence("kopf", "kopf.activities", "kopf.objects")
        for name in _CHATTY:
            logging.getLogger(name).addFilter(_is_news)
        failures = 0
        while not self._stop.is_set():
            began = self._clock()
            try:
                asyncio.run(self._operate())
            except Exception as error:  # noqa: BLE001 - whatever ended kopf, the watch goes on
                self._down(f"{type(error).__name__}: {error}")
            if self._stop.is_set():
                return
            failures = 1 if self._clock() - began > 60 else failures + 1  # noqa: PLR2004
            delay = _RESTART.delay(failures)
            logger.warning(
                "profile watch ended; starting it again",
                error=self.trouble,
                retry_seconds=round(delay, 1),
            )
            self._stop.wait(delay)

    async def _operate(self) -> None:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        kopf.on.event(f"{_PROFILES.plural}.{_PROFILES.group}", registry=registry)(self._take)
        self._asked = False
        # Not the threading.Event: kopf waits for that in a thread, which nothing but a stop ends,
        # and so neither would the loop, when kopf is to begin anew.
        ended = asyncio.Event()
        self._running = (asyncio.get_running_loop(), ended)
        if self._stop.is_set():
            return
        operator = asyncio.create_task(
            kopf.operator(
                registry=registry,
                settings=_settings(),
                standalone=True,
                clusterwide=True,
                stop_flag=ended,
            )
        )
        overseer = asyncio.create_task(self._oversee(operator))
        try:
            await asyncio.wait({operator})
        finally:
            overseer.cancel()
            operator.cancel()
            await asyncio.gather(overseer, return_exceptions=True)
            if not self._stop.is_set():
                await asyncio.sleep(_FAREWELL_SECONDS)
        if not operator.cancelled():
            operator.result()

    async def _oversee(self, operator: asyncio.Task[None]) -> None:
        """End a kopf that has overlooked the CRD, so that it begins anew and finds it.

        It looks for a kind when some CRD changes and not again; the API server begins to serve a
        new one a moment after the last change that it tells of.
        """
        looks = 0
        async with self._session() as session:
            while not self._asked and looks < _LOOKS:
                await asyncio.sleep(_LOOK_SECONDS)
                looks = looks + 1 if await self._is_served(session) else 0
        if not self._asked:
            self.trouble = "the CustomResourceDefinition is served, and was not found yet"
            operator.cancel()

    async def _is_served(self, session: aiohttp.ClientSession) -> bool:
        for version in _PROFILES.versions:
            url = self._config.server + _PROFILES.path(version=version)
            try:
                if await relist.is_served(session, url):
                    return True
            except (aiohttp.ClientError, TimeoutError, OSError):
                return False
        return False

    async def _login(self, **_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=self._config.server, aiohttp_session=self._session())

    def _session(self) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._on_start)
        trace.on_request_end.append(self._on_end)
        trace.on_request_exception.append(self._on_exception)
        return self._config.session(trace_configs=[trace])

    async def _take(self, event: Mapping[str, Any], **_: Any) -> None:
        body = dict(event["object"])
        if event["type"] == "DELETED":
            metadata = body["metadata"]
            self._mailbox.post(self._profiles.delete, metadata["name"], metadata["uid"])
            return
        try:
            profile = parse_profile(body)
        except ValueError as error:
            logger.error("unreadable Profile ignored", error=str(error))  # noqa: TRY400
            self._mailbox.post(self._profiles.ignore, body["metadata"]["uid"])
            return
        self._mailbox.post(self._profiles.upsert, profile)

    async def _on_start(
        self,
        _session: aiohttp.ClientSession,
        _context: types.SimpleNamespace,
        params: aiohttp.TraceRequestStartParams,
    ) -> None:
        params.headers.update(await self._config.headers())

    async def _on_end(
        self,
        session: aiohttp.ClientSession,
        context: types.SimpleNamespace,
        params: aiohttp.TraceRequestEndParams,
    ) -> None:
        if context.trace_request_ctx is not None:
            return
        if not _is_profiles(params.url.path):
            self._discovered(params.url.path, params.response.status)
            return
        self._asked = True
        if params.response.status != 200:  # noqa: PLR2004
            self._down(f"answer {params.response.status} to the Profile watch")
        elif "watch" not in params.url.query:
            self._relisted = True
        else:
            self._up()
            if self._relisted:
                self._relisted = False
                task = asyncio.create_task(self._census(session, str(params.url.with_query(None))))
                self._censuses.add(task)
                task.add_done_callback(self._censuses.discard)

    async def _on_exception(
        self,
        _session: aiohttp.ClientSession,
        context: types.SimpleNamespace,
        params: aiohttp.TraceRequestExceptionParams,
    ) -> None:
        if context.trace_request_ctx is not None:
            return
        if _is_profiles(params.url.path) or not self._profiles.synced:
            self._down(f"API server unreachable: {params.exception}")

    def _discovered(self, path: str, status: int) -> None:
        """Before the first list kopf looks for the CRD, over and over until it is there."""
        if self._profiles.synced:
            return
        if status in (401, 403):
            self._down(f"answer {status} to GET {path}")
        elif self.down_since is not None:
            self.trouble = _ABSENT

    async def _census(self, session: aiohttp.ClientSession, url: str) -> None:
        self._mailbox.post(self._profiles.replace, *await relist.take(session, url))

    def _up(self) -> None:
        if self._told_down:
            logger.info("watch is up again", kind=_PROFILES.name)
        self.down_since = None
        self.trouble = ""
        self._told_down = False

    def _down(self, trouble: str) -> None:
        self.trouble = trouble
        if not self._told_down:
            logger.warning("watch is down", kind=_PROFILES.name, error=trouble)
            self._told_down = True
        if self.down_since is None:
            self.down_since = self._clock()


def _is_news(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_NO_NEWS)


def _is_profiles(path: str) -> bool:
    return path.startswith(f"/apis/{_PROFILES.group}/") and path.endswith(f"/{_PROFILES.plural}")


class _NoStorage(kopf.DiffBaseStorage, kopf.ProgressStorage):
    """Nothing of kopf's is written into a Profile, and nothing looked for there."""

    def build(self, *, body: Any, extra_fields: Any = None, ignored_fields: Any = None) -> Any:  # noqa: ARG002
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence

    def flush(self) -> None:
        return None


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    # The default keeps a task and a queue for every Profile alive: 39 MB at 10,000.
    settings.queueing.idle_timeout = 0.05
    settings.persistence.diffbase_storage = _NoStorage()
    settings.persistence.progress_storage = _NoStorage()
    settings.posting.enabled = False
    settings.watching.chunk_size = _PAGE
    settings.watching.reconnect_backoff = 0.1
    settings.scanning.disabled = False
    settings.networking.connect_timeout = _CONNECT_SECONDS
    settings.networking.error_backoffs = (0.1, 0.2, 0.5, 1, 2)
    return settings
