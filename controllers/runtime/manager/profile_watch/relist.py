"""Which Profiles there are: what kopf does not tell after it listed again."""

from __future__ import annotations

import asyncio

import aiohttp
import structlog

from controllers.manifests import Body
from controllers.runtime.backoff import Backoff

logger = structlog.stdlib.get_logger(__name__)

CENSUS = "census"
"""The trace context of these requests, so that they are told from kopf's own."""
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_PAGE = 500
_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
_RETRY = Backoff(initial=0.5, maximum=10.0)


async def take(session: aiohttp.ClientSession, url: str) -> tuple[dict[str, str], str]:
    """Name and UID of every Profile, and the list's resourceVersion; tries until it succeeds."""
    failures = 0
    while True:
        try:
            return await _listed(session, url)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failures += 1
            logger.warning("Profiles not listed; trying again", error=str(error))
            await asyncio.sleep(_RETRY.delay(failures))


async def is_served(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether Profiles can be listed there. Raises as aiohttp does when no answer comes."""
    async with session.get(
        url,
        params={"limit": "1"},
        headers={"Accept": _METADATA_ONLY},
        trace_request_ctx=CENSUS,
        timeout=_TIMEOUT,
    ) as response:
        return response.status == 200  # noqa: PLR2004


async def _listed(session: aiohttp.ClientSession, url: str) -> tuple[dict[str, str], str]:
    uids: dict[str, str] = {}
    query = {"limit": str(_PAGE)}
    while True:
        async with session.get(
            url,
            params=query,
            headers={"Accept": _METADATA_ONLY},
            trace_request_ctx=CENSUS,
            raise_for_status=True,
        ) as response:
            page: Body = await response.json()
        for item in page.get("items") or ():
            uids[item["metadata"]["name"]] = item["metadata"]["uid"]
        metadata = page["metadata"]
        if not metadata.get("continue"):
            return uids, metadata["resourceVersion"]
        query = {**query, "continue": metadata["continue"]}
