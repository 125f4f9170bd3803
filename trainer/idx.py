"""The IDX format, in which MNIST was first published: magic number, sizes, plain bytes."""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from trainer.arrays import MAX_BYTES

_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTES = 0x08  # the third byte of the magic number; the fourth counts the dimensions


class IdxError(Exception):
    """A file that is not IDX, or damaged; the caller says what to do."""


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Reads an IDX file of unsigned bytes, gzipped or not.

    Returns:
        An array with the given number of dimensions.

    Raises:
        IdxError: It is of another format or number of dimensions, too long, or cut short.
        OSError: It can't be read.
    """
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            if not compressed:
                return _decode(file, dimensions)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _decode(unpacked, dimensions)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise IdxError(f"its gzip data is damaged ({error})") from error


def _decode(file: BinaryIO | gzip.GzipFile, dimensions: int) -> NDArray[np.uint8]:
    magic = struct.pack(">BBBB", 0, 0, _UNSIGNED_BYTES, dimensions)
    if file.read(4) != magic:
        raise IdxError(f"it does not start with IDX's magic number {magic.hex()}")
    header = file.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise IdxError("it ends within its header")
    shape = struct.unpack(f">{dimensions}I", header)
    expected = math.prod(shape)
    if expected > MAX_BYTES:
        raise IdxError(f"its header promises {expected} bytes, over the limit of {MAX_BYTES}")
    content = file.read(expected + 1)
    if len(content) != expected:
        raise IdxError(f"its header promises {expected} bytes, but other than that follow")
    return np.frombuffer(content, np.uint8).reshape(shape)
