"""Numbers that the workers of one service share: each worker writes its own, and the one that is scraped sums all.

A table holds one metric: a row of float64 for each combination of its labels. A ring holds such numbers for each of the
last minutes. `instruments` and `drift` define what they mean; docs/decisions/0003 says why this is not
prometheus-client's multiprocess mode.
"""

import json
import mmap
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Room for every table of `metrics` twice over; pages that nobody writes take no memory.
_BYTES_PER_WORKER = 1024 * 1024
# How often a worker shows that its event loop runs.
BEAT_SECONDS = 5.0
# The longest labels, those of a request, take 65 bytes.
_LABEL_BYTES = 96
# Stands for the process that has served, in a worker's place that gets no connections: larger than any process id.
_NO_PROCESS = 2**62
# Replaces each label of the combinations that a full table has no row for.
OTHER = "other"


class Memory:
    """Memory for the tables of `workers` workers, shared through a file or private to this process."""

    def __init__(self, workers: int = 1, worker: int = 0, file: int | None = None) -> None:
        """Map the memory.

        Args:
            workers: How many share it.
            worker: Which of them this process is, from 0.
            file: Descriptor of a file made by `file_for`, the same for all workers; None for one process alone.
        """
        self.workers = workers
        self.worker = worker
        self._map = mmap.mmap(-1 if file is None else file, workers * _BYTES_PER_WORKER)
        self._used = 0
        self._processes: NDArray[np.int64] = self._take(np.dtype(np.int64), 1)
        self._processes[worker] = os.getpid()
        # For each worker: CPU seconds of the earlier ones in its place, and its own when they were noted last.
        self._cpu_seconds: NDArray[np.float64] = self._take(np.dtype(np.float64), 2)
        self._cpu_seconds[worker] = self._cpu_seconds[worker].sum(), 0.0
        # The id of the last process that has served in each worker's place; `_NO_PROCESS` where none is waited for.
        self._have_served: NDArray[np.int64] = self._take(np.dtype(np.int64), 1)
        # The number of the version that was served last in each worker's place, perhaps by an earlier worker.
        self._versions: NDArray[np.int64] = self._take(np.dtype(np.int64), 1)
        # Grows for as long as each worker's event loop runs.
        self._beats: NDArray[np.int64] = self._take(np.dtype(np.int64), 1)

    @property
    def processes(self) -> list[int]:
        """The process id of each worker; 0 if it has ended."""
        return [int(process) for process in self._processes[:, 0]]

    def note_cpu_seconds(self, worker: int, seconds: float) -> None:
        """Remember the CPU seconds that a worker has used, so that they count after it has ended."""
        self._cpu_seconds[worker, 1] = max(seconds, self._cpu_seconds[worker, 1])

    @property
    def cpu_seconds(self) -> float:
        """The CPU seconds of all workers, including those that have ended, as far as they were noted."""
        return float(self._cpu_seconds.sum())

    def note_served(self, version: int) -> None:
        """Tell the other workers which version this one serves."""
        self._versions[self.worker] = version
        self._have_served[self.worker] = os.getpid()

    def note_alive(self) -> None:
        """Tell the parent process that this worker's event loop runs."""
        self._beats[self.worker] += 1

    @property
    def served_by_others(self) -> int | None:
        """The newest version that another worker serves at this moment."""
        serves = (self._have_served == self._processes) & (self._processes > 0)
        serves[self.worker] = False
        return int(np.where(serves, self._versions, 0).max()) or None

    @property
    def all_have_served(self) -> bool:
        """Whether each worker that gets connections, or an earlier one in its place, has served a version."""
        return bool(self._have_served.all())

    def table(self, rows: int, width: int) -> "Table":
        """Take the next table; all workers must take the same ones in the same order."""
        row = np.dtype([("labels", f"S{_LABEL_BYTES}"), ("numbers", np.float64, (width,))])
        return Table(self._take(row, rows), self)

    def ring(self, minutes: int, width: int) -> "Ring":
        """Take the next ring, of `minutes` minutes; all workers must take the same ones in the same order."""
        row = np.dtype([("minute", np.int64), ("subject", np.int64), ("numbers", np.float64, (width,))])
        return Ring(self._take(row, minutes), self.worker)

    def _take(self, kind: "np.dtype[Any]", count: int) -> "NDArray[Any]":
        taken: NDArray[Any] = np.frombuffer(self._map, kind, self.workers * count, self._used).reshape(
            self.workers, count
        )
        self._used += -(-taken.nbytes // 8) * 8
        return taken


def file_for(workers: int) -> int:
    """Make an unnamed file that the memory of `workers` workers fits into; returns its descriptor."""
    descriptor = os.memfd_create("digits-metrics") if hasattr(os, "memfd_create") else _unnamed_file()
    os.truncate(descriptor, workers * _BYTES_PER_WORKER)
    return descriptor


def note_ended(descriptor: int, worker: int) -> None:
    """Tell the workers that one of them has ended: what it was doing must no longer be counted."""
    # The process ids are the first table.
    os.pwrite(descriptor, bytes(8), 8 * worker)


def note_closed(descriptor: int, workers: int, worker: int) -> None:
    """Tell the workers not to wait until that worker serves: it gets no connections before it does."""
    os.pwrite(descriptor, _NO_PROCESS.to_bytes(8, sys.byteorder), _served_at(workers, worker))


def has_served(descriptor: int, workers: int, worker: int, process: int) -> bool:
    """Whether that process, in that worker's place, has served a version."""
    return os.pread(descriptor, 8, _served_at(workers, worker)) == process.to_bytes(8, sys.byteorder)


def beats(descriptor: int, workers: int, worker: int) -> bytes:
    """A counter, as bytes, that keeps changing while that worker's event loop runs."""
    # The versions lie between the processes that have served and the beats.
    return os.pread(descriptor, 8, _served_at(workers, worker) + 8 * 2 * workers)


def _served_at(workers: int, worker: int) -> int:
    """The offset of the id of the last process that has served in that worker's place."""
    # Before it come the process ids and, twice as long, the CPU seconds.
    return 8 * (3 * workers + worker)


def _unnamed_file() -> int:
    """Stands in for memfd_create on systems that lack it."""
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Table:
    """Rows of numbers by their labels; one thread of a worker writes its rows, and any worker reads them."""

    def __init__(self, rows: NDArray[np.void], memory: Memory) -> None:
        self._memory = rows
        self._workers = memory
        self._own = rows[memory.worker]
        # A worker that replaces another continues its numbers: counters must not fall.
        self._rows = {
            labels: _numbers(self._own, at) for at, labels in enumerate(_labels(self._own)) if labels is not None
        }

    def row(self, *labels: str) -> "memoryview[float]":
        """The numbers that belong to these labels: float64, all zero at first."""
        known = self._rows.get(labels)
        return self._claim(labels) if known is None else known

    @property
    def known(self) -> list[tuple[str, ...]]:
        """The labels that this worker, or one before it in its place, has numbers for."""
        return list(self._rows)

    def sums(self, *, living_only: bool = False) -> dict[tuple[str, ...], NDArray[np.float64]]:
        """The numbers of each combination of labels, added up over all workers, or over those that live."""
        total: dict[tuple[str, ...], NDArray[np.float64]] = {}
        for labels, numbers in self.each(living_only=living_only):
            total[labels] = total.get(labels, 0.0) + numbers
        return total

    def each(self, *, living_only: bool = False) -> Iterator[tuple[tuple[str, ...], NDArray[np.float64]]]:
        """The labels and numbers of each row of each worker; the numbers are views of the memory and keep changing."""
        for worker, process in zip(self._memory, self._workers.processes, strict=True):
            if process or not living_only:
                for at, labels in enumerate(_labels(worker)):
                    if labels is not None:
                        yield labels, worker["numbers"][at]

    def _claim(self, labels: tuple[str, ...]) -> "memoryview[float]":
        at = len(self._rows)
        if at >= len(self._own) - 1:  # the last row is for all labels without a row of their own
            at, labels = len(self._own) - 1, (OTHER,) * len(labels)
            if labels in self._rows:
                return self._rows[labels]
        view = self._rows[labels] = _numbers(self._own, at)
        # Written last, since the labels make the row visible: a reader must not see it before it counts.
        self._own["labels"][at] = json.dumps(labels, separators=(",", ":")).encode()
        return view


class Ring:
    """Numbers about one subject for each of the last minutes; those that are older, or about another, are forgotten."""

    def __init__(self, memory: NDArray[np.void], worker: int) -> None:
        self._memory = memory
        self._own = memory[worker]
        self._current: tuple[int, int] | None = None
        self._numbers = _numbers(self._own, 0)

    def row(self, minute: int, subject: int) -> "memoryview[float]":
        """This worker's numbers of that minute about that subject: float64, all zero at first."""
        if self._current != (minute, subject):
            self._begin(minute, subject)
        return self._numbers

    def sum(self, minute: int, subject: int) -> NDArray[np.float64]:
        """The sum of all workers' numbers about that subject, over the length of the ring up to that minute."""
        ages = minute - self._memory["minute"]
        chosen = (ages >= 0) & (ages < self._memory.shape[1]) & (self._memory["subject"] == subject)
        total: NDArray[np.float64] = self._memory["numbers"][chosen].sum(axis=0)
        return total

    def _begin(self, minute: int, subject: int) -> None:
        at = minute % len(self._own)
        self._numbers = _numbers(self._own, at)
        # A worker that replaces another in the same minute continues its numbers.
        if (self._own["minute"][at], self._own["subject"][at]) != (minute, subject):
            self._own["minute"][at] = 0  # readers skip the row until all of it is zero
            self._own["numbers"][at] = 0.0
            self._own["subject"][at], self._own["minute"][at] = subject, minute
        self._current = (minute, subject)


def _numbers(rows: NDArray[np.void], at: int) -> "memoryview[float]":
    # Adding to a memoryview's item takes 0.1 us, to an array's twice that.
    return memoryview(rows["numbers"][at]).cast("B").cast("d")


def _labels(rows: NDArray[np.void]) -> list[tuple[str, ...] | None]:
    """The labels of each row, which are stored as a JSON list; None for a row that is not in use."""
    return [tuple(json.loads(encoded)) if encoded else None for encoded in rows["labels"].tolist()]
