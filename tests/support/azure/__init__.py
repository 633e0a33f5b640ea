"""Azurite, Azure Blob Storage as a program of the tests: several accounts on one port.

It stores everything in memory and starts in about two seconds.
"""

import asyncio
import base64
import contextlib
import http.client
import itertools
import logging
import re
import subprocess
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from controllers.blob_csi.accounts.secrets import AccountKey
from tests.support.azure import program
from tests.support.cluster import waiting
from tests.support.controlplane import ports, processes

if TYPE_CHECKING:  # loaded when it is used: most tests need none of it
    from azure.storage.blob.aio import BlobServiceClient

HOST = "127.0.0.1"
ACCOUNTS = ("goodaccount", "otheraccount", "thirdaccount", "fourthaccount")
LOG_MARKER = "marker-in-the-log"
T = TypeVar("T")

# Requests of the tests must not appear in the captured log.
logging.getLogger("azure").setLevel(logging.WARNING)


def key_of(account: str) -> str:
    """A key of 64 bytes in base64, as Azure's."""
    return base64.b64encode(f"key-of-{account}".encode().ljust(64, b".")).decode()


class Azurite:
    """A running server. Create it with `start`."""

    def __init__(self, workdir: Path) -> None:
        self._workdir = workdir
        self.port = ports.free()
        self._group = processes.Group(workdir)
        self._server: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self.endpoint = f"http://{HOST}:{self.port}/{{account}}"

    @classmethod
    def start(cls, workdir: Path) -> Self:
        """Returns when it serves."""
        workdir.mkdir(parents=True, exist_ok=True)
        azurite = cls(workdir)
        azurite.resume()
        return azurite

    def resume(self) -> None:
        """Starts the program, again and empty after `pause`, on the same port."""
        target = program.AZURITE.ensure()
        accounts = ";".join(f"{name}:{key_of(name)}" for name in ACCOUNTS)
        command: list[str | Path] = [
            "env", f"AZURITE_ACCOUNTS={accounts}", program.node(target), program.script(target),
            "--blobHost", HOST, "--blobPort", str(self.port),
            "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry",
        ]  # fmt: skip
        self._server = self._group.start("azurite", command)
        waiting.until(self._serves, "Azurite serves", seconds=60)

    def _serves(self) -> bool:
        if self._server is not None and self._server.poll() is not None:
            raise processes.ChildFailedError(self._group.last_words("azurite"))
        with contextlib.suppress(OSError):
            return self._get("/") > 0
        return False

    def pause(self) -> None:
        """Kills the program; its port refuses connections until `resume`."""
        if self._server is not None:
            processes.kill(self._server)

    def stop(self) -> None:
        self._group.stop()

    def key(self, account: str = ACCOUNTS[0]) -> AccountKey:
        return AccountKey(account=account, key=key_of(account))

    def url(self, account: str) -> str:
        return self.endpoint.replace("{account}", account)

    # What a platform engineer does and reads

    def containers(self, account: str = ACCOUNTS[0]) -> dict[str, dict[str, str]]:
        """The metadata of each, by name."""

        async def work(service: "BlobServiceClient") -> dict[str, dict[str, str]]:
            listed = service.list_containers(include_metadata=True)
            return {one.name: dict(one.metadata or {}) async for one in listed}

        return self.do(work, account)

    def create(
        self, name: str, account: str = ACCOUNTS[0], metadata: Mapping[str, str] | None = None
    ) -> None:
        async def work(service: "BlobServiceClient") -> None:
            await service.create_container(name, metadata=dict(metadata or {}))

        self.do(work, account)

    def set_metadata(
        self, name: str, metadata: Mapping[str, str], account: str = ACCOUNTS[0]
    ) -> None:
        """Replaces the metadata."""

        async def work(service: "BlobServiceClient") -> None:
            await service.get_container_client(name).set_container_metadata(dict(metadata))

        self.do(work, account)

    def put(self, container: str, blob: str, text: str, account: str = ACCOUNTS[0]) -> None:
        async def work(service: "BlobServiceClient") -> None:
            await service.get_blob_client(container, blob).upload_blob(text.encode())

        self.do(work, account)

    def read(self, container: str, blob: str, account: str = ACCOUNTS[0]) -> str | None:
        """The text of the blob, or None if it does not exist."""

        async def work(service: "BlobServiceClient") -> str | None:
            client = service.get_blob_client(container, blob)
            if not await client.exists():
                return None
            return (await (await client.download_blob()).readall()).decode()

        return self.do(work, account)

    def lease(self, container: str, account: str = ACCOUNTS[0]) -> Callable[[], None]:
        """Take an infinite lease, as another program might; call the result to release it."""

        async def take(service: "BlobServiceClient") -> str:
            lease = await service.get_container_client(container).acquire_lease(-1)
            return str(lease.id)

        lease_id = self.do(take, account)

        async def give(service: "BlobServiceClient") -> None:
            client = service.get_container_client(container)
            await (await client.acquire_lease(-1, lease_id=lease_id)).release()

        return lambda: self.do(give, account)

    def do(self, work: Callable[["BlobServiceClient"], Coroutine[Any, Any, T]], account: str) -> T:
        """Run with the account's key; not from within an event loop."""
        from azure.storage.blob.aio import BlobServiceClient  # noqa: PLC0415

        async def connected() -> T:
            credential = {"account_name": account, "account_key": key_of(account)}
            async with BlobServiceClient(self.url(account), credential=credential) as service:
                return await work(service)

        return asyncio.run(connected())

    def requests(self, account: str = ACCOUNTS[0]) -> list[str]:
        """`METHOD path?query status` of each request to the account so far, in order."""
        marker = f"/{account}/{LOG_MARKER}-{next(self._numbers)}"
        self._get(marker)  # earlier requests precede it in the log
        waiting.until(lambda: marker in self._log(), "the log contains the marker")
        found = re.findall(rf'"(\S+ /{account}\S*) HTTP/1.1" (\d+)', self._log())
        return [f"{request} {status}" for request, status in found if LOG_MARKER not in request]

    def _log(self) -> str:
        return (self._workdir / "azurite.log").read_text(errors="replace")

    def _get(self, path: str) -> int:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().status
