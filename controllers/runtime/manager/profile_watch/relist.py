"""Lists names and UIDs of all Profiles, which shows what kopf does not report."""

from __future__ import annotations

import asyncio

import aiohttp
import structlog

from controllers.manifests import Body
from controllers.runtime.backoff import Backoff

logger = structlog.stdlib.get_logger(__name__)

RELIST = "relist"
"""The trace context of these requests, which distinguishes them from kopf's."""
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_PAGE_SIZE = 500
_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
_RETRY = Backoff(initial=0.5, maximum=10.0)


async def list_uids(session: aiohttp.ClientSession, url: str) -> tuple[dict[str, str], str]:
    """Return the UID of every Profile by name, and the resourceVersion.

    Retries until it succeeds.
    """
    failures = 0
    while True:
        try:
            return await _list_once(session, url)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failures += 1
            logger.warning("cannot list Profiles; will retry", error=str(error))
            await asyncio.sleep(_RETRY.delay(failures))


async def is_served(session: aiohttp.ClientSession, url: str) -> bool:
    """Return whether the API server serves Profiles there. Raises what aiohttp raises."""
    async with session.get(
        url,
        params={"limit": "1"},
        headers={"Accept": _METADATA_ONLY},
        trace_request_ctx=RELIST,
        timeout=_TIMEOUT,
    ) as response:
        return response.status == 200  # noqa: PLR2004


async def _list_once(session: aiohttp.ClientSession, url: str) -> tuple[dict[str, str], str]:
    uids: dict[str, str] = {}
    query = {"limit": str(_PAGE_SIZE)}
    while True:
        async with session.get(
            url,
            params=query,
            headers={"Accept": _METADATA_ONLY},
            trace_request_ctx=RELIST,
            raise_for_status=True,
        ) as response:
            page: Body = await response.json()
        for item in page.get("items") or ():
            uids[item["metadata"]["name"]] = item["metadata"]["uid"]
        metadata = page["metadata"]
        if not metadata.get("continue"):
            return uids, metadata["resourceVersion"]
        query = {**query, "continue": metadata["continue"]}
