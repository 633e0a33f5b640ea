"""Clients that write as fast as they can, in turns, each in its own time.

Whoever else uses the machine slows one client at one moment and the other at another. So they are
never measured one after the other: every second one of them is stopped with its whole control
plane, and the other goes on. Time that a client is stopped does not count.
"""

import os
import signal
import time
from typing import Self

from tests.bench import counts, probes
from tests.bench.counts import Sample
from tests.bench.stages import Stage
from tests.support.controlplane import ChildFailedError

TURN_SECONDS = 1.0
POLL_SECONDS = 0.05
STILL_SECONDS = 1.0
LONGEST_SECONDS = 1800.0


class Runner:
    """One client, stopped but in `run`."""

    def __init__(self, stage: Stage, pid: int, at_least: int) -> None:
        """It has finished when it made this many writes and has made none for a second."""
        self._stage = stage
        self._pid = pid
        self.samples: list[Sample] = []
        self._at_least = at_least
        self._time = 0.0

    @classmethod
    def before(cls, stage: Stage, at_least: int) -> Self:
        """Before its process starts, so that no write is missed."""
        runner = cls(stage, os.getpid(), at_least)
        runner._look(time.monotonic())
        return runner

    def enter(self, pid: int) -> None:
        """Its process has been started; it goes no further for now."""
        self._pid = pid
        self._signal(signal.SIGSTOP)

    @property
    def finished(self) -> bool:
        last = self.samples[-1]
        if last.revision < self.samples[0].revision + self._at_least:
            return False
        # A single write may be the API server's own.
        still_since = next(s.at for s in self.samples if s.revision >= last.revision - 1)
        return last.at - still_since >= STILL_SECONDS

    def take_turn(self) -> None:
        """Runs for a while, or until it has finished."""
        self._signal(signal.SIGCONT)
        began = time.monotonic()
        self._look(began)
        while time.monotonic() - began < TURN_SECONDS and not self.finished:
            time.sleep(POLL_SECONDS)
            self._look(began)
        self._signal(signal.SIGSTOP)
        self._time += time.monotonic() - began
        raise_if_failed(self._pid)

    def let_go(self) -> None:
        """Its time is over, it may do what it likes."""
        self._signal(signal.SIGCONT)

    def _look(self, began: float) -> None:
        revision = counts.revision(self._stage.plane)
        at = self._time + time.monotonic() - began
        self.samples.append(Sample(at, revision, probes.cpu_seconds(self._pid)))

    def _signal(self, number: int) -> None:
        for group in self._stage.process_groups:
            os.killpg(group, number)


def run(*runners: Runner) -> None:
    """Turn by turn until all have finished. Raises AssertionError when one never does."""
    deadline = time.monotonic() + LONGEST_SECONDS
    try:
        while remaining := [one for one in runners if not one.finished]:
            for runner in remaining:
                runner.take_turn()
            if time.monotonic() > deadline:
                raise AssertionError(f"not finished within {LONGEST_SECONDS} s")
    finally:
        for runner in runners:
            runner.let_go()


def raise_if_failed(pid: int) -> None:
    """Looks at a child without reaping it: /proc still tells what it took."""
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if ended is not None and ended.si_status:
        raise ChildFailedError(f"process {pid} ended with {ended.si_status}")
