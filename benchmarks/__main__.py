"""`python -m benchmarks`: measure the service, measure its peers, take a profile, write down what was measured."""

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import wrk
from benchmarks.figures import Session, read_figures, write_figures
from benchmarks.peers import PEERS
from benchmarks.sessions import Plan, measure_peers, measure_service

_ROOT = Path(__file__).parents[1]
_BUILD = _ROOT / "build"
_FIGURES = _BUILD / "bench.json"
DONE, FAILED = 0, 1
_ENDED_BY_SIGTERM = 128 + signal.SIGTERM


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    trouble = wrk.missing()
    if trouble:
        _say(trouble)
        return FAILED
    # So that a benchmark that is ended ends its servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_ENDED_BY_SIGTERM))
    repeats, seconds = (1, 3.0) if options.quick else (options.repeats, options.seconds)
    plan = Plan(repeats, seconds, _BUILD / "bench", given)
    figures = read_figures(_FIGURES)
    if options.what == "service":
        session = measure_service(plan, _say)
        figures = replace(figures, service=session)
    else:
        session = measure_peers(plan, options.only, _BUILD / "peers", _say)
        figures = replace(figures, peers=session)
    write_figures(_FIGURES, figures)
    return _summed_up(session)


def _summed_up(session: Session) -> int:
    return FAILED if any(server.failure and server.name == "digits" for server in session.servers) else DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", choices=["service", "peers"])
    parser.add_argument("--quick", action="store_true", help="once, 3 seconds each: to see that it runs")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each measurement (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a run (default %(default)g)")
    parser.add_argument(
        "--only", action="append", default=[], choices=[peer.name for peer in PEERS], help="this peer; may be repeated"
    )
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
