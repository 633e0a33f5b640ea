"""Kubeconfigs, and clients of a scripted server."""

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from controllers.runtime.client import client
from controllers.runtime.client.client import ClientOptions, RequestObserver, RestClient
from controllers.runtime.client.config import Timeouts
from controllers.runtime.options import Connection
from tests.support.http import scripted
from tests.support.http.scripted import Script, Server

TOKEN = "a-token"


def text(cluster: dict[str, Any], **user: str) -> str:
    """A kubeconfig with one context."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": cluster}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            "users": [{"name": "me", "user": user or {"token": TOKEN}}],
        }
    )


def write(folder: Path, cluster: dict[str, Any], **user: str) -> Connection:
    """Write a kubeconfig and return the connection that uses it."""
    file = folder / "kubeconfig"
    file.write_text(text(cluster, **user))
    return Connection(kubeconfig=file)


@dataclass(frozen=True, kw_only=True)
class Connected:
    """A client and its server."""

    client: RestClient
    server: Server


@contextlib.asynccontextmanager
async def connected(
    folder: Path,
    *scripts: Script,
    path: str = "",
    tls: ssl.SSLContext | None = None,
    cluster: dict[str, Any] | None = None,
    user: dict[str, str] | None = None,
    options: ClientOptions | None = None,
    observer: RequestObserver | None = None,
    timeouts: Timeouts | None = None,
) -> AsyncIterator[Connected]:
    """A client of a server that runs these scripts."""
    async with scripted.serving(*scripts, tls=tls) as server:
        scheme = "https" if tls else "http"
        url = f"{scheme}://{scripted.HOST}:{server.port}{path}"
        connection = write(folder, {"server": url, **(cluster or {})}, **(user or {}))
        made = await client.connect(connection, options or ClientOptions(), observer, timeouts)
        try:
            yield Connected(client=made, server=server)
        finally:
            await made.close()
