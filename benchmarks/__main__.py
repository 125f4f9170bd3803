"""`python -m benchmarks`: measure the service, its parts and its peers, take a profile, write the results down."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import chart, profiling, results, wrk
from benchmarks.figures import Figures, Profiles, read_figures, write_figures
from benchmarks.machine import conditions
from benchmarks.peers import PEERS
from benchmarks.processes import ServerError, end_by_sigterm
from benchmarks.sessions import Plan, measure_parts, measure_peers, measure_service

_HERE = Path(__file__).parent
_BUILD = _HERE.parent / "build"
_FIGURES = _BUILD / "bench.json"
DONE, FAILED = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    if options.what == "report":
        return _report()
    trouble = wrk.missing()
    if trouble:
        _say(trouble)
        return FAILED
    end_by_sigterm()
    repeats, seconds = (1, 3) if options.quick else (options.repeats, options.seconds)
    plan = Plan(repeats, seconds, _BUILD / "bench", given)
    return _profile(plan) if options.what == "profile" else _measure(options.what, plan, options.only)


def _measure(what: str, plan: Plan, peers: Sequence[str]) -> int:
    """Measure, keep the figures and print them; the figures of other commands stay."""
    before = read_figures(_FIGURES)
    if what == "service":
        session = measure_service(plan, _say)
        write_figures(_FIGURES, replace(before, service=session))
        _say("\n" + results.written(Figures(service=session)))
    elif what == "parts":
        session = measure_parts(plan, _say)
        write_figures(_FIGURES, replace(before, parts=session))
        _say("\n" + results.written(Figures(parts=session)))
    else:
        session = measure_peers(plan, peers, _BUILD / "peers", _say)
        write_figures(_FIGURES, replace(before, peers=session))
        _say("\n" + results.written(Figures(peers=session)))
    # A peer's failure is a result; a failure of Digits is an error.
    return FAILED if session.servers[0].failure else DONE


def _report() -> int:
    figures = read_figures(_FIGURES)
    if figures == Figures():
        _say(f"{_FIGURES} does not exist: `make bench`, `make bench-peers` and others of this command write it.")
        return FAILED
    (_HERE / "RESULTS.md").write_text(results.written(figures))
    if figures.peers:
        (_HERE / "results.svg").write_text(chart.drawn(chart.bars_of(figures.peers)))
    return DONE


def _profile(plan: Plan) -> int:
    """Profile the service once, and keep the figures."""
    under = conditions(1, plan.seconds, plan.arguments)
    try:
        profiles = Profiles(under, profiling.profile(_BUILD, plan.seconds, _say))
    except ServerError as error:
        _say(str(error))
        return FAILED
    write_figures(_FIGURES, replace(read_figures(_FIGURES), profiles=profiles))
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the service, its parts, or it beside its peers; take a profile; write RESULTS.md.",
    )
    parser.add_argument(
        "what",
        choices=["service", "parts", "peers", "profile", "report"],
        help="report writes benchmarks/RESULTS.md from what was measured last",
    )
    parser.add_argument("--quick", action="store_true", help="once, 3 seconds each: to see that it runs")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each measurement (default %(default)s)")
    parser.add_argument(
        "--seconds", type=int, default=10, help="length of a run, as wrk takes it (default %(default)s)"
    )
    parser.add_argument(
        "--only", action="append", default=[], choices=[peer.name for peer in PEERS], help="this peer; may be repeated"
    )
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
