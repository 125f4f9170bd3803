"""Reads arrays by name from an .npz file, which may be damaged in any way; what they mean is left to the caller."""

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# MNIST's largest array has 47 MB. The bound keeps a small file that unpacks to a huge one out of memory.
MAX_BYTES = 256 * 1024 * 1024
_SUFFIX = ".npy"
# What NumPy, zipfile and the modules beneath them raise for damaged files. MemoryError: a header may ask for terabytes.
_UNREADABLE = (
    *(OSError, ValueError, KeyError, IndexError, TypeError, EOFError, RuntimeError, SyntaxError, MemoryError),
    *(OverflowError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


class ArraysError(Exception):
    """A file that has no arrays, lacks one asked for, or is damaged; the caller says what to do."""


def read_arrays(path: Path, names: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
    """Reads the arrays with these names, or all.

    Raises:
        ArraysError: One is missing, damaged or of Python objects; all together are too large; or there is no file.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            if names is None:
                names = [member.removesuffix(_SUFFIX) for member in archive.namelist()]
            members = {name: archive.getinfo(name + _SUFFIX) for name in names}
            promised = sum(member.file_size for member in members.values())
            if promised > MAX_BYTES:
                raise ArraysError(f"its arrays have {promised} bytes, over the limit of {MAX_BYTES}")
            return {name: _read_array(archive, member) for name, member in members.items()}
    except _UNREADABLE as error:
        raise ArraysError(str(error) or type(error).__name__) from error


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    # Not with `np.load`: it returns bytes for a member that is not an array.
    with archive.open(member) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return array
