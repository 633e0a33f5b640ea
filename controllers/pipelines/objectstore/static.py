"""Object stores that need no administration: one key for all, or none at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from controllers.pipelines.objectstore.provider import Credentials, Refusal, Swept, Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticStore:
    """See ``stores.ObjectStore``. Every namespace gets ``credentials``; None: no Secret at all."""

    credentials: Credentials | None

    async def ensure(
        self,
        tenant: Tenant,  # noqa: ARG002 - all tenants are the same here
        held: Credentials | None,  # noqa: ARG002 - as before
    ) -> Credentials | Refusal | None:
        return self.credentials

    async def maintain(self) -> None:
        """Nothing is ours to maintain."""

    async def sweep(
        self,
        profile_gone: Callable[[str, str], bool],  # noqa: ARG002 - nobody is recorded
    ) -> Sequence[Swept]:
        return ()

    def health(self) -> str:
        """Nobody is asked."""
        return ""

    async def close(self) -> None:
        """Nothing is open."""
