"""An object store in memory, for unit tests of the pipelines controller."""

from collections.abc import Callable, Sequence

from controllers.findings import Finding
from controllers.pipelines.objectstore.spec import AccountSpec, Credentials, DeletedAccount
from controllers.runtime.external.system import ComponentStatus


class MemoryStore:
    """Holds one key for each namespace. ``error`` or ``finding`` replaces the result."""

    def __init__(self) -> None:
        self.keys: dict[str, Credentials] = {}
        self.calls: list[tuple[AccountSpec, Credentials | None]] = []
        self.created = 0
        self.bucket_reconciles = 0
        self.collections: list[Callable[[str, str], bool]] = []
        self.error: Exception | None = None
        self.finding: Finding | None = None
        self.closed = False

    async def ensure_key(
        self, spec: AccountSpec, in_secret: Credentials | None
    ) -> Credentials | Finding | None:
        self.calls.append((spec, in_secret))
        if self.error:
            raise self.error
        if self.finding:
            return self.finding
        key = self.keys.get(spec.namespace)
        if key is None or in_secret != key:
            self.created += 1
            key = Credentials(access_key=f"key-{self.created}", secret_key=f"hidden-{self.created}")
            self.keys[spec.namespace] = key
        return key

    async def reconcile_bucket(self) -> None:
        self.bucket_reconciles += 1
        if self.error:
            raise self.error

    async def collect_garbage(
        self, profile_gone: Callable[[str, str], bool]
    ) -> Sequence[DeletedAccount]:
        self.collections.append(profile_gone)
        return ()

    def components(self) -> Sequence[ComponentStatus]:
        return (ComponentStatus(name="object-store", error=str(self.error or "")),)

    async def close(self) -> None:
        self.closed = True
