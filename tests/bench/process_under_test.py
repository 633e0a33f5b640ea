"""The process under test: `python -m tests.bench.process_under_test network|all ...`.

It is the same as a process of the command line, with the benchmark's controllers. It writes three
milestones to a file: `start`, before the first request; `first`, at the first reconcile; and
`reconciled`, when every controller has reconciled every expected profile.
"""

import argparse
import asyncio
import dataclasses
import json
import sys
import time
from pathlib import Path

from controllers.desired import Desired
from controllers.profiles import Profile
from controllers.runtime.controller import ConfiguredController
from controllers.runtime.manager import process
from controllers.runtime.options import Connection, Options
from profiles_controller import logs
from profiles_controller.cli import app
from tests.bench import workload


class Milestones:
    """Writes a line for each milestone. All times are in seconds."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, name: str) -> None:
        """Name, monotonic time (the same clock in all processes) and CPU time of this process."""
        line = {"name": name, "at": time.monotonic(), "cpu": time.process_time()}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


class ReconcileCounter:
    """Counts the profiles that each controller has reconciled."""

    def __init__(self, milestones: Milestones, controllers: int, expected: int) -> None:
        self._milestones = milestones
        self._expected = expected
        self._incomplete = controllers
        self._started = False

    def counting(self, configured: ConfiguredController) -> ConfiguredController:
        """Return the same controller, which counts its calls of `desired`."""
        controller, settings = configured
        seen: set[str] = set()
        original = controller.desired

        def desired(profile: Profile, facts: object, options: object) -> Desired:
            if not self._started:
                self._started = True
                self._milestones.write("first")
            if len(seen) < self._expected:
                seen.add(profile.name)
                if len(seen) == self._expected:
                    self._complete()
            return original(profile, facts, options)

        return dataclasses.replace(controller, desired=desired), settings

    def _complete(self) -> None:
        self._incomplete -= 1
        if not self._incomplete:
            self._milestones.write("reconciled")


def main() -> int:
    # The modules of the command line use memory here too, as they do in a pod.
    parser = argparse.ArgumentParser(description=f"{app.__name__} with the benchmark's controllers")
    parser.add_argument("controllers", choices=(workload.NETWORK, workload.ALL))
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--milestones", type=Path, required=True)
    parser.add_argument("--expect", type=int, required=True, help="profiles")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    logs.configure(log_format="json", level="info")
    milestones = Milestones(arguments.milestones)
    controllers = workload.controllers(arguments.controllers)
    counter = ReconcileCounter(milestones, len(controllers), arguments.expect)
    milestones.write("start")
    return asyncio.run(
        process.run(
            [counter.counting(one) for one in controllers],
            Connection(kubeconfig=arguments.kubeconfig),
            Options(listen=("127.0.0.1", arguments.port)),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
