"""The faults: what is done to the service under load, and which failures each may cause."""

import itertools
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.requests import octets
from benchmarks.soak.load import Exchange
from benchmarks.stress.crowd import SlowBodies
from benchmarks.stress.overload import flood
from benchmarks.stress.running import Running, is_ready, wait_until
from trainer.versions.policy import write_pin
from trainer.versions.store import ModelStore

_TIMES_ASKED = 8
_SLOW_CLIENTS = 50
_SLOW_SECONDS = 5.0
_STORE_GONE_SECONDS = 3.0
_BURST_REQUESTS = 200
_BURST_ROWS = 500
# A killed worker's connections break at once; a machine that is busy may notice later.
_KILL_SECONDS = 2.0
_BROKEN = frozenset(
    {"RemoteDisconnected", "ConnectionResetError", "BrokenPipeError", "IncompleteRead", "ConnectionRefusedError"}
)
_NOTHING: frozenset[str] = frozenset()
# After the burst's end, until the requests that waited are answered.
_BURST_SECONDS = 12.0


@dataclass(frozen=True)
class Phase:
    """One fault: when it was, and which outcomes it may cause until `allowed_seconds` after its end."""

    name: str
    began: float
    ended: float
    allowed: frozenset[str] = frozenset()
    allowed_seconds: float = 0.0
    healed: bool = True
    """Whether the service recovered in time."""

    def explains(self, exchange: Exchange) -> bool:
        """Whether the exchange failed in a way, and at a time, that this fault explains."""
        during = exchange.ended >= self.began and exchange.began <= self.ended + self.allowed_seconds
        return during and exchange.outcome in self.allowed


class Faults:
    """Injects one fault after the other into a service; each returns once the service has recovered from it."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._newest = 1
        faults: list[tuple[str, Callable[[], None], frozenset[str], float]] = [
            ("reload", self._reload, _NOTHING, 0),
            ("kill -9 of a worker", self._kill, _BROKEN, _KILL_SECONDS),
            ("bad version", self._bad_version, _NOTHING, 0),
            ("pin and rollback", self._pin, _NOTHING, 0),
            ("store vanishes", self._store_vanishes, _NOTHING, 0),
            ("slow clients", self._slow_clients, _NOTHING, 0),
            ("burst", self._burst, frozenset({"429"}), _BURST_SECONDS),
        ]
        self._rounds = itertools.cycle(faults)

    def inject_next(self) -> Phase:
        """Inject the next fault of the round."""
        name, fault, allowed, allowed_seconds = next(self._rounds)
        began, healed = time.monotonic(), True
        try:
            fault()
        except TimeoutError:
            healed = False
        return Phase(name, began, time.monotonic(), allowed, allowed_seconds, healed)

    def _reload(self) -> None:
        self._newest += 1
        self._running.publish_again(self._newest, in_cache=self._newest > 2)  # the second one is prepared by TensorFlow
        self._wait_for(self._newest)

    def _kill(self) -> None:
        before = self._running.workers()
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: len(self._running.workers() - before) == 1 and is_ready(self._running.port))

    def _bad_version(self) -> None:
        """Publish a version with one wrong bit, wait until it is quarantined, and remove it."""
        number = self._newest + 1
        folder = self._running.publish_again(number, damaged=True)
        wait_until(lambda: self._all_say(lambda: self._running.state(number) == "quarantined"))
        shutil.rmtree(folder)
        wait_until(lambda: self._all_say(lambda: self._running.state(number) is None))

    def _pin(self) -> None:
        store, before = ModelStore(self._running.released.store, "digits"), max(1, self._newest - 1)
        write_pin(store, before)
        self._wait_for(before)
        write_pin(store, None)
        self._wait_for(self._newest)

    def _store_vanishes(self) -> None:
        store = self._running.released.store
        away = store.with_name("away")
        store.rename(away)
        time.sleep(_STORE_GONE_SECONDS)
        away.rename(store)
        self._wait_for(self._newest)

    def _slow_clients(self) -> None:
        with SlowBodies(self._running.port, _SLOW_CLIENTS).sending():
            time.sleep(_SLOW_SECONDS)

    def _burst(self) -> None:
        row = self._running.golden.pixels[0]
        flood(self._running.port, octets(np.tile(row, (_BURST_ROWS, 1))), _BURST_REQUESTS, 1.0, _BURST_REQUESTS)

    def _wait_for(self, number: int) -> None:
        wait_until(lambda: self._all_say(lambda: self._running.serving() == number))

    @staticmethod
    def _all_say(condition: Callable[[], bool]) -> bool:
        """Ask several times, as each new connection may reach a different worker."""
        return all(condition() for _ in range(_TIMES_ASKED))


def every(seconds: float, until: float) -> Iterator[None]:
    """Yield every `seconds`, or at once if the caller took longer, until the monotonic clock reaches `until`."""
    due = time.monotonic() + seconds
    while due < until:
        time.sleep(max(0.0, due - time.monotonic()))
        yield
        due = max(due + seconds, time.monotonic())
