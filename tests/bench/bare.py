"""The bare client: the same requests by aiohttp alone, in a process of its own.

`python -m tests.bench.bare write ...` sends the writes of a cold start, with the same bodies, the
same mix and the same number in flight. `... list ...` lists what a restart lists, and parses and
digests it. Each prints one JSON object: the number, the seconds, and the CPU seconds. `... repair
...` repairs policies as soon as a watch reports a change, and checks nothing else; it prints READY
when the watch is established, and runs until it is killed.
"""

import argparse
import asyncio
import gc
import hashlib
import json
import ssl
import sys
import time
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import orjson
import yaml
import yarl

from controllers.manifests import MANAGED_BY, to_body
from controllers.profiles import Profile, parse_profile
from controllers.runtime.objects.kinds import KINDS
from tests.bench import workload

Json = dict[str, Any]
PAGE = 500
JSON_TYPE = "application/json"
MERGE_PATCH = "application/merge-patch+json"
READY = "ready"


class Write(NamedTuple):
    """One request."""

    method: str
    url: yarl.URL
    body: Json
    content_type: str = JSON_TYPE


class Server:
    """The server and the token of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self.url: str = cluster["server"]
        self._token = config["users"][0]["user"]["token"]
        self._tls = ssl.create_default_context(cafile=cluster["certificate-authority"])

    def session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=0),
            headers={"Authorization": f"Bearer {self._token}", "Accept": JSON_TYPE},
        )

    def at(self, path: str, **query: str) -> yarl.URL:
        text = self.url + path + (f"?{urllib.parse.urlencode(query)}" if query else "")
        return yarl.URL(text, encoded=True)


async def pages(
    session: aiohttp.ClientSession, server: Server, path: str, **query: str
) -> AsyncIterator[list[Json]]:
    query = {"limit": str(PAGE), **query}
    while True:
        async with session.get(server.at(path, **query), raise_for_status=True) as response:
            page = orjson.loads(await response.read())
        yield page.get("items") or []
        if not page["metadata"].get("continue"):
            return
        query["continue"] = page["metadata"]["continue"]


def creates(which: str, server: Server, profile: Profile) -> Iterator[Write]:
    for component, manifest in workload.manifests(which, profile):
        kind = KINDS[manifest.kind]
        url = server.at(kind.path(manifest.namespace), fieldManager=MANAGED_BY)
        body = to_body(manifest, api_version=kind.api_version, profile=profile, component=component)
        yield Write("POST", url, body)


def event(server: Server, profile: Profile) -> Write:
    """The event that the suite creates for its writes."""
    message = ", ".join(f"{one.key} create" for _, one in workload.manifests("network", profile))
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    component = f"{MANAGED_BY}-{workload.NETWORK}"
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{profile.name}.bare", "namespace": "default"},
        "involvedObject": {
            "apiVersion": profile.api_version,
            "kind": "Profile",
            "name": profile.name,
            "uid": profile.uid,
        },
        "reason": "Reconciled",
        "message": message[:1024],
        "type": "Normal",
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "bare",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    return Write("POST", server.at("/api/v1/namespaces/default/events"), body)


def status(server: Server, profile: Profile, objects: int) -> Write:
    """The condition of the suite, with its text: otherwise a restart writes the condition."""
    condition = {
        "type": workload.NETWORK_CONTROLLER.condition,
        "status": "True",
        "message": f"{objects} objects are in place",
    }
    body = {
        "metadata": {"resourceVersion": profile.resource_version, "uid": profile.uid},
        "status": {"conditions": [condition]},
    }
    path = KINDS["Profile"].path(name=profile.name) + "/status"
    return Write("PATCH", server.at(path), body, MERGE_PATCH)


async def plan(server: Server, which: str, events: int, statuses: int) -> list[Write]:
    """The writes of a cold start by profile; `events` and `statuses` limit their numbers."""
    profiles: list[Profile] = []
    async with server.session() as session:
        async for page in pages(session, server, KINDS["Profile"].path()):
            profiles += map(parse_profile, page)
    writes: list[Write] = []
    for number, profile in enumerate(profiles):
        objects = list(creates(which, server, profile))
        writes += objects
        if number < events:
            writes.append(event(server, profile))
        if number < statuses:
            writes.append(status(server, profile, len(objects)))
    return writes


async def send(session: aiohttp.ClientSession, writes: Iterator[Write]) -> None:
    for write in writes:
        async with session.request(
            write.method,
            write.url,
            data=orjson.dumps(write.body),
            headers={"Content-Type": write.content_type},
        ) as response:
            body = await response.read()
            if response.status >= 400 and b"AlreadyExists" not in body:
                raise RuntimeError(f"{write.method} {write.url}: {body.decode()[:300]}")


async def write_all(server: Server, arguments: argparse.Namespace) -> int:
    writes = await plan(server, arguments.controllers, arguments.events, arguments.statuses)
    gc.freeze()
    remaining = iter(writes)
    async with server.session() as session, asyncio.TaskGroup() as group:
        arguments.clock.start()
        for _ in range(arguments.in_flight):
            group.create_task(send(session, remaining))
    return len(writes)


async def list_all(server: Server, arguments: argparse.Namespace) -> int:
    """Profiles, Namespaces and the policies: list, parse, and digest the policies."""
    digests: dict[str, bytes] = {}
    arguments.clock.start()
    async with server.session() as session:
        for kind in ("Profile", "Namespace"):
            async for page in pages(session, server, KINDS[kind].path()):
                digests |= {item["metadata"]["uid"]: b"" for item in page}
        path = KINDS["NetworkPolicy"].path()
        async for page in pages(session, server, path):  # without a selector, as the suite
            for item in page:
                text = orjson.dumps(item["spec"], option=orjson.OPT_SORT_KEYS)
                digest = hashlib.blake2b(text, digest_size=16).digest()
                digests[item["metadata"]["uid"]] = digest
    return len(digests)


async def repair(server: Server, arguments: argparse.Namespace) -> None:
    writes = await plan(server, arguments.controllers, 0, 0)
    desired = {
        (one.body["metadata"]["namespace"], one.body["metadata"]["name"]): one for one in writes
    }
    gc.freeze()

    async def repair_one(session: aiohttp.ClientSession, event: Json) -> None:
        found = event["object"]
        metadata = found["metadata"]
        write = desired[metadata["namespace"], metadata["name"]]
        if event["type"] == "DELETED":
            await send(session, iter([write]))
        elif found["spec"] != write.body["spec"]:
            path = KINDS["NetworkPolicy"].path(metadata["namespace"], metadata["name"])
            body = {**found, "spec": write.body["spec"]}
            await send(session, iter([Write("PUT", server.at(path), body)]))

    path = KINDS["NetworkPolicy"].path()
    async with server.session() as session, asyncio.TaskGroup() as group:
        async with session.get(server.at(path, limit="1"), raise_for_status=True) as response:
            version = orjson.loads(await response.read())["metadata"]["resourceVersion"]
        async with session.get(
            server.at(path, watch="1", resourceVersion=version),
            timeout=aiohttp.ClientTimeout(total=None),
            raise_for_status=True,
        ) as response:
            print(READY, flush=True)
            async for line in response.content:
                group.create_task(repair_one(session, orjson.loads(line)))


class Clock:
    """Wall clock and CPU seconds since `start`."""

    def start(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def read(self) -> dict[str, float]:
        return {"seconds": time.monotonic() - self._wall, "cpu": time.process_time() - self._cpu}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("write", "list", "repair"))
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--controllers", default=workload.NETWORK)
    parser.add_argument("--events", type=int, default=0)
    parser.add_argument("--statuses", type=int, default=0)
    parser.add_argument("--in-flight", type=int, default=16)
    arguments = parser.parse_args()
    arguments.clock = Clock()
    if arguments.what == "repair":
        asyncio.run(repair(Server(arguments.kubeconfig), arguments))
        return 0
    work = write_all if arguments.what == "write" else list_all
    count = asyncio.run(work(Server(arguments.kubeconfig), arguments))
    print(json.dumps({"count": count, **arguments.clock.read()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
