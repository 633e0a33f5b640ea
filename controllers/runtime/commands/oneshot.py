"""The one-shot run: ``--once`` and ``diff`` reconcile every profile once.

It runs no Profile watch, no probes and no workers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from controllers.manifests import Body
from controllers.profiles import Profile, parse_profile
from controllers.runtime.apply.changeset import Action
from controllers.runtime.backoff import Backoff
from controllers.runtime.cache.profiles import ProfileStore
from controllers.runtime.cache.reflector import list_pages
from controllers.runtime.client.client import Client
from controllers.runtime.commands.oneshot_summary import OneshotSummary, ProfileResult, ResultKind
from controllers.runtime.controller import ConfiguredController
from controllers.runtime.errors import ApiError, UnreachableError
from controllers.runtime.external import garbage
from controllers.runtime.manager import manager as manager_manager
from controllers.runtime.manager import process
from controllers.runtime.objects.kinds import KINDS
from controllers.runtime.options import Connection, Options
from controllers.runtime.reconcile.metrics import Metrics
from controllers.runtime.reconcile.reconciler import Reconciler
from controllers.runtime.reconcile.result import Report

logger = structlog.stdlib.get_logger(__name__)

_POLL_SECONDS = 0.02
_RETRY = Backoff(initial=0.5, maximum=10.0)
_NOT_FOUND = 404
_REFUSALS = (400, 401, 403)
CRD_NOT_SERVED = (
    "CustomResourceDefinition profiles.kubeflow.org is not served; check that Kubeflow is installed"
)


async def run_once(
    controllers: Sequence[ConfiguredController], connection: Connection, options: Options
) -> OneshotSummary:
    """Reconciles every profile once. Raises ConfigurationError."""
    return await _run(controllers, connection, options, ())


async def diff(
    controllers: Sequence[ConfiguredController],
    connection: Connection,
    options: Options,
    profiles: Sequence[str] = (),
) -> OneshotSummary:
    """Plans for these profiles, or for all if none is named, and writes nothing.

    Raises ConfigurationError, and KeyError with the name of a profile that does not exist.
    """
    return await _run(controllers, connection, replace(options, dry_run=True), profiles)


async def _run(
    controllers: Sequence[ConfiguredController],
    connection: Connection,
    options: Options,
    profiles: Sequence[str],
) -> OneshotSummary:
    metrics = Metrics()
    async with process.connected(connection, options, metrics) as client:
        manager = manager_manager.Manager(controllers, client, options, metrics)
        manager.start_informers()
        try:
            await list_profiles_with_retry(client, manager.profiles)
            await _wait_until_synced(manager)
            garbage_results = [] if options.dry_run else await _collect_garbage(manager)
            results = [*garbage_results, *await _reconcile(manager, profiles, options.workers)]
            await manager.flush_status()
        finally:
            await manager.stop()
        return OneshotSummary(results=tuple(results))


async def _wait_until_synced(manager: manager_manager.Manager) -> None:
    """Waits for the first lists; raises where the API server refuses one.

    A process that runs on would wait for the permission; a one-shot run ends.
    """
    synced = asyncio.create_task(manager.wait_for_cache_sync())
    try:
        while not synced.done():
            if manager.failed.is_set():
                raise RuntimeError("a component of the process failed; see the log for the error")
            for informer in manager.informers.values():
                if informer.reflector.refusal is not None:
                    raise informer.reflector.refusal
            await asyncio.wait([synced], timeout=_POLL_SECONDS)
    finally:
        synced.cancel()


async def _collect_garbage(manager: manager_manager.Manager) -> list[ProfileResult]:
    """Runs garbage collection in external systems. Returns a result for each failure."""
    return [
        ProfileResult(
            profile="",
            controller=collector.controller,
            result=ResultKind.FAILED,
            message=garbage.describe(error),
        )
        for collector in manager.garbage_collectors
        if (error := await collector.collect()) is not None
    ]


async def _reconcile(
    manager: manager_manager.Manager, profiles: Sequence[str], workers: int
) -> list[ProfileResult]:
    names = sorted(profiles or manager.profiles)
    for name in names:
        if manager.profiles.get(name) is None:
            raise KeyError(name)
    limit = asyncio.Semaphore(workers)

    async def reconcile(reconciler: Reconciler, name: str) -> ProfileResult | None:
        async with limit:
            profile = manager.profiles.get(name)
            if profile is None or profile.deleting:
                return None
            return profile_result(await reconciler.reconcile_and_report(profile))

    reconciles = [reconcile(one, name) for name in names for one in manager.reconcilers.values()]
    return [result for result in await asyncio.gather(*reconciles) if result is not None]


def profile_result(report: Report) -> ProfileResult:
    """Returns the result of one reconcile."""
    return ProfileResult(
        profile=report.profile,
        controller=report.controller,
        result=_result_kind(report),
        message=report.outcome.message,
        changes=report.changes,
        seconds=report.seconds,
    )


def _result_kind(report: Report) -> ResultKind:
    outcome = report.outcome
    if report.paused:
        return ResultKind.PAUSED
    if outcome.retry:
        return ResultKind.FAILED
    if outcome.reason == "NamespaceNotOwned" or report.changes.with_action(Action.REFUSED):
        return ResultKind.REFUSED
    if report.findings and not outcome.ready:
        return ResultKind.ACTION_REQUIRED
    if not outcome.ready:
        return ResultKind.WAITING
    return ResultKind.CHANGED if report.changes.changed else ResultKind.UNCHANGED


async def list_profiles_with_retry(client: Client, profiles: ProfileStore) -> None:
    """Fills the store from one list of the Profiles.

    Retries with backoff until the API server responds and serves the Profile CRD. Raises ApiError
    where the API server refuses the list.
    """
    failures = 0
    versions = KINDS["Profile"].versions
    while True:
        try:
            await list_profiles(client, profiles, versions[failures % len(versions)])
        except UnreachableError as error:
            problem = f"API server unreachable: {error}"
        except ApiError as error:
            if error.code in _REFUSALS:
                raise
            problem = str(error) if error.code != _NOT_FOUND else CRD_NOT_SERVED
        else:
            return
        failures += 1
        if failures % len(versions) == 0 or problem != CRD_NOT_SERVED:
            delay = _RETRY.delay(failures)
            logger.warning("cannot list Profiles", error=problem, retry_seconds=round(delay, 1))
            await asyncio.sleep(delay)


async def list_profiles(
    client: Client,
    profiles: ProfileStore,
    version: str,
    observe: Callable[[Profile, Body], None] = lambda _profile, _body: None,
) -> None:
    """Fills the store from one list in this API version, and calls ``observe`` for each Profile.

    Raises ApiError and UnreachableError.
    """
    kind = KINDS["Profile"]
    uids: dict[str, str] = {}
    metadata: Body = {}
    async with contextlib.aclosing(list_pages(client, kind.path(version=version), {})) as pages:
        async for page in pages:
            for item in page.get("items") or ():
                try:
                    profile = parse_profile(item)
                except ValueError as error:
                    logger.error("invalid Profile ignored", error=str(error))  # noqa: TRY400
                    continue
                uids[profile.name] = profile.uid
                profiles.upsert(profile)
                observe(profile, item)
            metadata = page["metadata"]
    profiles.replace(uids, metadata["resourceVersion"])
