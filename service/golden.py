"""Golden images: test images and probabilities that travel with a version and prove that it computes what it should."""

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.manifest import GOLDEN_PATH, VersionRejected, first_line

# What the trainer saw against what this machine computes: other processors round otherwise, by about 1e-6.
GOLDEN_TOLERANCE = 1e-4

# What reading a damaged archive raises: any of its bytes may name another compression, an encryption, or be part
# of an array's header, which is Python text.
_UNREADABLE = (
    *(OSError, ValueError, KeyError, EOFError, RuntimeError, SyntaxError, MemoryError),
    *(struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError),
)

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class GoldenImages:
    """Pixels float32 [n, 784] and the probabilities float32 [n, 10] that belong to them."""

    pixels: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    def check(self, run: Run, what: str, tolerance: float = GOLDEN_TOLERANCE) -> None:
        """Run the golden images through `run` and compare.

        Args:
            run: Takes pixels float32 [n, 784], returns probabilities float32 [n, 10].
            what: Names what runs, for the reason.
            tolerance: Largest allowed difference of a probability.

        Raises:
            VersionRejected: A probability differs by more than the tolerance or is not a number.
        """
        answered = run(self.pixels)
        if answered.shape != self.probabilities.shape:
            msg = f"{what} answers the golden images with shape {answered.shape}, not {self.probabilities.shape}"
            raise VersionRejected(msg)
        if not np.isfinite(answered).all():
            msg = f"{what} answers the golden images with NaN or infinity"
            raise VersionRejected(msg)
        difference = float(np.abs(answered - self.probabilities).max())
        if difference > tolerance:
            msg = f"{what} differs from the golden images' probabilities by {difference:.2g}, more than {tolerance:g}"
            raise VersionRejected(msg)


def read_golden(folder: Path) -> GoldenImages:
    """Read the golden images of the version in `folder`.

    Raises:
        VersionRejected: The file cannot be read or does not hold what it should.
    """
    try:
        with zipfile.ZipFile(folder / GOLDEN_PATH) as archive:
            pixels, probabilities = (_read_array(archive, name) for name in ("pixels", "probabilities"))
    except _UNREADABLE as error:
        msg = f"{GOLDEN_PATH} cannot be read: {first_line(error)}"
        raise VersionRejected(msg) from error
    if not _well_formed(pixels, probabilities):
        msg = f"{GOLDEN_PATH} must hold pixels float32 [n, 784] and probabilities float32 [n, 10], all finite"
        raise VersionRejected(msg)
    return GoldenImages(pixels, probabilities)


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[np.float32]:
    with archive.open(f"{name}.npy") as member:
        array: NDArray[np.float32] = np.lib.format.read_array(member, allow_pickle=False)
    return array


def _well_formed(pixels: NDArray[np.float32], probabilities: NDArray[np.float32]) -> bool:
    return (
        pixels.dtype == np.float32
        and probabilities.dtype == np.float32
        and pixels.ndim == 2
        and len(pixels) > 0
        and pixels.shape[1] == 784
        and probabilities.shape == (len(pixels), 10)
        and bool(np.isfinite(pixels).all() and np.isfinite(probabilities).all())
    )
