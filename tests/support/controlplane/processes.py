"""Programs of a control plane as one group that ends with the process that started it.

Even when that is killed by SIGKILL: a watchdog shell reads from a pipe whose other end only the
starting process holds, and kills the group at its end of file. (PR_SET_PDEATHSIG would follow the
thread that started a program, and end it with a worker thread.)
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path


class ChildFailedError(Exception):
    """A program of the control plane ended; the text holds the end of its log."""


class Group:
    """Processes that share one process group, each with a log file in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Neither holds this process's output open: a pipe that it writes to ends with it.
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
        """Starts a program; what it says is appended to `<name>.log`."""
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
        """The end of a program's log, for an error message."""
        lines = (self._folder / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-15:])

    def detach(self) -> None:
        """Lets the programs outlive this process; the caller says how they are ended."""
        kill(self._watchdog)

    @property
    def group_id(self) -> int:
        """`kill -- -<group_id>` ends them all."""
        return self._leader.pid

    def stop(self) -> None:
        """Kills every program, the last one started first: nobody reads their data again.

        (An API server that is asked to end waits ten seconds for its clients.)
        """
        for member in reversed(self._members):
            kill(member)
        kill(self._watchdog)
        kill(self._leader)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL, and waits until it is gone. May be repeated."""
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
