"""The life cycle of a process: connect, list, lead, reconcile, and release the Lease."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

import structlog

from controllers.runtime.client import client as rest_client
from controllers.runtime.controller import ConfiguredController
from controllers.runtime.manager.healthz import ProbeServer
from controllers.runtime.manager.leaderelection import LeaderElector, lease_name
from controllers.runtime.manager.manager import Manager
from controllers.runtime.options import Connection, Options
from controllers.runtime.reconcile.metrics import Metrics
from controllers.runtime.signals import stop_signal

logger = structlog.stdlib.get_logger(__name__)


async def run(
    controllers: Sequence[ConfiguredController], connection: Connection, options: Options
) -> int:
    """Run until SIGTERM or SIGINT and return 0; 1 after a lost Lease or a failed task.

    Raises ConfigurationError.
    """
    metrics = Metrics()
    stop = stop_signal()
    async with connected(connection, options, metrics) as client:
        manager = Manager(controllers, client, options, metrics)
        heartbeat = asyncio.create_task(manager.health.heartbeat())
        server = _serve_probes(manager, options, metrics)
        elector = _leader_elector(client, controllers, options, metrics)
        manager.start_informers()
        manager.watch.start()
        try:
            code = await _lead_and_work(manager, elector, stop)
        finally:
            # After a lost Lease there is no grace period: another process works already.
            await manager.stop(abort=elector.lost if elector else None)
            await manager.watch.stop()
            if elector is not None:
                await elector.release()
            if server is not None:
                await asyncio.to_thread(server.stop)
            heartbeat.cancel()
        logger.info("stopped", code=code)
        return code


async def _lead_and_work(
    manager: Manager, elector: LeaderElector | None, stop: asyncio.Event
) -> int:
    manager.health.set_standby("waiting for the first lists")
    starting = asyncio.create_task(_start(manager, elector))
    ends = [asyncio.create_task(event.wait()) for event in (stop, manager.failed)]
    if elector is not None:
        ends.append(asyncio.create_task(elector.lost.wait()))
    try:
        await asyncio.wait([starting, *ends], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (starting, *ends):
            task.cancel()
    if stop.is_set():
        logger.info("stopping")
        return 0
    lost = elector is not None and elector.lost.is_set()
    logger.error("lost the lease" if lost else "a task failed; stopping")
    return 1


async def _start(manager: Manager, elector: LeaderElector | None) -> None:
    began = time.monotonic()
    await manager.wait_for_cache_sync()
    logger.info(
        "all lists complete",
        profiles=len(manager.profiles),
        seconds=round(time.monotonic() - began, 2),
    )
    if elector is not None:
        manager.health.set_standby("standing by for the lease")
        await elector.acquire()
    manager.health.set_leading()
    manager.start_workers()


@contextlib.asynccontextmanager
async def connected(
    connection: Connection, options: Options, metrics: Metrics
) -> AsyncIterator[rest_client.RestClient]:
    """Yield a client with the limits of the options. Raises ConfigurationError."""
    limits = rest_client.ClientOptions(
        max_writes=options.max_writes, qps=options.qps, read_only=options.dry_run
    )
    client = await rest_client.connect(connection, limits, metrics.observe_request)
    try:
        yield client
    finally:
        await client.close()


def _serve_probes(manager: Manager, options: Options, metrics: Metrics) -> ProbeServer | None:
    if options.listen is None:
        return None
    server = ProbeServer(
        options.listen, livez=manager.health.livez, readyz=manager.health.readyz, metrics=metrics
    )
    server.start()
    logger.info("serving probes and metrics", port=server.port)
    return server


def _leader_elector(
    client: rest_client.RestClient,
    controllers: Sequence[ConfiguredController],
    options: Options,
    metrics: Metrics,
) -> LeaderElector | None:
    if options.leader_election is None or options.dry_run:  # a dry run writes nothing
        return None
    return LeaderElector(
        client.config,
        options.leader_election,
        [lease_name(controller.name, options.shard) for controller, _ in controllers],
        lambda name, leading: metrics.observe_leadership(name, leading=leading),
    )
