"""Apply: execute a plan. Every write has a precondition: the object is still the planned one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from controllers.manifests import Body, Key, owner_reference
from controllers.runtime.apply import share
from controllers.runtime.apply.changeset import WRITES, Action, ApplyError, Change, ChangeSet
from controllers.runtime.apply.plan import DesiredObject, decide, in_sync
from controllers.runtime.apply.share import DesiredAddition
from controllers.runtime.cache.expectations import PendingWrite
from controllers.runtime.cache.informer import Informer
from controllers.runtime.client.client import APPLY_PATCH, JSON, MERGE_PATCH, Client
from controllers.runtime.errors import ApiError, UnreachableError
from controllers.runtime.objects import cached_object, shared
from controllers.runtime.objects.kinds import Mode

logger = structlog.stdlib.get_logger(__name__)

_ATTEMPTS = 3
_NOT_FOUND = 404
_CONFLICT = 409
_MODIFIED = "the object was modified concurrently; will retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applier:
    """Executes plans in one cluster."""

    client: Client
    informers: Mapping[str, Informer]
    field_manager: str
    concurrent: bool
    """Send the writes of one profile concurrently: faster for it, more costly for the process."""

    async def apply(
        self, changes: ChangeSet, objects: Mapping[Key, DesiredObject | DesiredAddition]
    ) -> ChangeSet:
        """Return the changes as they were made: a create that meets a foreign object is refused.

        All are attempted; then raises ApplyError, which lists each that failed.
        """
        writes = [change for change in changes if change.action in WRITES]
        if not writes:
            return changes
        # Cluster-scoped objects first: the binder binds a claim at once when its volume exists, and
        # otherwise at its next resync, after 15 s.
        first, then = (
            [change for change in writes if bool(change.key.namespace) is namespaced]
            for namespaced in (False, True)
        )
        done: dict[Key, Change] = {}
        failed: list[tuple[Change, Exception]] = []
        results = [*await self._apply_all(first, objects), *await self._apply_all(then, objects)]
        for change, result in zip([*first, *then], results, strict=True):
            if isinstance(result, Exception):
                failed.append((change, result))
            else:
                done[change.key] = result
        if failed:
            message = "; ".join(f"{change}: {error}" for change, error in failed)
            raise ApplyError(message, failed[0][1], ChangeSet(tuple(done.values())))
        return ChangeSet(tuple(done.get(change.key, change) for change in changes))

    async def _apply_all(
        self, writes: Sequence[Change], objects: Mapping[Key, DesiredObject | DesiredAddition]
    ) -> Sequence[Change | Exception]:
        attempts = (self._attempt(change, objects.get(change.key)) for change in writes)
        if self.concurrent and len(writes) > 1:
            return await asyncio.gather(*attempts)
        return await _sequentially(attempts)

    async def _attempt(
        self, change: Change, desired: DesiredObject | DesiredAddition | None
    ) -> Change | Exception:
        try:
            return await self._execute(change, desired)
        except Exception as error:  # noqa: BLE001 - the others continue; apply raises all together
            return error

    async def _execute(
        self, change: Change, desired: DesiredObject | DesiredAddition | None
    ) -> Change:
        if isinstance(desired, DesiredAddition):
            return await self._share(desired)
        if change.action in (Action.PRUNE, Action.DELETE, Action.RECREATE):
            await self._delete(change)
        if desired is None or change.action is Action.PRUNE:
            return change
        if change.action is Action.UPDATE or change.action is Action.ADOPT:
            return await self._update(desired)
        if not await self._create(desired):
            return await self._update(desired)
        return change

    async def _share(self, desired: DesiredAddition) -> Change:
        """Patch the live object, with its resourceVersion as precondition."""
        key, component = desired.key, desired.component
        informer = self.informers[key.kind]
        for _ in range(_ATTEMPTS):
            live = await self._read(key)
            state = shared.state_of(live, desired.declaration.paths, component) if live else None
            cached = cached_object.from_body(informer.kind, live) if live else None
            if cached is not None and state is not None:
                cached = replace(cached, shared={component: state})
            change = share.decide(desired, cached)
            if change is None or change.action not in WRITES or live is None or state is None:
                return change or Change(Action.UNCHANGED, key)
            patch = shared.merge_patch(
                shared.update(state, desired.addition),
                component,
                live["metadata"]["resourceVersion"],
            )
            path, query = self._path(key), self._query()
            try:
                stored = await self.client.write(
                    "PATCH", path, patch, query=query, content_type=MERGE_PATCH
                )
            except ApiError as error:
                if error.code not in (_CONFLICT, _NOT_FOUND):
                    raise
            else:
                informer.settle(key.namespace, key.name, stored)
                return change
        raise ApiError(code=_CONFLICT, reason="Conflict", message=_MODIFIED)

    async def _create(self, desired: DesiredObject) -> bool:
        """Create the object; return False when one of this name exists."""
        if desired.kind.mode is Mode.APPLY:
            return await self._create_by_apply(desired)
        path = self._path(desired.manifest.key, name="")
        version = self.informers[desired.kind.name].version
        body = desired.body(api_version=desired.kind.served(version))
        try:
            await self._send(desired, "POST", path, body, query=self._query())
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return False
            raise
        return True

    async def _create_by_apply(self, desired: DesiredObject) -> bool:
        """Read first: server-side apply would write into an existing foreign object."""
        if await self._read(desired.manifest.key) is not None:
            return False
        await self._server_side_apply(desired, uid="")
        return True

    async def _update(self, desired: DesiredObject) -> Change:
        """Decide again for the live object, and write with its resourceVersion as precondition."""
        key = desired.manifest.key
        for _ in range(_ATTEMPTS):
            recent = self.informers[key.kind].take_recent(key.namespace, key.name)
            live = await self._read(key) if recent is None else recent
            cached = cached_object.from_body(desired.kind, live) if live else None
            change = decide(desired, cached)
            if change.action not in WRITES:
                return change
            try:
                await self._overwrite(change, desired, live)
            except ApiError as error:
                outdated = recent is not None and error.code == _NOT_FOUND
                if error.code != _CONFLICT and not outdated:
                    raise
            else:
                return change
        raise ApiError(code=_CONFLICT, reason="Conflict", message=_MODIFIED)

    async def _overwrite(self, change: Change, desired: DesiredObject, live: Body | None) -> None:
        """Write over ``live``; raises ApiError 409 when that is no longer the stored object."""
        if live is not None and change.action is Action.RECREATE:
            await self._delete(change)
        if live is None or change.action is Action.RECREATE:
            if not await self._create(desired):
                raise ApiError(code=_CONFLICT, reason="AlreadyExists", message=str(change.key))
        elif desired.kind.mode is Mode.APPLY:
            if cached_object.from_body(desired.kind, live).controlled_by_namespace:
                await self._adopt_from_namespace(desired, live)
            await self._server_side_apply(desired, uid=live["metadata"]["uid"])
        else:
            path = self._path(change.key)
            await self._send(desired, "PUT", path, merged(desired, live), query=self._query())

    async def _adopt_from_namespace(self, desired: DesiredObject, live: Body) -> None:
        """Replace the owner and remove the annotations, which server-side apply cannot do."""
        adopted = merged(desired, live)["metadata"]
        removed = dict.fromkeys(desired.manifest.adopt_from_namespace or ())
        metadata = {
            "uid": adopted["uid"],
            "resourceVersion": adopted["resourceVersion"],
            "labels": adopted["labels"],
            "annotations": {**(adopted.get("annotations") or {}), **removed},
            "ownerReferences": adopted["ownerReferences"],
        }
        await self.client.write(
            "PATCH",
            self._path(desired.manifest.key),
            {"metadata": metadata},
            query=self._query(),
            content_type=MERGE_PATCH,
        )

    async def _server_side_apply(self, desired: DesiredObject, *, uid: str) -> None:
        key = desired.manifest.key
        body = desired.body(api_version=desired.kind.served(self.informers[key.kind].version))
        if uid:
            body["metadata"]["uid"] = uid  # another object of this name is a conflict
        query = {**self._query(), "force": "true"}
        path = self._path(key)
        await self._send(desired, "PATCH", path, body, query=query, content_type=APPLY_PATCH)

    async def _send(
        self,
        desired: DesiredObject,
        method: str,
        path: str,
        body: Body,
        *,
        query: Mapping[str, str],
        content_type: str = JSON,
    ) -> None:
        """Write, and let the informer expect the event of the write."""
        key = desired.manifest.key
        informer = self.informers[key.kind]
        write = PendingWrite(desired.digest, desired.profile.uid, desired.component)
        informer.expect(key.namespace, key.name, write)
        stored: Body | None = None
        try:
            stored = await self.client.write(
                method, path, body, query=query, content_type=content_type
            )
        finally:
            cached = informer.settle(key.namespace, key.name, stored)
        edited = desired.manifest.create_only  # by users, and may have any content
        if cached is not None and not edited and not in_sync(desired, cached):
            # Or the manifest does not state the defaults of the API server.
            logger.warning(
                "the stored object differs from the object that was written;"
                " check for a mutating webhook",
                object=str(key),
            )

    async def _delete(self, change: Change) -> None:
        """Delete the planned object; return when it does not exist any more.

        Raises ApiError 409 when it was replaced or modified since.
        """
        if change.precondition is None:
            raise ValueError(f"{change} has no precondition: it was planned without an object")
        key, (uid, version) = change.key, change.precondition
        preconditions = {"uid": uid, "resourceVersion": str(version)}
        informer = self.informers[key.kind]
        options = {"preconditions": preconditions, "propagationPolicy": "Background"}
        informer.expect(key.namespace, key.name, None)
        response: Body | None = None
        try:
            response = await self.client.write("DELETE", self._path(key), options)
        except ApiError as error:
            if error.code != _NOT_FOUND:
                raise
            response = {}
        finally:
            if response is None or "deletionTimestamp" in response.get("metadata", {}):
                informer.settle(key.namespace, key.name, response)
            else:
                informer.settle_deletion(key.namespace, key.name, uid)

    async def _read(self, key: Key) -> Body | None:
        try:
            return await self.client.get(self._path(key))
        except ApiError as error:
            if error.code == _NOT_FOUND:
                return None
            raise

    def _path(self, key: Key, *, name: str | None = None) -> str:
        """Return the path of the object, or of its collection with an empty ``name``."""
        informer = self.informers[key.kind]
        name = key.name if name is None else name
        return informer.kind.path(key.namespace, name, version=informer.version)

    def _query(self) -> dict[str, str]:
        return {"fieldManager": self.field_manager}


async def _sequentially(
    attempts: Iterable[Coroutine[None, None, Change | Exception]],
) -> list[Change | Exception]:
    """One after the other; after an unreachable API server the rest is not attempted."""
    results: list[Change | Exception] = []
    for attempt in attempts:
        if results and isinstance(results[-1], UnreachableError):
            attempt.close()
            results.append(results[-1])
        else:
            results.append(await attempt)
    return results


def merged(desired: DesiredObject, live: Body) -> Body:
    """Return the live object with the desired content, labels, annotations and owner reference.

    What others added to its metadata stays, except stripped annotations and another controller's
    reference: an object has one controller, and the plan has decided that the Profile is.
    """
    manifest = desired.manifest
    metadata = dict(live["metadata"])
    metadata["labels"] = {**(metadata.get("labels") or {}), **desired.labels}
    stripped = {*(manifest.adopt_from_namespace or ()), *manifest.stripped_annotations}
    before = metadata.get("annotations") or {}
    annotations = {key: value for key, value in before.items() if key not in stripped}
    if annotations or manifest.annotations:
        metadata["annotations"] = {**annotations, **manifest.annotations}
    else:
        metadata.pop("annotations", None)
    if stated := manifest.finalizers:
        others = [name for name in metadata.get("finalizers") or () if name not in stated]
        metadata["finalizers"] = [*others, *(name for name, required in stated.items() if required)]
    references = [
        reference
        for reference in metadata.get("ownerReferences") or ()
        if reference.get("uid") != desired.profile.uid and not reference.get("controller")
    ]
    metadata["ownerReferences"] = [*references, owner_reference(desired.profile)]
    if manifest.create_only:  # users edit the content: it is adopted unchanged
        return {**live, "metadata": metadata}
    rest = {key: value for key, value in live.items() if key not in desired.kind.content}
    return {**rest, "metadata": metadata, **manifest.content}
