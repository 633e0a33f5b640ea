"""Clients that write as fast as they can, in alternation.

Other processes slow one client down at one time and the other client at another. So the clients do
not run one after the other: every second one of them is stopped together with its control plane,
and the other one continues. The time in which a client is stopped does not count.
"""

import os
import signal
import time
from typing import Self

from tests.bench import apiserver, procfs
from tests.bench.apiserver import Sample
from tests.bench.environment import Environment
from tests.support.controlplane import ChildFailedError

TURN_SECONDS = 1.0
POLL_SECONDS = 0.05
QUIET_SECONDS = 1.0
TIMEOUT_SECONDS = 1800.0


class Writer:
    """One client; it is stopped except in its turns."""

    def __init__(self, environment: Environment, pid: int, at_least: int) -> None:
        """It has finished after this many writes and a second without a write."""
        self._environment = environment
        self._pid = pid
        self.samples: list[Sample] = []
        self._at_least = at_least
        self._time = 0.0

    @classmethod
    def before_start(cls, environment: Environment, at_least: int) -> Self:
        """Before its process starts, so that every write is counted."""
        writer = cls(environment, os.getpid(), at_least)
        writer._sample(time.monotonic())
        return writer

    def started(self, pid: int) -> None:
        """Stop the process, which has just started."""
        self._pid = pid
        self._signal(signal.SIGSTOP)

    @property
    def is_finished(self) -> bool:
        last = self.samples[-1]
        if last.revision < self.samples[0].revision + self._at_least:
            return False
        # A single write can be the API server's own.
        quiet_since = next(one.at for one in self.samples if one.revision >= last.revision - 1)
        return last.at - quiet_since >= QUIET_SECONDS

    def run_turn(self) -> None:
        """Run for a second, or until it has finished."""
        self._signal(signal.SIGCONT)
        start = time.monotonic()
        self._sample(start)
        while time.monotonic() - start < TURN_SECONDS and not self.is_finished:
            time.sleep(POLL_SECONDS)
            self._sample(start)
        self._signal(signal.SIGSTOP)
        self._time += time.monotonic() - start
        raise_if_failed(self._pid)

    def resume(self) -> None:
        """Let it run; the measurement is over."""
        self._signal(signal.SIGCONT)

    def _sample(self, turn_start: float) -> None:
        revision = apiserver.revision(self._environment.plane)
        at = self._time + time.monotonic() - turn_start
        self.samples.append(Sample(at, revision, procfs.cpu_seconds(self._pid)))

    def _signal(self, number: int) -> None:
        for group in self._environment.process_groups:
            os.killpg(group, number)


def run(*writers: Writer) -> None:
    """Run the writers in turns until all have finished. Raises AssertionError if one does not."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    try:
        while remaining := [one for one in writers if not one.is_finished]:
            for writer in remaining:
                writer.run_turn()
            if time.monotonic() > deadline:
                raise AssertionError(f"not finished within {TIMEOUT_SECONDS} s")
    finally:
        for writer in writers:
            writer.resume()


def raise_if_failed(pid: int) -> None:
    """Check a child process without reaping it: /proc still has its CPU time."""
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if ended is not None and ended.si_status:
        raise ChildFailedError(f"process {pid} ended with {ended.si_status}")
