"""Makes the object store of a provider."""

from __future__ import annotations

from controllers.pipelines.objectstore.provider import (
    Connection,
    Credentials,
    ObjectStore,
    Provider,
)
from controllers.pipelines.objectstore.static import StaticStore


def make(provider: Provider, connection: Connection, shared: Credentials | None) -> ObjectStore:
    """The store; nothing is asked of it yet. ``shared`` is the key for all of ``STATIC``.

    boto3 is imported here, and only for those that need it: it takes 20 MB.
    """
    match provider:
        case Provider.STATIC:
            if shared is None:
                raise ValueError("provider static: no key for all given")
            return StaticStore(credentials=shared)
        case Provider.NONE:
            return StaticStore(credentials=None)
        case Provider.SEAWEEDFS | Provider.AWS:
            from controllers.pipelines.objectstore.managed import ManagedStore  # noqa: PLC0415 - see above

            return ManagedStore(provider, connection)
