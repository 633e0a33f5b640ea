"""A fake of RestClient over an object tracker: pages, watches, failures, recorded requests."""

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
)
from typing import Any

from controllers.manifests import Body, Key
from controllers.runtime.client.client import APPLY_PATCH, JSON, ResourceVersions
from controllers.runtime.errors import ApiError, UnreachableError
from tests.support.fakes.object_tracker import ObjectChange, ObjectTracker, copied
from tests.support.fakes.request import (
    Failure,
    Request,
    Target,
    expired,
    not_found,
    selects,
    selects_fields,
)
from tests.support.fakes.watch_stream import WatchStream

RequestPredicate = Callable[[Request], bool]


async def _at_once(_request: Request) -> None:
    """Returns at once."""


class FakeCluster:
    """An API server in memory. A test changes `objects` directly."""

    config: Any = None
    """Required by the Profile watch of a Manager, which no test starts."""

    def __init__(self) -> None:
        self.objects = ObjectTracker()
        self.objects.listeners.append(self._deliver)
        self.requests: list[Request] = []
        self.unserved: set[tuple[str, str]] = set()
        """Kinds and versions that the cluster does not serve."""
        self.before_response: Callable[[Request], Awaitable[None]] = _at_once
        """Awaited between the effect of a write and its response."""
        self.unreachable = False
        self.latency = 0.0
        """Seconds before a request has an effect."""
        self.streams_lists = True
        """Whether a watch can start with a list, as of Kubernetes 1.34."""
        self.page_size = 0
        """The maximum page size; 0 for the requested one."""
        self._failures: list[tuple[Failure, RequestPredicate]] = []
        self._streams: list[WatchStream] = []
        self._flowing = True
        self._compacted = 0
        self._pages: dict[str, tuple[int, list[Body]]] = {}

    # For tests

    def writes(self, *, but: Collection[str] = ()) -> list[Request]:
        """All writes, including failed ones, except those of some kinds."""
        reads = ("GET", "WATCH")
        return [one for one in self.requests if one.method not in reads and one.kind not in but]

    def written(self, *, but: Collection[str] = ()) -> list[str]:
        """The writes as texts, such as `POST ResourceQuota alice/quotas`."""
        return [str(one) for one in self.writes(but=but)]

    def fail_next(
        self, failure: Failure, matching: RequestPredicate = lambda _request: True
    ) -> None:
        """The next request that matches fails in this way."""
        self._failures.append((failure, matching))

    def pause_watches(self) -> None:
        """No event is delivered until `release_watches`."""
        self._flowing = False

    def resume_watches(self) -> None:
        self._flowing = True
        for stream in self._streams:
            stream.wake()

    def end_watches(self) -> None:
        """Every watch ends in order, as one does after its timeoutSeconds."""
        for stream in self._streams:
            stream.end()

    def break_watches(self, error: Exception | None = None) -> None:
        """Every watch breaks."""
        for stream in self._streams:
            stream.end(error or UnreachableError("induced: connection reset"))

    def interrupt_lists(self) -> None:
        """Every streaming list ends before its last bookmark, with a lost connection."""
        for stream in self._streams:
            stream.drop_last()
        self.break_watches()

    def expire_watches(self) -> None:
        """Every watch tells with an ERROR event that its resourceVersion is too old."""
        status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
        for stream in self._streams:
            stream.enqueue("ERROR", status)
            stream.end()

    def send_bookmarks(self) -> None:
        mark: Body = {"metadata": {"resourceVersion": str(self.objects.version)}}
        for stream in self._streams:
            stream.enqueue("BOOKMARK", mark)

    def compact(self) -> None:
        """Watches and pages from before now are answered 410."""
        self._compacted = self.objects.version

    def watched(self) -> list[str]:
        """The kinds that are being watched."""
        return sorted(one.target.kind.name for one in self._streams if one.is_open)

    @property
    def lists_in_progress(self) -> bool:
        """Whether a list has pages that were not requested yet."""
        return bool(self._pages)

    @property
    def delivered(self) -> bool:
        """Whether the watchers have received and processed every event."""
        return all(stream.idle for stream in self._streams)

    # The Protocol

    def low_priority(self) -> "FakeCluster":
        """The same: nothing here has to wait."""
        return self

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Body:
        request = Request(method="GET", path=path, query=dict(query or {}))
        return await self._respond(request, lambda: self._read(request))

    async def write(
        self,
        method: str,
        path: str,
        body: Body | None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Body:
        request = Request(
            method=method,
            path=path,
            body=copied(body),
            query=dict(query or {}),
            content_type=content_type,
        )
        return await self._respond(request, lambda: self._change(request))

    async def watch(
        self, path: str, query: Mapping[str, str], skip: ResourceVersions = ()
    ) -> AsyncIterator[Iterable[Body]]:
        request = Request(method="WATCH", path=path, query=dict(query))
        await self._respond(request, dict)
        labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
        stream = WatchStream(request.target, labels, fields)
        if query.get("sendInitialEvents") == "true":
            self._begin_with_list(stream, request)
        else:
            since = int(query["resourceVersion"])
            if since < self._compacted:
                raise expired()
            for change in self.objects.history:
                if change.version > since:
                    stream.notify(change)
        self._streams.append(stream)
        try:
            yield ()
            async for events in stream.events(lambda: self._flowing):
                yield [event for event in events if not _is_skipped(event, skip)]
        finally:
            self._streams.remove(stream)

    def _begin_with_list(self, stream: WatchStream, request: Request) -> None:
        if not self.streams_lists:
            message = "sendInitialEvents: Forbidden: the WatchList feature gate is not enabled"
            raise ApiError(code=422, reason="Invalid", message=message)
        version, items = self._listed(request.target, request.query)
        for item in items:
            stream.enqueue("ADDED", _served(item, request.target))
        end: Body = {
            "resourceVersion": str(version),
            "annotations": {"k8s.io/initial-events-end": "true"},
        }
        stream.enqueue("BOOKMARK", {"metadata": end})

    # Responses

    async def _respond(self, request: Request, act: Callable[[], Body]) -> Body:
        self.requests.append(request)
        await asyncio.sleep(self.latency)
        failure = self._failure_of(request)
        if failure is not None and failure is not Failure.LOST_AFTER:
            raise failure.error(request)
        if self.unreachable:
            raise UnreachableError("induced: connection refused")
        target = request.target
        if (target.kind.name, target.version) in self.unserved:
            raise not_found("the server could not find the requested resource")
        response = act()
        if request.method not in ("GET", "WATCH"):
            await self.before_response(request)
        if failure is not None:
            raise failure.error(request)
        return response

    def _failure_of(self, request: Request) -> Failure | None:
        for number, (failure, matching) in enumerate(self._failures):
            if matching(request):
                del self._failures[number]
                return failure
        return None

    def _read(self, request: Request) -> Body:
        target = request.target
        if target.name:
            return _served(self.objects.read(target.key), target)
        query = request.query
        version, items = self._listed(target, query)
        limit = self.page_size or int(query.get("limit", "0")) or len(items)
        metadata = {"resourceVersion": str(version)}
        if len(items) > limit:
            metadata["continue"] = f"page-{len(self._pages)}"
            self._pages[metadata["continue"]] = version, items[limit:]
        return {"metadata": metadata, "items": [_served(item, target) for item in items[:limit]]}

    def _listed(self, target: Target, query: Mapping[str, str]) -> tuple[int, list[Body]]:
        """The resourceVersion of the list and its remaining items, the same for all pages."""
        if "continue" in query:
            version, items = self._pages.pop(query["continue"])
            if version < self._compacted:
                raise expired()
            return version, items
        labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
        everything = self.objects.all_of(target.kind.name, target.namespace)
        return self.objects.version, [
            one for one in everything if selects(labels, one) and selects_fields(fields, one)
        ]

    def _change(self, request: Request) -> Body:
        target, body = request.target, copied(request.body or {})
        match request.method:
            case "POST":
                key = Key(target.kind.name, target.namespace, body["metadata"]["name"])
                response = self.objects.create(key, body)
            case "PUT":
                response = self.objects.replace(target.key, body, target.subresource)
            case "PATCH" if request.content_type == APPLY_PATCH:
                response = self.objects.apply(target.key, body, request.query["fieldManager"])
            case "PATCH":
                response = self.objects.patch(target.key, body, target.subresource)
            case "DELETE":
                response = self.objects.delete(target.key, body)
            case _:
                raise ApiError(code=405, reason="MethodNotAllowed", message=request.method)
        return _served(response, target)

    def _deliver(self, change: ObjectChange) -> None:
        for stream in self._streams:
            stream.notify(change)


def _served(body: Body, target: Target) -> Body:
    """The object in the requested version."""
    if body.get("kind") != target.kind.name:
        return body
    return {**body, "apiVersion": target.kind.served(target.version)}


def _is_skipped(event: Body, skip: ResourceVersions) -> bool:
    """As the real client: a DELETED event is never skipped."""
    metadata = event["object"].get("metadata", {})
    return event["type"] != "DELETED" and metadata.get("resourceVersion") in skip
