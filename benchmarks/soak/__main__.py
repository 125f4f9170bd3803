"""`python -m benchmarks.soak`: a long mixed load, a fault every 20 seconds, and a one-page account. Linux only."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import end_by_sigterm
from benchmarks.soak.account import Account
from benchmarks.soak.faults import Faults, every
from benchmarks.soak.load import Load, kinds
from benchmarks.stress.overload import sampled
from benchmarks.stress.running import running

_PAGE = Path(__file__).parents[2] / "build" / "soak.md"
_FAULT_SECONDS = 20.0
_SETTLED_SECONDS = 5.0


def main() -> int:
    """Soak, write the page and print it; 0 if faults explain all failures and the service recovered from each fault."""
    options = _parse_arguments()
    end_by_sigterm()
    account = _soak(60 * options.minutes)
    page = account.page()
    _PAGE.parent.mkdir(exist_ok=True)
    _PAGE.write_text(page)
    sys.stdout.write(page)
    return 1 if account.unexpected or account.stuck else 0


def _soak(seconds: float) -> Account:
    phases = []
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), mirrored=True) as service:
        load = Load(service.port, kinds(service.golden), service.published)
        faults, began = Faults(service), time.monotonic()
        with load.running(), sampled(service) as resident:
            for _ in every(_FAULT_SECONDS, until=began + seconds):
                phases.append(faults.inject_next())
                sys.stderr.write(f"{phases[-1].name}: {phases[-1].ended - phases[-1].began:.1f} s\n")
                if not phases[-1].healed:
                    break
            time.sleep(_SETTLED_SECONDS)
        return Account(began, time.monotonic(), load.exchanges, phases, resident)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="how long (default %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
