"""The Profile watch: kopf, in a thread with an event loop of its own.

kopf finds the CRD, also one that is installed later, and lists, watches, reconnects and
re-authenticates. This adapter adds what kopf does not do, and nothing else:

- kopf ends its operator on some errors, and cancels every task of its event loop. It gets its own
  loop, and is restarted.
- kopf searches for a kind when a CRD changes, and not again. If it missed the CRD, it is restarted.
- kopf reports neither the end of a list nor what vanished while a watch was down. After each of its
  lists the adapter lists names and UIDs itself (``relist``).
- kopf has no health. Its requests are traced instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import types
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import kopf
import structlog

from controllers.profiles import parse_profile
from controllers.runtime.backoff import Backoff
from controllers.runtime.cache.profiles import ProfileStore
from controllers.runtime.client.config import RestConfig
from controllers.runtime.manager.profile_watch import relist
from controllers.runtime.manager.profile_watch.bridge import LoopBridge
from controllers.runtime.objects.kinds import KINDS

logger = structlog.stdlib.get_logger(__name__)

_PROFILES = KINDS["Profile"]
_NAME = f"{_PROFILES.plural}.{_PROFILES.group}"
_NOT_SERVED = f"CustomResourceDefinition {_NAME} is not served yet"
_NOT_FOUND_BY_KOPF = f"CustomResourceDefinition {_NAME} is served, but kopf has not found it yet"
_PAGE_SIZE = 500
_RESTART = Backoff(initial=0.5, maximum=10.0)
_LONG_RUN_SECONDS = 60.0
"""A run of kopf that lasts longer resets the backoff."""
_STOP_SECONDS = 10.0
_CONNECT_SECONDS = 10.0
_CLOSE_SECONDS = 0.25
"""Time for TLS connections to close before the loop does; aiohttp does not wait for it."""
_CHECK_SECONDS = 2.0
_CHECKS = 2
"""How often in a row the CRD is served before kopf counts as having missed it."""


class ProfileWatch:
    """Keeps a ProfileStore current from a thread. The attributes are safe to read anywhere."""

    def __init__(
        self, config: RestConfig, profiles: ProfileStore, *, clock: Callable[[], float]
    ) -> None:
        """Must be called in the event loop of the store. ``clock`` returns monotonic seconds."""
        self.down_since: float | None = clock()
        """Since when there is no watch; None while it is up."""
        self._error = _NOT_SERVED
        self._logged_down = False
        self._config = config
        self._profiles = profiles
        self._clock = clock
        self._bridge = LoopBridge()
        self._stop = threading.Event()
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        """The loop of the current run of kopf, and the event that ends it."""
        self._kind_found = False
        """Whether the current run of kopf has requested Profiles."""
        self._listed = False
        """Whether kopf has listed since the last relist."""
        self._relists: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="profile-watch", daemon=True)

    def start(self) -> None:
        """Watch until ``stop``."""
        self._thread.start()

    async def stop(self) -> None:
        """End the watch; waits a bounded time for the thread."""
        self._stop.set()
        if self._running is not None:
            loop, stop_flag = self._running
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                loop.call_soon_threadsafe(stop_flag.set)
        await asyncio.to_thread(self._thread.join, _STOP_SECONDS)

    def health(self) -> str:
        """Return why Profiles are not listed or not watched; empty when all is well."""
        if self.down_since is not None:
            return self._error
        return "" if self._profiles.synced else "the first list is not complete yet"

    # -- running kopf, in the thread ------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            began = self._clock()
            try:
                asyncio.run(self._run_kopf())
            except Exception as error:  # noqa: BLE001 - whatever ended kopf, it is restarted
                self._mark_down(f"{type(error).__name__}: {error}")
            if self._stop.is_set():
                return
            failures = 1 if self._clock() - began > _LONG_RUN_SECONDS else failures + 1
            delay = _RESTART.delay(failures)
            logger.warning(
                "Profile watch ended; will restart",
                error=self._error,
                retry_seconds=round(delay, 1),
            )
            self._stop.wait(delay)

    async def _run_kopf(self) -> None:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        kopf.on.event(_NAME, registry=registry)(self._handle_event)
        self._kind_found = False
        # An asyncio.Event: kopf would wait for a threading.Event in a thread, which would keep
        # this loop alive when kopf is restarted.
        stop_flag = asyncio.Event()
        self._running = (asyncio.get_running_loop(), stop_flag)
        if self._stop.is_set():
            return
        operator = asyncio.create_task(
            kopf.operator(
                registry=registry,
                settings=_settings(),
                standalone=True,
                clusterwide=True,
                stop_flag=stop_flag,
            )
        )
        watchdog = asyncio.create_task(self._cancel_if_kind_is_missed(operator))
        try:
            await asyncio.wait({operator})
        finally:
            watchdog.cancel()
            operator.cancel()
            await asyncio.gather(watchdog, return_exceptions=True)
            if not self._stop.is_set():
                await asyncio.sleep(_CLOSE_SECONDS)
        if not operator.cancelled():
            operator.result()

    async def _cancel_if_kind_is_missed(self, operator: asyncio.Task[None]) -> None:
        """Cancel kopf if the CRD is served and kopf has not found it.

        The API server serves a new CRD a moment after its last change, which kopf reacted to.
        """
        checks = 0
        async with self._session() as session:
            while not self._kind_found and checks < _CHECKS:
                await asyncio.sleep(_CHECK_SECONDS)
                checks = checks + 1 if await self._is_served(session) else 0
        if not self._kind_found:
            self._error = _NOT_FOUND_BY_KOPF
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

    # -- handlers of kopf -----------------------------------------------------------------------

    async def _login(self, **_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=self._config.server, aiohttp_session=self._session())

    async def _handle_event(self, event: Mapping[str, Any], **_: Any) -> None:
        body = dict(event["object"])
        metadata = body["metadata"]
        if event["type"] == "DELETED":
            self._bridge.call(self._profiles.delete, metadata["name"], metadata["uid"])
            return
        try:
            profile = parse_profile(body)
        except ValueError as error:
            logger.error("invalid Profile ignored", error=str(error))  # noqa: TRY400
            self._bridge.call(self._profiles.ignore, metadata["uid"])
            return
        self._bridge.call(self._profiles.upsert, profile)

    # -- tracing of kopf's requests -------------------------------------------------------------

    def _session(self) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._on_request_start)
        trace.on_request_end.append(self._on_request_end)
        trace.on_request_exception.append(self._on_request_exception)
        return self._config.session(trace_configs=[trace])

    async def _on_request_start(
        self,
        _session: aiohttp.ClientSession,
        _context: types.SimpleNamespace,
        params: aiohttp.TraceRequestStartParams,
    ) -> None:
        params.headers.update(await self._config.headers())

    async def _on_request_end(
        self,
        session: aiohttp.ClientSession,
        context: types.SimpleNamespace,
        params: aiohttp.TraceRequestEndParams,
    ) -> None:
        if context.trace_request_ctx == relist.RELIST:
            return
        url, status = params.url, params.response.status
        if not _is_profiles(url.path):
            self._discovery_ended(url.path, status)
            return
        self._kind_found = True
        if status != 200:  # noqa: PLR2004
            self._mark_down(f"the API server responded {status} to the Profile watch")
        elif "watch" not in url.query:
            self._listed = True
        else:
            self._mark_up()
            if self._listed:
                self._listed = False
                task = asyncio.create_task(self._relist(session, str(url.with_query(None))))
                self._relists.add(task)
                task.add_done_callback(self._relists.discard)

    async def _on_request_exception(
        self,
        _session: aiohttp.ClientSession,
        context: types.SimpleNamespace,
        params: aiohttp.TraceRequestExceptionParams,
    ) -> None:
        if context.trace_request_ctx == relist.RELIST:
            return
        if _is_profiles(params.url.path) or not self._profiles.synced:
            self._mark_down(f"API server unreachable: {params.exception}")

    def _discovery_ended(self, path: str, status: int) -> None:
        """Handle a request with which kopf searches for the CRD, before the first list."""
        if self._profiles.synced:
            return
        if status in (401, 403):
            self._mark_down(f"the API server responded {status} to GET {path}")
        elif self.down_since is not None:
            self._error = _NOT_SERVED

    async def _relist(self, session: aiohttp.ClientSession, url: str) -> None:
        self._bridge.call(self._profiles.replace, *await relist.list_uids(session, url))

    def _mark_up(self) -> None:
        if self._logged_down:
            logger.info("watch is up again", kind=_PROFILES.name)
        self._logged_down = False
        self.down_since = None
        self._error = ""

    def _mark_down(self, error: str) -> None:
        self._error = error
        if not self._logged_down:
            logger.warning("watch is down", kind=_PROFILES.name, error=error)
            self._logged_down = True
        if self.down_since is None:
            self.down_since = self._clock()


def _is_profiles(path: str) -> bool:
    return path.startswith(f"/apis/{_PROFILES.group}/") and path.endswith(f"/{_PROFILES.plural}")


class _NoStorage(kopf.DiffBaseStorage, kopf.ProgressStorage):
    """Stores nothing in a Profile: there are only event handlers.

    The default storages would copy and compare every Profile of every event. kopf accepts only
    subclasses.
    """

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
    # The default keeps a task and a queue for every Profile: 39 MB at 10,000.
    settings.queueing.idle_timeout = 0.05
    settings.persistence.diffbase_storage = _NoStorage()
    settings.persistence.progress_storage = _NoStorage()
    settings.posting.enabled = False
    settings.watching.chunk_size = _PAGE_SIZE
    settings.watching.reconnect_backoff = 0.1
    settings.scanning.disabled = False
    settings.networking.connect_timeout = _CONNECT_SECONDS
    settings.networking.error_backoffs = (0.1, 0.2, 0.5, 1, 2)
    return settings
