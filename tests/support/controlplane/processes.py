"""A group of processes that ends with the process that started it, even if that is killed.

A watchdog shell reads from a pipe whose other end only the starting process has, and kills the
group at the end of file. (PR_SET_PDEATHSIG follows the thread that started a process.)
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path


class ChildFailedError(Exception):
    """A process exited unexpectedly. The message has the end of its log."""


class Group:
    """Processes that share one process group, each with a log file in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Neither inherits this process's output: a pipe that it writes to ends with it.
        self._leader = subprocess.Popen(
            ["sleep", "2147483647"],
            process_group=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._watchdog = subprocess.Popen(
            ["sh", "-c", f"read _; kill -KILL -{self._leader.pid}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._members: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        """Starts a program. Its output is appended to `<name>.log`."""
        with (self._folder / f"{name}.log").open("ab") as log:
            member = subprocess.Popen(
                command,
                process_group=self._leader.pid,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._members.append(member)
        return member

    def last_words(self, name: str) -> str:
        """The end of a program's log."""
        lines = (self._folder / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-15:])

    def detach(self) -> None:
        """Lets the processes outlive this process."""
        kill(self._watchdog)

    @property
    def group_id(self) -> int:
        """The process group. `kill -- -<group_id>` stops all processes."""
        return self._leader.pid

    def stop(self) -> None:
        """Kills all processes, the last one first.

        After SIGTERM an API server would wait ten seconds for its clients.
        """
        for member in reversed(self._members):
            kill(member)
        kill(self._watchdog)
        kill(self._leader)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kills the process and waits for it. May be repeated."""
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
