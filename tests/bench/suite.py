"""The process under test: `python -m tests.bench.suite network|all ...`.

It is what the command line starts, with the benchmark's controllers. Into the file of marks it
writes when it `began`, when the `first` profile was in shape, and when every expected profile had
been `reconciled` by every controller.
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
from controllers.runtime.manager import process
from controllers.runtime.manager.manager import Assembly
from controllers.runtime.options import Connection, Options
from profiles_controller import logs
from profiles_controller.cli import app
from tests.bench import synthetic


class Marks:
    """A line for everything that the benchmark waits for. All times are seconds."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, name: str) -> None:
        """Name, monotonic time (the same clock in all processes) and own processor time."""
        line = {"name": name, "at": time.monotonic(), "cpu": time.process_time()}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


class Census:
    """Notes whom each controller has brought into shape, until all that are expected have been."""

    def __init__(self, marks: Marks, controllers: int, expected: int) -> None:
        self._marks = marks
        self._expected = expected
        self._open = controllers
        self._begun = False

    def observing(self, assembly: Assembly) -> Assembly:
        """The same controller; a call of `desired` marks its reconcile."""
        controller, settings = assembly
        seen: set[str] = set()
        decide = controller.desired

        def desired(profile: Profile, facts: object, options: object) -> Desired:
            if not self._begun:
                self._begun = True
                self._marks.write("first")
            if len(seen) < self._expected:
                seen.add(profile.name)
                if len(seen) == self._expected:
                    self._complete()
            return decide(profile, facts, options)

        return dataclasses.replace(controller, desired=desired), settings

    def _complete(self) -> None:
        self._open -= 1
        if not self._open:
            self._marks.write("reconciled")


def main() -> int:
    # The command line's own modules are in memory, as they are in a pod.
    parser = argparse.ArgumentParser(description=f"{app.__name__} with the benchmark's controllers")
    parser.add_argument("controllers", choices=(synthetic.NETWORK, synthetic.ALL))
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--marks", type=Path, required=True)
    parser.add_argument("--expect", type=int, required=True, help="profiles")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    logs.configure(log_format="json", level="info")
    marks = Marks(arguments.marks)
    assemblies = synthetic.assemblies(arguments.controllers)
    census = Census(marks, len(assemblies), arguments.expect)
    marks.write("began")
    return asyncio.run(
        process.run(
            [census.observing(one) for one in assemblies],
            Connection(kubeconfig=arguments.kubeconfig),
            Options(listen=("127.0.0.1", arguments.port)),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
