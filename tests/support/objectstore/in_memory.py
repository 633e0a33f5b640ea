"""An object store in memory, for tests of what the pipelines controller makes of one."""

from collections.abc import Callable, Sequence

from controllers.pipelines.objectstore.provider import Credentials, Refusal, Swept, Tenant


class MemoryStore:
    """Remembers the one live key of each namespace. `answers` is what a test wants said instead."""

    def __init__(self) -> None:
        self.live: dict[str, Credentials] = {}
        self.asked: list[tuple[Tenant, Credentials | None]] = []
        self.minted = 0
        self.maintained = 0
        self.swept: list[Callable[[str, str], bool]] = []
        self.error: Exception | None = None
        self.refusal: Refusal | None = None
        self.closed = False

    async def ensure(
        self, tenant: Tenant, held: Credentials | None
    ) -> Credentials | Refusal | None:
        self.asked.append((tenant, held))
        if self.error:
            raise self.error
        if self.refusal:
            return self.refusal
        live = self.live.get(tenant.namespace)
        if live is None or held != live:
            self.minted += 1
            live = Credentials(access_key=f"key-{self.minted}", secret_key=f"hidden-{self.minted}")
            self.live[tenant.namespace] = live
        return live

    async def maintain(self) -> None:
        self.maintained += 1
        if self.error:
            raise self.error

    async def sweep(self, profile_gone: Callable[[str, str], bool]) -> Sequence[Swept]:
        self.swept.append(profile_gone)
        return ()

    def health(self) -> str:
        return str(self.error or "")

    async def close(self) -> None:
        self.closed = True
