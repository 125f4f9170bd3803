"""`kill -9` of a worker under load: what is lost with it, and how long until its replacement answers."""

import os
import signal
import threading
import time
from collections.abc import Iterator

from benchmarks.requests import octet_image, send
from benchmarks.stress.answers import own_questions
from benchmarks.stress.claims import Claim
from benchmarks.stress.clients import CONNECTIONS, Clients
from benchmarks.stress.running import Running, wait_until

_SETTLED_SECONDS = 3.0
_REPLACED_SECONDS = 2.0
# The kernel gives each new connection to a random worker's socket: with two, all miss the killed one once in 2^64.
_NEW_CONNECTIONS = 64


def crash(running: Running) -> Iterator[Claim]:
    """Kill one worker while 32 connections ask, and open new ones right after."""
    clients = Clients(running.port, own_questions(running.golden, CONNECTIONS))
    with clients.asking():
        time.sleep(1)
        before = running.workers()
        connections = running.connections(min(before))
        killed = time.monotonic()
        os.kill(min(before), signal.SIGKILL)
        statuses, answered = _ask_at_once(running, killed)
        wait_until(lambda: len(running.workers() - before) == 1)
        time.sleep(_SETTLED_SECONDS)
    yield Claim(
        f"a killed worker's replacement answers within {_REPLACED_SECONDS:g} s",
        f"{answered:.2f} s, {statuses.count(200)} of {_NEW_CONNECTIONS} new connections answered",
        answered <= _REPLACED_SECONDS and statuses == [200] * _NEW_CONNECTIONS,
    )
    yield Claim(
        "requests lost with it, at most one for each of its connections",
        f"{clients.account}, {connections} of {CONNECTIONS} connections",
        len(clients.failures) <= connections,
    )


def _ask_at_once(running: Running, since: float) -> tuple[list[int], float]:
    """Ask over new connections, some of which wait for the replacement; give statuses, and seconds until the last."""
    request = octet_image(running.golden.pixels[0])
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(send(running.port, request, timeout_seconds=30).status))
        for _ in range(_NEW_CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses, time.monotonic() - since
