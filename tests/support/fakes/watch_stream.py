"""One watch, from the server's side."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from controllers.manifests import Body
from tests.support.fakes.object_tracker import ObjectChange
from tests.support.fakes.request import Target, selects, selects_fields


class Stream:
    """Events in order; what the selectors no longer match is told as deleted."""

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
    def up(self) -> bool:
        """Whether it goes on."""
        return not self._ended

    @property
    def idle(self) -> bool:
        """Whether the watcher has taken everything, and come back for more."""
        return not self._waiting and not self._busy

    def tell(self, happening: ObjectChange) -> None:
        """An event, if this watch is concerned."""
        key = happening.key
        if key.kind != self.target.kind.name or self.target.namespace not in ("", key.namespace):
            return
        before, after = self._selected(happening.before), self._selected(happening.after)
        if after is not None:
            self.put("ADDED" if before is None else "MODIFIED", after)
        elif before is not None:
            gone = {**before, "metadata": dict(before["metadata"])}
            gone["metadata"]["resourceVersion"] = str(happening.version)
            self.put("DELETED", gone)

    def put(self, type_: str, body: Body) -> None:
        """One more event; none comes after the end."""
        if self._ended:
            return
        self._waiting.append({"type": type_, "object": body})
        self.changed()

    def drop_last(self) -> None:
        """Remove the last event that was not delivered."""
        self._waiting.pop()

    def end(self, error: Exception | None = None) -> None:
        """Nothing comes after what waits already."""
        self._ended = True
        self._error = error
        self.changed()

    def changed(self) -> None:
        """Whoever waits shall look again."""
        self._changed.set()

    async def events(self, flowing: Callable[[], bool]) -> AsyncIterator[list[Body]]:
        while True:
            self._changed.clear()
            while self._waiting and flowing():
                event = self._waiting.popleft()
                # A watcher does not come back from an ERROR.
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
