"""New versions under load: nothing fails, answers stay right and quick, and memory stays flat."""

import statistics
import time
from collections.abc import Iterator
from functools import partial

from benchmarks.stress.answers import own_questions
from benchmarks.stress.claims import Claim, at_most
from benchmarks.stress.clients import CONNECTIONS, Clients
from benchmarks.stress.running import Running, wait_until

_SETTLED_SECONDS = 3.0
_FLAT = 0.05


def reloads(running: Running, count: int, prepared: int) -> Iterator[Claim]:
    """Publish `count` versions one after the other; the first `prepared` of them are prepared with TensorFlow.

    The others find their program in the cache: preparing takes ten seconds in a process of its own, which has ended
    before the memory is measured.
    """
    clients = Clients(running.port, own_questions(running.golden, CONNECTIONS), running.published)
    resident = []
    with clients.asking():
        time.sleep(_SETTLED_SECONDS)
        without, first = clients.p99_ms(), len(clients.seconds)
        for number in range(2, count + 2):
            running.publish_again(number, in_cache=number > prepared + 1)
            wait_until(partial(_serves, running, number))
            resident.append(running.resident_bytes())
        during = clients.p99_ms(first)
        batched = _rows_per_batch(running)
    yield Claim(
        f"{count} reloads under {CONNECTIONS} connections: failed or wrong", clients.account, not clients.failures
    )
    answered = f"{len(clients.versions)} of {count + 1}"
    yield Claim("versions that have answered, each as its network does", answered, len(clients.versions) == count + 1)
    yield at_most("p99 during reloads, at most twice that without", during, 2 * without, "ms")
    yield Claim("requests still share batches after them", f"{batched:.1f} rows in one", batched > 1)
    if count >= 4:  # fewer have no quarters
        yield _flat(resident)


def _rows_per_batch(running: Running) -> float:
    """The mean over the batches of the next second."""
    before = running.metric("digits_batch_rows_sum"), running.metric("digits_batch_rows_count")
    time.sleep(1)
    rows, batches = running.metric("digits_batch_rows_sum"), running.metric("digits_batch_rows_count")
    return (rows - before[0]) / max(1, batches - before[1])


def _serves(running: Running, number: int) -> bool:
    return running.serving() == number


def _flat(resident: list[int]) -> Claim:
    """Compare the means of the last and the second quarter: in the first, memory fills with three versions."""
    quarter = len(resident) // 4
    second = statistics.mean(resident[quarter : 2 * quarter]) / 1e6
    last = statistics.mean(resident[-quarter:]) / 1e6
    figure = f"{last:.1f} / {second:.1f} MB"
    return Claim(
        "resident memory in the last quarter, at most 5 % over the second", figure, last <= second * (1 + _FLAT)
    )
