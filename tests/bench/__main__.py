"""`python -m tests.bench`: the performance of the suite, measured with a control plane."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench import benchmark, machine, output
from tests.bench.environment import report_progress
from tests.bench.rows import Row
from tests.support.parts import PartMissingError


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--profiles", type=int, default=2000, help="number (default: 2000)")
    parser.add_argument("--repeats", type=int, default=3, help="cold starts (default: 3)")
    parser.add_argument(
        "--only",
        type=parse_rows,
        default=frozenset(benchmark.DEFAULT_ROWS),
        metavar="ROW,...",
        help=f"any of {', '.join(benchmark.ROWS)} (default: all but volume and growth)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write Markdown")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a budget is missed")
    return parser.parse_args(arguments)


def parse_rows(text: str) -> frozenset[str]:
    names = frozenset(text.split(","))
    if unknown := names - set(benchmark.ROWS):
        raise argparse.ArgumentTypeError(
            f"unknown rows: {', '.join(sorted(unknown))}; choose from {', '.join(benchmark.ROWS)}"
        )
    return names


def command_line(arguments: argparse.Namespace) -> str:
    """The command that repeats the measurement."""
    command = f"task bench -- --profiles {arguments.profiles} --repeats {arguments.repeats}"
    if arguments.only == frozenset(benchmark.DEFAULT_ROWS):
        return command
    only = ",".join(row for row in benchmark.ROWS if row in arguments.only)
    return f"{command} --only {only}"


def main() -> int:
    arguments = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows: list[Row] = []
    description = machine.describe()
    other_processes = machine.OtherProcesses()
    try:
        with tempfile.TemporaryDirectory(prefix="profiles-controller-bench-") as folder:
            benchmark.Benchmark(
                folder=Path(folder),
                profiles=arguments.profiles,
                repeats=arguments.repeats,
                only=arguments.only,
            ).run(rows.extend)
    except PartMissingError as error:
        report_progress(f"bench: {error}")
        return 2
    finally:
        share = other_processes.share()
        description["other processes"] = f"other processes used {share:.0%} of the processors"
        if rows:
            output.show(rows, description)
    command = command_line(arguments)
    if arguments.json:
        arguments.json.write_text(output.as_json(rows, description, command))
    if arguments.markdown:
        arguments.markdown.write_text(output.as_markdown(rows, description, command))
    missed = [row.name for row in rows if row.is_met is False]
    if missed:
        report_progress(f"missed: {', '.join(missed)}")
    return 1 if missed and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
