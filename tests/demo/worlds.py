"""What the demo knows of the cluster, out of its watches and nothing else."""

import collections
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from controllers.manifests import COMPONENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, Key
from controllers.profiles import KIND
from tests.support.controlplane import Json

SPOKEN = ("labels", "annotations", "ownerReferences")
GLANCE_SECONDS = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Condition:
    """A condition of a Profile: `status` is True, False or Unknown, as text."""

    status: str
    message: str


ABSENT = Condition(status="", message="")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """Something about an object that somebody wrote; `at` is seconds since the epoch."""

    at: float
    tenant: str
    key: Key
    verb: str


class World:
    """Profiles and the objects of the watched kinds. Thread-safe; everyone is told of changes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._profiles: dict[str, Json] = {}
        self._objects: dict[Key, Json] = {}
        self._last: dict[str, Change] = {}
        self._writes: collections.Counter[str] = collections.Counter()

    # What the watches tell

    def reset(self, kind: str, bodies: Sequence[Json]) -> None:
        present = {key_of(kind, body) for body in bodies}
        with self._changed:
            known = {KIND: [key_of(KIND, body) for body in self._profiles.values()]}
            for key in known.get(kind, [key for key in self._objects if key.kind == kind]):
                if key not in present:
                    self._forget(key)
            for body in bodies:
                self._take(kind, body)
            self._changed.notify_all()

    def put(self, kind: str, body: Json) -> None:
        with self._changed:
            self._take(kind, body)
            self._changed.notify_all()

    def drop(self, kind: str, body: Json) -> None:
        with self._changed:
            self._forget(key_of(kind, body))
            self._changed.notify_all()

    def _take(self, kind: str, body: Json) -> None:
        key = key_of(kind, body)
        if kind == KIND:
            self._profiles[key.name] = body
            return
        before = self._objects.get(key)
        self._objects[key] = body
        if before is None:
            self._note(key, body, "created")
        elif said(before) != said(body):
            self._note(key, body, "changed")

    def _forget(self, key: Key) -> None:
        if key.kind == KIND:
            self._profiles.pop(key.name, None)
            self._last.pop(key.name, None)
        elif body := self._objects.pop(key, None):
            self._note(key, body, "deleted")

    def _note(self, key: Key, body: Json, verb: str) -> None:
        tenant = tenant_of(body)
        if component_of(body) or tenant in self._last:
            self._last[tenant] = Change(at=time.time(), tenant=tenant, key=key, verb=verb)
            self._writes[tenant] += 1

    # What may be asked

    def profiles(self) -> list[str]:
        """Their names, in order."""
        with self._changed:
            return sorted(self._profiles)

    def condition(self, profile: str, kind: str) -> Condition:
        """As the Profile's status has it; ABSENT where it has none."""
        with self._changed:
            status = self._profiles.get(profile, {}).get("status", {})
            for entry in status.get("conditions") or ():
                if entry.get("type") == kind:
                    return Condition(status=entry["status"], message=entry.get("message", ""))
        return ABSENT

    def get(self, key: Key) -> Json | None:
        """The object under this key."""
        with self._changed:
            return self._objects.get(key)

    def kept(self, tenant: str, controller: str = "") -> dict[Key, Json]:
        """The objects that carry a controller's labels (of any, without one), by key."""
        with self._changed:
            return {
                key: body
                for key, body in sorted(self._objects.items())
                if tenant_of(body) == tenant
                and (found := component_of(body))
                and controller in ("", found)
            }

    def last_change(self, tenant: str) -> Change | None:
        """Of the objects of a tenant."""
        with self._changed:
            return self._last.get(tenant)

    def writes(self, tenants: Iterable[str]) -> Mapping[str, int]:
        """How often something about their objects has been written so far."""
        with self._changed:
            return {tenant: self._writes[tenant] for tenant in tenants}

    def wait(self, lacking: Callable[[], str], seconds: float, watchful: Callable[[], None]) -> str:
        """Until `lacking` has nothing to name, or the time is over: then what it names still.

        `watchful` is called now and then, and may raise.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while lack := lacking():
                left = deadline - time.monotonic()
                if left <= 0:
                    return lack
                self._changed.wait(min(left, GLANCE_SECONDS))
                watchful()
        return ""


def key_of(kind: str, body: Json) -> Key:
    metadata = body["metadata"]
    return Key(kind, metadata.get("namespace", ""), metadata["name"])


def tenant_of(body: Json) -> str:
    """The Profile that controls the object, else its namespace."""
    for reference in body["metadata"].get("ownerReferences") or ():
        if reference["kind"] == KIND:
            name: str = reference["name"]
            return name
    return str(body["metadata"].get("namespace", ""))


def component_of(body: Json) -> str:
    """The controller that keeps the object; empty when it is none of the suite's."""
    labels = body["metadata"].get("labels") or {}
    ours = labels.get(MANAGED_BY_LABEL) == MANAGED_BY
    return str(labels.get(COMPONENT_LABEL, "")) if ours else ""


def said(body: Json) -> str:
    """What somebody wrote of an object, the server's own notes and the status left out."""
    metadata = {key: body["metadata"][key] for key in SPOKEN if body["metadata"].get(key)}
    content = {key: value for key, value in body.items() if key not in ("metadata", "status")}
    return json.dumps([metadata, content], sort_keys=True)
