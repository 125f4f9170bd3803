"""What a stored version answers: its files are checked first, then its SavedModel runs. Imports TensorFlow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.damage import DamagedVersionError, damage_of
from trainer.data import DIGITS
from trainer.errors import MachineError, is_of_the_machine
from trainer.export import GOLDEN_PATH, probabilities_of

Run: TypeAlias = Callable[[Path, NDArray[np.float32]], NDArray[np.float32]]
"""Asks the SavedModel in a folder."""

GOLDEN_TOLERANCE = 1e-4  # as servers have it: other processors round otherwise
# TensorFlow says the second for want of files, too.
_OUT_OF_MEMORY = (MemoryError, tf.errors.ResourceExhaustedError)


def stored_probabilities(
    version_folder: Path, pixels: NDArray[np.float32], run: Run = probabilities_of
) -> NDArray[np.float32]:
    """Asks a stored version: pixels float32 [N, 784] in 0 to 1, to probabilities float32 [N, 10].

    Raises:
        DamagedVersionError: Its files are not as its manifest states, or it can't be run.
        MachineError: This machine lacks memory or files, or its disk fails; the version may be sound.
    """
    with _asking(version_folder):
        return _ask(version_folder, pixels, run)


def trouble_of(version_folder: Path, run: Run = probabilities_of) -> str | None:
    """Says why a server would refuse a version by its files or its answers to the golden images; None if it would not.

    A server asks more: it compiles the network, and asks what comes of that.

    Raises:
        MachineError: As above.
    """
    try:
        with _asking(version_folder):
            pixels, expected = _read_golden(version_folder / GOLDEN_PATH)
            answers = _ask(version_folder, pixels, run)
    except DamagedVersionError as error:
        return str(error)
    close = answers.shape == expected.shape and np.abs(answers - expected).max() <= GOLDEN_TOLERANCE
    return None if close else "it does not answer its golden images as it did"


@contextmanager
def _asking(version_folder: Path) -> Iterator[None]:
    """Checks a version's files, and calls by its name whatever this machine can't do of what is asked of it then."""
    try:
        damage = damage_of(version_folder)
        if damage is not None:
            raise DamagedVersionError(damage)
        yield
    except (*_OUT_OF_MEMORY, OSError) as error:  # of OSErrors those of the machine alone get as far as here
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise MachineError(
            f"version {version_folder.name} can't be asked now, for want of this machine ({reason}): "
            "once it has memory, files and its disk again, repeat the command, a training with --resume"
        ) from error


def _read_golden(file: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as golden:
            return golden["pixels"], golden["probabilities"]
    except Exception as error:  # whatever NumPy makes of it, MemoryError too: a damaged header may ask for terabytes
        if isinstance(error, OSError) and is_of_the_machine(error):
            raise
        raise DamagedVersionError("its golden images can't be read") from error


def _ask(version_folder: Path, pixels: NDArray[np.float32], run: Run) -> NDArray[np.float32]:
    try:
        probabilities = run(version_folder, pixels)
    except Exception as error:  # whatever TensorFlow makes of what it finds there
        if isinstance(error, _OUT_OF_MEMORY) or (isinstance(error, OSError) and is_of_the_machine(error)):
            raise
        raise DamagedVersionError(f"its SavedModel can't be run ({type(error).__name__})") from error
    if probabilities.shape != (len(pixels), DIGITS) or not np.isfinite(probabilities).all():
        raise DamagedVersionError("its SavedModel does not answer with ten probabilities an image")
    return probabilities
