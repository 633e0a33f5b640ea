"""The requests of one user, from the audit log of the API server."""

import json
from collections import Counter
from collections.abc import Iterator

from tests.support.controlplane import ControlPlane, Json

READS = frozenset({"get", "list", "watch"})


class Audit:
    """The requests of a user since this was created. The control plane must have an audit log."""

    def __init__(self, plane: ControlPlane, user: str) -> None:
        self._log = plane.audit_log
        self._user = user
        self._start = self._log.stat().st_size

    def events(self) -> Iterator[Json]:
        """Each request once, a watch as soon as it has started."""
        seen = set()
        with self._log.open("rb") as log:
            log.seek(self._start)
            for line in log:
                if not line.endswith(b"\n") or self._user.encode() not in line:
                    continue
                event = json.loads(line)
                if event["user"].get("username") == self._user and event["auditID"] not in seen:
                    seen.add(event["auditID"])
                    yield event

    def counts(self) -> Counter[tuple[str, str]]:
        """The number of requests by verb and resource."""
        return Counter((event["verb"], resource(event)) for event in self.events())

    def lists(self) -> Counter[str]:
        """The number of lists by resource, including those that start a watch."""
        return Counter(
            resource(event)
            for event in self.events()
            if event["verb"] == "list" or "sendInitialEvents=true" in event["requestURI"]
        )

    def writes(self) -> list[str]:
        """The writes, as `verb resource namespace/name`."""
        return [describe(event) for event in self.events() if event["verb"] not in READS]

    def denied(self) -> list[str]:
        """The requests that were forbidden, as `verb resource namespace/name`."""
        return [describe(event) for event in self.events() if code(event) == 403]


def resource(event: Json) -> str:
    """The resource, such as `profiles/status`, or the path of another request."""
    reference = event.get("objectRef") or {}
    subresource = reference.get("subresource")
    name = str(reference.get("resource") or event["requestURI"])
    return f"{name}/{subresource}" if subresource else name


def code(event: Json) -> int:
    return int((event.get("responseStatus") or {}).get("code", 0))


def describe(event: Json) -> str:
    reference = event.get("objectRef") or {}
    where = f"{reference.get('namespace', '')}/{reference.get('name', '')}"
    return f"{event['verb']} {resource(event)} {where}"
