"""Apply: carry a plan out. Every write asks first whether the object is still what was planned."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from controllers.manifests import Body, Key, owner_reference
from controllers.runtime.apply.changeset import WRITES, Action, Change, ChangeSet
from controllers.runtime.apply.plan import Wanted, in_shape, judge
from controllers.runtime.cache.expectations import PendingWrite
from controllers.runtime.cache.informer import Informer
from controllers.runtime.client.client import APPLY_PATCH, JSON, MERGE_PATCH, Client
from controllers.runtime.errors import ApiError, UnreachableError
from controllers.runtime.objects import cached_object
from controllers.runtime.objects.kinds import Mode
from controllers.runtime.reconcile.result import Failed

logger = structlog.stdlib.get_logger(__name__)

_TRIES = 3
_NOT_FOUND = 404
_CONFLICT = 409
_RACED = "changed under our hands; tried again later"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applier:
    """Applies change sets to one API server."""

    client: Client
    informers: Mapping[str, Informer]
    field_manager: str
    at_once: bool
    """Writes of one profile go side by side: quicker for it, and dearer for the process."""

    async def apply(self, changes: ChangeSet, wants: Mapping[Key, Wanted]) -> ChangeSet:
        """The changes as they turned out: a create that met a foreign object is refused.

        All are tried; raises Failed, naming each that failed, after the last has ended.
        """
        writes = [change for change in changes if change.action in WRITES]
        if not writes:
            return changes
        # What is in no namespace goes first: a volume that is there before its claim is bound at
        # once, one that comes after it when the binder next looks at all, 15 s later.
        first, then = (
            [change for change in writes if bool(change.key.namespace) is namespaced]
            for namespaced in (False, True)
        )
        done: dict[Key, Change] = {}
        failed: list[tuple[Change, Exception]] = []
        answers = [*await self._all(first, wants), *await self._all(then, wants)]
        for change, answer in zip([*first, *then], answers, strict=True):
            if isinstance(answer, Exception):
                failed.append((change, answer))
            else:
                done[change.key] = answer
        if failed:
            raise _failure(failed, done.values())
        return ChangeSet(tuple(done.get(change.key, change) for change in changes))

    async def _all(
        self, writes: Sequence[Change], wants: Mapping[Key, Wanted]
    ) -> Sequence[Change | Exception]:
        tries = (self._try(change, wants.get(change.key)) for change in writes)
        if self.at_once and len(writes) > 1:
            return await asyncio.gather(*tries)
        return await _in_turn(tries)

    async def _try(self, change: Change, want: Wanted | None) -> Change | Exception:
        try:
            return await self._carry_out(change, want)
        except Exception as error:  # noqa: BLE001 - the others go on; apply raises them together
            return error

    async def _carry_out(self, change: Change, want: Wanted | None) -> Change:
        if change.action in (Action.DELETE, Action.REMOVE, Action.RECREATE):
            await self._delete(change)
        if want is None or change.action is Action.DELETE:
            return change
        if change.action is Action.UPDATE or change.action is Action.ADOPT:
            return await self._replace(want)
        if not await self._created(want):
            return await self._replace(want)
        return change

    async def _created(self, want: Wanted) -> bool:
        """Create it, unless something of this name is there."""
        if want.kind.mode is Mode.APPLY:
            return await self._created_merged(want)
        key = want.manifest.key
        informer = self.informers[key.kind]
        path = want.kind.path(key.namespace, version=informer.version)
        sent = want.body(api_version=want.kind.served(informer.version))
        try:
            await self._send(want, "POST", path, sent, query=self._query())
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return False
            raise
        return True

    async def _created_merged(self, want: Wanted) -> bool:
        """Server-side apply would write into a foreign object: look whether there is one first."""
        if await self._read(want.manifest.key) is not None:
            return False
        await self._patch(want, uid="")
        return True

    async def _replace(self, want: Wanted) -> Change:
        """Judge anew what is really there, read or just told of, and write that version of it."""
        key = want.manifest.key
        for _ in range(_TRIES):
            told = self.informers[key.kind].take_recent(key.namespace, key.name)
            live = await self._read(key) if told is None else told
            record = cached_object.project(want.kind, live) if live else None
            change = judge(want, record)
            if change.action not in WRITES:
                return change
            try:
                await self._write_over(change, want, live)
            except ApiError as error:
                outdated = told is not None and error.code == _NOT_FOUND
                if error.code != _CONFLICT and not outdated:
                    raise
            else:
                return change
        raise ApiError(code=_CONFLICT, reason="Conflict", message=_RACED)

    async def _write_over(self, change: Change, want: Wanted, live: Body | None) -> None:
        """Write where ``live`` was read; raises ApiError 409 when that is no longer there."""
        if live is not None and change.action is Action.RECREATE:
            await self._delete(change)
        if live is None or change.action is Action.RECREATE:
            if not await self._created(want):
                raise ApiError(code=_CONFLICT, reason="AlreadyExists", message=str(change.key))
        elif want.kind.mode is Mode.APPLY:
            if cached_object.project(want.kind, live).handed_down:
                await self._disinherit(want, live)
            await self._patch(want, uid=live["metadata"]["uid"])
        else:
            key = change.key
            version = self.informers[key.kind].version
            path = want.kind.path(key.namespace, key.name, version=version)
            await self._send(want, "PUT", path, merged(want, live), query=self._query())

    async def _disinherit(self, want: Wanted, live: Body) -> None:
        """Replace the owner and drop the annotations: an apply adds to both lists."""
        taken = merged(want, live)["metadata"]
        gone = dict.fromkeys(want.manifest.adopt_from_namespace or ())
        metadata = {
            "uid": taken["uid"],
            "resourceVersion": taken["resourceVersion"],
            "labels": taken["labels"],
            "annotations": {**(taken.get("annotations") or {}), **gone},
            "ownerReferences": taken["ownerReferences"],
        }
        key = want.manifest.key
        path = want.kind.path(key.namespace, key.name, version=self.informers[key.kind].version)
        await self.client.write(
            "PATCH", path, {"metadata": metadata}, query=self._query(), content_type=MERGE_PATCH
        )

    async def _patch(self, want: Wanted, *, uid: str) -> None:
        key = want.manifest.key
        version = self.informers[key.kind].version
        sent = want.body(api_version=want.kind.served(version))
        if uid:
            sent["metadata"]["uid"] = uid  # another object of this name is a conflict
        path = want.kind.path(key.namespace, key.name, version=version)
        query = {**self._query(), "force": "true"}
        await self._send(want, "PATCH", path, sent, query=query, content_type=APPLY_PATCH)

    async def _send(
        self,
        want: Wanted,
        method: str,
        path: str,
        sent: Body,
        *,
        query: Mapping[str, str],
        content_type: str = JSON,
    ) -> None:
        """Write, and let the informer know, so that the echo wakes nobody."""
        key = want.manifest.key
        informer = self.informers[key.kind]
        write = PendingWrite(want.digest, want.profile.uid, want.component)
        informer.expect(key.namespace, key.name, write)
        answer: Body | None = None
        try:
            answer = await self.client.write(
                method, path, sent, query=query, content_type=content_type
            )
        finally:
            record = informer.settle(key.namespace, key.name, answer)
        edited = want.manifest.create_only  # and so may hold anything
        if record is not None and not edited and not in_shape(want, record):
            # An admission webhook, or a manifest that does not state the server's defaults.
            logger.warning("the cluster keeps another content than was written", object=str(key))

    async def _delete(self, change: Change) -> None:
        """Delete what the plan saw, and as it saw it; it is fine when it is gone already.

        Raises ApiError 409 when it is another object by now, or was edited since.
        """
        if change.planned is None:
            raise ValueError(f"{change} was planned without an object")
        key, (uid, version) = change.key, change.planned
        seen = {"uid": uid, "resourceVersion": str(version)}
        informer = self.informers[key.kind]
        path = informer.kind.path(key.namespace, key.name, version=informer.version)
        options = {"preconditions": seen, "propagationPolicy": "Background"}
        informer.expect(key.namespace, key.name, None)
        answer: Body | None = None
        try:
            answer = await self.client.write("DELETE", path, options)
        except ApiError as error:
            if error.code != _NOT_FOUND:
                raise
            answer = {}
        finally:
            if answer is None or "deletionTimestamp" in answer.get("metadata", {}):
                informer.settle(key.namespace, key.name, answer)
            else:
                informer.settle_deletion(key.namespace, key.name, uid)

    async def _read(self, key: Key) -> Body | None:
        informer = self.informers[key.kind]
        path = informer.kind.path(key.namespace, key.name, version=informer.version)
        try:
            return await self.client.get(path)
        except ApiError as error:
            if error.code == _NOT_FOUND:
                return None
            raise

    def _query(self) -> dict[str, str]:
        return {"fieldManager": self.field_manager}


async def _in_turn(
    tries: Iterable[Coroutine[None, None, Change | Exception]],
) -> list[Change | Exception]:
    """One after the other; where nobody answers, the rest need not wait for that as well."""
    answers: list[Change | Exception] = []
    for one in tries:
        if answers and isinstance(answers[-1], UnreachableError):
            one.close()
            answers.append(answers[-1])
        else:
            answers.append(await one)
    return answers


def merged(want: Wanted, live: Body) -> Body:
    """The live object with our content, labels, annotations and owner reference.

    What others added to its metadata stays, but for barred annotations and another controller's
    reference: an object has one controller, and the plan has found that we may be it.
    """
    metadata = dict(live["metadata"])
    metadata["labels"] = {**(metadata.get("labels") or {}), **want.labels}
    dropped = {*(want.manifest.adopt_from_namespace or ()), *want.manifest.stripped_annotations}
    before = metadata.get("annotations") or {}
    kept = {key: value for key, value in before.items() if key not in dropped}
    if kept or want.manifest.annotations:
        metadata["annotations"] = {**kept, **want.manifest.annotations}
    else:
        metadata.pop("annotations", None)
    stated = want.manifest.finalizers
    if stated:
        there = [name for name in metadata.get("finalizers") or () if name not in stated]
        metadata["finalizers"] = [*there, *(name for name, needed in stated.items() if needed)]
    others = [
        reference
        for reference in metadata.get("ownerReferences") or ()
        if reference.get("uid") != want.profile.uid and not reference.get("controller")
    ]
    metadata["ownerReferences"] = [*others, owner_reference(want.profile)]
    if want.manifest.create_only:  # an object that users may edit is taken over as it is
        return {**live, "metadata": metadata}
    rest = {key: value for key, value in live.items() if key not in want.kind.content}
    return {**rest, "metadata": metadata, **want.manifest.content}


def _failure(failed: Sequence[tuple[Change, Exception]], done: Iterable[Change]) -> Failed:
    message = "; ".join(f"{change}: {error}" for change, error in failed)
    return Failed(message, failed[0][1], ChangeSet(tuple(done)))
