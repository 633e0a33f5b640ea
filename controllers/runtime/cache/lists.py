"""The two ways to ask an API server for all there is: as the beginning of a watch, or in pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

from controllers.manifests import Body
from controllers.runtime.client.client import Cluster

PAGE = 300
"""Objects per page of a list: a page is dropped as soon as it is digested."""
STREAMED = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
"""What makes a watch begin with a list, as events ADDED (Kubernetes' WatchList)."""
NO_STREAMS = (400, 403, 405, 422)
"""What an API server or a proxy answers that knows no streamed lists, or allows a list alone."""
_END = "k8s.io/initial-events-end"
"""An annotation of the bookmark that ends a streamed list (k8s.io/apimachinery, metav1)."""


def is_end(bookmark: Body) -> bool:
    """Whether this bookmark ends a streamed list."""
    return _END in (bookmark["metadata"].get("annotations") or ())


async def pages(cluster: Cluster, path: str, query: Mapping[str, str]) -> AsyncGenerator[Body]:
    """The pages of a list; the API server makes the next while one is digested.

    Raises ApiError, UnreachableError.
    """
    query = {**query, "limit": str(PAGE)}
    page = await cluster.get(path, query)
    while onward := page["metadata"].get("continue"):
        request = cluster.get(path, {**query, "continue": onward})
        following = asyncio.create_task(request)
        try:
            await asyncio.sleep(0)  # the request is on its way before the digesting begins
            yield page
            page = await following
        finally:
            following.cancel()
    yield page
