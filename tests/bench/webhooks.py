"""Requests a second that the webhook answers for namespaces whose objects exist.

Metacontroller is played by a client beside it, which takes its share of the same two cores.
"""

import asyncio
import json
import subprocess
import sys
import time

import aiohttp

from controllers.pipelines import desired, names
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.webhook import protocol
from tests.bench import probes
from tests.bench.reports import Row, at_least
from tests.bench.stages import say
from tests.support.cluster import suite
from tests.support.controlplane import ports

REQUESTS = 3000
IN_FLIGHT = 16
RUNS = 5
LEAST_RATE = 500.0


def body(name: str) -> bytes:
    """What Metacontroller sends of a namespace that has everything."""
    settings = PipelinesSettings.model_validate(
        {"artifacts_proxy_enabled": True, "kfp_version": "2"}
    )
    labels = {names.ENABLED_LABEL: "true"}
    shown = {"object": {"metadata": {"name": name, "labels": labels}}, "attachments": {}}
    keys = desired.Keys(access="access", secret="secret")
    seen: dict[str, dict[str, object]] = {}
    for one in protocol.current(protocol.read(shown), keys, settings)["attachments"]:
        kind = f"{one['kind']}.{one['apiVersion']}"
        seen.setdefault(kind, {})[f"{name}/{one['metadata']['name']}"] = one
    return json.dumps({**shown, "attachments": seen}).encode()


async def measure(port: int) -> float:
    """Requests a second."""
    left = iter(range(REQUESTS))
    payloads = [body(f"tenant-{number}") for number in range(100)]

    async def ask(session: aiohttp.ClientSession) -> None:
        for number in left:
            payload = payloads[number % len(payloads)]
            async with session.post(f"http://127.0.0.1:{port}/sync", data=payload) as answer:
                reply = await answer.json()
                assert reply["status"] == {"kubeflow-pipelines-ready": "True"}, reply

    async with aiohttp.ClientSession() as session:
        began = time.perf_counter()
        await asyncio.gather(*(ask(session) for _ in range(IN_FLIGHT)))
        return REQUESTS / (time.perf_counter() - began)


def rows() -> list[Row]:
    """Its rate, and what a request costs it of a processor."""
    say("webhook: requests of namespaces whose objects exist")
    port = ports.free()
    variables = {"CONTROLLER_PORT": str(port), "KFP_VERSION": "2", "ARTIFACTS_PROXY_ENABLED": "1"}
    rates, costs = [], []
    with subprocess.Popen(
        [sys.executable, "-m", "profiles_controller", "pipelines", "--webhook"],
        env=suite.environment(**variables),
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            asyncio.run(answering(port))
            for _ in range(RUNS):
                before = probes.cpu_seconds(process.pid)
                rates.append(asyncio.run(measure(port)))
                costs.append((probes.cpu_seconds(process.pid) - before) / REQUESTS * 1000)
        finally:
            process.terminate()
    found = [
        Row(
            name="webhook.rate",
            what="webhook, namespaces whose objects exist",
            unit="requests/s",
            samples=rates,
            budgets=[at_least(LEAST_RATE)],
        ),
        Row(name="webhook.cpu", what="… CPU a request", unit="ms", samples=costs),
    ]
    say(f"  {found[0].measured} requests/s, {found[1].measured} ms of CPU each")
    return found


async def answering(port: int) -> None:
    """Until it does."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    assert answer.status == 200
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
