"""`python -m benchmarks`: measure the service, measure its peers, write down what was measured."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import wrk
from benchmarks.contenders import take_turns
from benchmarks.digits import Released, all_loads, digits
from benchmarks.figures import Session, read_figures, write_figures
from benchmarks.machine import conditions

_BUILD = Path(__file__).parents[1] / "build"
_FIGURES = _BUILD / "bench.json"
_FOLDER = _BUILD / "bench"
DONE, FAILED = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    trouble = wrk.missing()
    if trouble:
        _say(trouble)
        return FAILED
    repeats, seconds = (1, 3.0) if options.quick else (options.repeats, options.seconds)
    released = Released(_FOLDER)
    golden = released.publish()
    under = conditions(repeats, seconds, given)
    contenders = [digits(released, all_loads(golden))]
    servers = take_turns(contenders, golden, _FOLDER / "logs", repeats, seconds, _say)
    figures = read_figures(_FIGURES)
    write_figures(_FIGURES, type(figures)(Session(under, servers), figures.peers))
    return FAILED if any(server.failure for server in servers) else DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", choices=["service"])
    parser.add_argument("--quick", action="store_true", help="once, 3 seconds each: to see that it runs")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each measurement (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a run (default %(default)g)")
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
