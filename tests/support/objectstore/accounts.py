"""A namespace's account in a real object store, as its tests see and disturb it."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from controllers.pipelines.objectstore import policies
from controllers.pipelines.objectstore.managed import ManagedStore
from controllers.pipelines.objectstore.observe import Parts
from controllers.pipelines.objectstore.provider import (
    Connection,
    Credentials,
    Decision,
    Provider,
    Refusal,
    Tenant,
)
from tests.support.cluster import waiting
from tests.support.objectstore.seaweedfs import SeaweedFS

_numbers = itertools.count(1)


@dataclass(kw_only=True)
class World:
    """A bucket of a store, a ManagedStore on it, and one tenant."""

    seaweedfs: SeaweedFS
    connection: Connection
    store: ManagedStore
    name: str
    made: tuple[Provider, Connection]
    parts: Parts
    """The store's own, which a test may have replaced by fragile ones."""
    uid: str = "uid-1"
    held: Credentials | None = None
    """What the Secret holds."""
    marked: list[str] = field(default_factory=list)
    """Keys that a trouble left on the user: not ours to answer for until they are cut."""

    @classmethod
    def make(
        cls, seaweedfs: SeaweedFS, prefix: str, provider: Provider = Provider.SEAWEEDFS, **more: Any
    ) -> "World":
        """A new bucket and a tenant of a new name."""
        name = f"{prefix}-{next(_numbers)}"
        connection = seaweedfs.connection(seaweedfs.make_bucket(f"bucket-{name}"), **more)
        store = ManagedStore(provider, connection)
        return cls(
            seaweedfs=seaweedfs,
            connection=connection,
            store=store,
            name=name,
            made=(provider, connection),
            parts=store.parts,
        )

    def restarted(self, provider: Provider = Provider.SEAWEEDFS) -> None:
        """Another process: nothing is remembered."""
        if (provider, self.connection) == self.made:
            # Clients take half a second of processor time to make, and remember nothing.
            self.store._remembered.clear()
            self.store._recorded.clear()
            self.store._patience.succeeded()
            self.store.parts = self.parts
        else:
            self.store = ManagedStore(provider, self.connection)
            self.made = (provider, self.connection)
            self.parts = self.store.parts

    def tenant(self, decision: Decision = Decision.UNDECIDED, generation: str = "") -> Tenant:
        return Tenant(namespace=self.name, uid=self.uid, decision=decision, generation=generation)

    async def ensure(self, tenant: Tenant | None = None) -> Credentials | Refusal | None:
        """As a reconcile: what is answered goes into the Secret."""
        answer = await self.store.ensure(tenant or self.tenant(), self.held)
        self.held = answer if isinstance(answer, Credentials) else None
        return answer

    async def granted(self, tenant: Tenant | None = None) -> Credentials:
        """The key, once S3 knows it."""
        answer = await self.ensure(tenant)
        assert isinstance(answer, Credentials), answer
        self.wait_until_known(answer)
        return answer

    async def refused(self, tenant: Tenant | None = None) -> Refusal:
        answer = await self.ensure(tenant)
        assert isinstance(answer, Refusal), answer
        return answer

    def wait_until_known(self, credentials: Credentials) -> None:
        """S3 hears of a change of IAM a moment later."""
        waiting.until(lambda: self.can_read(credentials), f"S3 knows the key of {self.name}")

    def can_read(self, credentials: Credentials) -> bool:
        try:
            self.seaweedfs.s3(credentials).get_object(
                Bucket=self.connection.bucket, Key=f"private/{self.name}/none"
            )
        except Exception as error:  # noqa: BLE001 - boto3 makes its classes at run time
            return "NoSuchKey" in str(error)
        return True

    # What is there

    @property
    def keys(self) -> list[str]:
        return self.seaweedfs.keys(self.name)

    def mark_keys(self) -> None:
        """From here on, what is added is the store's doing."""
        self.marked = self.keys

    def extra_keys(self) -> list[str]:
        """What there is beyond one key, and beyond those that were marked."""
        made = [one for one in self.keys if one not in self.marked]
        left = [one for one in self.keys if one in self.marked]
        # A key is made only when every other is gone.
        return [*made[1:], *(left if made else ())]

    @property
    def policy(self) -> Any:
        found = self.seaweedfs.iam().get_user_policy(
            UserName=self.name, PolicyName=policies.policy_name(self.name)
        )
        return found["PolicyDocument"]

    def objects(self, prefix: str = "") -> set[str]:
        found = self.seaweedfs.s3().list_object_versions(
            Bucket=self.connection.bucket, Prefix=prefix
        )
        return {one["Key"] for one in found.get("Versions", ())}

    # What goes wrong

    def put(self, key: str, body: bytes = b"1") -> str:
        """An object, as administrator."""
        self.seaweedfs.s3().put_object(Bucket=self.connection.bucket, Key=key, Body=body)
        return key

    def lose_key(self) -> None:
        for key in self.keys:
            self.seaweedfs.iam().delete_access_key(UserName=self.name, AccessKeyId=key)

    def lose_user(self) -> None:
        self.seaweedfs.iam().delete_user(UserName=self.name)

    def lose_secret(self) -> None:
        self.held = None

    def edit_secret(self) -> None:
        self.held = Credentials(access_key="EDITEDBYSOMEBODY1234", secret_key="no-key-of-anybody")

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

    def serve_as_kfp(self) -> Credentials:
        """User, policy and key as KFP's own controller makes them; the Secret holds the key."""
        self.held = self.add_key()
        self.put_policy(policies.user_policy(self.connection.bucket, self.name))
        self.wait_until_known(self.held)
        return self.held


Trouble = Callable[[World], object]
