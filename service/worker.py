"""`python -m service.worker`: one of several serving processes; only `workers` starts it.

Its settings are in the environment; what it shares with the others comes as open descriptors.
"""

import argparse
import contextlib
import socket
import sys
import threading

from service import logs
from service.metrics import Metrics
from service.server import serve
from service.settings import Settings
from service.tally import Memory
from service.workers import end_when_closed


def main() -> None:
    """Serve the connections of the listening socket that was passed on."""
    given = _parse_arguments()
    metrics = Metrics(Memory(given.workers, given.worker, given.metrics))
    if given.restarts:  # counted before anything can fail, or a worker that never gets to serve would not be seen
        metrics.worker_restarts.inc()
    settings = Settings()
    logs.configure(settings.log_format)
    threading.Thread(target=end_when_closed, args=(sys.stdin.fileno(),), daemon=True).start()
    with socket.socket(fileno=given.listener) as listener, contextlib.suppress(KeyboardInterrupt):
        serve(settings, listener, metrics)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("worker", type=int, help="which of the workers this is, from 0")
    parser.add_argument("workers", type=int, help="how many there are")
    parser.add_argument("listener", type=int, help="descriptor of the listening socket")
    parser.add_argument("metrics", type=int, help="descriptor of the file in which all workers count")
    parser.add_argument("restarts", type=int, help="how many workers have stood in this one's place before")
    return parser.parse_args()


if __name__ == "__main__":
    main()
