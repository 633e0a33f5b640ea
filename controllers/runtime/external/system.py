"""An external system: a server beyond the API server that a controller sends requests to."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import structlog

from controllers.runtime.backoff import Backoff
from controllers.runtime.external.breaker import BreakerState, CircuitBreaker
from controllers.runtime.external.errors import ExternalError, Scope

logger = structlog.stdlib.get_logger(__name__)

BACKOFF = Backoff(initial=1.0, maximum=60.0)
"""Of a system. One trial request a minute is a negligible load."""
TENANT_BACKOFF = Backoff(initial=1.0, maximum=300.0)
"""Of one tenant's requests."""
WAIT_SECONDS = 5.0
PENDING_RETRY_SECONDS = 2.0
PENDING = "ExternalRequestPending"
"""Reason of a request that takes longer than a worker waits."""
CLOSED = "ExternalSystemClosed"
"""Reason of a request that was cancelled by ``close``, or that was started after it."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentStatus:
    """The status of one external system or other source, for probes, metrics and alerts."""

    name: str
    error: str = ""
    """One sentence; empty while the component works."""
    next_request: float | None = None
    """Seconds until the circuit breaker allows a trial request; None while it is closed."""
    last_success: float | None = None
    """Unix seconds; None: not yet in this process."""
    breaker: BreakerState | None = None
    requests: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    """Failed requests by reason."""


class ExternalSystem:
    """Sends requests to one system, for all controllers' workers of a process.

    - A circuit breaker stops requests while the system fails for every tenant; another one for
      each tenant whose requests fail, so that one tenant's failure stays its own.
    - Requests of one tenant run one after the other, and at most ``concurrency`` run at once.
    - A caller waits at most ``wait_seconds``. The request continues, and so it does when the
      caller is cancelled.

    ``name`` is the label of the metrics, such as ``object-store``. For one event loop; ``status``
    may be called from any thread. ``clock`` returns monotonic seconds and ``now`` Unix seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        wait_seconds: float = WAIT_SECONDS,
        concurrency: int = 8,
        backoff: Backoff = BACKOFF,
        tenant_backoff: Backoff = TENANT_BACKOFF,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Open no connection and start no thread."""
        self.name = name
        self._wait_seconds = wait_seconds
        self._tenant_backoff = tenant_backoff
        self._clock = clock
        self._now = now
        self._jitter = jitter
        self._breaker = CircuitBreaker(clock=clock, backoff=backoff, jitter=jitter)
        self._tenant_breakers: dict[str, CircuitBreaker] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._slots = asyncio.Semaphore(concurrency)
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix=name)
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._shared: dict[tuple[str, Hashable], asyncio.Task[Any]] = {}
        self._last_success: float | None = None
        self._requests = 0
        self._errors: dict[str, int] = {}
        self._closed = False

    async def call(
        self,
        work: Callable[[], Awaitable[_T]],
        *,
        tenant: str = "",
        request: Hashable | None = None,
    ) -> _T:
        """Return the result of ``work``. Raises ExternalError.

        Calls of one ``tenant`` run one after the other; the empty one is no tenant: its calls run
        at any time. A call with the same ``tenant`` and ``request`` as one in flight joins it and
        receives its result; None joins no other.
        """
        task = self._start(work, tenant, request)
        await asyncio.wait([task], timeout=self._wait_seconds)
        if task.done():
            return self._result(task)
        raise ExternalError(
            PENDING,
            f"a request to {self.name} has taken more than {self._wait_seconds:g} s and continues;"
            " will retry",
            retry_after=PENDING_RETRY_SECONDS,
        )

    async def run(self, work: Callable[[], Awaitable[_T]], *, tenant: str = "") -> _T:
        """As ``call``, without a bound on the wait: for tasks that no worker waits for."""
        task = self._start(work, tenant, None)
        await asyncio.wait([task])
        return self._result(task)

    async def in_thread(self, function: Callable[[], _T]) -> _T:
        """Run a blocking function in a thread; for ``work`` of ``call``."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    def status(self) -> ComponentStatus:
        """Return health and counters, from any thread."""
        error = self._breaker.error
        return ComponentStatus(
            name=self.name,
            error=error.message if error is not None else "",
            next_request=self._breaker.remaining if error is not None else None,
            last_success=self._last_success,
            breaker=self._breaker.state,
            requests=self._requests,
            errors=dict(self._errors),
        )

    async def close(self, *, grace: float = 3.0) -> None:
        """Wait ``grace`` seconds for requests in flight, then cancel them; join the threads.

        The callers of cancelled requests receive an ExternalError.
        """
        self._closed = True
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=grace)
        for task in list(self._in_flight):
            task.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)

    def _start(
        self, work: Callable[[], Awaitable[_T]], tenant: str, request: Hashable | None
    ) -> asyncio.Task[_T]:
        if self._closed:
            raise self._closed_error()
        shared = (tenant, request)
        if request is not None and (found := self._shared.get(shared)) is not None:
            return found
        task = asyncio.create_task(self._run(work, tenant), name=f"{self.name} {tenant}")
        self._in_flight.add(task)
        task.add_done_callback(self._ended)
        if request is not None:
            self._shared[shared] = task
            task.add_done_callback(lambda _: self._shared.pop(shared, None))
        return task

    def _result(self, task: asyncio.Task[_T]) -> _T:
        # A CancelledError would cancel the caller, which may be a worker.
        if task.cancelled():
            raise self._closed_error()
        return task.result()

    def _closed_error(self) -> ExternalError:
        message = f"the client of {self.name} was closed; will retry with the new one"
        return ExternalError(CLOSED, message, retry_after=PENDING_RETRY_SECONDS)

    async def _run(self, work: Callable[[], Awaitable[_T]], tenant: str) -> _T:
        async with contextlib.AsyncExitStack() as stack:
            if tenant:
                await stack.enter_async_context(self._locks.setdefault(tenant, asyncio.Lock()))
            await stack.enter_async_context(self._slots)
            return await self._attempt(work, tenant)

    async def _attempt(self, work: Callable[[], Awaitable[_T]], tenant: str) -> _T:
        if (own := self._tenant_breakers.get(tenant)) is not None:
            own.check()
        try:
            self._breaker.check()
        except ExternalError:
            if own is not None:
                own.abandoned()
            raise
        self._requests += 1
        try:
            result = await work()
        except ExternalError as error:
            raise self._failed(error, tenant) from None
        except BaseException:
            self._breaker.abandoned()
            if own is not None:
                own.abandoned()
            raise
        self._tenant_breakers.pop(tenant, None)
        self._responded()
        return result

    def _failed(self, error: ExternalError, tenant: str) -> ExternalError:
        self._errors[error.reason] = self._errors.get(error.reason, 0) + 1
        own = self._tenant_breakers.get(tenant)
        if error.scope is Scope.SYSTEM:
            if own is not None:
                own.abandoned()
            return self._system_failed(error)
        self._responded()
        if not tenant or error.retry_after is not None or error.action_required:
            self._tenant_breakers.pop(tenant, None)
            return error
        if own is None:
            self._forget_recovered_tenants()
            own = CircuitBreaker(
                clock=self._clock, backoff=self._tenant_backoff, jitter=self._jitter
            )
            self._tenant_breakers[tenant] = own
        return own.failed(error)

    def _system_failed(self, error: ExternalError) -> ExternalError:
        before = self._breaker.error
        failed = self._breaker.failed(error)
        if before is None or before.reason != error.reason:
            logger.warning(
                "external system failed", system=self.name, reason=error.reason, error=error.message
            )
        return failed

    def _responded(self) -> None:
        self._last_success = self._now()
        if self._breaker.succeeded():
            logger.info("external system recovered", system=self.name)

    def _forget_recovered_tenants(self) -> None:
        """Drop the breakers of tenants that have not called since their backoff passed."""
        for tenant, breaker in list(self._tenant_breakers.items()):
            if breaker.idle_seconds > self._tenant_backoff.maximum:
                del self._tenant_breakers[tenant]

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._in_flight.discard(task)
        if task.cancelled():
            return
        error = task.exception()  # the caller may have stopped waiting
        if error is not None and not isinstance(error, ExternalError):
            logger.error("request failed unexpectedly", system=self.name, exc_info=error)
