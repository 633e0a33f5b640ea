"""A tenant's account in a real object store, and the failures that its tests cause."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from controllers.findings import Finding
from controllers.pipelines.objectstore import policies, store
from controllers.pipelines.objectstore.provider import Provider, StoreConfig
from controllers.pipelines.objectstore.s3 import Bucket
from controllers.pipelines.objectstore.spec import AccountSpec, Credentials, OldObjects
from controllers.pipelines.objectstore.store import ManagedStore, StoreApi
from tests.support.cluster import waiting
from tests.support.objectstore.seaweedfs import SeaweedFS

_numbers = itertools.count(1)


@dataclass(kw_only=True)
class StoreTenant:
    """A bucket, a ManagedStore on it, and one tenant."""

    seaweedfs: SeaweedFS
    config: StoreConfig
    provider: Provider
    api: StoreApi
    store: ManagedStore
    name: str
    uid: str = "uid-1"
    in_secret: Credentials | None = None
    """The key in the Secret."""
    present_keys: list[str] = field(default_factory=list)
    """Keys that a failure left on the user: they count as extra keys once a key is created."""

    @classmethod
    def create(
        cls,
        seaweedfs: SeaweedFS,
        prefix: str,
        provider: Provider = Provider.SEAWEEDFS,
        **config: Any,
    ) -> "StoreTenant":
        """Create a bucket and a tenant; ``config`` changes fields of StoreConfig."""
        name = f"{prefix}-{next(_numbers)}"
        made = seaweedfs.config(seaweedfs.make_bucket(f"bucket-{name}"), **config)
        api = store.connect(made)
        return cls(
            seaweedfs=seaweedfs,
            config=made,
            provider=provider,
            api=api,
            store=ManagedStore(api, made, provider),
            name=name,
        )

    def restart(self) -> None:
        """Replace the store by the one of another process, which knows no key.

        The clients stay: they take half a second of processor time, and hold no state.
        """
        self.store = ManagedStore(self.api, self.config, self.provider)

    def reconnect(self, **config: Any) -> None:
        """Replace clients and store by ones with other fields of StoreConfig."""
        self.config = replace(self.config, **config)
        self.api = store.connect(self.config)
        self.restart()

    def set_batch_size(self, batch_size: int) -> None:
        """Let one call archive or purge no more than so many objects."""
        bucket = Bucket(self.api.clients, self.config, batch_size=batch_size)
        self.api = replace(
            self.api, bucket=bucket, account=replace(self.api.account, bucket=bucket)
        )
        self.restart()

    def spec(
        self, old_objects: OldObjects = OldObjects.REFUSE, generation: str = ""
    ) -> AccountSpec:
        return AccountSpec(
            namespace=self.name, uid=self.uid, old_objects=old_objects, generation=generation
        )

    async def ensure_key(self, spec: AccountSpec | None = None) -> Credentials | Finding | None:
        """As a reconcile: the result is written to the Secret."""
        result = await self.store.ensure_key(spec or self.spec(), self.in_secret)
        self.in_secret = result if isinstance(result, Credentials) else None
        return result

    async def key(self, spec: AccountSpec | None = None) -> Credentials:
        """Return the key, once S3 knows it."""
        result = await self.ensure_key(spec)
        assert isinstance(result, Credentials), result
        self.wait_until_known(result)
        return result

    async def finding(self, spec: AccountSpec | None = None) -> Finding:
        """Return why there is no key."""
        result = await self.ensure_key(spec)
        assert isinstance(result, Finding), result
        return result

    def wait_until_known(self, credentials: Credentials) -> None:
        """Wait until the change of IAM has reached S3."""
        waiting.until(lambda: self.can_read(credentials), f"S3 knows the key of {self.name}")

    def can_read(self, credentials: Credentials) -> bool:
        try:
            self.seaweedfs.s3(credentials).get_object(
                Bucket=self.config.bucket, Key=f"private/{self.name}/none"
            )
        except Exception as error:  # noqa: BLE001 - boto3 creates its exception classes at run time
            return "NoSuchKey" in str(error)
        return True

    # -- what exists ------------------------------------------------------------------------------

    @property
    def keys(self) -> list[str]:
        return self.seaweedfs.keys(self.name)

    def ignore_present_keys(self) -> None:
        """Count only keys that are created from now on as the store's."""
        self.present_keys = self.keys

    def extra_keys(self) -> list[str]:
        """Return the keys beyond one, without the ignored ones."""
        created = [one for one in self.keys if one not in self.present_keys]
        present = [one for one in self.keys if one in self.present_keys]
        # A key is created only when every other is deleted.
        return [*created[1:], *(present if created else ())]

    @property
    def policy(self) -> Any:
        found = self.seaweedfs.iam().get_user_policy(
            UserName=self.name, PolicyName=policies.policy_name(self.name)
        )
        return found["PolicyDocument"]

    def objects(self, prefix: str = "") -> set[str]:
        found = self.seaweedfs.s3().list_object_versions(Bucket=self.config.bucket, Prefix=prefix)
        return {one["Key"] for one in found.get("Versions", ())}

    # -- changes from outside ---------------------------------------------------------------------

    def put(self, key: str, body: bytes = b"1") -> str:
        """Write an object as administrator."""
        self.seaweedfs.s3().put_object(Bucket=self.config.bucket, Key=key, Body=body)
        return key

    def delete_key(self) -> None:
        for key in self.keys:
            self.seaweedfs.iam().delete_access_key(UserName=self.name, AccessKeyId=key)

    def delete_user(self) -> None:
        self.seaweedfs.iam().delete_user(UserName=self.name)

    def delete_secret(self) -> None:
        self.in_secret = None

    def edit_secret(self) -> None:
        self.in_secret = Credentials(
            access_key="EDITEDBYSOMEBODY1234", secret_key="no-key-of-anybody"
        )

    def add_key(self) -> Credentials:
        made = self.seaweedfs.iam().create_access_key(UserName=self.name)["AccessKey"]
        return Credentials(access_key=made["AccessKeyId"], secret_key=made["SecretAccessKey"])

    def widen_policy(self) -> None:
        document = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}],
        }
        self.put_policy(document)

    def put_policy(self, document: Any) -> None:
        self.seaweedfs.iam().put_user_policy(
            UserName=self.name,
            PolicyName=policies.policy_name(self.name),
            PolicyDocument=json.dumps(document),
        )

    def create_as_kfp(self) -> Credentials:
        """Create user, policy and key as KFP's own controller does; the Secret holds the key."""
        self.in_secret = self.add_key()
        self.put_policy(policies.user_policy(self.config.bucket, self.name))
        self.wait_until_known(self.in_secret)
        return self.in_secret


Damage = Callable[[StoreTenant], object]
