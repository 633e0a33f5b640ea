"""`python -m tests.support.parts build`: installs parts, and prints where they are."""

import argparse
import sys
from collections.abc import Sequence

from tests.support.parts import PartMissingError
from tests.support.parts.catalog import PARTS, TASKS


def parse(arguments: Sequence[str]) -> list[str]:
    """The names of the parts to install."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.parts")
    build = parser.add_subparsers(required=True).add_parser(
        "build", help="find, download or build parts"
    )
    build.add_argument(
        "parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)} (default: all)"
    )
    build.add_argument("--for", dest="task", choices=TASKS, help="the parts that a task needs")
    found = parser.parse_args(arguments)
    if unknown := sorted(set(found.parts) - set(PARTS)):
        parser.error(f"unknown parts: {', '.join(unknown)}. The parts are {', '.join(PARTS)}.")
    chosen = {*found.parts, *TASKS.get(found.task, ())}
    return [name for name in PARTS if name in chosen or not chosen]


def main(arguments: Sequence[str]) -> int:
    """The exit code: 1 when a part is missing, 2 for a wrong command line."""
    for name in parse(arguments):
        try:
            print(f"parts: {name} in {PARTS[name]()}")
        except PartMissingError as error:
            print(f"parts: {name}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
