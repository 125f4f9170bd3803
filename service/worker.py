"""One of several serving processes, forked from a parent that has imported everything needed to serve.

Forked, because importing takes most of the start-up time, and forked workers share the memory of what is imported. What
a worker does is passed in; `workers` decides when one is started, and what is done when it ends.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from service.telemetry.metrics import Metrics
from service.telemetry.tally import Memory

_STANDARD_ERROR = 2

# The signals that the parent handles in its own way, and the worker's handlers for them.
_HANDLERS: dict[signal.Signals, signal.Handlers | Callable[[int, FrameType | None], Any]] = {
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
    signal.SIGCHLD: signal.SIG_DFL,
}

Serve = Callable[[socket.socket, Metrics], None]
"""Serves the connections of a listening socket until SIGTERM or Ctrl-C, and counts what it does."""


@dataclass(frozen=True)
class Place:
    """A worker's place among the others, and what it has there."""

    worker: int
    """Which of the workers it is, from 0."""
    workers: int
    listener: socket.socket
    metrics_file: int
    """Descriptor of the file in which all workers count."""
    restarts: int
    """How many workers have stood in this place before."""


@dataclass(frozen=True)
class Forked:
    """A worker as its parent knows it."""

    pid: int
    lifeline: int
    """Descriptor of a pipe's end; when it is closed, also because the parent ended in any way, the worker stops."""


def fork(place: Place, serve: Serve) -> Forked:
    """Start a worker; this process must have no other threads.

    Raises:
        OSError: No process, memory or descriptor is available.
    """
    watched, lifeline = os.pipe()
    # Signals wait meanwhile: the worker must not handle one with its parent's handlers.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLERS)
    try:
        pid = os.fork()
        if pid == 0:
            _become_worker(place, serve, watched, blocked)
    except OSError:
        os.close(lifeline)
        raise
    finally:
        os.close(watched)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    return Forked(pid, lifeline)


def _become_worker(place: Place, serve: Serve, watched: int, blocked: Collection[int]) -> NoReturn:
    """Serve, and exit without running anything that the parent would still have done."""
    code = 1
    try:
        _leave_parent((place.listener.fileno(), place.metrics_file, watched))
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        threading.Thread(target=_stop_when_closed, args=(watched,), daemon=True).start()
        _work(place, serve)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except KeyboardInterrupt:  # before it serves, or once more after it has
        code = 0
    except BaseException:  # noqa: BLE001 - reported as by the interpreter, to which this process does not return
        sys.excepthook(*sys.exc_info())
    finally:
        try:  # both fail if nobody reads the streams any more
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _leave_parent(kept: Collection[int]) -> None:
    """Give up what belongs to the parent: its session, signal handlers and files, other workers' sockets among them."""
    os.setsid()  # Ctrl-C reaches the parent only, which passes it on
    signal.set_wakeup_fd(-1)
    for number, handler in _HANDLERS.items():
        signal.signal(number, handler)
    for descriptor in [int(file.name) for file in Path("/proc/self/fd").iterdir()]:
        if descriptor > _STANDARD_ERROR and descriptor not in kept:
            with contextlib.suppress(OSError):  # the listing's own descriptor is closed already
                os.close(descriptor)


def _work(place: Place, serve: Serve) -> None:
    with contextlib.suppress(OSError):  # only names this worker in lists of processes
        Path("/proc/self/comm").write_text(f"worker {place.worker}")
    metrics = Metrics(Memory(place.workers, place.worker, place.metrics_file))
    if place.restarts:  # counted before anything can fail, or a worker that never gets to serve would not be seen
        metrics.worker_restarts.inc()
    with contextlib.suppress(KeyboardInterrupt):
        serve(place.listener, metrics)


def _stop_when_closed(watched: int) -> None:
    """Wait until the other end of the pipe is gone, then ask this process to stop."""
    while os.read(watched, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
