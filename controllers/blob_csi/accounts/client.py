"""One storage account over the wire. The only import of azure-storage-blob.

No error that leaves here holds what the service says at length: that quotes signatures.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from azure.core import exceptions
from azure.storage.blob.aio import BlobLeaseClient, BlobServiceClient, ContainerClient

from controllers.blob_csi.accounts.secrets import AccountKey
from controllers.blob_csi.accounts.troubles import AccountError

LEASE_SECONDS = 15
"""The shortest that Azure grants: whoever dies with it keeps the others off no longer."""
_DELETING_SECONDS = 30.0
"""For so long, at least, Azure makes no container anew that was deleted."""
_CLOSING_SECONDS = 5.0
_REDIRECTS = 300
_SERVER_ERRORS = 500
_TOO_MANY_REQUESTS = 429
_REQUEST_TIMEOUT = 408
_OF_ONE_CONTAINER: Mapping[str, tuple[str, float]] = {
    "ContainerBeingDeleted": ("is being deleted by somebody", _DELETING_SECONDS),
    "ContainerNotFound": ("went meanwhile", 1.0),
    "LeaseAlreadyPresent": ("is leased by somebody else", LEASE_SECONDS),
    "LeaseIdMismatchWithContainerOperation": ("is leased by somebody else", LEASE_SECONDS),
    "LeaseIdMissing": ("is leased by somebody else", LEASE_SECONDS),
    "LeaseLost": ("took longer than its lease", 1.0),
}
"""Error codes that say nothing of the account: the message, and seconds to wait."""


class Client:
    """Requests to one account, each bounded in time, and so many at once.

    Every method raises AccountError.
    """

    def __init__(self, key: AccountKey, url: str, *, timeout: float, requests: int) -> None:
        """Opens no connection yet. ``timeout`` is in seconds."""
        self.account = key.account
        self._timeout = timeout
        self._requests = requests
        self._slots = asyncio.Semaphore(requests)
        self._closed = False
        self._service = BlobServiceClient(
            url,
            credential={"account_name": key.account, "account_key": key.key},
            # Retries are ours: all profiles share one backoff.
            retry_total=0,
            permit_redirects=False,  # a key is for the account alone
            connection_timeout=timeout,
            read_timeout=timeout,
        )

    async def containers(self) -> dict[str, Mapping[str, str]]:
        """The metadata of every container, by name."""
        found: dict[str, Mapping[str, str]] = {}
        pages = self._service.list_containers(include_metadata=True).by_page()
        while True:
            async with self._asking("listing its containers"):
                try:
                    page = await anext(pages)
                except StopAsyncIteration:
                    return found
                async for one in page:
                    found[one.name] = one.metadata or {}

    async def look(self, name: str) -> Mapping[str, str] | None:
        """The metadata of one container; None where there is none."""
        async with self._asking(f"container {name}"):
            try:
                properties = await self._container(name).get_container_properties()
            except exceptions.ResourceNotFoundError as error:
                if _code(error) in ("ContainerNotFound", "ResourceNotFound"):
                    return None
                raise
            return properties.metadata or {}

    async def create(self, name: str, metadata: Mapping[str, str]) -> bool:
        """Makes a private container; False where there is one already."""
        async with self._asking(f"making container {name}"):
            try:
                await self._container(name).create_container(metadata=dict(metadata))
            except exceptions.ResourceExistsError as error:
                if _code(error) in ("ContainerAlreadyExists", "ResourceAlreadyExists"):
                    return False
                raise
            return True

    @contextlib.asynccontextmanager
    async def leased(self, name: str) -> AsyncGenerator[BlobLeaseClient]:
        """Keeps every other process from writing the container's metadata, and from deleting it."""
        async with self._asking(f"leasing container {name}"):
            lease = await self._container(name).acquire_lease(LEASE_SECONDS)
        try:
            yield lease
        finally:
            # It may be gone with its container; and it ends by itself.
            with contextlib.suppress(AccountError):
                async with self._asking(f"releasing container {name}"):
                    await lease.release()

    async def write(self, name: str, metadata: Mapping[str, str], lease: BlobLeaseClient) -> None:
        """Replaces the container's metadata."""
        async with self._asking(f"marking container {name}"):
            await self._container(name).set_container_metadata(dict(metadata), lease=lease)

    async def delete(self, name: str, lease: BlobLeaseClient) -> None:
        """Deletes the container with all that is in it."""
        async with self._asking(f"deleting container {name}"):
            await self._container(name).delete_container(lease=lease)

    async def close(self) -> None:
        """Lets requests under way end, for some seconds; those that wait for a turn get none."""
        self._closed = True
        taken = 0
        try:
            async with asyncio.timeout(_CLOSING_SECONDS):
                while taken < self._requests:
                    await self._slots.acquire()
                    taken += 1
        except TimeoutError:
            pass
        finally:
            for _ in range(taken):
                self._slots.release()
        await self._service.close()

    def _container(self, name: str) -> ContainerClient:
        return self._service.get_container_client(name)

    @contextlib.asynccontextmanager
    async def _asking(self, what: str) -> AsyncIterator[None]:
        where = f"storage account {self.account}, {what}"
        async with self._slots:
            if self._closed:
                raise AccountError("StorageAccountAway", f"{where}: its key is another one by now")
            try:
                async with asyncio.timeout(self._timeout):
                    yield
            except TimeoutError:
                message = f"{where}: no answer within {self._timeout:g} s"
                raise AccountError("StorageAccountSlow", message) from None
            except exceptions.AzureError as error:
                raise _meaning(error, where) from None
            except (AttributeError, TypeError, ValueError):
                # What the library does with the answer of somebody who speaks something else.
                raise _unreadable(where) from None


def _meaning(error: exceptions.AzureError, where: str) -> AccountError:
    if not isinstance(error, exceptions.HttpResponseError):
        # A connection that was refused or lost, a name that is not known, a read that took long.
        message = f"{where}: {str(error).splitlines()[0]}"
        return AccountError("StorageAccountAway", message)
    status, code = error.status_code or 0, _code(error)
    if status < _REDIRECTS:
        return _unreadable(where)
    if code in _OF_ONE_CONTAINER:
        said, after = _OF_ONE_CONTAINER[code]
        return AccountError(code, f"{where}: it {said}", after=after, everybody=False)
    message = f"{where}: {status} {code}".rstrip()
    if status in (_TOO_MANY_REQUESTS, _REQUEST_TIMEOUT) or status >= _SERVER_ERRORS:
        return AccountError("StorageAccountBusy", message, after=_retry_after(error))
    expected = "expected a key in its Secret that opens it, and a network that lets us in"
    return AccountError("StorageAccountRefuses", f"{message}: {expected}", lasting=True)


def _unreadable(where: str) -> AccountError:
    message = f"{where}: an answer that is not Azure's: expected the right endpoint, and no proxy"
    return AccountError("StorageAccountUnreadable", message)


def _code(error: exceptions.HttpResponseError) -> str:
    """Azure's own, such as ContainerBeingDeleted; a word of HTTP where it sent none."""
    code: Any = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or error.reason or "")


def _retry_after(error: exceptions.HttpResponseError) -> float:
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
    try:
        return max(float(headers.get("Retry-After", 0)), 0.0)
    except ValueError:
        return 0.0
