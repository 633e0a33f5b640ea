"""One process from its start to its end: connect, watch, lead, work, and give the Lease back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

import structlog

from controllers.runtime.client import client
from controllers.runtime.manager.leaderelection import Leases, lease_name
from controllers.runtime.manager.manager import Assembly, Manager
from controllers.runtime.manager.servers import Server
from controllers.runtime.options import Connection, Options
from controllers.runtime.reconcile.metrics import Metrics
from controllers.runtime.signals import stop_signal

logger = structlog.stdlib.get_logger(__name__)


async def run(assemblies: Sequence[Assembly], connection: Connection, options: Options) -> int:
    """Run until SIGTERM or SIGINT: 0. 1 when leadership was lost or a part failed.

    Raises ConfigurationError.
    """
    metrics = Metrics()
    stop = stop_signal()
    async with connected(connection, options, metrics) as cluster:
        manager = Manager(assemblies, cluster, options, metrics)
        beating = asyncio.create_task(manager.health.beat())
        server = _serve(manager, options, metrics)
        leases = _leases(cluster, assemblies, options, metrics)
        manager.start_informers()
        manager.watch.start()
        try:
            code = await _lead_and_work(manager, leases, stop)
        finally:
            # Who has lost the Lease has no time: another process is at work already.
            await manager.stop(cut=leases.lost if leases else None)
            await manager.watch.stop()
            if leases is not None:
                await leases.release()
            if server is not None:
                await asyncio.to_thread(server.stop)
            beating.cancel()
        logger.info("stopped", code=code)
        return code


async def _lead_and_work(manager: Manager, leases: Leases | None, stop: asyncio.Event) -> int:
    manager.health.standby = "not yet"
    starting = asyncio.create_task(_start(manager, leases))
    ends = [asyncio.create_task(event.wait()) for event in (stop, manager.failed)]
    if leases is not None:
        ends.append(asyncio.create_task(leases.lost.wait()))
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
    logger.error("lost the lease" if leases and leases.lost.is_set() else "a part failed; stopping")
    return 1


async def _start(manager: Manager, leases: Leases | None) -> None:
    began = time.monotonic()
    await manager.synced()
    logger.info(
        "all lists complete",
        profiles=len(manager.profiles),
        seconds=round(time.monotonic() - began, 2),
    )
    if leases is not None:
        manager.health.standby = "standing by for the lease"
        await leases.acquire()
    manager.health.standby = ""
    manager.start_workers()


@contextlib.asynccontextmanager
async def connected(
    connection: Connection, options: Options, metrics: Metrics
) -> AsyncIterator[client.RestClient]:
    """A cluster with the options' limits, closed at the end. Raises ConfigurationError."""
    limits = client.ClientOptions(
        max_writes=options.max_writes, qps=options.qps, read_only=options.dry_run
    )
    cluster = await client.connect(connection, limits, metrics.observe_request)
    try:
        yield cluster
    finally:
        await cluster.close()


def _serve(manager: Manager, options: Options, metrics: Metrics) -> Server | None:
    if options.listen is None:
        return None
    server = Server(
        options.listen, live=manager.health.live, ready=manager.health.ready, metrics=metrics
    )
    server.start()
    logger.info("serving probes and metrics", port=server.port)
    return server


def _leases(
    cluster: client.RestClient,
    assemblies: Sequence[Assembly],
    options: Options,
    metrics: Metrics,
) -> Leases | None:
    if options.election is None or options.dry_run:  # who writes nothing need not lead
        return None
    names = [lease_name(controller.name, options.shard) for controller, _ in assemblies]
    return Leases(
        cluster.config,
        options.election,
        names,
        lambda name, leading: metrics.lead(name, leading=leading),
    )
