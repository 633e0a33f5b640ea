"""An object store with a user and a key for each namespace, off the event loop."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakValueDictionary

import structlog

from controllers.pipelines.objectstore import policies, reconcile
from controllers.pipelines.objectstore.access import Prober
from controllers.pipelines.objectstore.account import Known
from controllers.pipelines.objectstore.clients import Clients, connect
from controllers.pipelines.objectstore.iam import Users
from controllers.pipelines.objectstore.observe import Parts
from controllers.pipelines.objectstore.patience import Patience
from controllers.pipelines.objectstore.policies import Dialect
from controllers.pipelines.objectstore.provider import (
    Connection,
    Credentials,
    Provider,
    Refusal,
    StoreError,
    Swept,
    Tenant,
    UnavailableError,
)
from controllers.pipelines.objectstore.s3 import Bucket

logger = structlog.stdlib.get_logger(__name__)

_Answer = TypeVar("_Answer")
_AMAZON = "amazonaws.com"


class ManagedStore:
    """See ``stores.ObjectStore``. At most ``workers`` requests are in flight."""

    def __init__(self, provider: Provider, connection: Connection) -> None:
        """Asks nothing yet."""
        seaweedfs = provider is Provider.SEAWEEDFS
        credentials = connection.credentials
        self._connection = connection
        self._dialect = Dialect.SEAWEEDFS if seaweedfs else Dialect.S3
        # Only SeaweedFS lets the caller choose a key's values.
        self._root = credentials.secret_key if seaweedfs and credentials else None
        self._clients: Clients = connect(connection)
        self._users = Users(self._clients)
        self.bucket = Bucket(self._clients, connection)
        endpoint = self._clients.s3.meta.endpoint_url
        self._prober = Prober(connection, endpoint=endpoint, verify=self._clients.verify)
        self.parts = Parts(
            users=self._users, bucket=self.bucket, prober=self._prober, connection=connection
        )
        self._threads = ThreadPoolExecutor(connection.workers, thread_name_prefix="object-store")
        self._patience = Patience(clock=time.monotonic, chance=random.random)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._under_way: set[asyncio.Task[object]] = set()
        self._remembered: dict[str, tuple[str, Credentials]] = {}
        self._recorded: dict[str, tuple[str, str]] = {}  # namespace: entity tag and UID of a record

    async def ensure(
        self, tenant: Tenant, held: Credentials | None
    ) -> Credentials | Refusal | None:
        return await self._alone(tenant.namespace, lambda: self._ensure(tenant, held))

    async def maintain(self) -> None:
        await self._ask(self._maintain)

    async def sweep(self, profile_gone: Callable[[str, str], bool]) -> Sequence[Swept]:
        swept: list[Swept] = []
        if self._connection.dry_run:
            return swept
        for namespace, uid in (await self._ask(self._recorded_uids)).items():
            if not uid or not profile_gone(namespace, uid):
                continue

            async def remove(namespace: str = namespace, uid: str = uid) -> bool:
                # Once more, now that no `ensure` of this namespace is under way.
                return profile_gone(namespace, uid) and await self._ask(
                    lambda: reconcile.remove(self.parts, namespace, uid)
                )

            if await self._alone(namespace, remove):
                self._remembered.pop(namespace, None)
                swept.append(Swept(namespace=namespace, uid=uid))
        return swept

    def health(self) -> str:
        return self._patience.health()

    async def close(self) -> None:
        while self._under_way:
            await asyncio.wait(self._under_way)
        await asyncio.to_thread(self._threads.shutdown)
        self._prober.close()
        self._clients.close()

    async def _ensure(self, tenant: Tenant, held: Credentials | None) -> Credentials | Refusal:
        name = tenant.namespace
        uid, last = self._remembered.get(name, ("", None))
        known = Known(held=held, remembered=last if uid == tenant.uid else None)
        answer = await self._ask(lambda: reconcile.ensure(self.parts, self._root, tenant, known))
        if isinstance(answer, Credentials):
            self._remembered[name] = (tenant.uid, answer)
        else:
            self._remembered.pop(name, None)
        return answer

    def _maintain(self) -> None:
        existing = self.bucket.policy()
        wanted = policies.bucket_policy(
            existing, self._connection.bucket, dialect=self._dialect, account=self._account()
        )
        rules = self.bucket.lifecycle()
        kept = policies.lifecycle(rules, self._connection.retention_days)
        if self._connection.dry_run:
            return
        if not policies.same(existing, wanted):
            self.bucket.put_policy(wanted)
            for one in policies.dropped(existing):
                logger.warning(
                    "taken out of the bucket's policy: it allows everybody", statement=one
                )
            logger.info("bucket's policy put", bucket=self._connection.bucket)
        if kept != rules:
            self.bucket.put_lifecycle(kept)
            logger.info("bucket's retention put", bucket=self._connection.bucket)

    def _account(self) -> str | None:
        endpoint = self._connection.iam_endpoint
        amazon = endpoint is None or endpoint.rstrip("/").endswith(_AMAZON)
        return self._users.account() if amazon else None

    def _recorded_uids(self) -> dict[str, str]:
        """The UID of every record; only those that changed are read."""
        known: dict[str, tuple[str, str]] = {}
        for namespace, tag in self.bucket.records().items():
            before = self._recorded.get(namespace)
            if before is not None and before[0] == tag:
                known[namespace] = before
                continue
            record = self.bucket.record(namespace)
            if record is not None:
                known[namespace] = (tag, record.uid)
        self._recorded = known
        return {namespace: uid for namespace, (_, uid) in known.items()}

    async def _alone(self, namespace: str, work: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """The work, with no other of this namespace beside it, and to its end.

        Who waits for it may be cancelled; a thread cannot be, and must not be joined by another.
        """
        lock = self._locks.setdefault(namespace, asyncio.Lock())

        async def locked() -> _Answer:
            async with lock:
                return await work()

        task = asyncio.create_task(locked())
        self._under_way.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[object]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # was told to who waited, unless that was cancelled

    async def _ask(self, work: Callable[[], _Answer]) -> _Answer:
        """The blocking work in a thread, unless the store is to be spared."""
        self._patience.enter()
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except UnavailableError as error:
            raise self._patience.failed(error) from None
        except StoreError:
            self._patience.succeeded()  # it answered, only not as was hoped
            raise
        except BaseException:
            self._patience.abandoned()
            raise
        self._patience.succeeded()
        return answer
