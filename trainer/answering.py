"""Runs a stored version's SavedModel, after its files have been checked. Imports TensorFlow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.data import DIGITS
from trainer.errors import MachineError, is_machine_fault
from trainer.export import GOLDEN_PATH, probabilities_of
from trainer.versions.damage import DamagedVersionError, damage_of

Predict: TypeAlias = Callable[[Path, NDArray[np.float32]], NDArray[np.float32]]
"""Runs the SavedModel in a folder on pixels float32 [N, 784] in 0 to 1: probabilities float32 [N, 10]."""

GOLDEN_TOLERANCE = 1e-4  # the servers' value; other processors round differently
# TensorFlow also raises the second when it can open no more files.
_OUT_OF_MEMORY = (MemoryError, tf.errors.ResourceExhaustedError)


def stored_probabilities(
    version_folder: Path, pixels: NDArray[np.float32], predict: Predict = probabilities_of
) -> NDArray[np.float32]:
    """Runs a stored version on pixels float32 [N, 784] in 0 to 1; returns probabilities float32 [N, 10].

    Raises:
        DamagedVersionError: Its files are not as its manifest states, or it can't be run.
        MachineError: This machine lacks memory or file descriptors, or its disk fails; the version may be sound.
    """
    with _files_checked(version_folder):
        return _checked_probabilities(version_folder, pixels, predict)


def trouble_of(version_folder: Path, predict: Predict = probabilities_of) -> str | None:
    """Says why a server would refuse a version for its files or its answers to the golden images; None if it would not.

    A server checks more: it also compiles the network and runs the compiled program on the golden images.

    Raises:
        MachineError: As for `stored_probabilities`.
    """
    try:
        with _files_checked(version_folder):
            pixels, expected = _read_golden(version_folder / GOLDEN_PATH)
            answers = _checked_probabilities(version_folder, pixels, predict)
    except DamagedVersionError as error:
        return str(error)
    close = answers.shape == expected.shape and np.abs(answers - expected).max() <= GOLDEN_TOLERANCE
    return None if close else "it does not answer its golden images as it did"


@contextmanager
def _files_checked(version_folder: Path) -> Iterator[None]:
    """Checks a version's files, then runs the block; turns failures of this machine into a MachineError."""
    try:
        damage = damage_of(version_folder)
        if damage is not None:
            raise DamagedVersionError(damage)
        yield
    except (*_OUT_OF_MEMORY, OSError) as error:  # a version's own OSError is a DamagedVersionError by now
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise MachineError(
            f"version {version_folder.name} can't be run on this machine now ({reason}): free memory, open files or "
            "disk, and repeat the command (a training with --resume)"
        ) from error


def _read_golden(file: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as golden:
            return golden["pixels"], golden["probabilities"]
    except Exception as error:  # NumPy may raise anything, even MemoryError: a damaged header may ask for terabytes
        if isinstance(error, OSError) and is_machine_fault(error):
            raise
        raise DamagedVersionError("its golden images can't be read") from error


def _checked_probabilities(version_folder: Path, pixels: NDArray[np.float32], predict: Predict) -> NDArray[np.float32]:
    try:
        probabilities = predict(version_folder, pixels)
    except Exception as error:  # TensorFlow may raise anything
        if isinstance(error, _OUT_OF_MEMORY) or (isinstance(error, OSError) and is_machine_fault(error)):
            raise
        raise DamagedVersionError(f"its SavedModel can't be run ({type(error).__name__})") from error
    if probabilities.shape != (len(pixels), DIGITS) or not np.isfinite(probabilities).all():
        raise DamagedVersionError("its SavedModel does not answer with ten probabilities an image")
    return probabilities
