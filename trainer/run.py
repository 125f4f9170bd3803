"""A training run's folder: its metrics as they come, and where it stood after its last whole epoch.

It lies beside the versions, under a name that no server looks at, from the first epoch until the
version is published. A run that was killed leaves it behind for `--resume`.
"""

import fcntl
import json
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.errors import TrainerError
from trainer.manifest import EpochMetrics

METRICS_FILE = "metrics.jsonl"
_CHECKPOINT_FILE = "checkpoint.npz"
_LOCK_FILE = ".lock"
# What NumPy and zipfile raise on damage of one sort or another.
_UNREADABLE = (
    *(OSError, ValueError, KeyError, EOFError, TypeError, RuntimeError, SyntaxError, MemoryError),
    *(struct.error, zipfile.BadZipFile, zlib.error),
)


def encode_history(history: Sequence[EpochMetrics]) -> bytes:
    """Writes a line of JSON for each epoch."""
    return "".join(json.dumps(epoch, allow_nan=False) + "\n" for epoch in history).encode()


class RunTakenError(TrainerError):
    """Another process is at this very run."""


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
        """Keeps others off the run: two would write over each other's checkpoints.

        The system gives the run free when the process ends, however it ends.

        Raises:
            RunTakenError: Another process has it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK_FILE).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunTakenError(
                    f"another process trains with this recipe, seed and data in {self.folder}: wait for it, or give "
                    "another --seed or --store"
                ) from None
            try:
                yield
            finally:
                if not (self.folder / _CHECKPOINT_FILE).exists():
                    self.discard()  # nothing to go on from

    def resume(self) -> Checkpoint | None:
        """Reads the last checkpoint; None if there is none, or none that can be read."""
        try:
            # NumPy leaves a damaged file open if it opens it itself.
            with (
                (self.folder / _CHECKPOINT_FILE).open("rb") as file,
                np.load(file, allow_pickle=False) as archive,
            ):
                history = json.loads(str(archive["history"]))
                return Checkpoint(history, [archive[f"state_{index}"] for index in range(len(archive.files) - 1)])
        except _UNREADABLE:
            return None

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes the epochs so far and the checkpoint; a kill at any instant leaves the one before."""
        self.note(checkpoint.history)
        unfinished = self.folder / f".{_CHECKPOINT_FILE}"
        with unfinished.open("wb") as file:
            states = {f"state_{index}": array for index, array in enumerate(checkpoint.state)}
            np.savez(file, history=np.array(json.dumps(checkpoint.history)), **states)  # type: ignore[arg-type]
        unfinished.replace(self.folder / _CHECKPOINT_FILE)

    def note(self, history: Sequence[EpochMetrics]) -> None:
        """Writes the epochs so far, for people to follow."""
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / f".{METRICS_FILE}"
        unfinished.write_bytes(encode_history(history))
        unfinished.replace(self.folder / METRICS_FILE)

    def discard(self) -> None:
        """Removes the folder: the version is published, or there is nothing to go on from."""
        shutil.rmtree(self.folder, ignore_errors=True)
