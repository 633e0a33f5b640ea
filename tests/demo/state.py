"""The state of the cluster, from the demo's own watches."""

import collections
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from controllers.manifests import COMPONENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, Key
from controllers.profiles import KIND
from tests.support.controlplane import Json

WRITTEN_METADATA = ("labels", "annotations", "ownerReferences")
POLL_SECONDS = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Condition:
    """A condition of a Profile. `status` is True, False or Unknown, as text."""

    status: str
    message: str


ABSENT = Condition(status="", message="")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """A write to an object. `at` is seconds since the epoch."""

    at: float
    tenant: str
    key: Key
    verb: str


class ClusterState:
    """Profiles and the objects of the watched kinds. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._profiles: dict[str, Json] = {}
        self._objects: dict[Key, Json] = {}
        self._last: dict[str, Change] = {}
        self._writes: collections.Counter[str] = collections.Counter()

    # The event handler of the watches

    def replace(self, kind: str, bodies: Sequence[Json]) -> None:
        present = {key_of(kind, body) for body in bodies}
        with self._changed:
            cached = {KIND: [key_of(KIND, body) for body in self._profiles.values()]}
            for key in cached.get(kind, [key for key in self._objects if key.kind == kind]):
                if key not in present:
                    self._delete(key)
            for body in bodies:
                self._upsert(kind, body)
            self._changed.notify_all()

    def upsert(self, kind: str, body: Json) -> None:
        with self._changed:
            self._upsert(kind, body)
            self._changed.notify_all()

    def delete(self, kind: str, body: Json) -> None:
        with self._changed:
            self._delete(key_of(kind, body))
            self._changed.notify_all()

    def _upsert(self, kind: str, body: Json) -> None:
        key = key_of(kind, body)
        if kind == KIND:
            self._profiles[key.name] = body
            return
        before = self._objects.get(key)
        self._objects[key] = body
        if before is None:
            self._count(key, body, "created")
        elif written_content(before) != written_content(body):
            self._count(key, body, "changed")

    def _delete(self, key: Key) -> None:
        if key.kind == KIND:
            self._profiles.pop(key.name, None)
            self._last.pop(key.name, None)
        elif body := self._objects.pop(key, None):
            self._count(key, body, "deleted")

    def _count(self, key: Key, body: Json, verb: str) -> None:
        tenant = tenant_of(body)
        if component_of(body) or tenant in self._last:
            self._last[tenant] = Change(at=time.time(), tenant=tenant, key=key, verb=verb)
            self._writes[tenant] += 1

    # Queries

    def profiles(self) -> list[str]:
        """The names of the Profiles, sorted."""
        with self._changed:
            return sorted(self._profiles)

    def condition(self, profile: str, kind: str) -> Condition:
        """The condition of this type in the Profile's status, or ABSENT."""
        with self._changed:
            status = self._profiles.get(profile, {}).get("status", {})
            for entry in status.get("conditions") or ():
                if entry.get("type") == kind:
                    return Condition(status=entry["status"], message=entry.get("message", ""))
        return ABSENT

    def get(self, key: Key) -> Json | None:
        """The object, or None."""
        with self._changed:
            return self._objects.get(key)

    def owned(self, tenant: str, controller: str = "") -> dict[Key, Json]:
        """The tenant's objects with the labels of a controller, or of any controller."""
        with self._changed:
            return {
                key: body
                for key, body in sorted(self._objects.items())
                if tenant_of(body) == tenant
                and (component := component_of(body))
                and controller in ("", component)
            }

    def last_change(self, tenant: str) -> Change | None:
        """The last write to one of the tenant's objects."""
        with self._changed:
            return self._last.get(tenant)

    def writes(self, tenants: Iterable[str]) -> Mapping[str, int]:
        """The number of writes to the objects of each tenant."""
        with self._changed:
            return {tenant: self._writes[tenant] for tenant in tenants}

    def wait(self, pending: Callable[[], str], seconds: float, check: Callable[[], None]) -> str:
        """Waits until `pending` returns an empty text, or the time is over; returns its last text.

        `check` is called at least every POLL_SECONDS, and may raise.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while text := pending():
                left = deadline - time.monotonic()
                if left <= 0:
                    return text
                self._changed.wait(min(left, POLL_SECONDS))
                check()
        return ""


def key_of(kind: str, body: Json) -> Key:
    metadata = body["metadata"]
    return Key(kind, metadata.get("namespace", ""), metadata["name"])


def tenant_of(body: Json) -> str:
    """The Profile that owns the object, or else its namespace."""
    for reference in body["metadata"].get("ownerReferences") or ():
        if reference["kind"] == KIND:
            name: str = reference["name"]
            return name
    return str(body["metadata"].get("namespace", ""))


def component_of(body: Json) -> str:
    """The controller that manages the object, or an empty text."""
    labels = body["metadata"].get("labels") or {}
    managed = labels.get(MANAGED_BY_LABEL) == MANAGED_BY
    return str(labels.get(COMPONENT_LABEL, "")) if managed else ""


def written_content(body: Json) -> str:
    """The object without its status and the metadata that the API server sets."""
    metadata = {key: body["metadata"][key] for key in WRITTEN_METADATA if body["metadata"].get(key)}
    content = {key: value for key, value in body.items() if key not in ("metadata", "status")}
    return json.dumps([metadata, content], sort_keys=True)
