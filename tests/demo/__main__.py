"""`python -m tests.demo [--keep]`: exit code 0, 1 with a message, or 130 when interrupted."""

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tests.demo import scenario, watch
from tests.demo.environment import ExpectationError
from tests.demo.keep import keep_running
from tests.demo.printer import Printer
from tests.demo.process import ManagerError
from tests.support.controlplane import ChildFailedError, StatusError
from tests.support.parts import PartMissingError

PAUSE_SECONDS = 0.7
REPEAT_SECONDS = 1.0
FAILED, INTERRUPTED = 1, 130
EXPECTED_ERRORS = (
    *(ExpectationError, ManagerError, PartMissingError, ChildFailedError, StatusError),
    *(AssertionError, OSError),
)


def main() -> int:
    """The exit code."""
    arguments = parse()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    set_signal_handler(interrupt)
    folder = Path(tempfile.mkdtemp(prefix="profiles-controller-demo-"))
    code = FAILED
    try:
        code = run(folder, keep=arguments.keep)
    except KeyboardInterrupt:
        set_signal_handler(signal.SIG_IGN)
        print("interrupted; everything is stopped")
        code = INTERRUPTED
    finally:
        if code != FAILED and not (arguments.keep and code == 0):
            shutil.rmtree(folder, ignore_errors=True)
    return code


def set_signal_handler(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """Handles interruptions, even those that the shell set to be ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, handler)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Raises KeyboardInterrupt, repeatedly: Python drops an exception raised in a finalizer."""
    signal.setitimer(signal.ITIMER_REAL, REPEAT_SECONDS)
    raise KeyboardInterrupt


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="task demo --", description="Run the controllers on a real API server."
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="leave the cluster and the controllers running, and print how to use them",
    )
    return parser.parse_args()


def run(folder: Path, *, keep: bool) -> int:
    """Runs the demo, and stops what it started, unless `keep` is set and the demo succeeds."""
    with contextlib.ExitStack() as cleanup:
        with Printer() as printer:
            try:
                environment = scenario.prepare(printer, folder, cleanup)
                with watch.watching(environment.plane, environment.kinds, environment.state):
                    pause = PAUSE_SECONDS if printer.is_terminal else 0.0
                    scenario.run(printer, environment, pause)
            except KeyboardInterrupt:
                # A second interruption must not prevent the cleanup.
                set_signal_handler(signal.SIG_IGN)
                raise
            except EXPECTED_ERRORS as error:
                printer.fail(str(error))
                printer.line(f"The logs of the manager and the cluster are in {folder}")
                return FAILED
        if keep:
            cleanup.pop_all()
            keep_running(printer, environment)
    return 0


if __name__ == "__main__":
    sys.exit(main())
