"""`python -m benchmarks.stress`: put the service under load and under faults; claims, figures, pass or fail. Linux."""

import argparse
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.stress.bulk import bulk
from benchmarks.stress.claims import Claim
from benchmarks.stress.crash import crash
from benchmarks.stress.crowd import crowd
from benchmarks.stress.overload import overload
from benchmarks.stress.reloads import reloads
from benchmarks.stress.rolling import rolling_restarts
from benchmarks.stress.running import Running, running

Claims = Callable[[Path], Iterator[Claim]]
"""Measures, with a folder of its own, and gives the claims."""


def main() -> int:
    """Measure what was chosen, print each claim as soon as it is decided; 0 if all hold."""
    options = _parse_arguments()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for the services as well, which inherit it
    decided = []
    for name in options.only or _subjects(options):
        with tempfile.TemporaryDirectory() as folder:
            for claim in _subjects(options)[name](Path(folder)):
                sys.stdout.write(f"{claim.line}\n")
                sys.stdout.flush()
                decided.append(claim)
    return 0 if all(claim.holds for claim in decided) else 1


def _subjects(options: argparse.Namespace) -> dict[str, Claims]:
    return {
        "reloads": partial(_of_one_service, lambda one: reloads(one, options.reloads, options.prepared)),
        "crash": partial(_of_one_service, crash),
        "bulk": partial(_of_one_service, bulk),
        "overload": partial(_of_one_service, lambda one: overload(one, options.overload_seconds)),
        "crowd": partial(_of_one_service, lambda one: crowd(one, options.idle, options.slow)),
        "restarts": lambda folder: rolling_restarts(folder, options.restarts),
    }


def _of_one_service(subject: Callable[[Running], Iterator[Claim]], folder: Path) -> Iterator[Claim]:
    with running(folder) as started:
        yield from subject(started)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stress", description=__doc__)
    add = parser.add_argument
    add("--only", nargs="+", choices=("reloads", "crash", "bulk", "overload", "crowd", "restarts"), help="some of them")
    add("--reloads", type=int, default=200, help="how many versions to publish (default %(default)s)")
    add("--prepared", type=int, default=5, help="how many of them TensorFlow prepares first (default %(default)s)")
    add("--idle", type=int, default=10_000, help="connections that never ask (default %(default)s)")
    add("--slow", type=int, default=500, help="bodies that come a byte a second (default %(default)s)")
    add("--restarts", type=int, default=20, help="rolling restarts (default %(default)s)")
    add("--overload-seconds", type=float, default=20, help="how long each overload lasts (default %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
