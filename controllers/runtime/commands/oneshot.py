"""One look at every profile: ``--once`` and ``diff``. No Profile watch, no probes, no workers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from controllers.manifests import Body
from controllers.profiles import Profile, parse_profile
from controllers.runtime.backoff import Backoff
from controllers.runtime.cache.profiles import ProfileStore
from controllers.runtime.cache.reflector import list_pages
from controllers.runtime.client.client import Client
from controllers.runtime.commands.summaries import Row, Summary, row_of
from controllers.runtime.errors import ApiError, UnreachableError
from controllers.runtime.external import garbage
from controllers.runtime.manager import manager as manager_manager
from controllers.runtime.manager import process
from controllers.runtime.manager.manager import Assembly
from controllers.runtime.objects.kinds import KINDS
from controllers.runtime.options import Connection, Options
from controllers.runtime.reconcile.metrics import Metrics
from controllers.runtime.reconcile.reconciler import Reconciler

logger = structlog.stdlib.get_logger(__name__)

_TICK = 0.02
_RETRY = Backoff(initial=0.5, maximum=10.0)
_NOT_FOUND = 404
_REFUSALS = (400, 401, 403)
ABSENT = "CustomResourceDefinition profiles.kubeflow.org is not served yet"
"""Why no Profile can be listed where Kubeflow is not installed."""


async def run_once(
    assemblies: Sequence[Assembly], connection: Connection, options: Options
) -> Summary:
    """Reconcile every profile once, and tell how it went. Raises ConfigurationError."""
    return await _look_once(assemblies, connection, options, None)


async def diff(
    assemblies: Sequence[Assembly],
    connection: Connection,
    options: Options,
    profiles: Sequence[str] = (),
) -> Summary:
    """Plan for these profiles (none named: all) and write nothing.

    Raises ConfigurationError, and KeyError with the name of a profile that does not exist.
    """
    return await _look_once(assemblies, connection, options, profiles)


async def _look_once(
    assemblies: Sequence[Assembly],
    connection: Connection,
    options: Options,
    profiles: Sequence[str] | None,
) -> Summary:
    metrics = Metrics()
    if profiles is not None:
        options = replace(options, dry_run=True)
    async with process.connected(connection, options, metrics) as cluster:
        manager = manager_manager.Manager(assemblies, cluster, options, metrics)
        manager.start_informers()
        try:
            await listed_profiles(cluster, manager.profiles)
            await _complete(manager)
            done = [] if options.dry_run else await _collect_garbage(manager)
            rows = [*done, *await _rows(manager, profiles, options)]
            await manager.drain()
        finally:
            await manager.stop()
        return Summary(rows=tuple(rows))


async def _complete(manager: manager_manager.Manager) -> None:
    """As ``synced``, but gives up where no patience helps: nobody is there to grant a right."""
    waiting = asyncio.create_task(manager.synced())
    try:
        while not waiting.done():
            if manager.failed.is_set():
                raise RuntimeError("a part of the process failed; the log says which")
            for informer in manager.informers.values():
                if informer.reflector.refusal is not None:
                    raise informer.reflector.refusal
            await asyncio.wait([waiting], timeout=_TICK)
    finally:
        waiting.cancel()


async def _collect_garbage(manager: manager_manager.Manager) -> list[Row]:
    """What is done outside Kubernetes for no profile: a row for each that failed, of no profile."""
    rows = []
    for collector in manager.garbage_collectors:
        if (error := await collector.collect()) is not None:
            message = garbage.describe(error)
            rows.append(
                Row(profile="", controller=collector.controller, result="failed", message=message)
            )
    return rows


async def _rows(
    manager: manager_manager.Manager, profiles: Sequence[str] | None, options: Options
) -> list[Row]:
    names = list(profiles or manager.profiles)
    for name in names:
        if manager.profiles.get(name) is None:
            raise KeyError(name)
    slots = asyncio.Semaphore(options.workers)

    async def look(reconciler: Reconciler, name: str) -> Row | None:
        async with slots:
            profile = manager.profiles.get(name)
            if profile is None or profile.deleting:
                return None
            return row_of(await reconciler.reconcile_and_tell(profile))

    looks = [look(one, name) for name in sorted(names) for one in manager.reconcilers.values()]
    return [row for row in await asyncio.gather(*looks) if row is not None]


async def listed_profiles(cluster: Client, profiles: ProfileStore) -> None:
    """Fill the store by one list.

    Tries again with backoff until the API server answers and serves the Profile CRD; raises
    ApiError where it refuses the list.
    """
    failures = 0
    versions = KINDS["Profile"].versions
    while True:
        try:
            await list_into(cluster, profiles, versions[failures % len(versions)])
        except UnreachableError as error:
            trouble = f"API server unreachable: {error}"
        except ApiError as error:
            if error.code in _REFUSALS:
                raise
            trouble = str(error) if error.code != _NOT_FOUND else ABSENT
        else:
            return
        failures += 1
        if failures % len(versions) == 0 or trouble != ABSENT:
            delay = _RETRY.delay(failures)
            logger.warning("Profiles not listed", error=trouble, retry_seconds=round(delay, 1))
            await asyncio.sleep(delay)


async def list_into(
    cluster: Client,
    profiles: ProfileStore,
    version: str,
    seen: Callable[[Profile, Body], None] = lambda _profile, _body: None,
) -> None:
    """Fill the store by one list of this version; ``seen`` is told of each.

    Raises ApiError, UnreachableError.
    """
    kind = KINDS["Profile"]
    uids: dict[str, str] = {}
    metadata: Body = {}
    async with contextlib.aclosing(list_pages(cluster, kind.path(version=version), {})) as pages:
        async for page in pages:
            for item in page.get("items") or ():
                try:
                    profile = parse_profile(item)
                except ValueError as error:
                    logger.error("unreadable Profile ignored", error=str(error))  # noqa: TRY400
                    continue
                uids[profile.name] = profile.uid
                profiles.upsert(profile)
                seen(profile, item)
            metadata = page["metadata"]
    profiles.replace(uids, metadata["resourceVersion"])
