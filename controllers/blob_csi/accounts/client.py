"""Requests to the blob service of one storage account. The only import of azure-storage-blob.

No error message contains the full response of the service: it can quote signatures.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from azure.core import exceptions
from azure.storage.blob.aio import BlobLeaseClient, BlobServiceClient, ContainerClient

from controllers.blob_csi.accounts.secrets import AccountKey
from controllers.runtime.external.errors import ExternalError, Scope

LEASE_SECONDS = 15
"""The minimum that Azure grants. A lease of a process that ended blocks others no longer."""
_DELETING_SECONDS = 30.0
"""Azure does not recreate a deleted container within this time."""
_REDIRECTS = 300
_SERVER_ERRORS = 500
_TOO_MANY_REQUESTS = 429
_REQUEST_TIMEOUT = 408
_CONTAINER_ERRORS: Mapping[str, tuple[str, float]] = {
    "ContainerBeingDeleted": ("the container is being deleted", _DELETING_SECONDS),
    "ContainerNotFound": ("the container was deleted concurrently", 1.0),
    "LeaseAlreadyPresent": ("another client has a lease on the container", LEASE_SECONDS),
    "LeaseIdMismatchWithContainerOperation": (
        "another client has a lease on the container",
        LEASE_SECONDS,
    ),
    "LeaseIdMissing": ("another client has a lease on the container", LEASE_SECONDS),
    "LeaseLost": ("the lease expired before the request", 1.0),
}
"""Error codes that concern one container only: the message, and seconds until the next attempt."""


class AzureClient:
    """Requests to one account, each with a timeout.

    Every method raises ExternalError. There are no retries: the ExternalSystem of the account has
    the backoff of all profiles.
    """

    def __init__(self, key: AccountKey, url: str, *, timeout: float) -> None:
        """Open no connection. ``timeout`` is in seconds."""
        self.account = key.account
        self._timeout = timeout
        self._service = BlobServiceClient(
            url,
            credential={"account_name": key.account, "account_key": key.key},
            retry_total=0,
            permit_redirects=False,  # the key must not be sent to another host
            connection_timeout=timeout,
            read_timeout=timeout,
        )

    async def list_containers(self) -> dict[str, Mapping[str, str]]:
        """Return the metadata of every container, by name."""
        found: dict[str, Mapping[str, str]] = {}
        pages = self._service.list_containers(include_metadata=True).by_page()
        while True:
            async with self._request("list containers"):
                try:
                    page = await anext(pages)
                except StopAsyncIteration:
                    return found
                async for one in page:
                    found[one.name] = one.metadata or {}

    async def get_metadata(self, name: str) -> Mapping[str, str] | None:
        """Return the metadata of a container, or None if it does not exist."""
        async with self._request(f"get container {name}"):
            try:
                properties = await self._container(name).get_container_properties()
            except exceptions.ResourceNotFoundError as error:
                if _code(error) in ("ContainerNotFound", "ResourceNotFound"):
                    return None
                raise
            return properties.metadata or {}

    async def create_container(self, name: str, metadata: Mapping[str, str]) -> bool:
        """Create a private container. Returns False if it exists already."""
        async with self._request(f"create container {name}"):
            try:
                await self._container(name).create_container(metadata=dict(metadata))
            except exceptions.ResourceExistsError as error:
                if _code(error) in ("ContainerAlreadyExists", "ResourceAlreadyExists"):
                    return False
                raise
            return True

    @contextlib.asynccontextmanager
    async def lease(self, name: str) -> AsyncGenerator[BlobLeaseClient]:
        """Prevent other processes from changing the container's metadata and from deleting it."""
        async with self._request(f"lease container {name}"):
            lease = await self._container(name).acquire_lease(LEASE_SECONDS)
        try:
            yield lease
        finally:
            # The container may be deleted; and the lease expires anyway.
            with contextlib.suppress(ExternalError):
                async with self._request(f"release the lease of container {name}"):
                    await lease.release()

    async def set_metadata(
        self, name: str, metadata: Mapping[str, str], lease: BlobLeaseClient
    ) -> None:
        """Replace the container's metadata."""
        async with self._request(f"set the metadata of container {name}"):
            await self._container(name).set_container_metadata(dict(metadata), lease=lease)

    async def delete_container(self, name: str, lease: BlobLeaseClient) -> None:
        """Delete the container with its blobs."""
        async with self._request(f"delete container {name}"):
            await self._container(name).delete_container(lease=lease)

    async def close(self) -> None:
        """Close the connections."""
        await self._service.close()

    def _container(self, name: str) -> ContainerClient:
        return self._service.get_container_client(name)

    @contextlib.asynccontextmanager
    async def _request(self, operation: str) -> AsyncIterator[None]:
        where = f"storage account {self.account}: {operation}"
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except TimeoutError:
            raise ExternalError(
                "StorageAccountTimeout",
                f"{where}: no response within {self._timeout:g} s",
                scope=Scope.SYSTEM,
            ) from None
        except exceptions.AzureError as error:
            raise _external_error(error, where) from None
        except (AttributeError, TypeError, ValueError):
            # The library raises these for a response that is not Azure's.
            raise _invalid_response(where) from None


def _external_error(error: exceptions.AzureError, where: str) -> ExternalError:
    if not isinstance(error, exceptions.HttpResponseError):
        # The connection was refused or lost, the host is unknown, or the read timed out.
        message = f"{where}: {str(error).splitlines()[0]}"
        return ExternalError("StorageAccountUnreachable", message, scope=Scope.SYSTEM)
    status, code = error.status_code or 0, _code(error)
    if status < _REDIRECTS:
        return _invalid_response(where)
    if code in _CONTAINER_ERRORS:
        cause, seconds = _CONTAINER_ERRORS[code]
        return ExternalError(code, f"{where}: {cause}; will retry", retry_after=seconds)
    message = f"{where}: {status} {code}".rstrip()
    if status in (_TOO_MANY_REQUESTS, _REQUEST_TIMEOUT) or status >= _SERVER_ERRORS:
        return ExternalError(
            "StorageAccountBusy", message, scope=Scope.SYSTEM, retry_after=_retry_after(error)
        )
    return ExternalError(
        "StorageAccountRequestRejected",
        f"{message}; check the account key in the Secret and the firewall of the account",
        scope=Scope.SYSTEM,
        action_required=True,
    )


def _invalid_response(where: str) -> ExternalError:
    return ExternalError(
        "StorageAccountInvalidResponse",
        f"{where}: the response is not that of an Azure blob service; check the setting"
        " storage_endpoint and the proxy",
        scope=Scope.SYSTEM,
    )


def _code(error: exceptions.HttpResponseError) -> str:
    """Return Azure's error code such as ContainerBeingDeleted, else the HTTP reason phrase."""
    code: Any = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or error.reason or "")


def _retry_after(error: exceptions.HttpResponseError) -> float | None:
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
    try:
        return max(float(headers["Retry-After"]), 0.0)
    except (KeyError, ValueError):
        return None
