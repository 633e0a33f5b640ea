"""`python -m tests.demo [--keep]`: exit code 0, or 1 with a sentence, or 130 when interrupted."""

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tests.demo import plays, watches
from tests.demo.farewells import farewell
from tests.demo.screens import Screen
from tests.demo.stages import UnmetError
from tests.demo.suites import SuiteError
from tests.support.controlplane import ChildFailedError, StatusError
from tests.support.parts import PartMissingError

PACE_SECONDS = 0.7
UNHEARD_SECONDS = 1.0
FAILED, INTERRUPTED = 1, 130
EXPLAINED = (
    *(UnmetError, SuiteError, PartMissingError, ChildFailedError, StatusError),
    *(AssertionError, OSError),
)


def main() -> int:
    """The exit code."""
    arguments = parse()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    listen(interrupt)
    folder = Path(tempfile.mkdtemp(prefix="profiles-controller-demo-"))
    code = FAILED
    try:
        code = perform(folder, keep=arguments.keep)
    except KeyboardInterrupt:
        listen(signal.SIG_IGN)
        print("interrupted; everything is stopped")
        code = INTERRUPTED
    finally:
        if code != FAILED and not (arguments.keep and code == 0):
            shutil.rmtree(folder, ignore_errors=True)
    return code


def listen(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """What an interruption does, also where a shell has had it ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, handler)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Python drops what is raised within a finalizer: so it is raised anew until it is heard."""
    signal.setitimer(signal.ITIMER_REAL, UNHEARD_SECONDS)
    raise KeyboardInterrupt


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="task demo --", description="Watch the suite at work.")
    parser.add_argument(
        "--keep", action="store_true", help="leave cluster and suite running, and say how to go on"
    )
    return parser.parse_args()


def perform(folder: Path, *, keep: bool) -> int:
    """The demo; what it started is ended, but for a success with `keep`."""
    with contextlib.ExitStack() as ends:
        with Screen() as screen:
            try:
                stage = plays.built(screen, folder, ends)
                with watches.watching(stage.plane, stage.kinds, stage.world):
                    plays.play(screen, stage, PACE_SECONDS if screen.lively else 0.0)
            except KeyboardInterrupt:
                # It is heard: another one must not keep it from ending everything.
                listen(signal.SIG_IGN)
                raise
            except EXPLAINED as error:
                screen.fail(str(error))
                screen.say(f"The logs of suite and cluster are in {folder}")
                return FAILED
        if keep:
            ends.pop_all()
            farewell(screen, stage)
    return 0


if __name__ == "__main__":
    sys.exit(main())
