"""Requests a second that the webhook answers for namespaces whose objects exist.

`python -m tests.bench.webhooks`; the client runs beside it and takes its share of the machine.
"""

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import time

import aiohttp

from controllers.pipelines import desired, names, protocols
from controllers.pipelines.config import PipelinesSettings
from tests import suites
from tests.controlplane import ports

REQUESTS = 3000
IN_FLIGHT = 16
RUNS = 3


def body(name: str) -> bytes:
    """What Metacontroller sends of a namespace that has everything."""
    settings = PipelinesSettings.model_validate(
        {"artifacts_proxy_enabled": True, "kfp_version": "2"}
    )
    labels = {names.ENABLED_LABEL: "true"}
    shown = {"object": {"metadata": {"name": name, "labels": labels}}, "attachments": {}}
    keys = desired.Keys(access="access", secret="secret")
    seen: dict[str, dict[str, object]] = {}
    for one in protocols.current(protocols.read(shown), keys, settings)["attachments"]:
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


def main() -> None:
    """Prints minimum, median and maximum of the runs."""
    port = ports.free()
    variables = {"CONTROLLER_PORT": str(port), "KFP_VERSION": "2", "ARTIFACTS_PROXY_ENABLED": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "profiles_controller", "pipelines", "--webhook"],
        env=suites.environment(**variables),
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            asyncio.run(wait(port))
            rates = sorted(asyncio.run(measure(port)) for _ in range(RUNS))
        finally:
            process.terminate()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    each = (used.ru_utime + used.ru_stime) / (RUNS * REQUESTS) * 1000
    print(f"{each:.2f} ms of CPU a request, start included")
    print(f"{rates[0]:.0f} {statistics.median(rates):.0f} {rates[-1]:.0f} requests a second")


async def wait(port: int) -> None:
    """Until it answers."""
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    assert answer.status == 200
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


if __name__ == "__main__":
    main()
