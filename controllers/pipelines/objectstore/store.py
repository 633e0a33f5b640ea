"""An object store with a user and a key for each namespace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog

from controllers.findings import Finding
from controllers.pipelines.objectstore import clients, policies, reconcile
from controllers.pipelines.objectstore.account import KnownKeys
from controllers.pipelines.objectstore.clients import Clients
from controllers.pipelines.objectstore.iam import Users
from controllers.pipelines.objectstore.policies import Dialect
from controllers.pipelines.objectstore.provider import SYSTEM, Provider, StoreConfig
from controllers.pipelines.objectstore.reconcile import AccountApi
from controllers.pipelines.objectstore.s3 import Bucket, KeyChecker
from controllers.pipelines.objectstore.spec import AccountSpec, Credentials, DeletedAccount
from controllers.runtime.external.errors import ExternalError
from controllers.runtime.external.system import ComponentStatus, ExternalSystem

logger = structlog.stdlib.get_logger(__name__)

_AMAZON = "amazonaws.com"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreApi:
    """The blocking APIs of a store."""

    clients: Clients
    users: Users
    bucket: Bucket
    checker: KeyChecker
    account: AccountApi
    """Users, bucket and checker, as the reconcile of an account uses them."""

    def close(self) -> None:
        """Close all connections."""
        self.checker.close()
        self.clients.close()


def connect(config: StoreConfig) -> StoreApi:
    """Return the APIs. Sends no request."""
    connected = clients.connect(config)
    users, bucket = Users(connected), Bucket(connected, config)
    checker = KeyChecker(connected, config)
    account = AccountApi(users=users, bucket=bucket, checker=checker, config=config)
    return StoreApi(clients=connected, users=users, bucket=bucket, checker=checker, account=account)


class ManagedStore:
    """An ``ObjectStore`` that administers users, keys and the bucket's policy."""

    def __init__(self, api: StoreApi, config: StoreConfig, provider: Provider) -> None:
        credentials = config.credentials
        seaweedfs = provider is Provider.SEAWEEDFS
        self._api = api
        self._config = config
        self._dialect = Dialect.SEAWEEDFS if seaweedfs else Dialect.S3
        # Only SeaweedFS lets the caller choose a key's values.
        self._root = credentials.secret_key if seaweedfs and credentials else None
        self._system = ExternalSystem(
            SYSTEM, concurrency=config.workers, wait_seconds=config.wait_seconds
        )
        self._issued: dict[str, tuple[str, Credentials]] = {}  # namespace: UID and key
        self._records: dict[str, tuple[str, str]] = {}  # namespace: entity tag and UID
        self._bucket_error = ""

    async def ensure_key(
        self, spec: AccountSpec, in_secret: Credentials | None
    ) -> Credentials | Finding | None:
        return await self._system.call(
            lambda: self._ensure_key(spec, in_secret),
            tenant=spec.namespace,
            request=(spec, in_secret),
        )

    async def reconcile_bucket(self) -> None:
        try:
            await self._in_background(self._reconcile_bucket)
        except ExternalError as error:
            self._bucket_error = f"the policy of the bucket is not reconciled: {error.message}"
            raise
        self._bucket_error = ""

    async def collect_garbage(
        self, profile_gone: Callable[[str, str], bool]
    ) -> Sequence[DeletedAccount]:
        deleted: list[DeletedAccount] = []
        if self._config.dry_run or not self._config.delete_accounts:
            return deleted
        for namespace, uid in (await self._in_background(self._recorded_uids)).items():
            if uid and profile_gone(namespace, uid):
                account = DeletedAccount(namespace=namespace, uid=uid)
                deleted += [account] if await self._delete(account, profile_gone) else []
        return deleted

    def components(self) -> Sequence[ComponentStatus]:
        status = self._system.status()
        return (replace(status, error=status.error or self._bucket_error),)

    async def close(self) -> None:
        try:
            await self._system.close()
        finally:
            self._api.close()

    async def _in_background(self, function: Callable[[], _T]) -> _T:
        return await self._system.run(lambda: self._system.in_thread(function))

    async def _ensure_key(
        self, spec: AccountSpec, in_secret: Credentials | None
    ) -> Credentials | Finding:
        uid, key = self._issued.get(spec.namespace, ("", None))
        known = KnownKeys(in_secret=in_secret, issued=key if uid == spec.uid else None)
        result = await self._system.in_thread(
            lambda: reconcile.ensure_key(self._api.account, self._root, spec, known)
        )
        if isinstance(result, Credentials):
            self._issued[spec.namespace] = (spec.uid, result)
        else:
            self._issued.pop(spec.namespace, None)
        return result

    async def _delete(
        self, account: DeletedAccount, profile_gone: Callable[[str, str], bool]
    ) -> bool:
        async def delete() -> bool:
            # Checked again: a call of ensure_key for this namespace may have come first.
            if not profile_gone(account.namespace, account.uid):
                return False
            return await self._system.in_thread(
                lambda: reconcile.delete_account(self._api.account, account.namespace, account.uid)
            )

        deleted = await self._system.run(delete, tenant=account.namespace)
        if deleted:
            self._issued.pop(account.namespace, None)
        return deleted

    def _reconcile_bucket(self) -> None:
        bucket, name = self._api.bucket, self._config.bucket
        policy = bucket.policy()
        wanted_policy = policies.bucket_policy(
            policy, name, dialect=self._dialect, account=self._amazon_account()
        )
        rules = bucket.lifecycle()
        wanted_rules = policies.lifecycle(rules, self._config.retention_days)
        if self._config.dry_run:
            return
        if not policies.same(policy, wanted_policy):
            bucket.put_policy(wanted_policy)
            for statement in policies.dropped(policy):
                logger.warning(
                    "removed a statement of the bucket's policy that allows anyone",
                    bucket=name,
                    statement=statement,
                )
            logger.info("wrote the bucket's policy", bucket=name)
        if wanted_rules != rules:
            bucket.put_lifecycle(wanted_rules)
            logger.info("wrote the bucket's lifecycle rules", bucket=name)

    def _amazon_account(self) -> str | None:
        endpoint = self._config.iam_endpoint
        amazon = endpoint is None or endpoint.rstrip("/").endswith(_AMAZON)
        return self._api.users.account() if amazon else None

    def _recorded_uids(self) -> dict[str, str]:
        """Return namespace -> UID of the owner records. Only changed records are read."""
        records: dict[str, tuple[str, str]] = {}
        for namespace, tag in self._api.bucket.list_records().items():
            before = self._records.get(namespace)
            if before is not None and before[0] == tag:
                records[namespace] = before
                continue
            record = self._api.bucket.read_record(namespace)
            if record is not None:
                records[namespace] = (tag, record.uid)
        self._records = records
        return {namespace: uid for namespace, (_, uid) in records.items()}
