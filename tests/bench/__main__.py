"""`python -m tests.bench`: the performance budget, measured against a control plane."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench import benches, machines, tables
from tests.bench.reports import Row
from tests.bench.stages import say
from tests.support.parts import PartMissingError


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--profiles", type=int, default=2000, help="how many (default: 2000)")
    parser.add_argument("--repeats", type=int, default=3, help="cold starts (default: 3)")
    parser.add_argument(
        "--only",
        type=rows_of,
        default=frozenset(benches.DEFAULT_ROWS),
        metavar="ROW,...",
        help=f"of {', '.join(benches.ROWS)} (default: all but volume and growth, which take long)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also as JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also as Markdown")
    parser.add_argument("--check", action="store_true", help="exit 1 when a budget is missed")
    return parser.parse_args(words)


def rows_of(text: str) -> frozenset[str]:
    names = frozenset(text.split(","))
    if unknown := names - set(benches.ROWS):
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(unknown))}; known are {', '.join(benches.ROWS)}"
        )
    return names


def said(arguments: argparse.Namespace) -> str:
    """The command that measures the same again."""
    command = f"task bench -- --profiles {arguments.profiles} --repeats {arguments.repeats}"
    if arguments.only == frozenset(benches.DEFAULT_ROWS):
        return command
    return f"{command} --only {','.join(row for row in benches.ROWS if row in arguments.only)}"


def main() -> int:
    arguments = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows: list[Row] = []
    machine = machines.describe()
    neighbours = machines.Neighbours()
    try:
        with tempfile.TemporaryDirectory(prefix="profiles-controller-bench-") as folder:
            benches.Bench(
                folder=Path(folder),
                profiles=arguments.profiles,
                repeats=arguments.repeats,
                only=arguments.only,
            ).run(rows.extend)
    except PartMissingError as error:
        say(f"bench: {error}")
        return 2
    finally:
        machine["neighbours"] = f"other processes took {neighbours.share():.0%} of the processors"
        if rows:
            tables.show(rows, machine)
    command = said(arguments)
    if arguments.json:
        arguments.json.write_text(tables.as_json(rows, machine, command))
    if arguments.markdown:
        arguments.markdown.write_text(tables.markdown(rows, machine, command))
    missed = [row.name for row in rows if row.met is False]
    if missed:
        say(f"missed: {', '.join(missed)}")
    return 1 if missed and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
