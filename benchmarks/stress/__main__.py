"""`python -m benchmarks.stress`: test claims about the service under load and faults, with figures. Linux only."""

import argparse
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.processes import end_by_sigterm
from benchmarks.stress.bulk import bulk
from benchmarks.stress.claims import Claim
from benchmarks.stress.crash import crash
from benchmarks.stress.crowd import crowd
from benchmarks.stress.overload import overload
from benchmarks.stress.reloads import reloads
from benchmarks.stress.rolling import rolling_restarts
from benchmarks.stress.running import Running, running

# Each tests one freshly started service.
_OF_ONE_SERVICE: dict[str, Callable[[Running, argparse.Namespace], Iterator[Claim]]] = {
    "reloads": lambda running, options: reloads(running, options.reloads, options.prepared),
    "crash": lambda running, _: crash(running),
    "bulk": lambda running, _: bulk(running),
    "overload": lambda running, options: overload(running, options.overload_seconds),
    "crowd": lambda running, options: crowd(running, options.idle, options.slow),
}
# Sending these requests costs the client as much as refusing them costs the service: each gets its own cores.
_APART = ("overload",)
# These publish versions of two networks in turn, one of which has to be made first.
_MIRRORED = ("reloads",)
_RESTARTS = "restarts"
_SUBJECTS = (*_OF_ONE_SERVICE, _RESTARTS)


def main() -> int:
    """Measure what was chosen, print each claim as soon as it is decided; 0 if all hold."""
    options = _parse_arguments()
    end_by_sigterm()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for the services as well, which inherit it
    decided = []
    for subject in options.only or _SUBJECTS:
        with tempfile.TemporaryDirectory() as folder:
            for claim in _claims(subject, options, Path(folder)):
                sys.stdout.write(f"{claim.line}\n")
                sys.stdout.flush()
                decided.append(claim)
    return 0 if all(claim.holds for claim in decided) else 1


def _claims(subject: str, options: argparse.Namespace, folder: Path) -> Iterator[Claim]:
    if subject == _RESTARTS:
        yield from rolling_restarts(folder, options.restarts)
        return
    with running(folder, apart=subject in _APART, mirrored=subject in _MIRRORED) as started:
        yield from _OF_ONE_SERVICE[subject](started, options)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stress", description=__doc__)
    add = parser.add_argument
    add("--only", nargs="+", choices=_SUBJECTS, help="some of them")
    add("--reloads", type=int, default=200, help="how many versions to publish (default %(default)s)")
    add("--prepared", type=int, default=5, help="how many of them TensorFlow prepares first (default %(default)s)")
    add("--idle", type=int, default=10_000, help="connections that never ask (default %(default)s)")
    add("--slow", type=int, default=500, help="bodies that come a byte a second (default %(default)s)")
    add("--restarts", type=int, default=20, help="rolling restarts (default %(default)s)")
    add("--overload-seconds", type=float, default=60, help="how long each overload lasts (default %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
