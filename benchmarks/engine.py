"""The network alone, a reference point: rows a second of the LiteRT engine in this process, with no HTTP around it."""

import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.figures import EngineFigures
from benchmarks.machine import cores
from service.engines.litert import LiteRTEngine

# The service's default limit for the rows of a batch.
_BATCH_ROWS = 64


def measure(program: Path, repeats: int, seconds: float) -> EngineFigures:
    """Run full batches for some seconds, with an engine in a thread for each core; LiteRT releases the GIL."""
    threads = cores()
    engines = [LiteRTEngine(program, _BATCH_ROWS) for _ in range(threads)]
    return EngineFigures(threads, _BATCH_ROWS, tuple(_rows_per_second(engines, seconds) for _ in range(repeats)))


def _rows_per_second(engines: list[LiteRTEngine], seconds: float) -> float:
    rows = [0] * len(engines)
    pixels = np.random.default_rng(0).random((_BATCH_ROWS, 784), np.float32)
    start = time.perf_counter()

    def run(at: int) -> None:
        while time.perf_counter() - start < seconds:
            engines[at].run(pixels)
            rows[at] += _BATCH_ROWS

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(engines))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rows) / (time.perf_counter() - start)
