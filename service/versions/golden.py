"""Golden images: test images and probabilities that travel with a version and prove that it computes what it should."""

import io
import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from service.versions.manifest import GOLDEN_PATH, VersionRejected, first_line, is_machine_fault

# How far this machine may be from what the trainer computed: other processors round differently, by about 1e-6.
GOLDEN_TOLERANCE = 1e-4

# The 64 golden images of this project take 0.2 MB. Larger files and arrays are rejected, to bound the server's memory.
_MAX_BYTES = 4 * 1024**2
# The kinds that NumPy writes. Others can only be decompressed as a whole, and a kilobyte may become many megabytes.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

# Errors of reading a damaged archive: a damaged byte may name another compression or an encryption, or be part of an
# array's header, which is Python text.
_UNREADABLE = (
    *(OSError, ValueError, KeyError, EOFError, RuntimeError, SyntaxError),
    *(struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError),
)

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class GoldenImages:
    """Pixels float32 [n, 784], their probabilities float32 [n, 10] and, if known, their scores is_digit float32 [n]."""

    pixels: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    is_digit: NDArray[np.float32] | None = None

    def check(self, run: Run, what: str, tolerance: float = GOLDEN_TOLERANCE, *, tells_is_digit: bool = False) -> None:
        """Run the golden images through `run` and compare.

        Args:
            run: An engine's `run`: takes pixels float32 [n, 784], returns outputs float32 [n, 10 or 11].
            what: Name of what runs, for the reason of a rejection.
            tolerance: Largest allowed difference of a probability or a score.
            tells_is_digit: Whether the manifest says that there is a score beside the probabilities.

        Raises:
            VersionRejected: A number differs by more than the tolerance or is not finite, or the outputs are not
                those that the manifest states.
        """
        outputs = run(self.pixels)
        self._check_shape(outputs, what, tells_is_digit=tells_is_digit)
        if not np.isfinite(outputs).all():
            msg = f"{what} answers the golden images with NaN or infinity"
            raise VersionRejected(msg)
        _check_close(
            outputs[:, :10], self.probabilities, f"{what} differs from the golden images' probabilities", tolerance
        )
        if self.is_digit is not None:
            _check_close(outputs[:, 10], self.is_digit, f"{what} differs from the golden images' is_digit", tolerance)

    def answered_by(self, run: Run) -> "GoldenImages":
        """The same images with the answers of another engine's `run`."""
        outputs = run(self.pixels)
        return GoldenImages(self.pixels, outputs[:, :10], outputs[:, 10] if outputs.shape[1] > 10 else None)

    def _check_shape(self, outputs: NDArray[np.float32], what: str, *, tells_is_digit: bool) -> None:
        images = len(self.pixels)
        if tells_is_digit and outputs.shape == (images, 10):
            msg = f"the manifest states is_digit_threshold, but {what} has no output is_digit"
        elif not tells_is_digit and outputs.shape == (images, 11):
            msg = f"{what} has the output is_digit, but the manifest states no is_digit_threshold"
        elif self.is_digit is not None and not tells_is_digit:
            msg = f"{GOLDEN_PATH} holds is_digit, but the manifest states no is_digit_threshold"
        elif outputs.shape != (images, 10 + tells_is_digit):
            msg = f"{what} answers the golden images with shape {outputs.shape}, not {(images, 10 + tells_is_digit)}"
        else:
            return
        raise VersionRejected(msg)


def read_golden(folder: Path) -> GoldenImages:
    """Read the golden images of the version in `folder`.

    Raises:
        VersionRejected: The file cannot be read or does not hold what it should.
        OSError: This machine cannot read it now; that says nothing about the version.
    """
    try:
        # Read as a whole first: `zipfile` would report a failing disk as a damaged archive.
        content = _bounded((folder / GOLDEN_PATH).open("rb"))
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            pixels, probabilities = (_read_array(archive, name) for name in ("pixels", "probabilities"))
            is_digit = _read_array(archive, "is_digit") if "is_digit.npy" in archive.namelist() else None
    except _UNREADABLE as error:
        if isinstance(error, OSError) and is_machine_fault(error):
            raise
        msg = f"{GOLDEN_PATH} cannot be read: {first_line(error)}"
        raise VersionRejected(msg) from error
    if not _well_formed(pixels, probabilities, is_digit):
        msg = (
            f"{GOLDEN_PATH} must hold pixels float32 [n, 784], probabilities float32 [n, 10] and, "
            "if at all, is_digit float32 [n], all finite"
        )
        raise VersionRejected(msg)
    return GoldenImages(pixels, probabilities, is_digit)


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[np.float32]:
    if archive.getinfo(f"{name}.npy").compress_type not in _COMPRESSIONS:
        msg = f"{name} is neither stored nor deflated"
        raise ValueError(msg)
    content = io.BytesIO(_bounded(archive.open(f"{name}.npy")))
    _check_size(content, name)
    array: NDArray[np.float32] = np.lib.format.read_array(content, allow_pickle=False)
    return array


def _check_size(content: io.BytesIO, name: str) -> None:
    """Raise `ValueError` unless there are as many bytes as the header says: NumPy allocates those before it reads."""
    np.lib.format.read_magic(content)
    shape, _, dtype = np.lib.format.read_array_header_1_0(content)
    if math.prod(shape) * dtype.itemsize != len(content.getbuffer()) - content.tell():
        msg = f"{name} has another size than its header says"
        raise ValueError(msg)
    content.seek(0)


def _bounded(opened: IO[bytes]) -> bytes:
    """Read all of it and close it; raise `ValueError` if that is more than golden images need."""
    with opened:
        content = opened.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        msg = f"it is larger than {_MAX_BYTES} bytes"
        raise ValueError(msg)
    return content


def _well_formed(
    pixels: NDArray[np.float32], probabilities: NDArray[np.float32], is_digit: NDArray[np.float32] | None
) -> bool:
    images = len(pixels) if pixels.ndim == 2 else 0
    expected: list[tuple[NDArray[np.float32], tuple[int, ...]]]
    expected = [(pixels, (images, 784)), (probabilities, (images, 10))]
    if is_digit is not None:
        expected.append((is_digit, (images,)))
    return images > 0 and all(
        array.dtype == np.float32 and array.shape == shape and bool(np.isfinite(array).all())
        for array, shape in expected
    )


def _check_close(answered: NDArray[np.float32], expected: NDArray[np.float32], differs: str, tolerance: float) -> None:
    difference = float(np.abs(answered - expected).max())
    if difference > tolerance:
        msg = f"{differs} by {difference:.2g}, more than {tolerance:g}"
        raise VersionRejected(msg)
