"""A training run's folder: its metrics so far, and a checkpoint of its last complete epoch.

It lies beside the versions, under a name that no server looks at, from the first epoch until the
version is published. A run that was killed leaves it behind for `--resume`.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from trainer.arrays import ArraysError, read_arrays
from trainer.errors import TrainerError
from trainer.versions.manifest import EpochMetrics
from trainer.writing import written_to

METRICS_FILE = "metrics.jsonl"
_CHECKPOINT_FILE = "checkpoint.npz"
_LOCK_FILE = ".lock"


def encode_history(history: Sequence[EpochMetrics]) -> bytes:
    """Writes a line of JSON for each epoch."""
    return "".join(json.dumps(epoch, allow_nan=False) + "\n" for epoch in history).encode()


class RunTakenError(TrainerError):
    """Another process is training this very run."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The epochs so far, and the learner's state after them."""

    history: Sequence[EpochMetrics]
    state: Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class Run:
    """The folder of one run, named after all that decides its result."""

    folder: Path

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Locks out other processes, which would overwrite the run's checkpoints, and removes its folder at the end.

        If the block raises, the folder stays for `--resume`, unless it holds no checkpoint. The system releases the
        lock when the process ends, however it ends.

        Raises:
            RunTakenError: Another process has it.
        """
        with self._claim():
            try:
                yield
            except BaseException:
                if not (self.folder / _CHECKPOINT_FILE).exists():
                    self._discard()
                raise
            self._discard()

    def resume(self) -> Checkpoint | None:
        """Reads the last checkpoint; None if there is none, or it can't be read."""
        try:
            arrays = read_arrays(self.folder / _CHECKPOINT_FILE)
            history = json.loads(str(arrays.pop("history")))
            return Checkpoint(history, [arrays[f"state_{index}"] for index in range(len(arrays))])
        except (ArraysError, KeyError, ValueError):
            return None

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes the epochs so far and the checkpoint; a kill at any moment leaves the previous checkpoint."""
        self.note(checkpoint.history)
        unfinished = self.folder / f".{_CHECKPOINT_FILE}"
        with written_to(unfinished), unfinished.open("wb") as file:
            states = {f"state_{index}": array for index, array in enumerate(checkpoint.state)}
            np.savez(file, history=np.array(json.dumps(checkpoint.history)), **states)  # type: ignore[arg-type]
        unfinished.replace(self.folder / _CHECKPOINT_FILE)

    def note(self, history: Sequence[EpochMetrics]) -> None:
        """Writes the epochs so far, for people to follow."""
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / f".{METRICS_FILE}"
        with written_to(unfinished):
            unfinished.write_bytes(encode_history(history))
        unfinished.replace(self.folder / METRICS_FILE)

    def _claim(self) -> BinaryIO:
        """Opens and locks the run's lock file; closing it releases the run."""
        path = self.folder / _LOCK_FILE
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = path.open("wb")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                raise RunTakenError(
                    f"another process trains with this recipe, seed and data in {self.folder}: wait for it, or give "
                    "another --seed or --store"
                ) from None
            if _is_at(path, lock):
                return lock
            lock.close()  # its owner has just ended and removed it: try again with a new file

    def _discard(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _is_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
