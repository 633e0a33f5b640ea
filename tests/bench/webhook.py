"""Requests per second of the webhook, for namespaces whose objects exist.

A client in the benchmark stands for Metacontroller. It uses the same two cores.
"""

import asyncio
import json
import subprocess
import sys
import time

import aiohttp

from controllers.pipelines import names
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.objectstore.spec import Credentials
from controllers.pipelines.webhook import protocol
from tests.bench import procfs
from tests.bench.environment import report_progress
from tests.bench.rows import Row
from tests.support.cluster import manager_process
from tests.support.controlplane import ports

REQUESTS = 3000
IN_FLIGHT = 16
RUNS = 5


def body(name: str) -> bytes:
    """The request of Metacontroller for a namespace that has every object."""
    settings = PipelinesSettings.model_validate(
        {"artifacts_proxy_enabled": True, "kfp_version": "2"}
    )
    labels = {names.ENABLED_LABEL: "true"}
    parent = {"object": {"metadata": {"name": name, "labels": labels}}, "attachments": {}}
    key = Credentials(access_key="access", secret_key="secret")
    existing: dict[str, dict[str, object]] = {}
    for one in protocol.v2_response(protocol.parse(parent), key, settings)["attachments"]:
        kind = f"{one['kind']}.{one['apiVersion']}"
        existing.setdefault(kind, {})[f"{name}/{one['metadata']['name']}"] = one
    return json.dumps({**parent, "attachments": existing}).encode()


async def measure(port: int) -> float:
    """Requests per second."""
    remaining = iter(range(REQUESTS))
    payloads = [body(f"tenant-{number}") for number in range(100)]

    async def send(session: aiohttp.ClientSession) -> None:
        for number in remaining:
            payload = payloads[number % len(payloads)]
            async with session.post(f"http://127.0.0.1:{port}/sync", data=payload) as response:
                reply = await response.json()
                assert reply["status"] == {"kubeflow-pipelines-ready": "True"}, reply

    async with aiohttp.ClientSession() as session:
        start = time.perf_counter()
        await asyncio.gather(*(send(session) for _ in range(IN_FLIGHT)))
        return REQUESTS / (time.perf_counter() - start)


def rows() -> list[Row]:
    """The rate, and the CPU time per request."""
    report_progress("webhook: requests for namespaces whose objects exist")
    port = ports.free()
    variables = {"CONTROLLER_PORT": str(port), "KFP_VERSION": "2", "ARTIFACTS_PROXY_ENABLED": "1"}
    rates, costs = [], []
    with subprocess.Popen(
        [sys.executable, "-m", "profiles_controller", "pipelines", "--webhook"],
        env=manager_process.environment(**variables),
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            asyncio.run(wait_until_ready(port))
            for _ in range(RUNS):
                before = procfs.cpu_seconds(process.pid)
                rates.append(asyncio.run(measure(port)))
                costs.append((procfs.cpu_seconds(process.pid) - before) / REQUESTS * 1000)
        finally:
            process.terminate()
    found = [
        Row(
            name="webhook.rate",
            title="webhook, namespaces whose objects exist",
            unit="requests/s",
            samples=rates,
        ),
        Row(name="webhook.cpu", title="… CPU per request", unit="ms", samples=costs),
    ]
    report_progress(f"  {found[0].measured} requests/s, {found[1].measured} ms of CPU each")
    return found


async def wait_until_ready(port: int) -> None:
    """Return when the webhook responds."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}/readyz") as response:
                    assert response.status == 200
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
