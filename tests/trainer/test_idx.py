"""The IDX reader: whole files come through, anything else is refused."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from trainer.idx import IdxError, read_idx


def encode(array: NDArray[np.uint8]) -> bytes:
    """Writes an array as IDX."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


@settings(max_examples=50)
@given(array=arrays(np.uint8, array_shapes(max_dims=3, max_side=6)), pack=st.sampled_from([bytes, gzip.compress]))
def test_reads_what_was_written(
    array: NDArray[np.uint8], pack: Callable[[bytes], bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any array of bytes comes back as it was, gzipped or not, whatever the file's name."""
    path = tmp_path_factory.mktemp("idx") / "images"
    path.write_bytes(pack(encode(array)))
    np.testing.assert_array_equal(read_idx(path, array.ndim), array)


@pytest.mark.parametrize("compressed", [False, True])
def test_refuses_any_cut(tmp_path: Path, *, compressed: bool) -> None:
    """A file that ends too early is refused, wherever it ends."""
    whole = encode(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    whole = gzip.compress(whole) if compressed else whole
    path = tmp_path / "images"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(IdxError):
            read_idx(path, 3)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(encode(np.zeros((2, 2), np.uint8)), id="other number of dimensions"),
        pytest.param(encode(np.zeros((2, 2, 2), np.uint8)) + b"\0", id="too long"),
        pytest.param(b"\x1f\x8b not gzip at all", id="damaged gzip"),
        pytest.param(struct.pack(">BBBB3I", 0, 0, 8, 3, 65535, 65535, 65535), id="promises 280 TB"),
        pytest.param(struct.pack(">BBBB3I", 0, 0, 13, 3, 1, 1, 1) + b"\0" * 4, id="floats"),
    ],
)
def test_refuses_other_files(tmp_path: Path, content: bytes) -> None:
    """A file that is not IDX of bytes, or not as its header says, is refused."""
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(IdxError):
        read_idx(path, 3)
