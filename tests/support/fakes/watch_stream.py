"""The server's side of a watch."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from controllers.manifests import Body
from tests.support.fakes.object_tracker import ObjectChange
from tests.support.fakes.request import Target, selects, selects_fields


class WatchStream:
    """Events in order. An object that the selectors no longer match gets a DELETED event."""

    def __init__(self, target: Target, labels: str, fields: str) -> None:
        self.target = target
        self._labels = labels
        self._fields = fields
        self._waiting: deque[Body] = deque()
        self._changed = asyncio.Event()
        self._busy = False
        self._ended = False
        self._error: Exception | None = None

    @property
    def is_open(self) -> bool:
        """Whether the watch has not ended."""
        return not self._ended

    @property
    def idle(self) -> bool:
        """Whether the watcher has received and processed every event."""
        return not self._waiting and not self._busy

    def notify(self, change: ObjectChange) -> None:
        """Adds an event if the watch selects the object."""
        key = change.key
        if key.kind != self.target.kind.name or self.target.namespace not in ("", key.namespace):
            return
        before, after = self._selected(change.before), self._selected(change.after)
        if after is not None:
            self.enqueue("ADDED" if before is None else "MODIFIED", after)
        elif before is not None:
            gone = {**before, "metadata": dict(before["metadata"])}
            gone["metadata"]["resourceVersion"] = str(change.version)
            self.enqueue("DELETED", gone)

    def enqueue(self, type_: str, body: Body) -> None:
        """Adds an event, unless the watch has ended."""
        if self._ended:
            return
        self._waiting.append({"type": type_, "object": body})
        self.wake()

    def drop_last(self) -> None:
        """Remove the last event that was not delivered."""
        self._waiting.pop()

    def end(self, error: Exception | None = None) -> None:
        """Ends the watch after the events that are not delivered yet."""
        self._ended = True
        self._error = error
        self.wake()

    def wake(self) -> None:
        """Resumes the watcher."""
        self._changed.set()

    async def events(self, flowing: Callable[[], bool]) -> AsyncIterator[list[Body]]:
        while True:
            self._changed.clear()
            while self._waiting and flowing():
                event = self._waiting.popleft()
                # A watcher reads nothing after an ERROR.
                self._busy = event["type"] != "ERROR"
                yield [event]
                self._busy = False
            if self._ended and not self._waiting:
                break
            await self._changed.wait()
        if self._error is not None:
            raise self._error

    def _selected(self, body: Body | None) -> Body | None:
        if body is None or not selects(self._labels, body):
            return None
        return body if selects_fields(self._fields, body) else None
