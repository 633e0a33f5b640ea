"""The objects of a fake API server: UIDs, resourceVersions, finalizers, preconditions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from controllers.manifests import Body, Key
from controllers.runtime.errors import ApiError
from controllers.runtime.objects.kinds import KINDS
from tests.support.fakes import patch as patching
from tests.support.fakes.request import conflict, not_found

T = TypeVar("T")
EPOCH = "2026-01-01T00:00:00Z"
_SERVER_METADATA = ("uid", "creationTimestamp", "resourceVersion", "deletionTimestamp")
"""Metadata that a client cannot change."""
_ALWAYS_PRESENT = ("", "default")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectChange:
    """A change, as in the watch cache of a real API server."""

    version: int
    key: Key
    before: Body | None
    after: Body | None


class ObjectTracker:
    """The objects and the history of their changes."""

    def __init__(self) -> None:
        self.version = 100
        self.history: list[ObjectChange] = []
        self.listeners: list[Callable[[ObjectChange], None]] = []
        self._objects: dict[Key, Body] = {}
        self._applied: dict[tuple[Key, str], Body] = {}
        self._uids = 0

    def get(self, key: Key) -> Body | None:
        """A copy, or None."""
        return copied(self._objects.get(key))

    def read(self, key: Key) -> Body:
        """A copy. Raises ApiError 404."""
        body = self.get(key)
        if body is None:
            raise not_found(f"{key} not found")
        return body

    def all_of(self, kind: str, namespace: str = "") -> list[Body]:
        """Copies of all objects of a kind, of one namespace where one is named, sorted."""
        return [
            copied(body)
            for key, body in sorted(self._objects.items())
            if key.kind == kind and namespace in ("", key.namespace)
        ]

    # Requests of a client

    def create(self, key: Key, body: Body) -> Body:
        if key in self._objects:
            raise ApiError(code=409, reason="AlreadyExists", message=f"{key} already exists")
        self._check_namespace(key.namespace)
        body = copied(body)
        body.pop("status", None)
        if body["metadata"].get("resourceVersion"):
            raise ApiError(code=400, reason="BadRequest", message="resourceVersion on create")
        body["metadata"] |= {"uid": self._new_uid(), "creationTimestamp": EPOCH}
        if key.namespace:
            body["metadata"]["namespace"] = key.namespace
        return self.commit(key, body)

    def replace(self, key: Key, body: Body, subresource: str = "") -> Body:
        live = self.read(key)
        self._check(key, live, body["metadata"])
        return self._store_over(key, live, copied(body), subresource)

    def patch(self, key: Key, patch: Body, subresource: str = "") -> Body:
        live = self.read(key)
        self._check(key, live, patch.get("metadata") or {})
        return self._store_over(key, live, patching.merge_patch(live, patch), subresource)

    def apply(self, key: Key, stated: Body, manager: str) -> Body:
        live = self.get(key)
        stated = copied(stated)
        uid = stated["metadata"].pop("uid", "")
        if live is None and uid:
            raise conflict(f"{key}: uid mismatch: {uid} is required, and the object does not exist")
        if live is not None and uid not in ("", live["metadata"]["uid"]):
            raise conflict(f"{key}: uid mismatch")
        before = self._applied.get((key, manager))
        self._applied[key, manager] = stated
        if live is None:
            return self.create(key, stated)
        return self._store_over(key, live, patching.apply(live, stated, before), "")

    def delete(self, key: Key, options: Body | None = None) -> Body:
        live = self.read(key)
        self._check(key, live, (options or {}).get("preconditions") or {})
        if live["metadata"].get("finalizers"):
            live["metadata"].setdefault("deletionTimestamp", EPOCH)
            return self.commit(key, live)
        self.commit(key, None)
        return {"kind": "Status", "status": "Success", "metadata": {}}

    # Changes by a test, without preconditions

    def put(self, body: Body) -> Body:
        """Creates or replaces the object, including status, with its UID if it has one."""
        key = key_of(body)
        live = self.get(key) or {"metadata": {"uid": self._new_uid(), "creationTimestamp": EPOCH}}
        return self.commit(key, {**body, "metadata": {**live["metadata"], **body["metadata"]}})

    def edit(self, key: Key, change: Callable[[Body], Any]) -> Body:
        """Changes the object in place."""
        live = self.read(key)
        change(live)
        return self.commit(key, live)

    def commit(self, key: Key, after: Body | None) -> Body:
        """Stores the object and notifies the listeners if it differs; returns the stored object."""
        before = self._objects.get(key)
        if after is not None and before == after:
            return copied(after)
        after = copied(after)
        self.version += 1
        if after is None or _finalized(after):
            self._objects.pop(key, None)
            for applied in [one for one in self._applied if one[0] == key]:
                del self._applied[applied]
            gone = copied(after or before or {})
            gone["metadata"]["resourceVersion"] = str(self.version)
            self._notify(ObjectChange(version=self.version, key=key, before=gone, after=None))
            return copied(gone)
        after["metadata"]["resourceVersion"] = str(self.version)
        self._objects[key] = after
        self._notify(ObjectChange(version=self.version, key=key, before=before, after=after))
        return copied(after)

    def _new_uid(self) -> str:
        self._uids += 1
        return f"uid-{self._uids:04}"

    def _notify(self, change: ObjectChange) -> None:
        self.history.append(change)
        for listener in self.listeners:
            listener(change)

    def _store_over(self, key: Key, live: Body, body: Body, subresource: str) -> Body:
        if subresource == "status":
            body = {**live, "status": body.get("status")}
        elif "status" in live:
            body["status"] = live["status"]
        else:
            body.pop("status", None)
        theirs = {
            key: value for key, value in body["metadata"].items() if key not in _SERVER_METADATA
        }
        kept = {key: value for key, value in live["metadata"].items() if key in _SERVER_METADATA}
        return self.commit(key, {**body, "metadata": {**theirs, **kept}})

    def _check(self, key: Key, live: Body, stated: Body) -> None:
        for field in ("uid", "resourceVersion"):
            if stated.get(field) and stated[field] != live["metadata"][field]:
                raise conflict(f"{key}: {field} is {live['metadata'][field]}, not {stated[field]}")

    def _check_namespace(self, namespace: str) -> None:
        if namespace in _ALWAYS_PRESENT:
            return
        body = self._objects.get(Key("Namespace", "", namespace))
        if body is None:
            raise not_found(f'namespaces "{namespace}" not found')
        if "deletionTimestamp" in body["metadata"]:
            raise ApiError(
                code=403,
                reason="Forbidden",
                message=f"namespace {namespace} is being terminated",
                causes=["NamespaceTerminating"],
            )


def copied(body: T) -> T:
    """A copy, as if the object had been sent. It must be JSON."""
    copy: T = orjson.loads(orjson.dumps(body))
    return copy


def key_of(body: Body) -> Key:
    """Raises KeyError for a kind that is not in the table."""
    metadata = body["metadata"]
    return Key(KINDS[body["kind"]].name, metadata.get("namespace", ""), metadata["name"])


def _finalized(body: Body) -> bool:
    metadata = body["metadata"]
    return "deletionTimestamp" in metadata and not metadata.get("finalizers")
