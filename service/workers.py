"""Several serving processes on one address: starts them, replaces those that end, stops them together.

`worker` defines what a worker is. This process serves nothing itself. It keeps the listening sockets, so that
connections wait for a worker's replacement instead of being refused, and the memory in which workers count. The socket
of a worker that keeps failing is closed until its replacement listens, so that all connections go to the others.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import time
from dataclasses import dataclass, field

from service.connections.listeners import bind_beside
from service.telemetry import tally
from service.worker import Forked, Place, Serve, fork

# Starting takes a second at most: a worker that ends sooner than this has hardly served, and its replacement is delayed
# longer each time.
_SETTLED_SECONDS = 10.0
_FIRST_DELAY_SECONDS = 0.1
_LONGEST_DELAY_SECONDS = 30.0
# A killed worker's replacement serves within a second, and connections wait for it. When two in a row have ended
# before they served, the next one will hardly do better, and connections no longer wait for it.
_UNSERVED_UNTIL_CLOSED = 2
# A worker that did serve will mostly do so again, but after the fourth early end its replacement is delayed by 1.6 s,
# and later by half a minute, in which nobody would accept the waiting connections.
_EARLY_UNTIL_CLOSED = 4
# A worker that serves shows every five seconds that its event loop runs. One that has not in this many looks hangs:
# nothing that the service does holds its loop up for a tenth of that time. Looks are counted instead of seconds, so
# that no worker is blamed for a suspended machine or a stopped parent.
_LOOK_SECONDS = 5.0
_SILENT_LOOKS = 6
# What a worker may take beyond its own limits before it is killed.
_GRACE_SECONDS = 5.0

log = logging.getLogger("digits.workers")


@dataclass
class Workers:
    """Keeps a worker, which does `serve`, running for each listening socket.

    `stop_seconds` is how long the workers may take to stop; every `look_seconds` they are checked for hanging.
    """

    listeners: list[socket.socket]
    serve: Serve
    stop_seconds: float
    look_seconds: float = _LOOK_SECONDS
    _metrics_file: int = field(init=False)
    _forked: dict[int, Forked] = field(default_factory=dict, init=False)
    _ended: dict[int, asyncio.Future[int]] = field(default_factory=dict, init=False)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def run(self) -> int:
        """Keep the workers running until SIGTERM or Ctrl-C; returns 0 if all of them ended well."""
        # Workers share the memory in use now, for as long as none of them writes to it.
        gc.collect()
        gc.freeze()
        return asyncio.run(self._run())

    async def _run(self) -> int:
        self._metrics_file = tally.file_for(len(self.listeners))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        codes = await asyncio.gather(*(self._keep(worker) for worker in range(len(self.listeners))))
        return max(codes)

    async def _keep(self, worker: int) -> int:
        """Run one worker, and another whenever it ends, until all are to stop; returns the last exit code."""
        delay, restarts, unserved, early = _FIRST_DELAY_SECONDS, 0, 0, 0
        while True:
            if self._stopping.is_set():
                return 0
            started = time.monotonic()
            try:
                code, has_served = await self._run_worker(worker, restarts)
            except OSError as error:  # no memory or no process is available just now
                log.error("worker %d cannot be started: %s", worker, error.strerror)  # noqa: TRY400 - no fault of ours
                code, has_served = 1, False
            if self._stopping.is_set():
                # A worker that has not begun to serve yet ends by the signal itself.
                return 0 if code in (0, -signal.SIGTERM, -signal.SIGINT) else 1
            lived = time.monotonic() - started
            unserved = 0 if has_served else unserved + 1
            early = 0 if lived >= _SETTLED_SECONDS else early + 1
            delay = _FIRST_DELAY_SECONDS if lived >= _SETTLED_SECONDS else min(2 * delay, _LONGEST_DELAY_SECONDS)
            restarts += 1
            log.error("worker %d %s after %.1f s; starting another in %.1f s", worker, _ending(code), lived, delay)
            if unserved >= _UNSERVED_UNTIL_CLOSED or early >= _EARLY_UNTIL_CLOSED:
                times = max(unserved, early)
                log.error("worker %d has failed %d times in a row; until one listens the others serve", worker, times)
                self._close_listener(worker)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._stopping.wait()
                    return 0

    async def _run_worker(self, worker: int, restarts: int) -> tuple[int, bool]:
        """Run one worker until it ends; returns its exit code, and whether it has served."""
        workers, metrics = len(self.listeners), self._metrics_file
        forked = fork(Place(worker, workers, self.listeners[worker], metrics, restarts), self.serve)
        self._forked[worker] = forked
        ended = self._ended[forked.pid] = asyncio.get_running_loop().create_future()
        watching = asyncio.create_task(self._kill_when_silent(worker, forked.pid), name=f"watch worker {worker}")
        try:
            code = await ended
            return code, tally.has_served(metrics, workers, worker, forked.pid)
        finally:
            watching.cancel()
            os.close(forked.lifeline)
            tally.note_ended(metrics, worker)
            del self._forked[worker]

    def _reap(self) -> None:
        """Take note of the workers that have ended."""
        for pid, ended in list(self._ended.items()):
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if reaped:
                del self._ended[pid]
                ended.set_result(os.waitstatus_to_exitcode(status))

    async def _kill_when_silent(self, worker: int, pid: int) -> None:
        """End a worker that hangs: one that has served, and whose event loop no longer runs."""
        seen, silent = b"", 0
        while silent < _SILENT_LOOKS:
            await asyncio.sleep(self.look_seconds)
            now = tally.beats(self._metrics_file, len(self.listeners), worker)
            starts = not tally.has_served(self._metrics_file, len(self.listeners), worker, pid)
            silent = 0 if starts or now != seen else silent + 1
            seen = now
        log.error("worker %d hangs: nothing of it for %g s; it is killed", worker, silent * self.look_seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _close_listener(self, worker: int) -> None:
        """Keep connections from this worker until its replacement serves, which itself listens on the new socket."""
        try:
            bound = bind_beside(self.listeners[worker])  # first, so that the port is never free for others
        except OSError as error:
            log.error("worker %d keeps its socket: %s", worker, error.strerror)  # noqa: TRY400 - no fault of ours
            return
        self.listeners[worker].close()
        self.listeners[worker] = bound
        tally.note_closed(self._metrics_file, len(self.listeners), worker)

    def _stop(self, number: int) -> None:
        """Pass the signal on; kill what has not stopped when its time is over."""
        if not self._stopping.is_set():
            self._stopping.set()
            # The workers have their own copies, which must be the last ones open, so that no connection waits in vain.
            for listener in self.listeners:
                listener.close()
            asyncio.get_running_loop().call_later(self.stop_seconds + _GRACE_SECONDS, self._send, signal.SIGKILL)
        self._send(number)

    def _send(self, number: int) -> None:
        for forked in self._forked.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(forked.pid, number)


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with {code}"
    return f"was ended by {signal.Signals(-code).name}" if -code in set(signal.Signals) else f"was ended by {-code}"
