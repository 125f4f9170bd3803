"""What a stored version answers: its files are checked first, then its SavedModel runs. Imports TensorFlow."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.damage import DamagedVersionError, damage_of
from trainer.data import DIGITS
from trainer.export import probabilities_of


def stored_probabilities(version_folder: Path, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Asks a stored version: pixels float32 [N, 784] in 0 to 1, to probabilities float32 [N, 10].

    Raises:
        DamagedVersionError: Its files are not as its manifest states, or it can't be run.
    """
    damage = damage_of(version_folder)
    if damage is not None:
        raise DamagedVersionError(damage)
    try:
        probabilities = probabilities_of(version_folder, pixels)
    except Exception as error:
        raise DamagedVersionError(f"its SavedModel can't be run ({type(error).__name__})") from error
    if probabilities.shape != (len(pixels), DIGITS) or not np.isfinite(probabilities).all():
        raise DamagedVersionError("its SavedModel does not answer with ten probabilities an image")
    return probabilities
