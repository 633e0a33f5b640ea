"""What the pipelines controller asks of an object store, and what it is told. No I/O, no boto3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol


class Provider(Enum):
    """Where the keys of the namespaces come from."""

    SEAWEEDFS = "seaweedfs"
    """A user and a key for each namespace; the caller chooses a key's values."""
    AWS = "aws"
    """The same on any S3 and IAM API; the store chooses a key's values."""
    STATIC = "static"
    """One key for all, given in the settings."""
    NONE = "none"
    """No Secret at all: pods have an identity of their own (workload identity)."""


class Decision(Enum):
    """What becomes of the objects that an earlier tenant of the same name left behind."""

    UNDECIDED = ""
    """Nobody said: no key."""
    ACCEPT = "accept"
    """The new tenant gets them."""
    ARCHIVE = "archive"
    """They are moved out of the reach of all tenants; below ``Connection.records``."""
    PURGE = "purge"
    """They are deleted, every version of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A key of the object store. The secret half is in no repr and so in no log."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Whom a key is for.

    ``uid`` is the Profile's; empty for a namespace without one (webhook mode), whose user is never
    swept. A change of ``generation`` (any text of an operator's, such as an annotation's value)
    asks for another key: the way to revoke one that leaked.
    """

    namespace: str
    uid: str = ""
    decision: Decision = Decision.UNDECIDED
    for_all: bool = False
    """The decision was made for all tenants and not about this one (``accounts.decision``)."""
    generation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a tenant gets no key until a person acts.

    ``reason`` is CamelCase, ``message`` names the user or prefix and says what would be right. The
    namespace's other objects are to be kept all the same, and its Secret is to be taken away: what
    it holds opens nothing any more, or what it must not.
    """

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """A user that was removed: of which namespace, and the UID of the Profile that it was for."""

    namespace: str
    uid: str


class StoreError(Exception):
    """Why the store could not be brought into shape.

    ``reason`` is CamelCase; the text says what was asked of which endpoint and what came back, and
    holds no secret. ``after`` is how many seconds to wait before trying again; None: trying again
    will not help until a person changes something.
    """

    reason = "ObjectStoreFailed"

    def __init__(self, message: str, *, after: float | None = None) -> None:
        """As the class says."""
        super().__init__(message)
        self.message = message
        self.after = after


class UnavailableError(StoreError):
    """The store did not answer, or said that it cannot now. ``after`` is always set.

    All namespaces share one backoff (1 s to 1 min, jittered): until it ends, every call fails at
    once with what remains of it, and then one call alone tries.
    """

    reason = "ObjectStoreUnavailable"


class UnfinishedError(StoreError):
    """All went well and there is more to do, such as a long purge. ``after`` is always set."""

    reason = "ObjectStoreUnfinished"


class RejectedError(StoreError):
    """The store understood and said no: wrong credentials, no such bucket, an invalid policy."""

    reason = "ObjectStoreRejected"


class ObjectStore(Protocol):
    """An object store that gives each namespace a key of its own.

    Every method may be called at any time, concurrently, and again after any failure; none blocks
    the event loop. Each raises StoreError: UnavailableError and UnfinishedError pass,
    RejectedError does not. In a dry run nothing in the store is changed.
    """

    async def ensure(
        self, tenant: Tenant, held: Credentials | None
    ) -> Credentials | Refusal | None:
        """The key that the namespace's Secret has to hold; ``held`` is what it holds now.

        Makes user, policy and key where they are missing, repairs them where they were changed,
        and leaves exactly one live key on the user. The answer equals ``held`` whenever that works
        and is the tenant's own. None: the namespace is to have no Secret.
        """

    async def maintain(self) -> None:
        """The bucket's policy and retention as they should be. At start and every resync.

        Raises RejectedError where there is no such bucket: it is KFP's to make.
        """

    async def sweep(self, profile_gone: Callable[[str, str], bool]) -> Sequence[Swept]:
        """Removes key, policy and user of every namespace that was recorded and is gone.

        ``profile_gone`` returns, for a namespace and a recorded UID, whether that Profile is
        known to be gone. It is asked afresh right before a removal, on the event loop, so it may
        read the informers' memory. It must say False for what this process cannot know: before
        the Profiles are synced, and for UIDs of other shards. Objects are never removed.
        """

    def health(self) -> str:
        """Why nobody is asking the store now; empty when it answers. From any thread."""

    async def close(self) -> None:
        """Waits for what is under way and gives connections and threads back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach the store and what to keep in it; parsed and checked by the settings.

    Endpoints are URLs; None is AWS's own of ``region``. ``credentials`` are an administrator's;
    None takes boto3's own chain (workload identity of the controller). ``retention_days`` above 0
    expires what is under private-artifacts. ``records`` is the prefix, outside the tenants' own,
    under which it is recorded whose each user is; no two clusters may share it in one bucket.
    ``workers`` bounds requests in flight; ``timeout`` is of one request, in seconds.
    """

    bucket: str = "mlpipeline"
    s3_endpoint: str | None = "http://seaweedfs.kubeflow:8333"
    iam_endpoint: str | None = "http://seaweedfs.kubeflow:8111"
    region: str = "us-east-1"
    credentials: Credentials | None = None
    retention_days: int = -1
    records: str = "profiles-controller/"
    workers: int = 8
    timeout: float = 10.0
    dry_run: bool = False
